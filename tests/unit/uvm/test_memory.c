/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include "uvm/uvm_alloc.h"

static struct uvm_page *wired(struct guest *g, uint64_t gfn)
{
	struct uvm_page *pg = NULL;

	LV_OK(uvm_map_wire(g->map, gfn, &pg));
	return pg;
}

static void fill(struct guest *g, uint64_t gfn, uint64_t n)
{
	for (uint64_t i = gfn; i < gfn + n; i++)
		LV_OK(guest_fill(g, i, 100 + i));
}

/* A guest's memory becomes resident without anybody being told; lending and auditing find out. */
LvTest(uvm_memory, learn_finds_exactly_what_the_guest_touched)
{
	struct guest *a = lv_guest(64, 8);

	LV_OK(guest_fill(a, 3, 1));
	LV_OK(guest_fill(a, 4, 2));
	LV_OK(guest_fill(a, 63, 3));
	cr_assert_null(lv_anon(a, 3));
	LV_OK(uvm_map_learn(a->map));
	for (uint64_t i = 0; i < 64; i++)
		cr_assert_eq(lv_anon(a, i) != NULL, i == 3 || i == 4 || i == 63);
	cr_assert_eq(lv_page(a, 3)->pg_index, 3, "the frame is where the guest has it");
	cr_assert(!lv_page(a, 3)->pg_protected);
	cr_assert(guest_holds(a, 3, 1) && guest_holds(a, 4, 2) && guest_holds(a, 63, 3));
	LV_OK(uvm_map_learn(a->map));
	cr_assert_eq(a->store->ss_store.st_nframes, 3);
	cr_assert_eq(lv_frames(a).fr_owned, 3);
}

LvTest(uvm_memory, learn_without_memory_leaves_the_page_as_it_is)
{
	struct guest *a = lv_guest(8, 8);
	struct uvm_account ac;

	LV_OK(guest_fill(a, 3, 1));
	uvm_world_leave();
	LV_OK(uvm_account(&ac, NULL, NULL));
	cr_assert(ac.ac_equal, "an account learns first");
	cr_assert_eq(ac.ac_all.fr_owned, 1);
	uvm_world_enter();
	cr_assert(guest_holds(a, 3, 1));
}

/* The kernel may leave memory where there was a frame, or put some there with a huge page. */
LvTest(uvm_memory, account_gives_back_memory_at_a_home_that_the_page_has_left)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_account ac;
	uint64_t id, windows;

	fill(a, 0, 3);
	id = lv_lend(a, 0, 2, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
	LV_OK(guest_fill(a, 0, 7));
	LV_OK(guest_fill(a, 1, 8));
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_neq(lv_page(a, 0)->pg_index, 0);
	(void)a->store->ss_store.st_ops->so_kva(&a->store->ss_store, 0);
	(void)a->store->ss_store.st_ops->so_kva(&a->store->ss_store, 1);
	cr_assert_eq(a->store->ss_store.st_ops->so_blocks(&a->store->ss_store), 5);
	lv_account(&ac);
	cr_assert(ac.ac_equal);
	cr_assert_eq(ac.ac_kernel_pages, 3);
	cr_assert(guest_holds(a, 0, 7) && guest_holds(a, 1, 8) && guest_holds(a, 2, 102));
}

/* seed: write fault of an owner after all loans ended: un-protect, run by run */
LvTest(uvm_memory, thaw_takes_one_call_for_each_contiguous_range)
{
	struct guest *a = lv_guest(64, 8);
	uint64_t id, other, windows, before;

	fill(a, 0, 64);
	id = lv_lend(a, 0, 64, UVM_LOAN_TOPAGE, 2);
	cr_assert_eq(a->pmap->sp_protects, 1, "one range, one call");
	other = lv_lend(a, 20, 4, UVM_LOAN_TOPAGE, 2);
	cr_assert_eq(a->pmap->sp_protects, 1, "protected already");
	before = a->pmap->sp_unprotects;
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(a->pmap->sp_unprotects - before, 2, "before and after what is still lent");
	LV_OK(uvm_ledger_recall(1, other, &windows));
	cr_assert_eq(a->pmap->sp_unprotects - before, 3);
	for (uint64_t i = 0; i < 64; i++)
		cr_assert(!lv_page(a, i)->pg_protected);
	LV_OK(guest_fill(a, 5, 7));
	cr_assert_eq(a->map->vm_stats.ms_faults, 0, "all writable again");
}

LvTest(uvm_memory, protect_takes_one_call_for_each_contiguous_range)
{
	struct guest *a = lv_guest(16, 8);
	uint64_t id, windows;

	fill(a, 0, 4);
	fill(a, 8, 4); /* 4 .. 7 were never touched: they lend the zero frame */
	id = lv_lend(a, 0, 12, UVM_LOAN_TOPAGE, 2);
	cr_assert_eq(a->pmap->sp_protects, 2);
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(a->pmap->sp_unprotects, 2);
}

/* The last one to let go thaws, be it the offer, a window or a host program. */
LvTest(uvm_memory, last_return_thaws_the_lender)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_hostloan *hl;
	uint64_t id, windows;

	fill(a, 0, 4);
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 0, 4, kind, UVM_DOMID_ANY);
		LV_OK(uvm_ledger_borrow(b->map, id, 1, 2, 8));
		LV_OK(uvm_ledger_recall(1, id, &windows));
		cr_assert(!lv_page(a, 0)->pg_protected && lv_page(a, 1)->pg_protected);
		LV_OK(uvm_ledger_return(b->map, 8));
		cr_assert(!lv_page(a, 1)->pg_protected && !lv_page(a, 2)->pg_protected);
		id = lv_lend(a, 0, 4, kind, UVM_DOMID_ANY);
		LV_OK(uvm_ledger_host_borrow(id, &hl));
		LV_OK(uvm_ledger_recall(1, id, &windows));
		cr_assert(lv_page(a, 3)->pg_protected);
		uvm_hostloan_return(hl);
		cr_assert(!lv_page(a, 3)->pg_protected);
	}
}

/* Regression: thaw stopped at the first page of the range that is not mapped any more. */
LvTest(uvm_memory, thaw_goes_on_behind_a_hole)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t lent, id, windows;

	fill(b, 0, 2);
	lent = lv_lend(b, 0, 2, UVM_LOAN_TOANON, 1);
	LV_OK(uvm_ledger_borrow(a->map, lent, 0, 1, 8));
	LV_OK(uvm_ledger_borrow(a->map, lent, 1, 1, 9));
	LV_OK(guest_fill(a, 9, 3));
	id = lv_lend(a, 8, 2, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
	LV_OK(uvm_ledger_return(a->map, 8));
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert(!lv_page(a, 9)->pg_protected);
}

LvTest(uvm_memory, write_thaws_the_pages_after_it_too)
{
	struct guest *a = lv_guest(600, 8), *b = lv_guest(8, 600);
	uint64_t id, windows, before;

	fill(a, 0, 600);
	id = lv_lend(a, 0, 600, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 600, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	lv_kill(b); /* its windows thaw the lender */
	id = lv_lend(a, 0, 600, UVM_LOAN_TOANON, UVM_DOMID_ANY);
	b = lv_guest(8, 600);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 600, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	for (uint64_t i = 0; i < 600; i++)
		LV_OK(guest_fill(b, 8 + i, 1)); /* the borrower breaks: the lender is alone again */
	before = a->pmap->sp_unprotects;
	for (uint64_t i = 0; i < 600; i++)
		LV_OK(guest_fill(a, i, 2));
	cr_assert_eq(a->pmap->sp_unprotects - before, 2, "512 pages at once");
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

/* seed: wired page: loan refused; and in every order with loans */
LvTest(uvm_memory, wire_makes_a_page_own_and_not_lendable)
{
	struct guest *a = lv_guest(8, 8);
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	struct uvm_page *pg = wired(a, 2);
	uint64_t id;

	cr_assert_eq(pg, lv_page(a, 2));
	cr_assert_eq(lv_frames(a).fr_wired, 1);
	page_fill(uvm_page_kva(pg), 4);
	cr_assert(guest_holds(a, 2, 4), "what a device writes, the guest reads");
	LV_FAILS(uvm_ledger_lend(a->map, 0, 4, &terms, &id), EBUSY);
	uvm_map_unwire(a->map, pg);
	LV_OK(uvm_ledger_lend(a->map, 0, 4, &terms, &id));
}

LvTest(uvm_memory, wire_counts)
{
	struct guest *a = lv_guest(8, 8);
	struct uvm_page *pg = wired(a, 2);

	cr_assert_eq(wired(a, 2), pg);
	uvm_map_unwire(a->map, pg);
	LV_FAILS(uvm_map_discard(a->map, 0, 8), EBUSY);
	uvm_map_unwire(a->map, pg);
	LV_OK(uvm_map_discard(a->map, 0, 8));
}

LvTest(uvm_memory, wire_of_a_lent_page_breaks_the_loan_first)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_page *pg;
	uint64_t id;

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_OK(guest_fill(a, 0, 7));
		id = lv_lend(a, 0, 1, kind, 2);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
		pg = wired(a, 0);
		page_fill(uvm_page_kva(pg), 9);
		cr_assert(guest_holds(b, 8, 7) && guest_holds(a, 0, 9));
		lv_check();
		uvm_map_unwire(a->map, pg);
		LV_OK(uvm_ledger_return(b->map, 8));
	}
}

LvTest(uvm_memory, wire_of_what_is_no_memory_fails)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_page *pg = NULL;
	uint64_t id = lv_lend(b, 0, 1, UVM_LOAN_TOPAGE, 1);

	LV_OK(uvm_ledger_borrow(a->map, id, 0, 1, 8));
	LV_FAILS(uvm_map_wire(a->map, 8, &pg), EINVAL);
	LV_FAILS(uvm_map_wire(a->map, 9, &pg), EFAULT);
	cr_assert_null(pg);
}

/* Regression: returning a window with a wired page ended the core. */
LvTest(uvm_memory, window_with_a_wired_page_cannot_be_returned)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_page *pg;
	uint64_t id;

	LV_OK(guest_fill(a, 1, 5));
	id = lv_lend(a, 0, 2, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
	pg = wired(b, 9);
	LV_FAILS(uvm_ledger_return(b->map, 8), EBUSY);
	cr_assert(guest_holds(b, 9, 5));
	uvm_map_unwire(b->map, pg);
	LV_OK(uvm_ledger_return(b->map, 8));
}

LvTest(uvm_memory, discard_gives_memory_back_and_zeroes_come)
{
	struct guest *a = lv_guest(8, 8);

	fill(a, 0, 8);
	LV_OK(uvm_map_discard(a->map, 2, 3));
	cr_assert_eq(lv_frames(a).fr_owned, 5);
	for (uint64_t i = 0; i < 8; i++)
		cr_assert(guest_holds(a, i, i >= 2 && i < 5 ? 0 : 100 + i));
	LV_OK(guest_fill(a, 3, 9));
	cr_assert(guest_holds(a, 3, 9));
}

/* seed: owner frees a page on loan: orphan */
LvTest(uvm_memory, discard_of_a_lent_page_makes_an_orphan)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id, windows;

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		uint64_t broken = a->map->vm_stats.ms_broken[UVM_BREAK_FREE];

		fill(a, 0, 2);
		id = lv_lend(a, 0, 2, kind, 2);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
		LV_OK(uvm_map_discard(a->map, 0, 2));
		cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_FREE] - broken, 2);
		cr_assert(guest_holds(b, 8, 100) && guest_holds(b, 9, 101));
		cr_assert(guest_holds(a, 0, 0));
		LV_OK(guest_fill(a, 0, 1)); /* its home is still taken by the orphan */
		cr_assert(guest_holds(b, 8, 100));
		lv_check();
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_OK(uvm_ledger_recall(1, id, &windows));
	}
}

LvTest(uvm_memory, discard_refuses_what_is_not_all_own_memory)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id = lv_lend(b, 0, 2, UVM_LOAN_TOANON, 1);
	struct uvm_page *pg;

	fill(a, 0, 8);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 2, 8));
	LV_FAILS(uvm_map_discard(a->map, 0, 0), EINVAL);
	LV_FAILS(uvm_map_discard(a->map, 4, 6), EINVAL);
	LV_FAILS(uvm_map_discard(a->map, 8, 1), EINVAL);
	LV_FAILS(uvm_map_discard(a->map, 12, 1), EINVAL);
	LV_FAILS(uvm_map_discard(a->map, 1, UINT64_MAX), EINVAL);
	pg = wired(a, 5);
	LV_FAILS(uvm_map_discard(a->map, 3, 4), EBUSY);
	for (uint64_t i = 0; i < 8; i++)
		cr_assert(guest_holds(a, i, 100 + i));
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_memory, discard_of_an_object_s_page_shows_the_object_again)
{
	struct guest *a = lv_guest(8, 8);
	struct test_object *to = test_object_create(4, 1);

	LV_OK(uvm_map_enter_object(a->map, 8, 4, &to->to_object, 0));
	LV_OK(guest_fill(a, 9, 77));
	LV_OK(uvm_map_discard(a->map, 9, 1));
	cr_assert(guest_holds(a, 9, 2));
	uvm_object_rele(&to->to_object);
}

static struct guest *touching;

/* The guest touches page 3 for the first time while it is being unmapped. */
static int touch_meanwhile(void)
{
	struct uvm_store *st = &touching->store->ss_store;

	page_fill(st->st_ops->so_kva(st, 3), 9);
	return 0;
}

LvTest(uvm_memory, discard_takes_what_was_touched_to_the_last_moment)
{
	struct guest *a = touching = lv_guest(8, 8);

	LV_OK(guest_fill(a, 2, 1));
	a->pmap->sp_fail = touch_meanwhile;
	LV_OK(uvm_map_discard(a->map, 2, 2));
	a->pmap->sp_fail = NULL;
	cr_assert_eq(a->store->ss_store.st_ops->so_blocks(&a->store->ss_store), 0);
	cr_assert(guest_holds(a, 3, 0));
}

LvTest(uvm_memory, discard_that_cannot_unmap_changes_nothing)
{
	struct guest *a = lv_guest(8, 8);

	fill(a, 0, 4);
	a->pmap->sp_gone = true;
	LV_FAILS(uvm_map_discard(a->map, 0, 4), ESRCH);
	a->pmap->sp_gone = false;
	for (uint64_t i = 0; i < 4; i++)
		cr_assert(guest_holds(a, i, 100 + i));
}

LvDeath(uvm_memory_death, unwire_of_a_page_not_wired, "nwired > 0")
{
	struct guest *a = lv_guest(8, 8);

	LV_OK(guest_fill(a, 0, 1));
	LV_OK(uvm_map_learn(a->map));
	uvm_map_unwire(a->map, lv_page(a, 0));
}
