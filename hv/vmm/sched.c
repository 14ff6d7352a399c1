/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "lib/now.h"
#include "xen/evtchn_raise.h"

#define MAX_PORTS 128 /* Xen's bound for one SCHEDOP_poll */
#define NSEC_PER_SEC UINT64_C(1000000000)
#define RFLAGS_IF 0x200

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
		if (rq->ports[i] >= EVTCHN_PORTS)
			return -EINVAL;
	}
	return 0;
}

/* The core sets a port's bit, the guest clears it. */
static bool pending_p(struct vmm *vm, const struct poll_request *rq)
{
	const struct shared_info *si = atomic_load(&vm->events.shared);

	for (unsigned i = 0; si && i < rq->nr_ports; i++)
		if (evtchn_pending_p(si, rq->ports[i]))
			return true;
	return false;
}

/* An interrupt that it would take ends a vCPU's poll. */
static bool interrupted_p(struct vcpu *v)
{
	return v->vm->cfg.lapic && (v->run->s.regs.regs.rflags & RFLAGS_IF) && event_upcall_p(v);
}

/* The guest's timeout by the host's clock (0: none).  => -ETIME: it is over */
static int host_deadline(const struct vcpu *v, uint64_t timeout, uint64_t *deadline)
{
	bool reached = false;
	int ret = 0;

	*deadline = 0;
	if (timeout != 0)
		ret = clock_deadline(v, timeout, deadline, &reached);
	return ret == 0 && reached ? -ETIME : ret;
}

/* => *left is NULL for no deadline, else points to ts; -ETIME: the time is over */
static int time_left(uint64_t deadline, struct timespec *ts, struct timespec **left)
{
	uint64_t now = now_ns();

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
 * No wake-up is lost: the pending bit is set before it is counted up, and this side takes the
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

/* => 0: it is over; -ETIME: by its time; -ERESTART */
static int wait_for_ports(struct vcpu *v, const struct poll_request *rq, uint64_t deadline)
{
	int ret = 0;

	while (ret == 0 && !pending_p(v->vm, rq) && !interrupted_p(v))
		ret = gate_closed_p(v->vm) ? -ERESTART : wait_event(v, deadline);
	return ret;
}

int64_t sched_poll(struct vcpu *v, const struct hypercall *h)
{
	struct vmm *vm = v->vm;
	struct poll_request rq;
	uint64_t deadline;
	int ret = copy_request(vm, h, &rq);

	if (ret)
		return ret;
	if (rq.nr_ports > 0 && atomic_load(&vm->events.shared) == NULL)
		return -EINVAL;
	ret = host_deadline(v, rq.timeout, &deadline);
	/* Before it looks: who raises an event looks afterwards whether somebody polls. */
	atomic_store(&v->polling, true);
	if (ret == 0)
		ret = wait_for_ports(v, &rq, deadline);
	atomic_store(&v->polling, false);
	return ret == -ETIME ? 0 : ret;
}
