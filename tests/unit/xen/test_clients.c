/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/client_evtchn.c hv/xen/client_gnttab.c hv/xen/client_fill.c hv/xen/client_gntshr.c hv/xen/client_pages.c hv/xen/notify.c hv/xen/only.c hv/xen/evtchn.c hv/xen/evtchn_host.c hv/xen/grant.c hv/xen/grant_copy.c hv/xen/grant_op.c hv/xen/grant_share.c hv/core/file_object.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c tests/unit/xen/guestfake.c $(UVM_SRCS) */
/*
 * The kinds evtchn, gnttab and gntshr as their connections see them, two programs with each other:
 * requests with good and bad words, and the order in which things end.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uvm/uvm_audit.h"
#include "uvm/uvm_loan.h"
#include "xen/client.h"
#include "xen/guestfake.h"
#include "xen/public.h"

static struct xen_request req;
static struct xen_reply rep;

/* What client.c does with a request. */
static int64_t ask(struct xen_client *c, uint32_t op)
{
	const struct xen_client_op *it = c->xc_kind->ops;

	while (it->op != op) {
		cr_assert(it->op != 0);
		it++;
	}
	req.head.op = op;
	rep.head = (struct xenwire_reply){.value = -ENOSYS};
	rep.nfds = 0;
	it->call(c, &req, &rep);
	return rep.head.value;
}

static struct xen_client *open_client(const struct xen_client_kind *kind, int *fd)
{
	struct xen_client *c = calloc(1, sizeof(*c));

	cr_assert(c != NULL);
	c->xc_kind = kind;
	*fd = -1;
	cr_assert_eq(kind->open(c, fd), 0);
	return c;
}

static void close_client(struct xen_client *c)
{
	c->xc_kind->close(c);
	free(c);
}

/* A program with a handle of each kind. */
struct program {
	struct xen_client *events, *maps, *shares;
	int stream;
};

static void begin(struct program *a, struct program *b)
{
	struct program *both[] = {a, b};
	int none;

	cr_assert_eq(uvm_loan_init(), 0);
	for (unsigned i = 0; i < 2; i++) {
		both[i]->events = open_client(&xen_evtchn_kind, &both[i]->stream);
		both[i]->maps = open_client(&xen_gnttab_kind, &none);
		both[i]->shares = open_client(&xen_gntshr_kind, &none);
	}
}

static void sound(uint64_t frames)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0);
	cr_assert(ac.ac_equal);
	cr_assert_eq(uvm_frames_total(&ac.ac_all), frames);
}

static void end(void)
{
	sound(0);
	uvm_loan_fini();
}

static int64_t event(struct xen_client *c, uint32_t op, uint32_t domid, uint32_t port)
{
	req.head.n = 0;
	req.head.u.event.domid = domid;
	req.head.u.event.port = port;
	return ask(c, op);
}

static uint32_t next_event(const struct program *pr)
{
	struct pollfd p = {.fd = pr->stream, .events = POLLIN};
	uint32_t port;

	if (poll(&p, 1, 0) == 0)
		return 0;
	cr_assert_eq(read(pr->stream, &port, sizeof(port)), (ssize_t)sizeof(port));
	return port;
}

static void unmask(const struct program *pr, uint32_t port)
{
	short events;
	struct pollfd p = {.fd = pr->events->xc_kind->watch(pr->events, &events)};

	cr_assert_eq(write(pr->stream, &port, sizeof(port)), (ssize_t)sizeof(port));
	p.events = events;
	cr_assert_eq(poll(&p, 1, 0), 1);
	pr->events->xc_kind->watched(pr->events);
}

/* The pages of the answer, as the program maps them. */
static uint8_t *look(unsigned fd, uint64_t index, int prot, uint32_t n)
{
	uint8_t *p = mmap(
	    NULL, n * XENWIRE_PAGE, prot, MAP_SHARED, rep.fds[fd], (off_t)(index * XENWIRE_PAGE));

	cr_assert(p != MAP_FAILED);
	return p;
}

static int64_t share(struct program *pr, uint32_t n, uint32_t offset, uint32_t port)
{
	req.head.n = 0;
	req.head.u.share.domid = 0;
	req.head.u.share.npages = n;
	req.head.u.share.writable = 1;
	req.head.u.share.notify_offset = offset;
	req.head.u.share.notify_port = port;
	return ask(pr->shares, XENWIRE_SHARE);
}

static int64_t map(struct program *pr, uint32_t prot, uint32_t offset, uint32_t port, uint64_t more)
{
	req.head.u.grant.prot = prot;
	req.head.u.grant.notify_offset = offset;
	req.head.u.grant.notify_port = port;
	req.head.u.grant.more = more;
	return ask(pr->maps, XENWIRE_GRANT_MAP);
}

static int64_t by_number(struct xen_client *c, uint32_t op, uint64_t id)
{
	req.head.n = 0;
	req.head.u.id = id;
	return ask(c, op);
}

#define NO_OFFSET XENWIRE_NO_OFFSET
#define NO_PORT XENWIRE_NO_PORT
#define BOTH (XENWIRE_READ | XENWIRE_WRITE)

/* Connects both: their ports, both quiet. */
static void connect_both(struct program *a, struct program *b, uint32_t *pa, uint32_t *pb)
{
	*pa = (uint32_t)event(a->events, XENWIRE_EVENT_UNBOUND, 0, 0);
	*pb = (uint32_t)event(b->events, XENWIRE_EVENT_INTERDOMAIN, 0, *pa);
	cr_assert_eq(next_event(b), *pb);
	unmask(b, *pb);
}

Test(clients, pages_are_shared)
{
	struct program a, b;
	uint8_t *ours, *theirs;
	uint64_t number;

	begin(&a, &b);
	number = (uint64_t)share(&a, 3, NO_OFFSET, NO_PORT);
	cr_assert(rep.head.n == 3 && rep.nfds == 1);
	ours = look(0, 0, PROT_READ | PROT_WRITE, 3);
	sound(3);
	req.head.n = 3;
	for (unsigned i = 0; i < 3; i++)
		req.u.refs[i] = (struct xenwire_ref){.ref = rep.u.refs[2 - i]};
	cr_assert_gt(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), 0);
	cr_assert(rep.head.n == 3 && rep.nfds == 1);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(rep.u.pages[i].error == 0 && rep.u.pages[i].fd == 0);
		theirs = look(0, rep.u.pages[i].index, PROT_READ | PROT_WRITE, 1);
		theirs[5] = (uint8_t)(10 + i);
		cr_assert_eq(ours[(2 - i) * XENWIRE_PAGE + 5], 10 + i);
		munmap(theirs, XENWIRE_PAGE);
	}
	munmap(ours, 3 * XENWIRE_PAGE);
	cr_assert_eq(by_number(a.shares, XENWIRE_UNSHARE, number), 0);
	cr_assert_eq(by_number(a.shares, XENWIRE_UNSHARE, number), -EINVAL);
	/* As long as the other has them. */
	sound(3);
	close_client(b.maps);
	sound(0);
	close_client(a.maps);
	close_client(a.shares);
	close_client(b.shares);
	close_client(a.events);
	close_client(b.events);
	end();
}

/* The client's handles end in every order: the server is told, after the byte has become 0. */
static void server_is_told(bool ports_first, bool by_unmap)
{
	struct program a, b;
	uint32_t pa, pb;
	uint64_t number;
	uint8_t *ours;

	begin(&a, &b);
	connect_both(&a, &b, &pa, &pb);
	cr_assert_gt(share(&a, 1, 21, pa), 0);
	ours = look(0, 0, PROT_READ | PROT_WRITE, 1);
	ours[20] = ours[21] = 1;
	req.head.n = 1;
	req.u.refs[0] = (struct xenwire_ref){.ref = rep.u.refs[0]};
	number = (uint64_t)map(&b, BOTH, 20, pb, 0);
	cr_assert_eq(next_event(&a), 0);
	if (by_unmap) {
		cr_assert_eq(by_number(b.maps, XENWIRE_GRANT_UNMAP, number), 0);
		cr_assert_eq(by_number(b.maps, XENWIRE_GRANT_UNMAP, number), -EINVAL);
	}
	if (ports_first) {
		close_client(b.events);
		cr_assert_eq(next_event(&a), by_unmap ? pa : 0);
		cr_assert_eq(ours[20], by_unmap ? 0 : 1);
	}
	close_client(b.maps);
	cr_assert_eq(ours[20], 0);
	if (!by_unmap || !ports_first)
		cr_assert_eq(next_event(&a), pa);
	if (!ports_first)
		close_client(b.events);
	/* The port is unbound now, and the share's own byte and port are as they were. */
	cr_assert_eq(ours[21], 1);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_NOTIFY, 0, pa), 0);
	close_client(a.events);
	close_client(a.shares);
	cr_assert_eq(ours[21], 0);
	munmap(ours, XENWIRE_PAGE);
	close_client(b.shares);
	close_client(a.maps);
	close(a.stream);
	close(b.stream);
	end();
}

Test(clients, map_ends_before_ports)
{
	server_is_told(false, false);
}

Test(clients, ports_end_before_map)
{
	server_is_told(true, false);
}

Test(clients, unmap_tells_once)
{
	server_is_told(true, true);
	server_is_told(false, true);
}

Test(clients, bad_requests)
{
	struct program a, b;
	uint32_t pa, pb, ref;
	int64_t number;

	begin(&a, &b);
	connect_both(&a, &b, &pa, &pb);
	cr_assert_eq(share(&a, 0, NO_OFFSET, NO_PORT), -EINVAL);
	cr_assert_eq(share(&a, XENWIRE_MAX_ELEMENTS + 1, NO_OFFSET, NO_PORT), -EINVAL);
	cr_assert_eq(share(&a, 1, XENWIRE_PAGE, NO_PORT), -EINVAL);
	cr_assert_eq(share(&a, 1, 0, 4095), -EINVAL);
	sound(0);
	cr_assert_gt(share(&a, 1, NO_OFFSET, NO_PORT), 0);
	ref = rep.u.refs[0];
	req.head.n = 0;
	cr_assert_eq(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), -EINVAL);
	req.head.n = 2;
	req.u.refs[0] = (struct xenwire_ref){.ref = ref};
	req.u.refs[1] = (struct xenwire_ref){.ref = ref + 1};
	cr_assert_lt(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), 0);
	cr_assert_eq(rep.nfds, 0);
	req.u.refs[1] = (struct xenwire_ref){.domid = 7, .ref = ref};
	cr_assert_eq(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), -ESRCH);
	req.head.n = 1;
	cr_assert_eq(map(&b, 4, NO_OFFSET, NO_PORT, 0), -EINVAL);
	cr_assert_eq(map(&b, BOTH, XENWIRE_PAGE, NO_PORT, 0), -EINVAL);
	/* A byte that the program could not write itself. */
	cr_assert_eq(map(&b, XENWIRE_READ, 0, NO_PORT, 0), -EINVAL);
	cr_assert_eq(map(&b, BOTH, 0, 4095, 0), -EINVAL);
	cr_assert_eq(map(&b, BOTH, NO_OFFSET, NO_PORT, 99), -EINVAL);
	number = map(&b, BOTH, 0, pb, 0);
	cr_assert_gt(number, 0);
	cr_assert_eq(map(&b, BOTH, 0, NO_PORT, (uint64_t)number), -EINVAL);
	cr_assert_eq(map(&b, BOTH, NO_OFFSET, pb, (uint64_t)number), -EINVAL);
	cr_assert_eq(map(&b, XENWIRE_READ, NO_OFFSET, NO_PORT, (uint64_t)number), number);
	cr_assert_eq(by_number(b.maps, XENWIRE_GRANT_UNMAP, 99), -EINVAL);
	cr_assert_eq(by_number(b.maps, XENWIRE_GRANT_UNMAP, (uint64_t)number), 0);
	cr_assert_eq(next_event(&a), pa);
	cr_assert_eq(event(b.events, XENWIRE_EVENT_VIRQ, 0, 0), -EINVAL);
	cr_assert_eq(event(b.events, XENWIRE_EVENT_INTERDOMAIN, 0x12345, 1), -ESRCH);
	cr_assert_eq(event(b.events, XENWIRE_EVENT_UNBIND, 0, pa), -ENOTCONN);
	cr_assert_eq(event(b.events, XENWIRE_EVENT_UNBIND, 0, pb), 0);
	close_client(a.maps);
	close_client(b.maps);
	close_client(a.shares);
	close_client(b.shares);
	close_client(a.events);
	close_client(b.events);
	close(a.stream);
	close(b.stream);
	end();
}

/* Each share is a memfd of its own, and a packet has room for some. */
Test(clients, too_many_memfds)
{
	struct program a, b;
	uint32_t refs[XENWIRE_MAX_FDS + 1];

	begin(&a, &b);
	for (unsigned i = 0; i <= XENWIRE_MAX_FDS; i++) {
		cr_assert_gt(share(&a, 1, NO_OFFSET, NO_PORT), 0);
		refs[i] = rep.u.refs[0];
	}
	for (unsigned i = 0; i <= XENWIRE_MAX_FDS; i++)
		req.u.refs[i] = (struct xenwire_ref){.ref = refs[i]};
	req.head.n = XENWIRE_MAX_FDS + 1;
	cr_assert_eq(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), -EMFILE);
	cr_assert_eq(rep.nfds, 0);
	req.head.n = XENWIRE_MAX_FDS;
	cr_assert_gt(map(&b, BOTH, NO_OFFSET, NO_PORT, 0), 0);
	cr_assert_eq(rep.nfds, XENWIRE_MAX_FDS);
	close_client(a.shares);
	sound(XENWIRE_MAX_FDS);
	close_client(b.maps);
	close_client(a.maps);
	close_client(b.shares);
	close_client(a.events);
	close_client(b.events);
	close(a.stream);
	close(b.stream);
	end();
}

/* A word of a request: mostly one that could mean something. */
static uint32_t any_word(unsigned *seed)
{
	static const uint32_t odd[] = {
	    UINT32_MAX, 0x7fffffff, 0x8000, 0xffff, 4096, 4095, 1024, 64};

	return rand_r(seed) % 8 != 0 ? (uint32_t)rand_r(seed) % 12
				     : odd[(unsigned)rand_r(seed) % (sizeof(odd) / sizeof(odd[0]))];
}

static void any_request(unsigned *seed, struct xen_client *c)
{
	const struct xen_client_op *ops = c->xc_kind->ops;
	unsigned nops = 0;

	while (ops[nops].op != 0)
		nops++;
	ops += (unsigned)rand_r(seed) % nops;
	req.fd = -1;
	req.head.n = ops->element_size > 0 ? (unsigned)rand_r(seed) % 20 : 0;
	for (unsigned i = 0; i < sizeof(req.head.u.pad) / sizeof(req.head.u.pad[0]); i++)
		req.head.u.pad[i] = (uint64_t)any_word(seed) << 32 | any_word(seed);
	for (unsigned i = 0; i < req.head.n; i++)
		req.u.refs[i] = (struct xenwire_ref){
		    .domid = rand_r(seed) % 4 ? 0 : any_word(seed), .ref = 8 + any_word(seed)};
	(void)ask(c, ops->op);
	cr_assert(rep.head.n <= XENWIRE_MAX_ELEMENTS && rep.nfds <= XENWIRE_MAX_FDS);
	cr_assert(rep.head.value >= -4095);
}

/* Whatever two programs say, nothing is lost, and nothing left of it. */
Test(clients, nonsense)
{
	unsigned seed = 1;
	struct program a, b;

	begin(&a, &b);
	for (unsigned i = 0; i < 30000; i++) {
		struct program *pr = rand_r(&seed) % 2 ? &a : &b;
		struct xen_client **c = rand_r(&seed) % 3 == 0	 ? &pr->events
					: rand_r(&seed) % 2 == 0 ? &pr->maps
								 : &pr->shares;

		any_request(&seed, *c);
		(void)next_event(pr);
		if (rand_r(&seed) % 50 != 0)
			continue;
		const struct xen_client_kind *kind = (*c)->xc_kind;
		int fd;

		close_client(*c);
		*c = open_client(kind, &fd);
		if (c == &pr->events) {
			close(pr->stream);
			pr->stream = fd;
		}
	}
	close_client(a.maps);
	close_client(b.events);
	close_client(b.maps);
	close_client(a.shares);
	close_client(a.events);
	close_client(b.shares);
	close(a.stream);
	close(b.stream);
	end();
}

/* Whoever serves one guest has ports for it, and for nobody else: neither others' nor the host's. */
Test(clients, events_of_one_guest)
{
	struct guest *g = &guest_fake.guest;
	struct program a, b;
	int64_t port;

	g->g_domid = 7;
	g->g_state = GUEST_RUNNING;
	begin(&a, &b);
	cr_assert_eq(by_number(a.events, XENWIRE_EVENT_ONLY, 8), -ESRCH);
	cr_assert_eq(by_number(a.events, XENWIRE_EVENT_ONLY, 7 | UINT64_C(1) << 32), -ESRCH);
	cr_assert_eq(by_number(a.events, XENWIRE_EVENT_ONLY, 7), 0);
	cr_assert_eq(by_number(a.events, XENWIRE_EVENT_ONLY, 7), -EPERM);
	port = event(b.events, XENWIRE_EVENT_UNBOUND, 0, 0);
	cr_assert_gt(port, 0);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_INTERDOMAIN, 0, (uint32_t)port), -EPERM);
	cr_assert_eq(
	    event(a.events, XENWIRE_EVENT_INTERDOMAIN, DOMID_SELF, (uint32_t)port), -EPERM);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_INTERDOMAIN, 8, 1), -EPERM);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_INTERDOMAIN, 7 | 1u << 31, 1), -EPERM);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_UNBOUND, 8, 0), -EPERM);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_UNBOUND, 0, 0), -EPERM);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_UNBOUND, DOMID_SELF, 0), -EPERM);
	req.head.u.event.virq = VIRQ_DOM_EXC;
	cr_assert_eq(ask(a.events, XENWIRE_EVENT_VIRQ), -EPERM);
	cr_assert_gt(event(a.events, XENWIRE_EVENT_UNBOUND, 7, 0), 0);
	/* Its number may be another's by now. */
	g->g_state = GUEST_ENDED;
	cr_assert_eq(event(a.events, XENWIRE_EVENT_UNBOUND, 7, 0), -ESRCH);
	cr_assert_eq(event(a.events, XENWIRE_EVENT_INTERDOMAIN, 7, 1), -ESRCH);
	g->g_state = GUEST_RUNNING;
	/* Too late for who has had a port. */
	cr_assert_eq(by_number(b.events, XENWIRE_EVENT_UNBIND, 0), -ENOTCONN);
	cr_assert_eq(event(b.events, XENWIRE_EVENT_UNBIND, 0, (uint32_t)port), 0);
	cr_assert_eq(by_number(b.events, XENWIRE_EVENT_ONLY, 7), -EBUSY);
	cr_assert_eq(guest_fake.refs, 1);
	close_client(a.events);
	cr_assert_eq(guest_fake.refs, 0);
	close_client(a.maps);
	close_client(a.shares);
	close_client(b.events);
	close_client(b.maps);
	close_client(b.shares);
	end();
}
