/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lending a guest's pages: uvm_loan and uvm_unloan by themselves.  The auditor knows the loans of
 * the ledger only, so each test returns what it lent before its body ends.
 */
#include "lvtest.h"

static struct guest *a;

static void guest_with_tags(uint64_t ram, uint64_t window)
{
	a = lv_guest(ram, window);
	for (unsigned i = 0; i < ram; i++)
		LV_OK(guest_fill(a, i, 100 + i));
}

static bool loan_holds(const union uvm_loaned *loan, enum uvm_loan_kind kind, uint64_t tag)
{
	struct uvm_page *pg = kind == UVM_LOAN_TOANON ? loan->anon->an_page : loan->page;

	return page_holds(uvm_page_kva(pg), tag);
}

/* seed: uvm_loan, uvm_loanentry: a range of one entry */
LvTest(uvm_loan, range_to_page_is_frozen)
{
	union uvm_loaned l[8];

	guest_with_tags(8, 8);
	LV_OK(uvm_loan(a->map, 0, 8, UVM_LOAN_TOPAGE, l));
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_eq(l[i].page, lv_page(a, i));
		cr_assert_eq(uvm_page_loans(l[i].page), 1);
		LV_OK(guest_fill(a, i, 200 + i));
		cr_assert(loan_holds(&l[i], UVM_LOAN_TOPAGE, 100 + i));
	}
	cr_assert_eq(a->map->vm_stats.ms_loans_made, 8);
	uvm_unloan(l, 8, UVM_LOAN_TOPAGE);
	for (unsigned i = 0; i < 8; i++)
		cr_assert(l[i].page == NULL && guest_holds(a, i, 200 + i));
}

LvTest(uvm_loan, range_to_anon_is_frozen)
{
	union uvm_loaned l[8];

	guest_with_tags(8, 8);
	LV_OK(uvm_loan(a->map, 0, 8, UVM_LOAN_TOANON, l));
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_eq(l[i].anon, lv_anon(a, i));
		cr_assert_eq(uvm_anon_refs(l[i].anon), 2);
		LV_OK(guest_fill(a, i, 200 + i));
		cr_assert_neq(lv_anon(a, i), l[i].anon, "the writer got an anon of its own");
		cr_assert(loan_holds(&l[i], UVM_LOAN_TOANON, 100 + i));
	}
	uvm_unloan(l, 8, UVM_LOAN_TOANON);
}

/*
 * seed: uvm_loan across entries: RAM, an object's pages (some with an anon above them), a borrowed
 * copy-on-write window; then a hole.
 */
static struct test_object *across_entries(void)
{
	struct test_object *to = test_object_create(4, 50);
	struct guest *b = lv_guest(4, 4);
	uint64_t id;

	guest_with_tags(4, 16);
	LV_OK(uvm_map_enter_object(a->map, 4, 4, &to->to_object, 0));
	LV_OK(guest_fill(a, 5, 300));
	for (unsigned i = 0; i < 2; i++)
		LV_OK(guest_fill(b, i, 400 + i));
	id = lv_lend(b, 0, 2, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 2, 8));
	LV_OK(guest_fill(a, 9, 500));
	uvm_object_rele(&to->to_object);
	return to;
}

LvTest(uvm_loan, range_across_entries_takes_anon_then_object)
{
	static const uint64_t tags[10] = {100, 101, 102, 103, 50, 300, 52, 53, 400, 500};
	union uvm_loaned l[10];

	(void)across_entries();
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_OK(uvm_loan(a->map, 0, 10, kind, l));
		for (unsigned i = 0; i < 10; i++) {
			cr_assert(loan_holds(&l[i], kind, tags[i]), "page %u", i);
			LV_OK(guest_fill(a, i, 1));
			cr_assert(loan_holds(&l[i], kind, tags[i]));
			LV_OK(guest_fill(a, i, tags[i]));
		}
		uvm_unloan(l, 10, kind);
		lv_check();
	}
}

LvTest(uvm_loan, hole_at_the_end_undoes_everything)
{
	union uvm_loaned l[11];
	struct test_object *to = across_entries();

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_FAILS(uvm_loan(a->map, 0, 11, kind, l), EFAULT);
		for (unsigned i = 0; i < 11; i++)
			cr_assert_null(l[i].page);
		for (unsigned i = 0; i < 4; i++) {
			cr_assert(!lv_page(a, i)->pg_protected);
			cr_assert_eq(uvm_page_loans(lv_page(a, i)), 0);
			cr_assert_eq(uvm_anon_refs(lv_anon(a, i)), 1);
		}
		cr_assert_eq(uvm_page_loans(lv_object_page(to, 0)), 0);
		cr_assert_eq(a->map->vm_stats.ms_loans_made, 0);
		lv_check();
	}
}

LvTest(uvm_loan, bad_ranges_are_refused)
{
	union uvm_loaned l[2];

	guest_with_tags(4, 4);
	LV_FAILS(uvm_loan(a->map, 0, 0, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan(a->map, UINT64_MAX, 2, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan(a->map, 4, 2, UVM_LOAN_TOPAGE, l), EFAULT);
	LV_FAILS(uvm_loan(a->map, 1000, 2, UVM_LOAN_TOANON, l), EFAULT);
}

/* seed: uvm_loananon: wired -> refused, and what was lent before it is taken back */
LvTest(uvm_loan, wired_page_refuses_the_range)
{
	union uvm_loaned l[4];
	struct uvm_page *pg;

	guest_with_tags(4, 4);
	LV_OK(uvm_map_wire(a->map, 2, &pg));
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_FAILS(uvm_loan(a->map, 0, 4, kind, l), EBUSY);
		lv_check();
		cr_assert_eq(uvm_page_loans(lv_page(a, 0)), 0);
	}
	uvm_map_unwire(a->map, pg);
	LV_OK(uvm_loan(a->map, 0, 4, UVM_LOAN_TOANON, l));
	uvm_unloan(l, 4, UVM_LOAN_TOANON);
}

/* seed: uvm_loananon to page: protect on the first loan, count on the others */
LvTest(uvm_loan, first_loan_protects_later_ones_count)
{
	union uvm_loaned l[3];

	guest_with_tags(1, 1);
	for (unsigned i = 0; i < 3; i++) {
		LV_OK(uvm_loan(a->map, 0, 1, i == 1 ? UVM_LOAN_TOANON : UVM_LOAN_TOPAGE, &l[i]));
		cr_assert_eq(a->pmap->sp_protects, 1);
	}
	cr_assert_eq(uvm_page_loans(l[0].page), 2);
	cr_assert_eq(uvm_anon_refs(l[1].anon), 2);
	cr_assert(!a->pmap->sp_ptes[0].writable);
	for (unsigned i = 0; i < 3; i++)
		uvm_unloan(&l[i], 1, i == 1 ? UVM_LOAN_TOANON : UVM_LOAN_TOPAGE);
	LV_OK(guest_fill(a, 0, 9));
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

/* seed: uvm_unloan, uvm_unloanpage, uvm_unloananon: in any order, whatever the owner does in between */
LvTest(uvm_loan, unloan_in_every_order_frees_the_orphan_with_the_last)
{
	static const uint8_t orders[6][3] = {
	    {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	union uvm_loaned l[3];

	for (unsigned o = 0; o < 6; o++) {
		guest_with_tags(1, 1);
		for (unsigned i = 0; i < 3; i++)
			LV_OK(uvm_loan(
			    a->map, 0, 1, i == 2 ? UVM_LOAN_TOANON : UVM_LOAN_TOPAGE, &l[i]));
		LV_OK(uvm_map_discard(a->map, 0, 1));
		for (unsigned i = 0; i < 3; i++) {
			unsigned k = orders[o][i];

			cr_assert_eq(a->store->ss_store.st_nframes, 1);
			cr_assert(
			    loan_holds(&l[k], k == 2 ? UVM_LOAN_TOANON : UVM_LOAN_TOPAGE, 100));
			uvm_unloan(&l[k], 1, k == 2 ? UVM_LOAN_TOANON : UVM_LOAN_TOPAGE);
		}
		cr_assert_eq(a->store->ss_store.st_nframes, 0);
		lv_kill(a);
	}
}

LvTest(uvm_loan, unloan_skips_what_is_null)
{
	union uvm_loaned l[4];

	guest_with_tags(4, 4);
	LV_OK(uvm_loan(a->map, 0, 4, UVM_LOAN_TOPAGE, l));
	uvm_unloan(&l[1], 2, UVM_LOAN_TOPAGE);
	uvm_unloan(l, 4, UVM_LOAN_TOPAGE);
	uvm_unloan(l, 4, UVM_LOAN_TOPAGE);
	uvm_unloan(l, 4, UVM_LOAN_TOANON);
}

/* More pages than are counted with the queue lock held in one go. */
LvTest(uvm_loan, long_range_goes_in_batches)
{
	static union uvm_loaned l[200], again[200];

	guest_with_tags(200, 4);
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_OK(uvm_loan(a->map, 0, 200, kind, l));
		uvm_loan_again(l, 200, kind, again);
		uvm_unloan(l, 200, kind);
		for (unsigned i = 0; i < 200; i++)
			cr_assert(loan_holds(&again[i], kind, 100 + i));
		uvm_unloan(again, 200, kind);
	}
}

/* seed: uvm_unloan of an orphan: owner gone, from both sides */
LvTest(uvm_loan, loans_outlive_the_lender)
{
	union uvm_loaned page, anon;
	struct uvm_store *st;

	guest_with_tags(2, 2);
	st = &a->store->ss_store;
	uvm_store_ref(st);
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &page));
	LV_OK(uvm_loan(a->map, 1, 1, UVM_LOAN_TOANON, &anon));
	lv_kill(a);
	cr_assert_eq(st->st_nframes, 2);
	cr_assert(loan_holds(&page, UVM_LOAN_TOPAGE, 100));
	cr_assert(loan_holds(&anon, UVM_LOAN_TOANON, 101));
	cr_assert_eq(st->st_ops->so_blocks(st), 2);
	uvm_unloan(&page, 1, UVM_LOAN_TOPAGE);
	uvm_unloan(&anon, 1, UVM_LOAN_TOANON);
	cr_assert_eq(st->st_nframes, 0);
	uvm_store_rele(st);
}

LvTest(uvm_loan, window_can_be_lent_on_to_page_only)
{
	struct guest *b = lv_guest(4, 4);
	union uvm_loaned l[2];
	uint64_t id;

	guest_with_tags(4, 4); /* domid 2 */
	LV_OK(guest_fill(b, 1, 7));
	id = lv_lend(b, 0, 2, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 2, 4));
	LV_FAILS(uvm_loan(a->map, 4, 2, UVM_LOAN_TOANON, l), EINVAL);
	LV_FAILS(uvm_loan(a->map, 3, 2, UVM_LOAN_TOANON, l), EINVAL);
	lv_check();
	LV_OK(uvm_loan(a->map, 4, 2, UVM_LOAN_TOPAGE, l));
	lv_kill(b);
	LV_OK(uvm_ledger_return(a->map, 4));
	cr_assert(loan_holds(&l[1], UVM_LOAN_TOPAGE, 7));
	uvm_unloan(l, 2, UVM_LOAN_TOPAGE);
}

static int protect_errors;

static int fail_protect(void)
{
	return protect_errors-- == 1 ? -EIO : 0;
}

/* Protection fails half way through a call: nobody may go on with a page that can be written. */
LvTest(uvm_loan, failed_protection_undoes_everything)
{
	union uvm_loaned l[8];

	guest_with_tags(8, 8);
	LV_OK(uvm_map_discard(a->map, 3, 1)); /* so that there are two runs */
	a->pmap->sp_fail = fail_protect;
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		for (int nth = 1; nth <= 2; nth++) {
			protect_errors = nth;
			LV_FAILS(uvm_loan(a->map, 0, 8, kind, l), EIO);
			lv_check();
			for (unsigned i = 0; i < 8; i++)
				cr_assert(i == 3 || (!lv_page(a, i)->pg_protected &&
							a->pmap->sp_ptes[i].writable));
		}
	}
	a->pmap->sp_fail = NULL;
	LV_OK(guest_fill(a, 7, 1));
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

LvDeath(uvm_loan_death, unknown_kind, "kind == UVM_LOAN_TOPAGE")
{
	union uvm_loaned l;

	guest_with_tags(1, 1);
	(void)uvm_loan(a->map, 0, 1, 3, &l);
}

LvDeath(uvm_loan_death, page_returned_twice, "uvm_page_loans(pg) > 0")
{
	union uvm_loaned l, copy;

	guest_with_tags(1, 1);
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &l));
	copy = l;
	uvm_unloan(&l, 1, UVM_LOAN_TOPAGE);
	uvm_unloan(&copy, 1, UVM_LOAN_TOPAGE);
}

LvDeath(uvm_loan_death, break_of_an_anon_without_its_lock, "uvm_lock_held(&an->an_lock)")
{
	union uvm_loaned l;

	guest_with_tags(1, 1);
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &l));
	uvm_loan_break_anon(lv_anon(a, 0), uvm_page_alloc(&a->store->ss_store, 0, 1));
}

LvDeath(uvm_loan_death, loan_again_of_a_page_not_on_loan, "uvm_page_loans")
{
	union uvm_loaned l, again;

	guest_with_tags(1, 1);
	LV_OK(uvm_map_learn(a->map));
	l.page = lv_page(a, 0);
	uvm_loan_again(&l, 1, UVM_LOAN_TOPAGE, &again);
}

/* The host's picture of a range with a wired page has a copy of it, which goes with the loan. */
LvTest(uvm_loan, picture_of_a_wired_page_is_a_copy)
{
	struct guest *g = lv_guest(8, 8);
	union uvm_loaned loans[3];
	struct uvm_page *wired;

	for (uint64_t i = 0; i < 3; i++)
		LV_OK(guest_fill(g, i, (unsigned)i + 1));
	LV_OK(uvm_map_wire(g->map, 1, &wired));
	LV_FAILS(uvm_loan(g->map, 0, 3, UVM_LOAN_TOPAGE, loans), EBUSY);
	LV_OK(uvm_loan_picture(g->map, 0, 3, loans));
	cr_assert_neq(loans[1].page, wired);
	cr_assert_eq(g->map->vm_stats.ms_copied, 1);
	LV_OK(guest_fill(g, 1, 9));
	cr_assert_eq(
	    memcmp(uvm_page_kva(loans[1].page), uvm_page_kva(wired), UVM_PAGE_SIZE) != 0, 1);
	uvm_unloan(loans, 3, UVM_LOAN_TOPAGE);
	uvm_map_unwire(g->map, wired);
}
