/* SPDX-License-Identifier: BSD-2-Clause */
/* Event channels. */
#include "fuzz.h"

static void close_port(uint64_t port)
{
	struct evtchn_close op = {.port = (uint32_t)port};

	(void)plain(__HYPERVISOR_event_channel_op, EVTCHNOP_close, &op);
}

void port_add(uint32_t port, uint32_t domid)
{
	struct thing lost;

	if (!hoard_add(PORTS, port, domid, &lost))
		close_port(lost.a);
}

static void alloc_fill(void *arg)
{
	struct evtchn_alloc_unbound *op = arg;

	op->dom = one_in(8) ? any_domid() : DOMID_SELF;
	op->remote_dom = any_domid();
}

static void alloc_done(const void *arg, int64_t ret)
{
	const struct evtchn_alloc_unbound *op = arg;

	(void)ret;
	port_add(op->port, op->remote_dom);
}

static void bind_fill(void *arg)
{
	struct evtchn_bind_interdomain *op = arg;
	struct thing t;

	if (!one_in(4) && hoard_any(CALLS, &t)) {
		op->remote_port = (uint32_t)t.a;
		op->remote_dom = (uint16_t)t.b;
		return;
	}
	op->remote_port = any_port();
	op->remote_dom = any_domid();
}

static void bind_done(const void *arg, int64_t ret)
{
	const struct evtchn_bind_interdomain *op = arg;

	(void)ret;
	hoard_drop(CALLS, op->remote_port);
	port_add(op->local_port, op->remote_dom);
}

static void virq_fill(void *arg)
{
	struct evtchn_bind_virq *op = arg;

	op->virq = one_in(3) ? LOMBARD_VIRQ_LOAN : below(26);
	op->vcpu = one_in(8) ? below(40) : 0;
}

static void virq_done(const void *arg, int64_t ret)
{
	const struct evtchn_bind_virq *op = arg;

	(void)ret;
	port_add(op->port, DOMID_SELF);
}

static void ipi_fill(void *arg)
{
	((struct evtchn_bind_ipi *)arg)->vcpu = one_in(4) ? below(40) : 0;
}

static void ipi_done(const void *arg, int64_t ret)
{
	(void)ret;
	port_add(((const struct evtchn_bind_ipi *)arg)->port, DOMID_SELF);
}

static void bind_vcpu_fill(void *arg)
{
	struct evtchn_bind_vcpu *op = arg;

	op->port = any_port();
	op->vcpu = one_in(4) ? below(40) : 0;
}

static void pirq_fill(void *arg)
{
	((struct evtchn_bind_pirq *)arg)->pirq = below(32);
}

static void close_done(const void *arg, int64_t ret)
{
	(void)ret;
	hoard_drop(PORTS, ((const struct evtchn_close *)arg)->port);
}

/* Close, send and unmask have nothing but a port. */
static void port_fill(void *arg)
{
	*(uint32_t *)arg = any_port();
}

static void status_fill(void *arg)
{
	struct evtchn_status *op = arg;

	op->dom = one_in(4) ? any_domid() : DOMID_SELF;
	op->port = any_port();
}

/* All ports of ours at once: not often. */
static void reset_fill(void *arg)
{
	((struct evtchn_reset *)arg)->dom = one_in(8) ? DOMID_SELF : any_domid();
}

static void reset_done(const void *arg, int64_t ret)
{
	(void)arg, (void)ret;
	hoard_clear(PORTS);
}

#define EVENT(op, k, w, ...)                                                                       \
	{                                                                                          \
		.name = "evtchn." #op, .nr = __HYPERVISOR_event_channel_op, .cmd = EVTCHNOP_##op,  \
		.size = sizeof(struct evtchn_##op), .kind = k, .weight = w, __VA_ARGS__            \
	}

const struct op ops_event[] = {
    EVENT(alloc_unbound, BOTH, 20, .fill = alloc_fill, .results = true, .done = alloc_done),
    EVENT(bind_interdomain, BOTH, 20, .fill = bind_fill, .results = true, .done = bind_done),
    EVENT(bind_virq, BOTH, 8, .fill = virq_fill, .results = true, .done = virq_done),
    EVENT(bind_ipi, BOTH, 4, .fill = ipi_fill, .results = true, .done = ipi_done),
    EVENT(bind_vcpu, BOTH, 6, .fill = bind_vcpu_fill),
    EVENT(bind_pirq, FAILS, 1, .fill = pirq_fill),
    EVENT(close, BOTH, 30, .fill = port_fill, .done = close_done),
    EVENT(send, BOTH, 40, .fill = port_fill),
    EVENT(unmask, BOTH, 10, .fill = port_fill),
    EVENT(status, BOTH, 10, .fill = status_fill, .results = true),
    EVENT(reset, FAILS, 1, .fill = reset_fill, .done = reset_done),
    EVENT(init_control, FAILS, 1, .fill = virq_fill),
    EVENT(expand_array, FAILS, 1, .fill = virq_fill),
    EVENT(set_priority, FAILS, 1, .fill = virq_fill),
};
const unsigned nr_ops_event = ARRAY_SIZE(ops_event);
