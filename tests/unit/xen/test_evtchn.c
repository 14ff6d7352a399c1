/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/evtchn.c hv/xen/evtchn_host.c hv/lib/sys.c */
/*
 * Event channels of the host: who is told what and when, and what is left when handles and guests go.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/xenwire.h"
#include "xen/evtchn.h"
#include "xen/public.h"

struct program {
	struct evtchn_handle *handle;
	int ours, theirs; /* the core's end of the stream, and the program's */
};

static struct program program(void)
{
	struct program pr;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pr.ours = pair[0];
	pr.theirs = pair[1];
	cr_assert_eq(fcntl(pr.theirs, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(evtchn_handle_open(pr.ours, &pr.handle), 0);
	return pr;
}

static void leave(struct program *pr)
{
	evtchn_handle_close(pr->handle);
	close(pr->ours);
	close(pr->theirs);
}

/* What the thread of the core does when there is something to do. */
static bool serve(struct program *pr)
{
	struct pollfd p = {.fd = evtchn_handle_fd(pr->handle), .events = POLLIN};

	if (poll(&p, 1, 0) == 0)
		return false;
	evtchn_handle_serve(pr->handle);
	return true;
}

/* The next event that the program is told of; 0: none. */
static uint32_t next_event(struct program *pr)
{
	uint32_t port = 0;
	ssize_t n = read(pr->theirs, &port, sizeof(port));

	cr_assert(n == (ssize_t)sizeof(port) || (n < 0 && errno == EAGAIN));
	return n > 0 ? port : 0;
}

static void unmask(struct program *pr, uint32_t port)
{
	cr_assert_eq(write(pr->theirs, &port, sizeof(port)), (ssize_t)sizeof(port));
	cr_assert(serve(pr));
}

static uint32_t unbound(struct program *pr, uint32_t domid)
{
	uint32_t port = 0;

	cr_assert_eq(evtchn_handle_unbound(pr->handle, domid, &port), 0);
	return port;
}

static uint32_t bound(struct program *pr, uint32_t domid, uint32_t remote)
{
	uint32_t port = 0;

	cr_assert_eq(evtchn_handle_interdomain(pr->handle, domid, remote, &port), 0);
	return port;
}

static struct evtchn_status status_of(uint32_t domid, uint32_t port)
{
	struct evtchn_status op = {.dom = (domid_t)domid, .port = port};

	cr_assert_eq(evtchn_host_op(EVTCHNOP_status, &op, sizeof(op)), 0);
	return op;
}

/* A guest, with a shared info page of its own. */
struct domain {
	struct evtchn_domain ed;
	_Alignas(4096) struct shared_info si;
};

static void domain(struct domain *d, uint32_t domid)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	cr_assert(fd >= 0);
	d->si = (struct shared_info){0};
	cr_assert_eq(evtchn_domain_add(&d->ed, domid, fd), 0);
	evtchn_set_shared(&d->ed, &d->si);
}

static void domain_gone(struct domain *d)
{
	evtchn_set_shared(&d->ed, NULL);
	evtchn_domain_remove(&d->ed);
	close(d->ed.ed_eventfd);
}

static bool take(struct domain *d, uint32_t port)
{
	bool yes = d->si.evtchn_pending[port / 64] >> (port % 64) & 1;

	d->si.evtchn_pending[port / 64] &= ~(1ul << (port % 64));
	return yes;
}

Test(evtchn, loopback_events_both_ways)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	/* Who binds is told at once: the other may have sent before. */
	cr_assert_eq(next_event(&b), pb);
	unmask(&b, pb);
	cr_assert_eq(next_event(&a), 0);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(next_event(&a), pa);
	cr_assert_eq(evtchn_handle_notify(a.handle, pa), 0);
	cr_assert_eq(next_event(&b), pb);
	leave(&a);
	leave(&b);
}

Test(evtchn, masked_port_remembers_one_event)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(next_event(&a), pa);
	cr_assert_eq(next_event(&a), 0);
	unmask(&a, pa);
	cr_assert_eq(next_event(&a), pa);
	unmask(&a, pa);
	cr_assert_eq(next_event(&a), 0);
	/* Not masked: nothing to do. */
	unmask(&a, pa);
	cr_assert_eq(next_event(&a), 0);
	leave(&a);
	leave(&b);
}

Test(evtchn, number_in_parts_unmasks)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(next_event(&a), pa);
	for (unsigned i = 0; i < sizeof(pa); i++) {
		cr_assert_eq(next_event(&a), 0);
		cr_assert_eq(write(a.theirs, (uint8_t *)&pa + i, 1), 1);
		cr_assert(serve(&a));
	}
	cr_assert_eq(next_event(&a), pa);
	leave(&a);
	leave(&b);
}

Test(evtchn, foreign_port_is_not_unmasked)
{
	struct program a = program(), b = program(), c = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(next_event(&a), pa);
	unmask(&c, pa);
	unmask(&c, 0);
	unmask(&c, UINT32_MAX);
	cr_assert_eq(next_event(&a), 0);
	cr_assert_eq(next_event(&c), 0);
	cr_assert_eq(evtchn_handle_notify(c.handle, pa), -ENOTCONN);
	cr_assert_eq(evtchn_handle_unbind(c.handle, pa), -ENOTCONN);
	leave(&a);
	leave(&b);
	leave(&c);
}

/* More ports than the socket has room for: each is told once, and in order. */
Test(evtchn, full_socket_loses_nothing)
{
	enum { N = 2000 };
	struct program a = program(), b = program();
	static uint32_t pa[N], pb[N];
	int size = 1;
	unsigned served = 0;

	cr_assert_eq(setsockopt(a.ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	for (unsigned i = 0; i < N; i++) {
		pa[i] = unbound(&a, EVTCHN_HOST);
		pb[i] = bound(&b, EVTCHN_HOST, pa[i]);
		cr_assert_eq(evtchn_handle_notify(b.handle, pb[i]), 0);
		cr_assert_eq(evtchn_handle_notify(b.handle, pb[i]), 0);
	}
	/* One that waits is closed, and one is unmasked by somebody who cannot know of it yet. */
	cr_assert_eq(evtchn_handle_unbind(a.handle, pa[N - 1]), 0);
	cr_assert_eq(evtchn_handle_unbind(a.handle, pa[N - 3]), 0);
	unmask(&a, pa[N - 2]);
	for (unsigned i = 0; i < N - 1; i++) {
		uint32_t port;

		if (i == N - 3)
			continue;
		port = next_event(&a);
		if (port == 0) {
			served++;
			cr_assert(serve(&a));
			port = next_event(&a);
		}
		cr_assert_eq(port, pa[i], "event %u is of port %u", i, port);
	}
	cr_assert_eq(next_event(&a), 0);
	cr_assert(served > 0, "the socket was never full");
	/* Nothing to do any more: the backlog is not watched. */
	cr_assert(!serve(&a));
	leave(&a);
	leave(&b);
}

Test(evtchn, deaf_program_hurts_nobody)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	cr_assert_eq(shutdown(a.theirs, SHUT_RDWR), 0);
	cr_assert(serve(&a));
	cr_assert(!serve(&a), "a closed stream is looked at for ever");
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	leave(&a);
	/* The other end is unbound now. */
	cr_assert_eq(status_of(EVTCHN_HOST, pb).status, EVTCHNSTAT_unbound);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	leave(&b);
}

Test(evtchn, closed_peer_unbinds_and_can_be_bound_again)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);
	uint32_t other = 0;

	cr_assert_eq(evtchn_handle_interdomain(b.handle, EVTCHN_HOST, pa, &other), -EINVAL);
	cr_assert_eq(evtchn_handle_unbind(b.handle, pb), 0);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), -ENOTCONN);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).status, EVTCHNSTAT_unbound);
	pb = bound(&b, EVTCHN_HOST, pa);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).u.interdomain.port, pb);
	leave(&b);
	leave(&a);
}

Test(evtchn, guest_and_host_events)
{
	static struct domain d;
	struct program a = program();
	struct evtchn_bind_interdomain bi = {.remote_dom = 0};
	struct evtchn_send send;
	uint32_t pa, other;

	domain(&d, 7);
	pa = unbound(&a, 7);
	cr_assert_eq(evtchn_handle_interdomain(a.handle, EVTCHN_HOST, pa, &other), -EINVAL);
	bi.remote_port = pa;
	cr_assert_eq(evtchn_op(&d.ed, EVTCHNOP_bind_interdomain, &bi, sizeof(bi)), 0);
	cr_assert(take(&d, bi.local_port));
	send.port = bi.local_port;
	cr_assert_eq(evtchn_op(&d.ed, EVTCHNOP_send, &send, sizeof(send)), 0);
	cr_assert_eq(next_event(&a), pa);
	cr_assert_eq(evtchn_handle_notify(a.handle, pa), 0);
	cr_assert(take(&d, bi.local_port));
	domain_gone(&d);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).status, EVTCHNSTAT_unbound);
	cr_assert_eq(evtchn_handle_notify(a.handle, pa), 0);
	cr_assert_eq(evtchn_handle_interdomain(a.handle, 7, 1, &other), -ESRCH);
	leave(&a);
}

/* The toolstack makes ports in guests, before they run. */
Test(evtchn, host_allocates_in_guest)
{
	static struct domain d;
	struct program a = program();
	struct evtchn_alloc_unbound au = {.dom = 7, .remote_dom = 0};
	struct evtchn_reset reset = {.dom = 7};
	uint32_t pa;

	cr_assert_eq(evtchn_host_op(EVTCHNOP_alloc_unbound, &au, sizeof(au)), -ESRCH);
	domain(&d, 7);
	cr_assert_eq(evtchn_host_op(EVTCHNOP_alloc_unbound, &au, sizeof(au)), 0);
	cr_assert_eq(status_of(7, au.port).status, EVTCHNSTAT_unbound);
	cr_assert_eq(status_of(7, au.port).u.unbound.dom, 0);
	pa = bound(&a, 7, au.port);
	cr_assert_eq(status_of(7, au.port).status, EVTCHNSTAT_interdomain);
	cr_assert_eq(evtchn_handle_notify(a.handle, pa), 0);
	cr_assert(take(&d, au.port));
	cr_assert_eq(evtchn_host_op(EVTCHNOP_reset, &reset, sizeof(reset)), 0);
	cr_assert_eq(status_of(7, au.port).status, EVTCHNSTAT_closed);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).status, EVTCHNSTAT_unbound);
	/* Ports of the host are handles'. */
	au.dom = DOMID_SELF;
	cr_assert_eq(evtchn_host_op(EVTCHNOP_alloc_unbound, &au, sizeof(au)), -EPERM);
	reset.dom = DOMID_SELF;
	cr_assert_eq(evtchn_host_op(EVTCHNOP_reset, &reset, sizeof(reset)), -EPERM);
	domain_gone(&d);
	leave(&a);
}

/* lsevtchn asks until there is an error. */
Test(evtchn, status_ends_somewhere)
{
	struct program a = program();
	struct evtchn_status op = {.dom = 0};
	unsigned n = 0;

	while (evtchn_host_op(EVTCHNOP_status, &op, sizeof(op)) == 0)
		op.port = ++n;
	cr_assert_eq(evtchn_host_op(EVTCHNOP_status, &op, sizeof(op)), -EINVAL);
	cr_assert(n > 1 && n <= 4096);
	op.dom = 9;
	cr_assert_eq(evtchn_host_op(EVTCHNOP_status, &op, sizeof(op)), -ESRCH);
	cr_assert_eq(evtchn_host_op(EVTCHNOP_status, &op, sizeof(op) - 1), -EINVAL);
	cr_assert_eq(evtchn_host_op(99, &op, sizeof(op)), -ENOSYS);
	leave(&a);
}

Test(evtchn, virq_has_one_binder)
{
	static struct domain d;
	struct program a = program(), b = program();
	uint32_t port, other;

	domain(&d, 7);
	cr_assert_eq(evtchn_handle_virq(a.handle, VIRQ_DOM_EXC, &port), 0);
	cr_assert_eq(evtchn_handle_virq(b.handle, VIRQ_DOM_EXC, &other), -EEXIST);
	cr_assert_eq(evtchn_handle_virq(b.handle, VIRQ_TIMER, &other), -EINVAL);
	cr_assert_eq(evtchn_handle_virq(b.handle, NR_VIRQS, &other), -EINVAL);
	cr_assert_eq(evtchn_handle_virq(b.handle, VIRQ_CON_RING, &other), 0);
	evtchn_virq(EVTCHN_HOST, VIRQ_DOM_EXC);
	cr_assert_eq(next_event(&a), port);
	cr_assert_eq(next_event(&b), 0);
	cr_assert_eq(status_of(EVTCHN_HOST, port).status, EVTCHNSTAT_virq);
	cr_assert_eq(evtchn_handle_notify(a.handle, port), -EINVAL);
	leave(&a);
	evtchn_virq(EVTCHN_HOST, VIRQ_DOM_EXC);
	cr_assert_eq(evtchn_handle_virq(b.handle, VIRQ_DOM_EXC, &port), 0);
	cr_assert_eq(next_event(&b), 0);
	leave(&b);
	domain_gone(&d);
}

/* The end of a grant sends an event after its program's handle is gone. */
Test(evtchn, held_port_outlives_handle)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);

	cr_assert_eq(evtchn_host_hold(pa), 0);
	leave(&a);
	cr_assert_eq(status_of(EVTCHN_HOST, pb).status, EVTCHNSTAT_interdomain);
	/* Nobody hears it. */
	cr_assert_eq(next_event(&b), pb);
	unmask(&b, pb);
	cr_assert_eq(evtchn_handle_notify(b.handle, pb), 0);
	cr_assert_eq(next_event(&b), 0);
	evtchn_host_put(pa);
	cr_assert_eq(next_event(&b), pb);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).status, EVTCHNSTAT_closed);
	cr_assert_eq(status_of(EVTCHN_HOST, pb).status, EVTCHNSTAT_unbound);
	cr_assert_eq(evtchn_host_hold(pa), -EINVAL);
	/* The handle lives longer. */
	cr_assert_eq(evtchn_host_hold(pb), 0);
	evtchn_host_put(pb);
	cr_assert_eq(status_of(EVTCHN_HOST, pb).status, EVTCHNSTAT_unbound);
	leave(&b);
}

Test(evtchn, xenstore_port_is_there)
{
	struct program a = program();
	uint32_t port = bound(&a, EVTCHN_HOST, XENWIRE_XENSTORE_PORT);

	cr_assert_eq(evtchn_handle_notify(a.handle, port), 0);
	leave(&a);
	/* The next xenstored finds it again. */
	a = program();
	(void)bound(&a, EVTCHN_HOST, XENWIRE_XENSTORE_PORT);
	leave(&a);
}

/* Bug: who named it as the port to tell at the end of a shared page had it closed for everybody. */
Test(evtchn, xenstore_port_stays_when_held)
{
	struct program a = program();

	cr_assert_eq(evtchn_host_hold(XENWIRE_XENSTORE_PORT), 0);
	evtchn_host_put(XENWIRE_XENSTORE_PORT);
	cr_assert_eq(status_of(EVTCHN_HOST, XENWIRE_XENSTORE_PORT).status, EVTCHNSTAT_unbound);
	(void)bound(&a, EVTCHN_HOST, XENWIRE_XENSTORE_PORT);
	leave(&a);
}

/* The host's ports come to an end, and then there are none left over. */
Test(evtchn, ports_run_out)
{
	struct program a = program();
	uint32_t port, n = 0;

	while (evtchn_handle_unbound(a.handle, 5, &port) == 0)
		n++;
	cr_assert_eq(evtchn_handle_unbound(a.handle, 5, &port), -ENOSPC);
	cr_assert_eq(n, 4096 - 2, "%u ports", n);
	leave(&a);
	a = program();
	cr_assert_eq(evtchn_handle_unbound(a.handle, 5, &port), 0);
	leave(&a);
}
