/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/core/channel.c hv/core/channel_area.c hv/core/channel_link.c hv/core/channel_op.c hv/core/channel_seal.c hv/pmap/pmap_soft.c hv/pmap/store_memfd.c hv/xen/evtchn.c hv/xen/evtchn_host.c hv/lib/failure.c hv/lib/log.c hv/lib/sys.c $(UVM_SRCS) */
/*
 * The core's half of channels on software pmaps: failures at every step, guests that go at the
 * wrong moment, and what is left then.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/channel_private.h"
#include "pmap/pmap_soft.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_audit.h"
#include "xen/public.h"

#define PAGES 8u
#define ROOM 2048u
#define HERE GUEST_HIGH_GFN
#define THERE (GUEST_HIGH_GFN + CHAN_HUGE_PAGES)

static struct guest *new_guest(uint32_t domid)
{
	const struct uvm_maprange range = {.mr_gfn = GUEST_HIGH_GFN, .mr_npages = ROOM};
	struct guest *g = calloc(1, sizeof(*g));
	struct soft_pmap *sp = soft_pmap_create(GUEST_HIGH_GFN + ROOM);
	struct soft_store *ss = soft_store_create(1, 1, domid);

	cr_assert(g != NULL && sp != NULL && ss != NULL);
	g->g_domid = domid;
	snprintf(g->g_name, sizeof(g->g_name), "g%u", domid);
	g->g_window_pages = ROOM;
	g->g_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_eq(evtchn_domain_add(&g->g_events, domid, g->g_event, 1), 0);
	uvm_world_enter();
	g->g_map = uvm_map_create(&sp->sp_pmap, &ss->ss_store, domid, &range, 1);
	uvm_store_rele(&ss->ss_store);
	uvm_world_leave();
	cr_assert(g->g_map != NULL);
	return g;
}

static struct soft_pmap *soft_of(struct guest *g)
{
	return (
	    struct soft_pmap *)((char *)g->g_map->vm_pmap - offsetof(struct soft_pmap, sp_pmap));
}

/* As guest_end.c does it. */
static void end_guest(struct guest *g)
{
	struct soft_pmap *sp = soft_of(g);

	sp->sp_gone = true;
	channel_guest_gone(g);
	evtchn_domain_remove(&g->g_events);
	uvm_world_enter();
	uvm_map_destroy(g->g_map);
	g->g_map = NULL;
	channel_guest_settled(g);
	uvm_world_leave();
	soft_pmap_destroy(sp);
	close(g->g_event);
	free(g);
}

static void begin(void)
{
	cr_assert_eq(uvm_loan_init(), 0);
}

static void count(void *arg, const struct channel_info *info)
{
	(void)info;
	++*(unsigned *)arg;
}

static unsigned endpoints(void)
{
	unsigned n = 0;

	channel_each(count, &n);
	return n;
}

static void sound(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	cr_assert(ac.ac_equal);
}

static void end(void)
{
	cr_assert_eq(endpoints(), 0);
	sound();
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
}

/* ---- commands ---- */

static int64_t call(struct guest *g, uint32_t cmd, void *arg, size_t len)
{
	bool results;

	return channel_op(g, cmd, arg, (uint32_t)len, &results);
}

#define CALL(g, cmd, op) call(g, cmd, op, sizeof(*(op)))

static int64_t create(struct guest *g, const char *name, uint64_t gfn, uint64_t *id)
{
	struct chan_create op = {.gfn = gfn, .arena_pages = PAGES, .max_peers = 1};
	int64_t error;

	snprintf(op.name, sizeof(op.name), "%s", name);
	error = CALL(g, CHANOP_create, &op);
	*id = op.id;
	return error;
}

static int64_t connect_to(struct guest *g, uint64_t id, const char *name, uint64_t gfn)
{
	struct chan_connect op = {.id = id, .gfn = gfn, .room = ROOM};

	snprintf(op.name, sizeof(op.name), "%s", name);
	return CALL(g, CHANOP_connect, &op);
}

static int64_t accept_one(struct guest *g, uint64_t id, uint64_t gfn)
{
	struct chan_connect op = {.id = id, .gfn = gfn, .room = ROOM};

	return CALL(g, CHANOP_accept, &op);
}

static int64_t seal(struct guest *g, uint64_t id, uint32_t seq, uint32_t first, uint32_t nr)
{
	struct chan_seal op = {.id = id, .nr = 1, .range = {{seq, first, nr}}};

	return CALL(g, CHANOP_seal, &op);
}

static int64_t reap(struct guest *g, uint64_t id)
{
	struct chan_id op = {.id = id};

	return CALL(g, CHANOP_reap, &op);
}

static int64_t close_it(struct guest *g, uint64_t id)
{
	struct chan_id op = {.id = id};

	return CALL(g, CHANOP_close, &op);
}

static int64_t drop(struct guest *g, uint64_t id, uint32_t peer)
{
	struct chan_peers op = {.id = id, .peers = peer};

	return CALL(g, CHANOP_drop, &op);
}

static int store_at(struct guest *g, uint64_t gfn, const void *data, size_t at, size_t len)
{
	int error;

	uvm_world_enter();
	error = soft_write(g->g_map, gfn, at, data, len);
	uvm_world_leave();
	return error;
}

static int put(struct guest *g, uint64_t gfn, uint8_t byte)
{
	return store_at(g, gfn, &byte, 0, 1);
}

static uint8_t get(struct guest *g, uint64_t gfn)
{
	uint8_t byte = 0;

	uvm_world_enter();
	cr_assert_eq(soft_read(g->g_map, gfn, 0, &byte, 1), 0);
	uvm_world_leave();
	return byte;
}

/* The guest writes its release word for message seq of its peer 0. */
static void release(struct guest *g, uint64_t gfn, uint32_t seq)
{
	size_t at = offsetof(struct chan_control, release) + seq % CHAN_SLOTS * sizeof(seq);

	cr_assert_eq(
	    store_at(g, gfn + PAGES + at / UVM_PAGE_SIZE, &seq, at % UVM_PAGE_SIZE, sizeof(seq)),
	    0);
}

/* a has the endpoint "x" at HERE and sees b's at THERE; b the other way round. */
struct pair {
	struct guest *a, *b;
	uint64_t ida, idb;
};

static struct pair connected(void)
{
	struct pair p = {.a = new_guest(1), .b = new_guest(2)};

	cr_assert_eq(create(p.a, "x", HERE, &p.ida), 0);
	cr_assert_eq(create(p.b, "", HERE, &p.idb), 0);
	cr_assert_eq(connect_to(p.b, p.idb, "x", THERE), 0);
	cr_assert_eq(accept_one(p.a, p.ida, THERE), 0);
	return p;
}

Test(channel, seal_keeps_bytes_until_released)
{
	struct pair p;

	begin();
	p = connected();
	cr_assert_eq(put(p.a, HERE + 3, 1), 0);
	cr_assert_eq(seal(p.a, p.ida, 1, 3, 1), 0);
	cr_assert_eq(put(p.a, HERE + 3, 2), 0);
	cr_assert_eq(get(p.b, THERE + 3), 1);
	cr_assert_eq(get(p.a, HERE + 3), 2);
	sound();
	cr_assert_eq(reap(p.a, p.ida), 1);
	release(p.b, HERE, 1);
	cr_assert_eq(reap(p.a, p.ida), 0);
	sound();
	end_guest(p.a);
	sound();
	cr_assert_eq(get(p.b, THERE + 3), 1);
	end_guest(p.b);
	end();
}

/* Whoever goes, in whatever order, with seals both ways: nothing is left. */
Test(channel, guests_end_in_either_order)
{
	struct pair p;

	begin();
	for (int first = 0; first < 2; first++) {
		p = connected();
		cr_assert_eq(seal(p.a, p.ida, 1, 0, 4), 0);
		cr_assert_eq(seal(p.b, p.idb, 1, 0, 4), 0);
		cr_assert_eq(put(p.a, HERE, 9), 0);
		cr_assert_eq(put(p.b, HERE + 1, 9), 0);
		end_guest(first ? p.a : p.b);
		sound();
		/* What was sealed for the dead is not any more. */
		cr_assert_eq(first ? reap(p.b, p.idb) : reap(p.a, p.ida), 0);
		end_guest(first ? p.b : p.a);
		sound();
		cr_assert_eq(endpoints(), 0);
	}
	end();
}

Test(channel, peer_that_was_not_accepted_leaves_no_trace)
{
	struct guest *a, *b;
	uint64_t ida, idb;

	begin();
	a = new_guest(1);
	b = new_guest(2);
	cr_assert_eq(create(a, "x", HERE, &ida), 0);
	cr_assert_eq(create(b, "", HERE, &idb), 0);
	cr_assert_eq(connect_to(b, idb, "x", THERE), 0);
	cr_assert_eq(close_it(b, idb), 0);
	cr_assert_eq(accept_one(a, ida, THERE), -EAGAIN);
	cr_assert_eq(endpoints(), 1);
	/* Its place is free again, though only one peer is wanted. */
	cr_assert_eq(create(b, "", HERE, &idb), 0);
	cr_assert_eq(connect_to(b, idb, "x", THERE), 0);
	cr_assert_eq(accept_one(a, ida, THERE), 0);
	end_guest(b);
	end_guest(a);
	end();
}

Test(channel, broken_seal_is_shown_to_who_is_accepted_later)
{
	struct chan_refresh op = {.seq = 1, .first = 2, .nr = 1};
	struct guest *a, *b;
	uint64_t ida, idb;

	begin();
	a = new_guest(1);
	b = new_guest(2);
	cr_assert_eq(create(a, "x", HERE, &ida), 0);
	cr_assert_eq(create(b, "", HERE, &idb), 0);
	cr_assert_eq(connect_to(b, idb, "x", THERE), 0);
	cr_assert_eq(put(b, HERE + 2, 1), 0);
	cr_assert_eq(seal(b, idb, 1, 2, 1), 0);
	cr_assert_eq(put(b, HERE + 2, 2), 0);
	cr_assert_eq(accept_one(a, ida, THERE), 0);
	cr_assert_neq(channel_find(b, idb)->ep_status->stale[0], 0);
	op.id = ida;
	cr_assert_eq(CALL(a, CHANOP_refresh, &op), 0);
	cr_assert_eq(get(a, THERE + 2), 1);
	sound();
	end_guest(b);
	cr_assert_eq(get(a, THERE + 2), 1);
	end_guest(a);
	end();
}

static int64_t refresh(struct guest *g, uint64_t id, uint32_t seq, uint32_t first)
{
	struct chan_refresh op = {.id = id, .seq = seq, .first = first, .nr = 1};

	return CALL(g, CHANOP_refresh, &op);
}

/*
 * A peer that sees old frames reads two messages of an owner that has closed: it once was not told any
 * more after the first that it had to ask for the second, and read other bytes than were sealed.
 */
Test(channel, closed_owner_stays_stale)
{
	struct endpoint *ep;
	struct pair p;

	begin();
	p = connected();
	cr_assert_eq(seal(p.a, p.ida, 1, 1, 2), 0);
	cr_assert_eq(put(p.a, HERE + 1, 1), 0);
	cr_assert_eq(put(p.a, HERE + 2, 2), 0);
	release(p.b, HERE, 1);
	cr_assert_eq(seal(p.a, p.ida, 2, 1, 1), 0);
	cr_assert_eq(seal(p.a, p.ida, 3, 2, 1), 0);
	ep = channel_find(p.a, p.ida);
	cr_assert_eq(close_it(p.a, p.ida), 0);
	cr_assert_neq(ep->ep_status->stale[0], 0);
	cr_assert_eq(refresh(p.b, p.idb, 2, 1), 0);
	cr_assert_eq(get(p.b, THERE + 1), 1);
	cr_assert_neq(ep->ep_status->stale[0], 0);
	cr_assert_eq(refresh(p.b, p.idb, 3, 2), 0);
	cr_assert_eq(get(p.b, THERE + 2), 2);
	sound();
	end_guest(p.a);
	end_guest(p.b);
	end();
}

Test(channel, drop_leaves_the_peer_what_it_sees)
{
	struct pair p;

	begin();
	p = connected();
	cr_assert_eq(put(p.a, HERE + 1, 1), 0);
	cr_assert_eq(seal(p.a, p.ida, 1, 0, 3), 0);
	cr_assert_eq(drop(p.a, p.ida, 0), 0);
	cr_assert_eq(reap(p.a, p.ida), 0);
	cr_assert_eq(put(p.a, HERE + 1, 2), 0);
	cr_assert_eq(get(p.b, THERE + 1), 1);
	sound();
	cr_assert_eq(drop(p.b, p.idb, 0), 0);
	cr_assert_eq(drop(p.b, p.idb, 0), -EINVAL);
	sound();
	end_guest(p.a);
	end_guest(p.b);
	end();
}

Test(channel, area_of_names_the_owner)
{
	struct pair p;
	char text[160];

	begin();
	p = connected();
	cr_assert(channel_area_of(p.b, THERE + PAGES + 6, text, sizeof(text)));
	cr_assert(strstr(text, "x of g1 (domain 1)") != NULL, "%s", text);
	cr_assert(!channel_area_of(p.b, THERE + PAGES + 7, text, sizeof(text)));
	cr_assert_eq(put(p.b, THERE, 1), -EACCES);
	cr_assert_eq(put(p.a, HERE + PAGES + CHAN_CONTROL_PAGES, 1), -EACCES);
	end_guest(p.a);
	end_guest(p.b);
	end();
}

/* ---- programs of one guest ---- */

static uint32_t unbound_port(struct guest *g)
{
	struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

	cr_assert_eq(evtchn_op(&g->g_events, EVTCHNOP_alloc_unbound, &op, sizeof(op)), 0);
	return op.port;
}

static bool raised(struct guest *g)
{
	uint64_t count;

	return read(g->g_event, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int64_t create_by_port(
    struct guest *g, const char *name, uint32_t port, struct chan_create *op)
{
	*op = (struct chan_create){.gfn = CHAN_ANYWHERE,
	    .arena_pages = PAGES,
	    .max_peers = 1,
	    .flags = CHAN_OWN_PORT,
	    .port = port};
	snprintf(op->name, sizeof(op->name), "%s", name);
	return CALL(g, CHANOP_create, op);
}

/* Each of them is somewhere else, all in the window area, and the highest places go first. */
Test(channel, anywhere_is_where_nothing_else_is)
{
	struct chan_create op = {.arena_pages = PAGES, .max_peers = 1};
	struct chan_connect peer = {.gfn = CHAN_ANYWHERE, .room = CHAN_AREA_PAGES(PAGES)};
	struct guest *g, *h;
	uint64_t id;

	begin();
	g = new_guest(1);
	h = new_guest(2);
	cr_assert_eq(create(h, "x", HERE, &id), 0);
	for (unsigned i = 1; i <= ROOM / CHAN_HUGE_PAGES - 1; i++) {
		op.gfn = CHAN_ANYWHERE;
		cr_assert_eq(CALL(g, CHANOP_create, &op), 0);
		cr_assert_eq(op.gfn, HERE + ROOM - i * CHAN_HUGE_PAGES);
	}
	peer.id = op.id;
	snprintf(peer.name, sizeof(peer.name), "x");
	cr_assert_eq(CALL(g, CHANOP_connect, &peer), 0);
	cr_assert_eq(peer.gfn, HERE);
	op.gfn = CHAN_ANYWHERE;
	cr_assert_eq(CALL(g, CHANOP_create, &op), -ENOSPC);
	peer = (struct chan_connect){.id = id, .gfn = CHAN_ANYWHERE, .room = ROOM};
	cr_assert_eq(CALL(h, CHANOP_accept, &peer), -ENOSPC);
	peer.room = CHAN_AREA_PAGES(PAGES);
	peer.gfn = CHAN_ANYWHERE;
	cr_assert_eq(CALL(h, CHANOP_accept, &peer), 0);
	cr_assert_eq(peer.gfn, HERE + ROOM - CHAN_HUGE_PAGES);
	sound();
	end_guest(g);
	end_guest(h);
	end();
}

Test(channel, own_port_is_raised_and_closes_the_endpoint)
{
	struct chan_create op;
	struct guest *g, *h;
	uint32_t port, other;
	uint64_t id;

	begin();
	g = new_guest(1);
	h = new_guest(2);
	port = unbound_port(g);
	other = unbound_port(g);
	cr_assert_eq(create_by_port(g, "x", port + 2, &op), -EINVAL);
	cr_assert_eq(create_by_port(g, "y", other, &op), 0);
	cr_assert_eq(create_by_port(g, "x", port, &op), 0);
	cr_assert_eq(op.port, port);
	cr_assert_eq(create(h, "", HERE, &id), 0);
	(void)raised(g);
	cr_assert_eq(connect_to(h, id, "x", THERE), 0);
	cr_assert(raised(g));

	uvm_world_enter();
	cr_assert_eq(channel_ports_close(g, port, port), 0);
	uvm_world_leave();
	cr_assert_eq(close_it(g, op.id), -EBADF);
	cr_assert(raised(h));
	cr_assert_eq(endpoints(), 3); /* h still sees it */
	/* The port stays the guest's, the name is free, and the other's endpoint is as it was. */
	cr_assert(evtchn_waiting_p(&g->g_events, port));
	cr_assert_eq(create_by_port(g, "x", port, &op), 0);
	cr_assert_eq(create_by_port(g, "y", port, &op), -EEXIST);
	cr_assert_eq(close_it(g, op.id), -EBADF); /* of the call that failed there is none */
	sound();
	end_guest(g);
	end_guest(h);
	end();
}

/* Neither has a program of the host ports, nor can what is bound be raised for a channel. */
Test(channel, own_port_has_to_be_one_that_waits)
{
	struct evtchn_bind_virq virq = {.virq = VIRQ_ARCH_0};
	struct chan_create op;
	struct guest *g;
	uint32_t port;

	begin();
	g = new_guest(1);
	cr_assert_eq(evtchn_op(&g->g_events, EVTCHNOP_bind_virq, &virq, sizeof(virq)), 0);
	cr_assert_eq(create_by_port(g, "x", virq.port, &op), -EINVAL);
	cr_assert_eq(create_by_port(g, "x", 0, &op), -EINVAL);
	port = unbound_port(g);
	g->g_program = true;
	cr_assert_eq(create_by_port(g, "x", port, &op), -EINVAL);
	g->g_program = false;
	end_guest(g);
	end();
}

/* ---- the other side goes while this one maps ---- */

static struct guest *goer;
static uint64_t goer_id;
static pthread_t goer_thread;
static struct endpoint *going;

static void *go(void *arg)
{
	(void)arg;
	cr_assert_eq(close_it(goer, goer_id), 0);
	return NULL;
}

/* Called by the soft pmap in the midst of mapping. */
static int let_go(void)
{
	bool closed = false;

	if (going == NULL)
		return 0;
	cr_assert_eq(pthread_create(&goer_thread, NULL, go, NULL), 0);
	while (!closed) {
		channels_lock();
		closed = going->ep_closed;
		channels_unlock();
	}
	going = NULL;
	return 0;
}

Test(channel, owner_closes_while_peer_connects)
{
	struct guest *a, *b;
	uint64_t ida, idb;

	begin();
	a = new_guest(1);
	b = new_guest(2);
	cr_assert_eq(create(a, "x", HERE, &ida), 0);
	cr_assert_eq(create(b, "", HERE, &idb), 0);
	goer = a;
	goer_id = ida;
	going = channel_find(a, ida);
	soft_of(b)->sp_fail = let_go;
	cr_assert_eq(connect_to(b, idb, "x", THERE), -ENOENT);
	pthread_join(goer_thread, NULL);
	cr_assert_eq(endpoints(), 1);
	sound();
	cr_assert_eq(connect_to(b, idb, "x", THERE), -ENOENT);
	end_guest(a);
	end_guest(b);
	end();
}

Test(channel, peer_closes_while_owner_accepts)
{
	struct guest *a, *b;
	uint64_t ida, idb;

	begin();
	a = new_guest(1);
	b = new_guest(2);
	cr_assert_eq(create(a, "x", HERE, &ida), 0);
	cr_assert_eq(create(b, "", HERE, &idb), 0);
	cr_assert_eq(connect_to(b, idb, "x", THERE), 0);
	goer = b;
	goer_id = idb;
	going = channel_find(b, idb);
	soft_of(a)->sp_fail = let_go;
	/* It was there, and what it sent can be read. */
	cr_assert_eq(accept_one(a, ida, THERE), 0);
	pthread_join(goer_thread, NULL);
	cr_assert_eq(endpoints(), 2);
	cr_assert_eq(get(a, THERE), 0);
	cr_assert_eq(drop(a, ida, 0), 0);
	cr_assert_eq(endpoints(), 1);
	end_guest(a);
	end_guest(b);
	end();
}

/* ---- the guest's process dies, or fails, at the nth mapping ---- */

static int calls_left, failure;

static int fail_at(void)
{
	return calls_left-- > 0 ? 0 : failure;
}

/*
 * b creates, connects; a accepts; whatever fails, the guest that failed is ended as guest_end.c
 * would.
 */
static bool try_with(unsigned nth, int error, bool at_accept)
{
	struct guest *a = new_guest(1), *b = new_guest(2), *bad = at_accept ? a : b;
	uint64_t ida = 0, idb = 0;
	int64_t got;

	cr_assert_eq(create(a, "x", HERE, &ida), 0);
	calls_left = (int)nth;
	failure = error;
	soft_of(bad)->sp_fail = fail_at;
	got = create(b, "", HERE, &idb);
	if (got == 0)
		got = connect_to(b, idb, "x", THERE);
	if (got == 0)
		got = accept_one(a, ida, THERE);
	cr_assert(got == 0 || got == error || got == -ENOTRECOVERABLE, "%jd", (intmax_t)got);
	sound();
	end_guest(bad);
	sound();
	end_guest(bad == a ? b : a);
	cr_assert_eq(endpoints(), 0);
	return got == 0;
}

Test(channel, mapping_fails_at_any_step)
{
	const int errors[] = {-ESRCH, -ENOMEM};

	begin();
	for (unsigned e = 0; e < 2; e++)
		for (int at_accept = 0; at_accept < 2; at_accept++)
			for (unsigned n = 0; !try_with(n, errors[e], at_accept); n++)
				cr_assert_lt(n, 40);
	end();
}

/* ---- the nth allocation or system call fails ---- */

#ifdef LOMBARD_FAULTS
static int allocations;

static bool fail_allocation(void)
{
	return allocations-- == 0;
}

/* One round of everything; 0, or the first error.  Failing leaves what was there before. */
static int64_t round_of(struct guest *a, struct guest *b)
{
	uint64_t ida, idb;
	int64_t error = create(a, "x", HERE, &ida);

	if (error != 0)
		return error;
	error = create(b, "", HERE, &idb);
	if (error != 0)
		goto out_a;
	error = connect_to(b, idb, "x", THERE);
	if (error == 0)
		error = accept_one(a, ida, THERE);
	if (error == 0)
		error = seal(a, ida, 1, 0, 4);
	if (error == 0)
		error = put(a, HERE + 1, 7);
	if (error == 0)
		error = drop(a, ida, 0);
	cr_assert_eq(close_it(b, idb), 0);
out_a:
	cr_assert_eq(close_it(a, ida), 0);
	return error;
}

Test(channel, allocation_fails_at_any_step)
{
	struct guest *a, *b;
	int64_t error;
	int n = 0;

	begin();
	a = new_guest(1);
	b = new_guest(2);
	/* Some can be done without; it ends when there were fewer than n. */
	do {
		cr_assert_lt(n, 1000);
		allocations = n;
		uvm_fault_hook = fail_allocation;
		error = round_of(a, b);
		uvm_fault_hook = NULL;
		cr_assert(error == 0 || error == -ENOMEM, "%jd", (intmax_t)error);
		cr_assert_eq(endpoints(), 0);
		sound();
	} while (allocations < 0 && ++n);
	cr_assert_eq(error, 0);
	cr_assert_gt(n, 50, "only %d", n);
	end_guest(a);
	end_guest(b);
	end();
}
#endif
