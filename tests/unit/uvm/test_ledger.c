/* SPDX-License-Identifier: BSD-2-Clause */
/* Offers and windows.  Host programs: test_ledger_host.c; guests that go: test_gone.c. */
#include "lvtest.h"

static struct guest *a, *b, *c; /* domids 1, 2, 3 */

/* Three guests; a's pages hold tags 100 and up. */
static void three(void)
{
	a = lv_guest(8, 16);
	b = lv_guest(8, 16);
	c = lv_guest(8, 16);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 100 + i));
}

static struct uvm_offer_info query(uint64_t id)
{
	struct uvm_offer_info info;

	LV_OK(uvm_ledger_query(UVM_DOMID_HOST, id, &info));
	return info;
}

LvTest(uvm_ledger, lend_to_oneself_or_of_nothing_is_refused)
{
	struct uvm_offer_terms terms = {.ot_borrower = 1, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id = 0;

	three();
	LV_FAILS(uvm_ledger_lend(a->map, 0, 1, &terms, &id), EINVAL);
	terms.ot_borrower = 2;
	LV_FAILS(uvm_ledger_lend(a->map, 0, 0, &terms, &id), EINVAL);
	LV_FAILS(uvm_ledger_lend(a->map, 20, 1, &terms, &id), EFAULT);
	LV_FAILS(uvm_ledger_lend(a->map, 4, 8, &terms, &id), EFAULT);
	cr_assert_neq(uvm_ledger_lend(a->map, UINT64_MAX, 2, &terms, &id), 0);
	cr_assert_eq(id, 0);
	cr_assert_eq(uvm_ledger_count(), 0);
	lv_check();
}

/* Regression: sizes of arrays overflowed. */
LvTest(uvm_ledger, lend_of_a_huge_range_is_refused)
{
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id = 0;

	three();
	for (unsigned bit = 8; bit < 64; bit++)
		LV_FAILS(uvm_ledger_lend(a->map, 0, (UINT64_C(1) << bit) + 1, &terms, &id), EFAULT);
	cr_assert_eq(uvm_ledger_count(), 0);
}

#define LONG (2 * UVM_LEND_PART + 5)

static const struct uvm_offer_terms long_terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};

/* Three parts; the first and the last page hold tags. */
static struct offer *begin_long(void)
{
	struct offer *of = NULL;

	a = lv_guest(LONG, 1);
	b = lv_guest(8, 16);
	LV_OK(guest_fill(a, 0, 100));
	LV_OK(guest_fill(a, LONG - 1, 101));
	LV_OK(uvm_ledger_lend_begin(a->map, 0, LONG, &long_terms, &of));
	return of;
}

/* Each page has the bytes of the moment at which it was lent, and nobody finds the offer before all are. */
LvTest(uvm_ledger, long_lend_is_done_in_parts)
{
	struct offer *of = begin_long();
	struct uvm_offer_info info;
	uint64_t id = 0, number = uvm_ledger_lend_id(of);

	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(uvm_ledger_lend_on(of, &id), -EINPROGRESS);
		LV_FAILS(uvm_ledger_query(UVM_DOMID_HOST, number, &info), ENOENT);
		LV_FAILS(uvm_ledger_next(2, 0, &info), ENOENT);
		LV_OK(guest_fill(a, 0, 200 + i));
		LV_OK(guest_fill(a, LONG - 1, 300 + i));
		lv_check();
	}
	cr_assert_eq(id, 0);
	LV_OK(uvm_ledger_lend_on(of, &id));
	cr_assert_eq(id, number);
	cr_assert_eq(query(id).oi_npages, LONG);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_OK(uvm_ledger_borrow(b->map, id, LONG - 1, 1, 9));
	cr_assert(guest_holds(b, 8, 100) && guest_holds(b, 9, 301));
	lv_check();
}

/* The last page can't be lent: then none is. */
LvTest(uvm_ledger, long_lend_that_fails_late_leaves_nothing)
{
	struct offer *of;
	struct uvm_page *pg;
	uint64_t id = 0;

	of = begin_long();
	LV_OK(uvm_map_wire(a->map, LONG - 1, &pg));
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(uvm_ledger_lend_on(of, &id), -EINPROGRESS);
	LV_FAILS(uvm_ledger_lend_on(of, &id), EBUSY);
	cr_assert_eq(id, 0);
	cr_assert(uvm_ledger_count() == 0 && a->map->vm_noffers == 0 && a->map->vm_offered == 0);
	cr_assert_eq(a->map->vm_stats.ms_loans_made, a->map->vm_stats.ms_loans_returned);
	LV_OK(guest_fill(a, 0, 200));
	cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 0, "it was on loan still");
	uvm_map_unwire(a->map, pg);
	lv_check();
}

LvTest(uvm_ledger, long_lend_can_be_dropped)
{
	struct offer *of = begin_long();
	uint64_t id;

	cr_assert_eq(uvm_ledger_lend_on(of, &id), -EINPROGRESS);
	uvm_ledger_lend_drop(of);
	cr_assert(uvm_ledger_count() == 0 && a->map->vm_noffers == 0);
	LV_OK(guest_fill(a, 0, 200));
	cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 0);
	lv_check();
}

LvTest(uvm_ledger, offer_is_described_to_those_it_concerns)
{
	const struct uvm_offer_terms terms = {
	    .ot_borrower = 2, .ot_kind = UVM_LOAN_TOANON, .ot_tag = 77};
	struct uvm_offer_info info;
	uint64_t id;

	three();
	LV_OK(uvm_ledger_lend(a->map, 2, 3, &terms, &id));
	for (uint32_t domid = 0; domid <= 2; domid++) {
		LV_OK(uvm_ledger_query(domid, id, &info));
		cr_assert(info.oi_id == id && info.oi_tag == 77 && info.oi_npages == 3);
		cr_assert(info.oi_bytes == 3 * UVM_PAGE_SIZE && info.oi_windows == 0);
		cr_assert(info.oi_lender == 1 && info.oi_borrower == 2 && !info.oi_recalled);
		cr_assert_eq(info.oi_kind, UVM_LOAN_TOANON);
	}
	LV_FAILS(uvm_ledger_query(3, id, &info), EPERM);
	LV_FAILS(uvm_ledger_query(2, id + 1, &info), ENOENT);
	LV_FAILS(uvm_ledger_query(2, 0, &info), ENOENT);
	LV_FAILS(uvm_ledger_query(0, UINT64_MAX, &info), ENOENT);
}

LvTest(uvm_ledger, next_finds_what_may_be_borrowed_in_order)
{
	struct uvm_offer_info info;
	uint64_t id[4], windows;

	three();
	id[0] = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	id[1] = lv_lend(a, 1, 1, UVM_LOAN_TOPAGE, 3);
	id[2] = lv_lend(a, 2, 1, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	id[3] = lv_lend(a, 3, 1, UVM_LOAN_TOPAGE, 2);
	cr_assert(id[0] < id[1] && id[1] < id[2] && id[2] < id[3]);
	LV_OK(uvm_ledger_next(2, 0, &info));
	cr_assert_eq(info.oi_id, id[0]);
	LV_OK(uvm_ledger_next(2, id[0], &info));
	cr_assert_eq(info.oi_id, id[2]);
	LV_OK(uvm_ledger_next(2, id[2], &info));
	cr_assert_eq(info.oi_id, id[3]);
	LV_FAILS(uvm_ledger_next(2, id[3], &info), ENOENT);
	LV_FAILS(uvm_ledger_next(2, UINT64_MAX, &info), ENOENT);
	LV_FAILS(uvm_ledger_next(1, 0, &info), ENOENT);
	LV_OK(uvm_ledger_next(UVM_DOMID_HOST, id[0], &info));
	cr_assert_eq(info.oi_id, id[1], "the host sees all");
	LV_OK(uvm_ledger_borrow(b->map, id[3], 0, 1, 8));
	LV_OK(uvm_ledger_recall(1, id[3], &windows));
	LV_FAILS(uvm_ledger_next(2, id[2], &info), ENOENT);
}

LvTest(uvm_ledger, borrow_answers_bad_requests_each_with_its_error)
{
	uint64_t id, other;

	three();
	id = lv_lend(a, 0, 4, UVM_LOAN_TOPAGE, 2);
	other = lv_lend(a, 0, 4, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	LV_FAILS(uvm_ledger_borrow(b->map, other + 1, 0, 1, 8), ENOENT);
	LV_FAILS(uvm_ledger_borrow(b->map, 0, 0, 1, 8), ENOENT);
	LV_FAILS(uvm_ledger_borrow(c->map, id, 0, 1, 8), EPERM);
	LV_FAILS(uvm_ledger_borrow(a->map, other, 0, 1, 8), EPERM);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 5, 8), ERANGE);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 4, 1, 8), ERANGE);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 0, 8), ERANGE);
	LV_FAILS(uvm_ledger_borrow(b->map, id, UINT64_MAX, 2, 8), ERANGE);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 1, UINT64_MAX, 8), ERANGE);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 1, 24), EINVAL);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 2, 23), EINVAL);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 2, UINT64_MAX), EINVAL);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 1, 0), EEXIST);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 1, 11), EEXIST);
	cr_assert_eq(query(id).oi_windows, 1);
	cr_assert_eq(uvm_ledger_count(), 3);
}

LvTest(uvm_ledger, offer_can_be_borrowed_in_parts_by_many)
{
	uint64_t id, windows;

	three();
	id = lv_lend(a, 0, 8, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	LV_OK(uvm_ledger_borrow(b->map, id, 2, 3, 8));
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 12));
	LV_OK(uvm_ledger_borrow(c->map, id, 7, 1, 20));
	cr_assert(guest_holds(b, 9, 103) && guest_holds(b, 12, 100) && guest_holds(c, 20, 107));
	cr_assert_eq(query(id).oi_windows, 3);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_FAILS(uvm_ledger_return(b->map, 8), ENOENT);
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(windows, 2);
	cr_assert(guest_holds(b, 19, 107) && guest_holds(c, 20, 107));
}

LvTest(uvm_ledger, return_of_what_is_no_window_is_refused)
{
	uint64_t id;

	three();
	id = lv_lend(a, 0, 4, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
	LV_FAILS(uvm_ledger_return(b->map, 9), ENOENT);
	LV_FAILS(uvm_ledger_return(b->map, 0), EINVAL);
	LV_FAILS(uvm_ledger_return(b->map, 1), ENOENT);
	LV_FAILS(uvm_ledger_return(b->map, UINT64_MAX), ENOENT);
	LV_FAILS(uvm_ledger_return(c->map, 8), ENOENT);
	cr_assert(guest_holds(b, 9, 101));
}

LvTest(uvm_ledger, returned_window_is_not_readable_any_more)
{
	uint8_t byte;
	uint64_t id;

	three();
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 0, 4, kind, 2);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_FAILS(soft_read(b->map, 8, 0, &byte, 1), EFAULT);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
		cr_assert(guest_holds(b, 8, 100));
		LV_OK(uvm_ledger_return(b->map, 8));
	}
}

LvTest(uvm_ledger, recall_ends_borrowing_not_windows)
{
	struct uvm_offer_info info;
	uint64_t id, windows;

	three();
	id = lv_lend(a, 0, 4, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
	LV_FAILS(uvm_ledger_recall(2, id, &windows), EPERM);
	LV_FAILS(uvm_ledger_recall(1, id + 1, &windows), ENOENT);
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(windows, 1);
	cr_assert(query(id).oi_recalled);
	LV_FAILS(uvm_ledger_recall(1, id, &windows), ENOENT);
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 1, 16), ENOENT);
	LV_OK(guest_fill(a, 0, 1));
	cr_assert(guest_holds(b, 8, 100));
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_FAILS(uvm_ledger_query(0, id, &info), ENOENT);
	cr_assert_eq(uvm_ledger_count(), 0);
}

LvTest(uvm_ledger, counters_say_what_was_lent_and_came_back)
{
	uint64_t id, windows;

	three();
	id = lv_lend(a, 0, 4, UVM_LOAN_TOPAGE, 2);
	cr_assert_eq(a->map->vm_stats.ms_loans_made, 4);
	cr_assert_eq(a->map->vm_stats.ms_loans_returned, 0);
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(a->map->vm_stats.ms_loans_returned, 4);
}

LvTest(uvm_ledger, cow_window_can_be_lent_on_both_ways)
{
	uint64_t id, on;

	three();
	id = lv_lend(a, 0, 2, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
	LV_OK(guest_fill(b, 9, 55));
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		on = lv_lend(b, 8, 2, kind, 3);
		LV_OK(uvm_ledger_borrow(c->map, on, 0, 2, 8 * kind));
		LV_OK(guest_fill(b, 8, 1));
		LV_OK(guest_fill(b, 9, 2));
		cr_assert(guest_holds(c, 8 * kind, kind == UVM_LOAN_TOPAGE ? 100 : 1));
		cr_assert(guest_holds(c, 8 * kind + 1, kind == UVM_LOAN_TOPAGE ? 55 : 2));
		lv_check();
	}
	cr_assert(guest_holds(a, 0, 100));
}

/* A guest's own frame comes back to it by way of another guest: still two guests' bytes. */
LvTest(uvm_ledger, own_page_borrowed_back_is_a_loan_like_any_other)
{
	uint64_t id, back;

	three();
	id = lv_lend(a, 0, 1, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	back = lv_lend(b, 8, 1, UVM_LOAN_TOANON, 1);
	LV_OK(uvm_ledger_borrow(a->map, back, 0, 1, 8));
	LV_OK(guest_fill(a, 0, 1));
	cr_assert(guest_holds(a, 8, 100) && guest_holds(b, 8, 100));
	LV_OK(guest_fill(a, 8, 2));
	cr_assert(guest_holds(a, 0, 1) && guest_holds(b, 8, 100));
	lv_check();
}

/*
 * A frame of its own, borrowed back at the very place where the guest once had it writable: the
 * frame must not be taken for the guest's own mapping.  Before, the guest breaks the loan or not.
 */
static void borrowed_back_in_place(bool breaks)
{
	uint64_t id, back, windows;

	three();
	id = lv_lend(c, 0, 1, UVM_LOAN_TOANON, 1);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 1, 8));
	LV_OK(guest_fill(a, 8, 5)); /* a frame of a's store, at gfn 8 */
	id = lv_lend(a, 8, 1, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	if (breaks)
		LV_OK(guest_fill(a, 8, 6));
	LV_OK(uvm_ledger_return(a->map, 8));
	back = lv_lend(b, 8, 1, UVM_LOAN_TOANON, 1);
	LV_OK(uvm_ledger_borrow(a->map, back, 0, 1, 8));
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(2, back, &windows));
	cr_assert(guest_holds(a, 8, 5));
	LV_OK(guest_fill(a, 8, 7));
	cr_assert(guest_holds(a, 8, 7));
	lv_check();
}

LvTest(uvm_ledger, own_frame_borrowed_back_in_place_is_not_mapped_as_own)
{
	borrowed_back_in_place(false);
}

LvTest(uvm_ledger, own_frame_broken_and_borrowed_back_in_place_is_not_mapped_as_own)
{
	borrowed_back_in_place(true);
}

LvTest(uvm_ledger, window_lent_on_keeps_its_bytes_when_both_before_it_go)
{
	uint64_t id, on;

	three();
	id = lv_lend(a, 0, 2, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
	on = lv_lend(b, 8, 2, UVM_LOAN_TOPAGE, 3);
	LV_OK(uvm_ledger_borrow(c->map, on, 0, 2, 8));
	lv_kill(a);
	lv_kill(b);
	cr_assert(guest_holds(c, 8, 100) && guest_holds(c, 9, 101));
	lv_check();
}

/* seed: uvm_loanuobjpages: the host lends an object; its pages are lent when they are borrowed */
LvTest(uvm_ledger, object_offer_reads_when_borrowed)
{
	struct test_object *to = test_object_create(8, 50);
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id, windows;

	three();
	LV_OK(uvm_ledger_lend_object(&to->to_object, 2, 5, 5 * UVM_PAGE_SIZE - 7, &terms, &id));
	cr_assert_eq(to->to_gets, 0);
	cr_assert(query(id).oi_bytes == 5 * UVM_PAGE_SIZE - 7 && query(id).oi_lender == 0);
	LV_FAILS(uvm_ledger_borrow(c->map, id, 0, 5, 8), EPERM);
	LV_OK(uvm_ledger_borrow(b->map, id, 1, 4, 8));
	for (unsigned i = 0; i < 4; i++)
		cr_assert(guest_holds(b, 8 + i, 53 + i));
	cr_assert_eq(to->to_object.uo_read_pages, 4);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(UVM_DOMID_HOST, id, &windows));
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_ledger, object_offer_with_bad_terms_is_refused)
{
	struct test_object *to = test_object_create(4, 50);
	struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id;

	LV_FAILS(uvm_ledger_lend_object(&to->to_object, 0, 0, 0, &terms, &id), EINVAL);
	LV_FAILS(uvm_ledger_lend_object(&to->to_object, 5, 1, 0, &terms, &id), EINVAL);
	LV_FAILS(uvm_ledger_lend_object(&to->to_object, 2, 3, 0, &terms, &id), EINVAL);
	LV_FAILS(uvm_ledger_lend_object(&to->to_object, 1, UINT64_MAX, 0, &terms, &id), EINVAL);
	terms.ot_borrower = UVM_DOMID_HOST;
	LV_FAILS(uvm_ledger_lend_object(&to->to_object, 0, 1, 0, &terms, &id), EINVAL);
	cr_assert_eq(to->to_object.uo_refs, 1);
	uvm_object_rele(&to->to_object);
}

static int fail_get(struct test_object *to, uint64_t off, unsigned n)
{
	(void)to;
	(void)off;
	(void)n;
	return -EIO;
}

LvTest(uvm_ledger, borrow_with_a_failing_pager_leaves_no_window)
{
	struct test_object *to = test_object_create(8, 50);
	uint64_t id = lv_lend_object(to, 0, 8, UVM_LOAN_TOANON), windows;

	three();
	to->to_on_get = fail_get;
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 8, 8), EIO);
	cr_assert_eq(query(id).oi_windows, 0);
	lv_check();
	to->to_on_get = NULL;
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 8));
	cr_assert(guest_holds(b, 15, 57));
	LV_OK(uvm_ledger_recall(0, id, &windows));
	uvm_object_rele(&to->to_object);
}

/* The offer is recalled while a borrow of it waits for the pager: the borrow goes through. */
static uint64_t slow_id;

static int recall_meanwhile(struct test_object *to, uint64_t off, unsigned n)
{
	uint64_t windows;

	(void)off;
	(void)n;
	to->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_recall(0, slow_id, &windows), 0);
	uvm_world_leave();
	return 0;
}

LvTest(uvm_ledger, recall_during_a_borrow_waits_for_it)
{
	struct test_object *to = test_object_create(8, 50);

	three();
	slow_id = lv_lend_object(to, 0, 8, UVM_LOAN_TOPAGE);
	to->to_on_get = recall_meanwhile;
	LV_OK(uvm_ledger_borrow(b->map, slow_id, 0, 8, 8));
	uvm_object_rele(&to->to_object);
	cr_assert(guest_holds(b, 15, 57));
	cr_assert_eq(uvm_ledger_count(), 2);
	LV_OK(uvm_ledger_return(b->map, 8));
	cr_assert_eq(uvm_ledger_count(), 0);
}

/* Bug: a guest could offer the same page for ever, and each offer took memory of the core. */
LvTest(uvm_ledger, offers_of_a_guest_are_limited_in_number)
{
	struct uvm_offer_terms terms = {.ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t first, id, windows;

	three();
	first = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	for (unsigned i = 1; i < UVM_LEDGER_MAX_OFFERS; i++)
		LV_OK(uvm_ledger_lend(a->map, 1, 1, &terms, &id));
	LV_FAILS(uvm_ledger_lend(a->map, 1, 1, &terms, &id), ENOSPC);
	/* Others have room of their own, and so has the host when it lends in a's name. */
	(void)lv_lend(b, 0, 1, UVM_LOAN_TOPAGE, 1);
	terms.ot_by_host = true;
	LV_OK(uvm_ledger_lend(a->map, 1, 1, &terms, &id));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	terms.ot_by_host = false;
	LV_FAILS(uvm_ledger_lend(a->map, 1, 1, &terms, &id), ENOSPC);
	/* One that is recalled counts until its last window is returned. */
	LV_OK(uvm_ledger_borrow(b->map, first, 0, 1, 8));
	LV_OK(uvm_ledger_recall(1, first, &windows));
	LV_FAILS(uvm_ledger_lend(a->map, 1, 1, &terms, &id), ENOSPC);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_lend(a->map, 1, 1, &terms, &id));
	/* A lend that fails does not count. */
	LV_OK(uvm_ledger_recall(1, id, &windows));
	LV_FAILS(uvm_ledger_lend(a->map, 4, 8, &terms, &id), EFAULT);
	LV_OK(uvm_ledger_lend(a->map, 1, 1, &terms, &id));
}

LvTest(uvm_ledger, offers_of_a_guest_are_limited_in_pages)
{
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id, windows;

	three();
	/* As if it had offered all but 5 pages that it may. */
	a->map->vm_offered = UVM_LEDGER_MAX_OFFERED - 5;
	LV_FAILS(uvm_ledger_lend(a->map, 0, 6, &terms, &id), ENOSPC);
	LV_OK(uvm_ledger_lend(a->map, 0, 5, &terms, &id));
	LV_FAILS(uvm_ledger_lend(a->map, 0, 1, &terms, &id), ENOSPC);
	LV_OK(uvm_ledger_recall(1, id, &windows));
	LV_OK(uvm_ledger_lend(a->map, 3, 5, &terms, &id));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(a->map->vm_offered, UVM_LEDGER_MAX_OFFERED - 5);
	a->map->vm_offered = 0;
}

static uint32_t told[8];
static unsigned ntold;

static void note(uint32_t domid)
{
	told[ntold++ % 8] = domid;
}

LvTest(uvm_ledger, notice_goes_to_borrower_of_an_offer_and_lender_of_a_return)
{
	struct uvm_hostloan *hl;
	uint64_t id;

	three();
	uvm_ledger_notify_by(note);
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	cr_assert(ntold == 1 && told[0] == 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	cr_assert_eq(ntold, 1);
	LV_OK(uvm_ledger_return(b->map, 8));
	cr_assert(ntold == 2 && told[1] == 1);
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	cr_assert(ntold == 3 && told[2] == UVM_DOMID_ANY);
	(void)lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, UVM_DOMID_HOST);
	cr_assert_eq(ntold, 3, "the host asks");
	LV_OK(uvm_ledger_host_borrow(id, &hl));
	uvm_hostloan_return(hl);
	cr_assert(ntold == 4 && told[3] == 1);
	uvm_ledger_notify_by(NULL);
}
