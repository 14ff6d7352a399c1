/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "xen/public.h"

#define MAX_PORTS 128 /* Xen's bound for one SCHEDOP_poll */
#define NSEC_PER_SEC UINT64_C(1000000000)

/* A copy of the guest's request. */
struct poll_request {
	uint64_t timeout; /* guest time in ns; 0: none */
	unsigned nr_ports;
	evtchn_port_t ports[MAX_PORTS];
};

static int copy_request(struct vmm *vm, const struct hypercall *h, struct poll_request *rq)
{
	struct sched_poll sp;
	int ret;

	ret = gmem_copy_in(&vm->mem, &h->paging, &sp, h->arg[1], sizeof(sp));
	if (ret)
		return ret;
	if (sp.nr_ports > MAX_PORTS)
		return -EINVAL;
	rq->timeout = sp.timeout;
	rq->nr_ports = sp.nr_ports;
	ret = gmem_copy_in(&vm->mem, &h->paging, rq->ports, (uintptr_t)sp.ports.p,
	    sp.nr_ports * sizeof(rq->ports[0]));
	if (ret)
		return ret;
	for (unsigned i = 0; i < rq->nr_ports; i++) {
		if (rq->ports[i] >= EVTCHN_2L_NR_CHANNELS)
			return -EINVAL;
	}
	return 0;
}

/* Two-level ABI: one bit for each port; the core sets it, the guest clears it. */
static bool pending_p(const struct vmm *vm, const struct poll_request *rq)
{
	const struct shared_info *si = gmem_ptr(&vm->mem, vm->shared_info, sizeof(*si));
	const unsigned bits = 8 * sizeof(si->evtchn_pending[0]);

	for (unsigned i = 0; si && i < rq->nr_ports; i++) {
		xen_ulong_t word = __atomic_load_n(
		    &si->evtchn_pending[rq->ports[i] / bits], __ATOMIC_ACQUIRE);

		if (word >> rq->ports[i] % bits & 1)
			return true;
	}
	return false;
}

/* => *left is NULL for no timeout, else points to ts; -ETIME: the time is over */
static int time_left(
    const struct vmm *vm, uint64_t timeout, struct timespec *ts, struct timespec **left)
{
	uint64_t now;
	int ret;

	*left = NULL;
	if (timeout == 0)
		return 0;
	ret = vcpu_time(&vm->vcpu, &now);
	if (ret)
		return ret;
	if (now >= timeout)
		return -ETIME;
	ts->tv_sec = (time_t)((timeout - now) / NSEC_PER_SEC);
	ts->tv_nsec = (long)((timeout - now) % NSEC_PER_SEC);
	*left = ts;
	return 0;
}

/*
 * Sleep until the core has raised an event since the last call, or the time is over (-ETIME).
 * No wake-up is lost: the core sets the pending bit before it counts up, and this side takes the
 * count before it looks at the bits again.
 */
static int wait_event(const struct vmm *vm, uint64_t timeout)
{
	struct pollfd p = {.fd = WIRE_FD_EVENT, .events = POLLIN};
	struct timespec ts, *left;
	uint64_t count;
	int ret = time_left(vm, timeout, &ts, &left);

	if (ret)
		return ret;
	ret = ppoll(&p, 1, left, NULL);
	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	if (ret == 0) /* by the host's clock; the guest's decides */
		return 0;
	if (read(WIRE_FD_EVENT, &count, sizeof(count)) < 0 && errno != EINTR && errno != EAGAIN)
		return -errno;
	return 0;
}

int64_t sched_poll(struct vmm *vm, const struct hypercall *h)
{
	struct poll_request rq;
	int ret = copy_request(vm, h, &rq);

	if (ret)
		return ret;
	if (rq.nr_ports > 0 && !vm->have_shared_info)
		return -EINVAL;
	while (!pending_p(vm, &rq)) {
		ret = wait_event(vm, rq.timeout);
		if (ret)
			return ret == -ETIME ? 0 : ret;
	}
	return 0;
}
