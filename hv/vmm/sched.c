/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <time.h>
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
static bool pending_p(struct vmm *vm, const struct poll_request *rq)
{
	const struct shared_info *si = gmem_ptr(
	    &vm->mem, atomic_load(&vm->shared_info), sizeof(*si));
	const unsigned bits = 8 * sizeof(si->evtchn_pending[0]);

	for (unsigned i = 0; si && i < rq->nr_ports; i++) {
		xen_ulong_t word = __atomic_load_n(
		    &si->evtchn_pending[rq->ports[i] / bits], __ATOMIC_ACQUIRE);

		if (word >> rq->ports[i] % bits & 1)
			return true;
	}
	return false;
}

static uint64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/*
 * The guest's timeout by the host's clock (0: none).  The guest's clock is read only here, right
 * behind its exit: where the host's TSC is unstable, KVM lets a guest's TSC stand as long as its
 * vCPU does not run, and makes up for it afterwards.
 */
static int host_deadline(const struct vcpu *v, uint64_t timeout, uint64_t *deadline)
{
	uint64_t now, start = host_ns();
	int ret;

	*deadline = 0;
	if (timeout == 0)
		return 0;
	ret = vcpu_time(v, &now);
	if (ret)
		return ret;
	*deadline = start;
	if (timeout > now && timeout - now > UINT64_MAX - start)
		*deadline = UINT64_MAX;
	else if (timeout > now)
		*deadline += timeout - now;
	return 0;
}

/* => *left is NULL for no deadline, else points to ts; -ETIME: the time is over */
static int time_left(uint64_t deadline, struct timespec *ts, struct timespec **left)
{
	uint64_t now = host_ns();

	*left = NULL;
	if (deadline == 0)
		return 0;
	if (now >= deadline)
		return -ETIME;
	ts->tv_sec = (time_t)((deadline - now) / NSEC_PER_SEC);
	ts->tv_nsec = (long)((deadline - now) % NSEC_PER_SEC);
	*left = ts;
	return 0;
}

/*
 * Sleep until an event has been raised since the last call, or the time is over (-ETIME).
 * No wake-up is lost: the core sets the pending bit before it counts up, and this side takes the
 * count before it looks at the bits again.  Whoever closes the gate counts up, too.
 */
static int wait_event(const struct vcpu *v, uint64_t deadline)
{
	struct pollfd p = {.fd = v->wake, .events = POLLIN};
	struct timespec ts, *left;
	uint64_t count;
	int ret = time_left(deadline, &ts, &left);

	if (ret)
		return ret;
	ret = ppoll(&p, 1, left, NULL);
	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	if (ret == 0)
		return -ETIME;
	if (read(v->wake, &count, sizeof(count)) < 0 && errno != EINTR && errno != EAGAIN)
		return -errno;
	return 0;
}

int64_t sched_poll(struct vcpu *v, const struct hypercall *h)
{
	struct vmm *vm = v->vm;
	struct poll_request rq;
	uint64_t deadline;
	int ret = copy_request(vm, h, &rq);

	if (ret)
		return ret;
	if (rq.nr_ports > 0 && atomic_load(&vm->shared_info) == VMM_NOWHERE)
		return -EINVAL;
	ret = host_deadline(v, rq.timeout, &deadline);
	while (ret == 0 && !pending_p(vm, &rq))
		ret = gate_closed_p(vm) ? -ERESTART : wait_event(v, deadline);
	return ret == -ETIME ? 0 : ret;
}
