/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/evtchn.c hv/xen/evtchn_host.c hv/lib/sys.c */
/*
 * Event channels: which vCPU of a guest learns of what, and how; who is told what of the host's, and
 * when; what is left when handles and guests go.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/xenwire.h"
#include "xen/evtchn.h"
#include "xen/evtchn_raise.h"

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
	int upcalls[2];
};

static int event_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	cr_assert(fd >= 0);
	return fd;
}

static void domain_of(struct domain *d, uint32_t domid, uint32_t nvcpus)
{
	d->si = (struct shared_info){0};
	d->upcalls[0] = d->upcalls[1] = -1;
	cr_assert_eq(evtchn_domain_add(&d->ed, domid, event_fd(), nvcpus), 0);
	evtchn_set_shared(&d->ed, &d->si);
}

static void domain(struct domain *d, uint32_t domid)
{
	domain_of(d, domid, 1);
}

/* Two vCPUs that take upcalls. */
static void smp_domain(struct domain *d, uint32_t domid)
{
	domain_of(d, domid, 2);
	d->upcalls[0] = event_fd();
	d->upcalls[1] = event_fd();
	evtchn_set_upcalls(&d->ed, d->upcalls);
}

static void domain_gone(struct domain *d)
{
	evtchn_set_shared(&d->ed, NULL);
	evtchn_domain_remove(&d->ed);
	close(d->ed.ed_eventfd);
	for (unsigned i = 0; i < 2; i++)
		if (d->upcalls[i] >= 0)
			close(d->upcalls[i]);
}

/* How often an eventfd has been told since the last look. */
static uint64_t told(int fd)
{
	uint64_t n = 0;

	cr_assert(read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) || errno == EAGAIN);
	return n;
}

static int op(struct domain *d, uint32_t cmd, void *arg)
{
	return evtchn_op(&d->ed, cmd, arg, evtchn_op_size(cmd));
}

static uint32_t ipi(struct domain *d, uint32_t vcpu)
{
	struct evtchn_bind_ipi bi = {.vcpu = vcpu};

	cr_assert_eq(op(d, EVTCHNOP_bind_ipi, &bi), 0);
	return bi.port;
}

static int send_to(struct domain *d, uint32_t port)
{
	struct evtchn_send send = {.port = port};

	return op(d, EVTCHNOP_send, &send);
}

static int move_to(struct domain *d, uint32_t port, uint32_t vcpu)
{
	struct evtchn_bind_vcpu bv = {.port = port, .vcpu = vcpu};

	return op(d, EVTCHNOP_bind_vcpu, &bv);
}

/* What a vCPU does when it is interrupted.  False: it was for nothing. */
static bool upcall(struct domain *d, struct vcpu_info *vi)
{
	bool yes = vi->evtchn_upcall_pending && vi->evtchn_pending_sel != 0;

	vi->evtchn_upcall_pending = 0;
	vi->evtchn_pending_sel = 0;
	for (unsigned i = 0; i < 64; i++)
		d->si.evtchn_pending[i] = 0;
	return yes;
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

static void send_by(struct program *pr, uint32_t port)
{
	unmask(pr, port | XENWIRE_EVENT_SEND);
}

Test(evtchn, events_that_nobody_answers)
{
	struct program a = program(), b = program();
	uint32_t pa = unbound(&a, EVTCHN_HOST), pb = bound(&b, EVTCHN_HOST, pa);
	uint32_t both[2] = {pa, pa | XENWIRE_EVENT_SEND};

	cr_assert_eq(next_event(&b), pb);
	send_by(&b, pb);
	cr_assert_eq(next_event(&a), pa);
	/* It is sent, and nothing else: the port is still masked. */
	send_by(&b, pb);
	send_by(&a, pa);
	cr_assert_eq(next_event(&a), 0);
	cr_assert_eq(next_event(&b), 0);
	unmask(&b, pb);
	cr_assert_eq(next_event(&b), pb);
	unmask(&b, pb);
	/* Both in one packet. */
	cr_assert_eq(write(a.theirs, both, sizeof(both)), (ssize_t)sizeof(both));
	cr_assert(serve(&a));
	cr_assert_eq(next_event(&a), pa);
	cr_assert_eq(next_event(&b), pb);
	unmask(&b, pb);
	/* By ports of one's own only, and such as there are. */
	send_by(&b, pa);
	send_by(&b, 0);
	send_by(&b, 4000);
	send_by(&b, UINT32_MAX);
	cr_assert_eq(next_event(&a), 0);
	cr_assert_eq(next_event(&b), 0);
	leave(&a);
	leave(&b);
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

static int reset_by(struct domain *d, domid_t dom)
{
	struct evtchn_reset op = {.dom = dom};

	return evtchn_op(&d->ed, EVTCHNOP_reset, &op, sizeof(op));
}

/* All of a guest's ports, but for the core's; the other ends wait, as when they are closed singly. */
Test(evtchn, guest_resets_itself)
{
	static struct domain d, other;
	struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = 1};
	struct program a = program();
	struct evtchn_bind_interdomain to_host = {.remote_dom = EVTCHN_HOST};
	uint32_t core, sends, pa;

	smp_domain(&d, 7);
	domain(&other, 8);
	cr_assert_eq(evtchn_core_alloc(&d.ed, &core), 0);
	sends = ipi(&d, 1);
	cr_assert_eq(evtchn_op(&d.ed, EVTCHNOP_bind_virq, &virq, sizeof(virq)), 0);
	cr_assert_eq(evtchn_handle_unbound(a.handle, 7, &pa), 0);
	to_host.remote_port = pa;
	cr_assert_eq(evtchn_op(&d.ed, EVTCHNOP_bind_interdomain, &to_host, sizeof(to_host)), 0);
	cr_assert_eq(reset_by(&d, 8), -EPERM);
	cr_assert_eq(reset_by(&d, EVTCHN_HOST), -EPERM);
	cr_assert_eq(reset_by(&d, 9), -ESRCH);
	cr_assert_eq(send_to(&d, sends), 0);
	cr_assert_eq(reset_by(&d, DOMID_SELF), 0);
	cr_assert_eq(send_to(&d, sends), -EINVAL);
	cr_assert(!take(&d, sends), "its event is gone with it");
	cr_assert_eq(status_of(7, virq.port).status, EVTCHNSTAT_closed);
	cr_assert_eq(status_of(7, core).status, EVTCHNSTAT_interdomain);
	cr_assert_eq(status_of(EVTCHN_HOST, pa).status, EVTCHNSTAT_unbound);
	cr_assert_eq(reset_by(&d, 7), 0);
	cr_assert_eq(
	    evtchn_op(&d.ed, EVTCHNOP_bind_virq, &virq, sizeof(virq)), 0, "it is free again");
	domain_gone(&other);
	domain_gone(&d);
	leave(&a);
}

/* A port that waits for a program can be served by the core, but only while it waits. */
Test(evtchn, core_stands_in_for_a_program)
{
	static struct domain d;
	struct program a = program();
	struct evtchn_alloc_unbound au = {.dom = DOMID_SELF, .remote_dom = 0},
				    own = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
	uint32_t pa;

	domain(&d, 7);
	cr_assert_eq(op(&d, EVTCHNOP_alloc_unbound, &au), 0);
	cr_assert_eq(op(&d, EVTCHNOP_alloc_unbound, &own), 0);
	cr_assert_eq(evtchn_stand_in(&d.ed, au.port, false), 0);
	cr_assert(!take(&d, au.port));
	cr_assert_eq(evtchn_stand_in(&d.ed, au.port, true), 0);
	cr_assert(take(&d, au.port));
	pa = bound(&a, 7, au.port);
	(void)take(&d, au.port);
	cr_assert_eq(evtchn_stand_in(&d.ed, au.port, true), -EBUSY);
	cr_assert(!take(&d, au.port));
	cr_assert_eq(evtchn_handle_unbind(a.handle, pa), 0);
	cr_assert_eq(evtchn_stand_in(&d.ed, au.port, true), 0, "it has gone");
	cr_assert(take(&d, au.port));
	cr_assert_eq(evtchn_stand_in(&d.ed, own.port, true), -EINVAL);
	cr_assert_eq(evtchn_stand_in(&d.ed, 0, true), -EINVAL);
	cr_assert_eq(evtchn_stand_in(&d.ed, UINT32_MAX, true), -EINVAL);
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

Test(evtchn, ipi_interrupts_its_vcpu)
{
	static struct domain d;
	uint32_t port;

	smp_domain(&d, 7);
	port = ipi(&d, 1);
	cr_assert_eq(send_to(&d, port), 0);
	cr_assert_eq(told(d.upcalls[0]), 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(told(d.ed.ed_eventfd), 0);
	cr_assert_eq(d.si.vcpu_info[0].evtchn_upcall_pending, 0);
	cr_assert_eq(d.si.vcpu_info[1].evtchn_pending_sel, 1u << port / 64);
	/* Once, until it has looked. */
	cr_assert_eq(send_to(&d, port), 0);
	cr_assert_eq(told(d.upcalls[1]), 0);
	cr_assert(upcall(&d, &d.si.vcpu_info[1]));
	cr_assert_eq(send_to(&d, port), 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(move_to(&d, port, 0), -EINVAL, "an IPI is its vCPU's");
	domain_gone(&d);
}

/* The second of two events finds an upcall under way: who polls for it has to be told all the same. */
Test(evtchn, events_of_one_upcall)
{
	static struct domain d;
	uint32_t a, b;

	smp_domain(&d, 7);
	a = ipi(&d, 0);
	b = ipi(&d, 0);
	cr_assert_eq(send_to(&d, a), 0);
	cr_assert_eq(told(d.upcalls[0]), 1);
	cr_assert_eq(told(d.ed.ed_eventfd), 0);
	cr_assert_eq(send_to(&d, b), 0);
	cr_assert_eq(told(d.upcalls[0]), 0);
	cr_assert_eq(told(d.ed.ed_eventfd), 1);
	cr_assert(take(&d, a) && take(&d, b));
	domain_gone(&d);
}

Test(evtchn, masked_port_waits_for_unmask)
{
	static struct domain d;
	struct evtchn_unmask um;
	uint32_t port;

	smp_domain(&d, 7);
	um.port = port = ipi(&d, 1);
	d.si.evtchn_mask[port / 64] |= evtchn_bit(port);
	cr_assert_eq(send_to(&d, port), 0);
	cr_assert_eq(told(d.upcalls[1]), 0);
	cr_assert_eq(told(d.ed.ed_eventfd), 1, "a poller waits for masked ports, too");
	cr_assert_eq(d.si.vcpu_info[1].evtchn_upcall_pending, 0);
	cr_assert_eq(op(&d, EVTCHNOP_unmask, &um), 0);
	cr_assert_eq(d.si.evtchn_mask[port / 64], 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert(upcall(&d, &d.si.vcpu_info[1]));
	/* Nothing is pending: nobody is interrupted. */
	d.si.evtchn_mask[port / 64] |= evtchn_bit(port);
	cr_assert_eq(op(&d, EVTCHNOP_unmask, &um), 0);
	cr_assert_eq(told(d.upcalls[1]) + told(d.ed.ed_eventfd), 0);
	cr_assert_eq(d.si.vcpu_info[1].evtchn_upcall_pending, 0);
	um.port = port + 1;
	cr_assert_eq(op(&d, EVTCHNOP_unmask, &um), -EINVAL);
	domain_gone(&d);
}

Test(evtchn, port_moves_to_another_vcpu)
{
	static struct domain d;
	struct evtchn_alloc_unbound au = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
	struct evtchn_bind_interdomain bi = {.remote_dom = DOMID_SELF};

	smp_domain(&d, 7);
	cr_assert_eq(op(&d, EVTCHNOP_alloc_unbound, &au), 0);
	/* An unbound one moves, too, and stays where it is when it is bound. */
	cr_assert_eq(move_to(&d, au.port, 1), 0);
	cr_assert_eq(send_to(&d, au.port), 0, "nobody hears it");
	bi.remote_port = au.port;
	cr_assert_eq(op(&d, EVTCHNOP_bind_interdomain, &bi), 0);
	cr_assert_eq(told(d.upcalls[0]), 1, "a new port begins at vCPU 0");
	cr_assert(upcall(&d, &d.si.vcpu_info[0]));
	cr_assert_eq(send_to(&d, bi.local_port), 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(told(d.upcalls[0]), 0);
	cr_assert_eq(status_of(7, au.port).vcpu, 1);
	cr_assert_eq(status_of(7, bi.local_port).vcpu, 0);
	cr_assert_eq(move_to(&d, au.port, 2), -ENOENT);
	cr_assert_eq(move_to(&d, au.port, UINT32_MAX), -ENOENT);
	cr_assert_eq(move_to(&d, 0, 1), -EINVAL);
	cr_assert_eq(move_to(&d, UINT32_MAX, 1), -EINVAL);
	domain_gone(&d);
}

/* A number that is used again begins at the first vCPU. */
Test(evtchn, closed_port_forgets_its_vcpu)
{
	static struct domain d;
	struct evtchn_close cl;
	struct evtchn_alloc_unbound au = {.dom = DOMID_SELF, .remote_dom = 0};

	smp_domain(&d, 7);
	cl.port = ipi(&d, 1);
	cr_assert_eq(status_of(7, cl.port).status, EVTCHNSTAT_ipi);
	cr_assert_eq(status_of(7, cl.port).vcpu, 1);
	cr_assert_eq(op(&d, EVTCHNOP_close, &cl), 0);
	cr_assert_eq(op(&d, EVTCHNOP_alloc_unbound, &au), 0);
	cr_assert_eq(au.port, cl.port);
	cr_assert_eq(status_of(7, au.port).vcpu, 0);
	domain_gone(&d);
}

Test(evtchn, virqs_of_each_vcpu_and_of_all)
{
	static struct domain d;
	struct evtchn_bind_virq timer[2] = {{.virq = VIRQ_TIMER}, {.virq = VIRQ_TIMER, .vcpu = 1}};
	struct evtchn_bind_virq global = {.virq = VIRQ_ARCH_0}, again;
	struct evtchn_bind_ipi bi = {.vcpu = 2};

	smp_domain(&d, 7);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &timer[i]), 0);
		again = timer[i];
		cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &again), -EEXIST);
		cr_assert_eq(status_of(7, timer[i].port).status, EVTCHNSTAT_virq);
		cr_assert_eq(status_of(7, timer[i].port).vcpu, i);
	}
	again = (struct evtchn_bind_virq){.virq = VIRQ_TIMER, .vcpu = 2};
	cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &again), -ENOENT);
	cr_assert_eq(move_to(&d, timer[1].port, 0), -EINVAL, "a timer is its vCPU's");
	/* One for all: bound by the first, then moved. */
	again = (struct evtchn_bind_virq){.virq = VIRQ_ARCH_0, .vcpu = 1};
	cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &again), -EINVAL);
	cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &global), 0);
	cr_assert_eq(move_to(&d, global.port, 1), 0);
	again = (struct evtchn_bind_virq){.virq = VIRQ_ARCH_0};
	cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &again), -EEXIST);
	evtchn_virq(7, VIRQ_ARCH_0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(told(d.upcalls[0]), 0);
	again = (struct evtchn_bind_virq){.virq = NR_VIRQS};
	cr_assert_eq(op(&d, EVTCHNOP_bind_virq, &again), -EINVAL);
	cr_assert_eq(op(&d, EVTCHNOP_bind_ipi, &bi), -ENOENT);
	domain_gone(&d);
}

Test(evtchn, registered_vcpu_info)
{
	static struct domain d;
	static struct vcpu_info vi;
	uint32_t port;

	smp_domain(&d, 7);
	port = ipi(&d, 1);
	d.si.vcpu_info[1].time.tsc_timestamp = 4711;
	memset(&vi, 0xee, sizeof(vi));
	cr_assert_eq(evtchn_set_vcpu_info(&d.ed, 1, &vi), 0);
	/* As Xen does it: what was there is here, and everything is to be looked at. */
	cr_assert_eq(vi.time.tsc_timestamp, 4711);
	cr_assert_eq(vi.evtchn_upcall_pending, 1);
	cr_assert_eq(vi.evtchn_pending_sel, UINT64_MAX);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(told(d.upcalls[0]), 0);
	cr_assert(upcall(&d, &vi));
	cr_assert_eq(send_to(&d, port), 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(vi.evtchn_pending_sel, 1);
	cr_assert_eq(d.si.vcpu_info[1].evtchn_pending_sel, 0);
	/* Once and for all. */
	cr_assert_eq(evtchn_set_vcpu_info(&d.ed, 1, &d.si.vcpu_info[1]), -EINVAL);
	cr_assert_eq(vi.evtchn_pending_sel, 1);
	domain_gone(&d);
}

/* Events that come before there is a page to put them are seen when there is one. */
Test(evtchn, early_events_interrupt)
{
	static struct domain d;
	static struct shared_info other;
	static struct vcpu_info vi;
	struct evtchn_bind_ipi bi = {.vcpu = 0};
	uint32_t a, b;

	d.upcalls[0] = event_fd();
	d.upcalls[1] = event_fd();
	d.si = (struct shared_info){0};
	cr_assert_eq(evtchn_domain_add(&d.ed, 7, event_fd(), 2), 0);
	evtchn_set_upcalls(&d.ed, d.upcalls);
	cr_assert_eq(op(&d, EVTCHNOP_bind_ipi, &bi), 0);
	a = bi.port;
	b = ipi(&d, 1);
	cr_assert_eq(evtchn_set_vcpu_info(&d.ed, 1, &vi), 0);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert(upcall(&d, &vi));
	cr_assert_eq(send_to(&d, a), 0);
	cr_assert_eq(send_to(&d, b), 0);
	cr_assert_eq(told(d.upcalls[0]) + told(d.upcalls[1]), 0);
	evtchn_set_shared(&d.ed, &d.si);
	cr_assert_eq(told(d.upcalls[0]), 1);
	cr_assert_eq(told(d.upcalls[1]), 1);
	cr_assert_eq(vi.evtchn_pending_sel, 1);
	cr_assert_eq(d.si.vcpu_info[0].evtchn_pending_sel, 1);
	/* The page moves: what is pending goes along, and so do bits that the guest has made up. */
	d.si.evtchn_pending[63] = evtchn_bit(63);
	evtchn_set_shared(&d.ed, &other);
	cr_assert_eq(d.si.evtchn_pending[a / 64], 0);
	cr_assert_eq(other.evtchn_pending[a / 64], evtchn_bit(a) | evtchn_bit(b));
	cr_assert_eq(other.evtchn_pending[63], evtchn_bit(63));
	cr_assert_eq(told(d.upcalls[0]), 1);
	domain_gone(&d);
}

/* Each event of a page that moves was told by itself: a guest could keep the lock of all guests with it. */
Test(evtchn, moved_page_tells_each_once)
{
	static struct domain d;
	static struct shared_info other;

	smp_domain(&d, 7);
	memset(d.si.evtchn_pending, 0xff, sizeof(d.si.evtchn_pending));
	memset(other.evtchn_mask, 0xff, sizeof(other.evtchn_mask));
	evtchn_set_shared(&d.ed, &other);
	cr_assert_eq(told(d.ed.ed_eventfd), 1);
	cr_assert_eq(told(d.upcalls[0]), 0);
	memset(d.si.evtchn_mask, 0, sizeof(d.si.evtchn_mask));
	evtchn_set_shared(&d.ed, &d.si);
	cr_assert_eq(told(d.upcalls[0]), 1);
	cr_assert_eq(told(d.upcalls[1]) + told(d.ed.ed_eventfd), 0);
	cr_assert_eq(d.si.evtchn_pending[63], UINT64_MAX);
	domain_gone(&d);
}

/* A guest without upcalls polls: it is told of every port, and its vCPU's words are set as ever. */
Test(evtchn, without_upcalls_every_port_is_told)
{
	static struct domain d;
	uint32_t a, b;

	domain(&d, 7);
	a = ipi(&d, 0);
	b = ipi(&d, 0);
	d.si.evtchn_mask[b / 64] = evtchn_bit(b);
	cr_assert_eq(send_to(&d, a), 0);
	cr_assert_eq(send_to(&d, a), 0);
	cr_assert_eq(send_to(&d, b), 0);
	cr_assert_eq(told(d.ed.ed_eventfd), 2);
	cr_assert_eq(d.si.vcpu_info[0].evtchn_upcall_pending, 1);
	cr_assert(take(&d, a) && take(&d, b));
	domain_gone(&d);
}

Test(evtchn, vcpus_have_a_bound)
{
	static struct evtchn_domain ed;

	cr_assert_eq(evtchn_domain_add(&ed, 7, -1, 0), -EINVAL);
	cr_assert_eq(evtchn_domain_add(&ed, 7, -1, EVTCHN_MAX_VCPUS + 1), -EINVAL);
	cr_assert_eq(evtchn_domain_add(&ed, 7, -1, EVTCHN_MAX_VCPUS), 0);
	evtchn_domain_remove(&ed);
}
