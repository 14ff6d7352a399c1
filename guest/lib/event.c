/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels without interrupts: pending bits are read from the shared_info page, and
 * SCHEDOP_poll sleeps until one of a list of ports is pending.
 */
#include "lombard-guest.h"
#include "start.h"

#define MAX_PORTS 128 /* what SCHEDOP_poll takes */

static struct shared_info *shared;

/*
 * Place the shared_info page on a page of our RAM; the first event call does it.  Every port is
 * masked: the mask suppresses upcalls, which nobody here would take, not the pending bits.
 */
int event_init(void)
{
	struct xen_add_to_physmap arg = {
	    .domid = DOMID_SELF,
	    .space = XENMAPSPACE_shared_info,
	    .idx = 0,
	};
	void *page;
	int err;

	if (shared != NULL)
		return 0;
	page = page_alloc(1);
	if (page == NULL)
		return -XEN_ENOMEM;
	arg.gpfn = (uint64_t)page / PAGE_SIZE;
	err = hypercall_memory_op(XENMEM_add_to_physmap, &arg);
	if (err != 0) {
		page_free(page, 1);
		return err;
	}
	shared = page;
	for (size_t i = 0; i < sizeof(shared->evtchn_mask) / sizeof(shared->evtchn_mask[0]); i++)
		__atomic_store_n(&shared->evtchn_mask[i], ~0UL, __ATOMIC_SEQ_CST);
	return 0;
}

int event_alloc(uint16_t remote, uint32_t *port)
{
	struct evtchn_alloc_unbound arg = {.dom = DOMID_SELF, .remote_dom = remote};
	int err = event_init();

	if (err == 0)
		err = hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &arg);
	if (err == 0)
		*port = arg.port;
	return err;
}

int event_bind(uint16_t remote, uint32_t remote_port, uint32_t *port)
{
	struct evtchn_bind_interdomain arg = {.remote_dom = remote, .remote_port = remote_port};
	int err = event_init();

	if (err == 0)
		err = hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &arg);
	if (err == 0)
		*port = arg.local_port;
	return err;
}

int event_bind_virq(uint32_t virq, uint32_t *port)
{
	struct evtchn_bind_virq arg = {.virq = virq, .vcpu = 0};
	int err = event_init();

	if (err == 0)
		err = hypercall_event_channel_op(EVTCHNOP_bind_virq, &arg);
	if (err == 0)
		*port = arg.port;
	return err;
}

int event_send(uint32_t port)
{
	struct evtchn_send arg = {.port = port};

	return hypercall_event_channel_op(EVTCHNOP_send, &arg);
}

int event_close(uint32_t port)
{
	struct evtchn_close arg = {.port = port};

	return hypercall_event_channel_op(EVTCHNOP_close, &arg);
}

bool event_take(uint32_t port)
{
	uint64_t bit = 1UL << (port % 64);
	xen_ulong_t *word;

	if (shared == NULL || port >= EVTCHN_2L_NR_CHANNELS)
		return false;
	word = &shared->evtchn_pending[port / 64];
	if (!(__atomic_load_n(word, __ATOMIC_ACQUIRE) & bit))
		return false;
	__atomic_and_fetch(word, ~bit, __ATOMIC_SEQ_CST);
	return true;
}

static bool take_any(const uint32_t *ports, unsigned int nr, uint32_t *which)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!event_take(ports[i]))
			continue;
		if (which != NULL)
			*which = ports[i];
		return true;
	}
	return false;
}

/* SCHEDOP_poll takes ports from memory it may not change: the cast only drops the const. */
static int poll(const uint32_t *ports, unsigned int nr, uint64_t deadline)
{
	struct sched_poll arg = {.nr_ports = nr, .timeout = deadline};

	set_xen_guest_handle(arg.ports, (uint32_t *)(uintptr_t)ports);
	return hypercall_sched_op(SCHEDOP_poll, &arg);
}

int event_wait(const uint32_t *ports, unsigned int nr, uint64_t deadline, uint32_t *which)
{
	int err;

	if (nr == 0 || nr > MAX_PORTS)
		return -XEN_EINVAL;
	for (;;) {
		if (take_any(ports, nr, which))
			return 0;
		/* After the test of the ports: an event just in time is no time-out. */
		if (deadline != TIME_FOREVER && time_ns() >= deadline)
			return -XEN_ETIME;
		err = poll(ports, nr, deadline);
		if (err != 0)
			return err;
	}
}

/*
 * Sleeping is waiting for a port of our own that nobody raises: SCHEDOP_poll without ports is
 * allowed by Xen, but a hypervisor may return from it at once.
 */
void time_sleep(uint64_t ns)
{
	static uint32_t port;
	uint64_t deadline = time_after(ns);
	int err = port == 0 ? event_alloc(DOMID_SELF, &port) : 0;

	if (err == 0)
		err = event_wait(&port, 1, deadline, NULL);
	if (err != -XEN_ETIME)
		die("guest: can't sleep: error %d", err);
}
