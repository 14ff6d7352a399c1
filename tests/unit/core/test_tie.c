/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/core/tie.c hv/pmap/pmap_soft.c hv/xen/evtchn.c hv/xen/evtchn_host.c hv/lib/sys.c $(UVM_SRCS) */
/*
 * Offers and windows that end with a port.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/guest.h"
#include "pmap/pmap_soft.h"
#include "uvm/uvm_audit.h"
#include "xen/public.h"

#define RAM 8u
#define ROOM 8u
#define SPACE (RAM + ROOM)

static struct guest *lender, *borrower;

/* RAM, and behind it room for windows. */
static struct guest *new_guest(uint32_t domid)
{
	const struct uvm_maprange range = {.mr_gfn = 0, .mr_npages = SPACE};
	struct soft_store *ss = soft_store_create(SPACE, 4, domid);
	struct soft_pmap *sp = soft_pmap_create(SPACE);
	struct guest *g = calloc(1, sizeof(*g));

	cr_assert(g != NULL && ss != NULL && sp != NULL);
	g->g_domid = domid;
	g->g_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_eq(evtchn_domain_add(&g->g_events, domid, g->g_event, 1), 0);
	g->g_map = uvm_map_create(&sp->sp_pmap, &ss->ss_store, domid, &range, 1);
	cr_assert(g->g_map != NULL);
	cr_assert_eq(uvm_map_enter_ram(g->g_map, 0, RAM), 0);
	soft_pmap_map_ram(sp, &ss->ss_store, 0, 0, RAM);
	uvm_store_rele(&ss->ss_store);
	return g;
}

/* As guest.c does it. */
static void end_guest(struct guest *g)
{
	struct soft_pmap *sp = (struct soft_pmap *)((char *)g->g_map->vm_pmap -
						    offsetof(struct soft_pmap, sp_pmap));

	sp->sp_gone = true;
	tie_guest_gone(g);
	cr_assert_eq(g->g_ties.to_count, 0);
	evtchn_domain_remove(&g->g_events);
	uvm_ledger_guest_gone(g->g_map);
	soft_pmap_destroy(sp);
	close(g->g_event);
	free(g);
}

static void begin(void)
{
	cr_assert_eq(uvm_loan_init(), 0);
	uvm_world_enter();
	lender = new_guest(1);
	borrower = new_guest(2);
}

static void end(void)
{
	struct uvm_account ac;

	uvm_world_leave();
	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	uvm_world_enter();
	end_guest(borrower);
	end_guest(lender);
	uvm_world_leave();
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
}

static uint64_t lend(uint64_t gfn)
{
	const struct uvm_offer_terms terms = {
	    .ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id;

	cr_assert_eq(uvm_ledger_lend(lender->g_map, gfn, 1, &terms, &id), 0);
	return id;
}

static uint32_t new_port(struct guest *g)
{
	struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

	cr_assert_eq(evtchn_op(&g->g_events, EVTCHNOP_alloc_unbound, &op, sizeof(op)), 0);
	return op.port;
}

static int tie(struct guest *g, uint16_t kind, uint64_t what, uint32_t port)
{
	return tie_op(g, &(const struct loan_tie){.kind = kind, .what = what, .port = port});
}

static bool offered(uint64_t id)
{
	struct uvm_offer_info oi;

	return uvm_ledger_query(1, id, &oi) == 0 && !oi.oi_recalled;
}

Test(tie, what_is_tied_ends_with_its_port_only)
{
	uint32_t port[2];
	uint64_t id[2];

	begin();
	for (unsigned i = 0; i < 2; i++) {
		id[i] = lend(i);
		port[i] = new_port(lender);
		cr_assert_eq(tie(lender, LOAN_TIE_OFFER, id[i], port[i]), 0);
	}
	cr_assert_eq(tie_ports_close(lender, port[1] + 1, port[1] + 1), 0);
	cr_assert(offered(id[0]) && offered(id[1]));
	cr_assert_eq(tie_ports_close(lender, port[1], port[1]), 0);
	cr_assert(offered(id[0]) && !offered(id[1]));
	cr_assert_eq(lender->g_ties.to_count, 1);
	/* Tied once more, it is tied to the new port. */
	cr_assert_eq(tie(lender, LOAN_TIE_OFFER, id[0], port[1]), 0);
	cr_assert_eq(lender->g_ties.to_count, 1);
	cr_assert_eq(tie_ports_close(lender, port[0], port[0]), 0);
	cr_assert(offered(id[0]));
	cr_assert_eq(tie_ports_close(lender, port[1], port[1]), 0);
	cr_assert(!offered(id[0]));
	end();
}

Test(tie, windows_are_returned_and_forgotten_ones_stay)
{
	uint64_t id;
	uint32_t port;

	begin();
	id = lend(0);
	port = new_port(borrower);
	for (uint64_t gfn = RAM; gfn < RAM + 3; gfn++)
		cr_assert_eq(uvm_ledger_borrow(borrower->g_map, id, 0, 1, gfn), 0);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM, port), 0);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM + 1, port), 0);
	tie_forget(borrower, LOAN_TIE_WINDOW, RAM + 1);
	tie_forget(borrower, LOAN_TIE_WINDOW, RAM + 2);
	cr_assert_eq(tie_ports_close(borrower, port, port), 0);
	cr_assert(!uvm_ledger_window_p(borrower->g_map, RAM));
	cr_assert(uvm_ledger_window_p(borrower->g_map, RAM + 1));
	cr_assert(uvm_ledger_window_p(borrower->g_map, RAM + 2));
	end();
}

/* However much is tied, a call does a part; and a reset closes all ports. */
Test(tie, much_ends_in_parts)
{
	uint32_t port[2];
	uint64_t id = 0;

	begin();
	for (unsigned i = 0; i < 2; i++)
		port[i] = new_port(lender);
	for (unsigned i = 0; i < 2 * TIE_PART + 1; i++) {
		id = lend(0);
		cr_assert_eq(tie(lender, LOAN_TIE_OFFER, id, port[i % 2]), 0);
	}
	cr_assert_eq(tie_ports_close(lender, 1, UINT32_MAX), -ERESTART);
	cr_assert_eq(lender->g_ties.to_count, TIE_PART + 1);
	cr_assert(offered(id));
	cr_assert_eq(tie_ports_close(lender, 1, UINT32_MAX), -ERESTART);
	cr_assert_eq(tie_ports_close(lender, 1, UINT32_MAX), 0);
	cr_assert(!offered(id) && lender->g_ties.to_count == 0);
	cr_assert_eq(tie_ports_close(lender, 1, UINT32_MAX), 0);
	end();
}

Test(tie, only_what_is_ones_own_and_there_to_a_port_that_waits)
{
	struct evtchn_bind_virq virq = {.virq = LOMBARD_VIRQ_LOAN};
	uint64_t id, windows;
	uint32_t port;

	begin();
	id = lend(0);
	port = new_port(borrower);
	cr_assert_eq(tie(borrower, LOAN_TIE_OFFER, id, port), -ENOENT);
	cr_assert_eq(tie(borrower, LOAN_TIE_OFFER, id + 1, port), -ENOENT);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM, port), -ENOENT);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, 0, port), -ENOENT); /* RAM */
	cr_assert_eq(uvm_ledger_borrow(borrower->g_map, id, 0, 1, RAM), 0);
	cr_assert_eq(tie(borrower, 0, RAM, port), -EINVAL);
	cr_assert_eq(tie(borrower, 3, RAM, port), -EINVAL);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM, port + 1), -EINVAL);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM, 0), -EINVAL);
	cr_assert_eq(evtchn_op(&borrower->g_events, EVTCHNOP_bind_virq, &virq, sizeof(virq)), 0);
	cr_assert_eq(tie(borrower, LOAN_TIE_WINDOW, RAM, virq.port), -EINVAL);
	cr_assert_eq(tie_op(borrower,
			 &(const struct loan_tie){
			     .kind = LOAN_TIE_WINDOW, .what = RAM, .port = port, .pad = 1}),
	    -EINVAL);
	cr_assert_eq(borrower->g_ties.to_count, 0);
	/* A recalled offer that has windows is found, but there is nothing to recall any more. */
	cr_assert_eq(uvm_ledger_recall(1, id, &windows), 0);
	cr_assert_eq(tie(lender, LOAN_TIE_OFFER, id, new_port(lender)), -ENOENT);
	end();
}

Test(tie, limit)
{
	struct loan_tie op = {.kind = LOAN_TIE_WINDOW, .what = RAM};
	uint64_t id;

	begin();
	id = lend(0);
	cr_assert_eq(uvm_ledger_borrow(borrower->g_map, id, 0, 1, RAM), 0);
	op.port = new_port(borrower);
	borrower->g_ties.to_count = LOAN_MAX_TIES;
	cr_assert_eq(tie_op(borrower, &op), -ENOSPC);
	borrower->g_ties.to_count = LOAN_MAX_TIES - 1;
	cr_assert_eq(tie_op(borrower, &op), 0);
	cr_assert_eq(tie_op(borrower, &op), 0); /* no new one */
	borrower->g_ties.to_count = 1;
	end();
}
