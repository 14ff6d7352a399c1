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

#define EVENT(name, kind, cmd, weight, results, fill, done)                                        \
	{                                                                                          \
		"evtchn." #name, __HYPERVISOR_event_channel_op, kind, EVTCHNOP_##cmd,              \
		    sizeof(struct evtchn_##cmd), weight, results, fill, done, NULL                 \
	}

const struct op ops_event[] = {
    EVENT(alloc_unbound, BOTH, alloc_unbound, 20, true, alloc_fill, alloc_done),
    EVENT(bind_interdomain, BOTH, bind_interdomain, 20, true, bind_fill, bind_done),
    EVENT(bind_virq, BOTH, bind_virq, 8, true, virq_fill, virq_done),
    EVENT(bind_ipi, BOTH, bind_ipi, 4, true, ipi_fill, ipi_done),
    EVENT(bind_vcpu, BOTH, bind_vcpu, 6, false, bind_vcpu_fill, NULL),
    EVENT(bind_pirq, FAILS, bind_pirq, 1, false, pirq_fill, NULL),
    EVENT(close, BOTH, close, 30, false, port_fill, close_done),
    EVENT(send, BOTH, send, 40, false, port_fill, NULL),
    EVENT(unmask, BOTH, unmask, 10, false, port_fill, NULL),
    EVENT(status, BOTH, status, 10, true, status_fill, NULL),
    EVENT(reset, FAILS, reset, 1, false, reset_fill, reset_done),
    EVENT(init_control, FAILS, init_control, 1, false, virq_fill, NULL),
    EVENT(expand_array, FAILS, expand_array, 1, false, virq_fill, NULL),
    EVENT(set_priority, FAILS, set_priority, 1, false, virq_fill, NULL),
};
const unsigned nr_ops_event = ARRAY_SIZE(ops_event);
