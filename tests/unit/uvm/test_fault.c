/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <pthread.h>

/* Two guests: a has 8 pages with tags 100 .. 107, of which b may borrow. */
static struct guest *a, *b;

static uint64_t lent(enum uvm_loan_kind kind)
{
	uint64_t id;

	a = lv_guest(8, 16);
	b = lv_guest(8, 16);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 100 + i));
	id = lv_lend(a, 0, 8, kind, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 8));
	return id;
}

/* seed: uvm_loanbreak, lender's side (A->K) */
LvTest(uvm_fault, lender_s_write_gives_it_a_new_frame_and_leaves_the_window)
{
	struct uvm_page *old;

	(void)lent(UVM_LOAN_TOPAGE);
	old = lv_page(a, 3);
	LV_OK(guest_fill(a, 3, 1));
	cr_assert_neq(lv_page(a, 3), old);
	cr_assert(guest_holds(a, 3, 1) && guest_holds(b, 11, 103));
	cr_assert(old->pg_object == NULL && old->pg_anon == NULL, "an orphan");
	cr_assert_eq(uvm_page_loans(old), 2);
	cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 1);
	cr_assert_eq(a->map->vm_stats.ms_copied, 1);
	LV_OK(guest_fill(a, 3, 2));
	cr_assert_eq(a->map->vm_stats.ms_copied, 1, "broken once");
}

/* seed: uvm_loanbreak_anon, both sides of A->A */
LvTest(uvm_fault, lender_s_write_to_a_cow_loan_leaves_the_borrower_the_old_frame)
{
	struct uvm_page *old;

	(void)lent(UVM_LOAN_TOANON);
	old = lv_page(a, 3);
	LV_OK(guest_fill(a, 3, 1));
	cr_assert_eq(lv_page(b, 11), old);
	cr_assert(guest_holds(a, 3, 1) && guest_holds(b, 11, 103));
	lv_check();
}

LvTest(uvm_fault, borrower_s_write_gives_it_a_copy_and_harms_nobody)
{
	(void)lent(UVM_LOAN_TOANON);
	LV_OK(soft_write(b->map, 11, 100, "z", 1));
	cr_assert(guest_holds(a, 3, 103));
	cr_assert(!guest_holds(b, 11, 103));
	cr_assert_eq(lv_page(b, 11)->pg_store, &b->store->ss_store, "in its own store");
	cr_assert_eq(b->map->vm_stats.ms_broken[UVM_BREAK_BORROWER], 1);
	cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 0);
}

LvTest(uvm_fault, write_to_a_read_only_window_is_the_guest_s_error)
{
	(void)lent(UVM_LOAN_TOPAGE);
	LV_FAILS(soft_write(b->map, 11, 0, "z", 1), EACCES);
	cr_assert(guest_holds(b, 11, 103) && guest_holds(a, 3, 103));
	cr_assert_eq(b->map->vm_stats.ms_copied, 0);
}

LvTest(uvm_fault, access_to_nothing_fails)
{
	uint8_t byte;

	(void)lent(UVM_LOAN_TOPAGE);
	LV_FAILS(soft_write(b->map, 16, 0, "z", 1), EFAULT);
	LV_FAILS(soft_read(b->map, 16, 0, &byte, 1), EFAULT);
	LV_FAILS(uvm_fault(b->map, UINT64_MAX, UVM_ACCESS_READ), EFAULT);
}

LvTest(uvm_fault, fault_that_somebody_else_resolved_is_no_error)
{
	(void)lent(UVM_LOAN_TOPAGE);
	LV_OK(uvm_fault(b->map, 8, UVM_ACCESS_READ));
	LV_OK(uvm_fault(a->map, 0, UVM_ACCESS_READ));
	LV_OK(guest_fill(a, 0, 1));
	LV_OK(uvm_fault(a->map, 0, UVM_ACCESS_WRITE));
	cr_assert_eq(a->map->vm_stats.ms_copied, 1);
}

LvTest(uvm_fault, write_after_the_last_return_copies_nothing)
{
	struct uvm_page *pg;
	uint64_t id = lent(UVM_LOAN_TOANON), windows;

	pg = lv_page(a, 3);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	LV_OK(guest_fill(a, 3, 1));
	cr_assert_eq(lv_page(a, 3), pg);
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

/* The last holder of a copy-on-write page from another guest's store moves it home when it writes.
 */
LvTest(uvm_fault, last_holder_of_a_lender_s_frame_copies_it_home)
{
	uint64_t id = lent(UVM_LOAN_TOANON);

	lv_kill(a);
	cr_assert(guest_holds(b, 9, 101));
	LV_OK(guest_fill(b, 9, 1));
	cr_assert_eq(lv_page(b, 9)->pg_store, &b->store->ss_store);
	cr_assert(guest_holds(b, 9, 1) && guest_holds(b, 10, 102));
	lv_check();
	(void)id;
}

LvTest(uvm_fault, breaks_of_neighbours_stay_contiguous)
{
	(void)lent(UVM_LOAN_TOPAGE);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 200 + i));
	for (unsigned i = 1; i < 8; i++)
		cr_assert_eq(lv_page(a, i)->pg_index, lv_page(a, 0)->pg_index + i);
}

/* The second time round some places are taken by orphans: neighbours follow the page before. */
LvTest(uvm_fault, breaks_of_neighbours_stay_contiguous_the_second_time)
{
	(void)lent(UVM_LOAN_TOPAGE);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 200 + i));
	(void)lv_lend(a, 0, 8, UVM_LOAN_TOPAGE, 2);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 300 + i));
	for (unsigned i = 1; i < 8; i++)
		cr_assert_eq(lv_page(a, i)->pg_index, lv_page(a, 0)->pg_index + i);
	cr_assert_eq(lv_page(a, 0)->pg_index / a->store->ss_store.st_bank_pages, 2);
}

/* Guest a has 128 pages, of which it has filled the even ones (tag 500 + i); all are on loan to b. */
static void crowd(void)
{
	a = lv_guest(128, 8);
	b = lv_guest(8, 128);
	for (unsigned i = 0; i < 128; i += 2)
		LV_OK(guest_fill(a, i, 500 + i));
	LV_OK(uvm_ledger_borrow(b->map, lv_lend(a, 0, 128, UVM_LOAN_TOPAGE, 2), 0, 128, 8));
	a->pmap->sp_pmap.pm_crowded = true;
}

static uint64_t tag_of(unsigned i)
{
	return i % 2 == 0 ? 500 + i : 0;
}

/*
 * Regression: a guest whose memory a host tool looked at, and that wrote to every second page, used
 * up the mappings of its process and was lost.
 */
LvTest(uvm_fault, break_where_mappings_run_short_takes_the_run_around_with_it)
{
	struct uvm_page *before;

	crowd();
	before = lv_page(a, 62);
	LV_OK(guest_fill(a, 70, 1));
	cr_assert_eq(lv_page(a, 62), before, "another run");
	for (unsigned i = 64; i < 128; i++) {
		cr_assert_eq(lv_page(a, i)->pg_index, lv_page(a, 64)->pg_index + i - 64);
		cr_assert(guest_holds(a, i, i == 70 ? 1 : tag_of(i)), "page %u", i);
	}
	for (unsigned i = 0; i < 128; i++)
		cr_assert(guest_holds(b, 8 + i, tag_of(i)), "page %u of the window", i);
	cr_assert_eq(a->map->vm_stats.ms_copied, 32);
	lv_check();
	LV_OK(guest_fill(a, 71, 2));
	cr_assert_eq(a->map->vm_stats.ms_copied, 32, "nothing is left to be broken");
}

LvTest(uvm_fault, break_where_mappings_are_plenty_takes_one_page)
{
	crowd();
	a->pmap->sp_pmap.pm_crowded = false;
	LV_OK(guest_fill(a, 70, 1));
	cr_assert_eq(a->map->vm_stats.ms_copied, 1);
}

static int enter_errors;

static int fail_enter(void)
{
	return enter_errors-- > 0 ? -EIO : 0;
}

/* The guest must be killed: nobody knows what it maps.  The ledger's books are as before. */
LvTest(uvm_fault, break_that_cannot_be_mapped_loses_the_guest)
{
	struct uvm_page *old;

	(void)lent(UVM_LOAN_TOPAGE);
	old = lv_page(a, 3);
	enter_errors = 1;
	a->pmap->sp_fail = fail_enter;
	LV_FAILS(soft_write(a->map, 3, 0, "x", 1), ENOTRECOVERABLE);
	cr_assert_eq(lv_page(a, 3), old);
	cr_assert(guest_holds(a, 3, 103));
	lv_check();
	LV_OK(guest_fill(a, 3, 1));
	cr_assert(guest_holds(b, 11, 103));
}

LvTest(uvm_fault, fault_of_a_guest_that_is_gone_leaves_nothing)
{
	(void)lent(UVM_LOAN_TOPAGE);
	a->pmap->sp_gone = true;
	LV_FAILS(uvm_fault(a->map, 3, UVM_ACCESS_WRITE), ESRCH);
	cr_assert(guest_holds(b, 11, 103));
	lv_check();
	lv_kill(a);
	cr_assert(guest_holds(b, 11, 103));
}

LvTest(uvm_fault, guest_without_room_for_a_copy_gets_enomem)
{
	uint64_t windows, id[GUEST_BANKS];
	unsigned n;

	a = lv_guest(1, 1);
	for (n = 0; n < GUEST_BANKS; n++) {
		LV_OK(guest_fill(a, 0, n));
		id[n] = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	}
	/* Linear page 1 has its place in bank 0, which is not for page 0: the others serve both. */
	for (; soft_write(a->map, 0, 0, "x", 1) == 0; n++)
		(void)lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	cr_assert_eq(n, 2 * (GUEST_BANKS - 1) + 1);
	LV_FAILS(soft_write(a->map, 0, 0, "x", 1), ENOMEM);
	lv_check();
	LV_OK(uvm_ledger_recall(1, id[0], &windows));
	LV_OK(soft_write(a->map, 0, 0, "x", 1));
}

LvTest(uvm_fault, first_touch_after_discard_gives_zeroes_by_read_and_write)
{
	a = lv_guest(8, 8);
	for (unsigned i = 0; i < 2; i++)
		LV_OK(guest_fill(a, i, 5));
	LV_OK(uvm_map_discard(a->map, 0, 2));
	cr_assert(guest_holds(a, 0, 0));
	LV_OK(soft_write(a->map, 1, 0, "", 1));
	cr_assert(guest_holds(a, 1, 0));
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

/* seed: uvm_loanuobj as the fault handler uses it: O->A */
LvTest(uvm_fault, touch_of_an_object_s_page_borrows_it)
{
	struct test_object *to = test_object_create(4, 1);

	a = lv_guest(8, 8);
	b = lv_guest(8, 8);
	LV_OK(uvm_map_enter_object(a->map, 8, 4, &to->to_object, 0));
	LV_OK(uvm_map_enter_object(b->map, 8, 4, &to->to_object, 0));
	cr_assert(guest_holds(a, 9, 2) && guest_holds(b, 9, 2));
	cr_assert_eq(lv_anon(a, 9), lv_anon(b, 9), "one page, one anon for all");
	cr_assert_eq(uvm_page_loans(lv_object_page(to, 1)), 1);
	LV_OK(guest_fill(a, 9, 77));
	cr_assert(guest_holds(b, 9, 2));
	cr_assert(page_holds(uvm_page_kva(lv_object_page(to, 1)), 2));
	lv_check();
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_loanbreak_anon, receiver's side of O->A: the object keeps its page, without a loan */
LvTest(uvm_fault, only_receiver_that_writes_ends_the_object_s_loan)
{
	struct test_object *to = test_object_create(4, 1);

	a = lv_guest(8, 8);
	LV_OK(uvm_map_enter_object(a->map, 8, 4, &to->to_object, 0));
	LV_OK(soft_write(a->map, 9, 0, "x", 1));
	cr_assert_eq(uvm_page_loans(lv_object_page(to, 1)), 0);
	cr_assert_null(lv_object_page(to, 1)->pg_anon);
	cr_assert(lv_page(a, 9)->pg_anon_owns);
	cr_assert_eq(a->map->vm_stats.ms_copied, 1);
	uvm_object_rele(&to->to_object);
}

static int fail_get(struct test_object *to, uint64_t off, unsigned n)
{
	(void)to;
	(void)off;
	(void)n;
	return -EIO;
}

LvTest(uvm_fault, pager_s_error_comes_through_and_the_next_try_works)
{
	struct test_object *to = test_object_create(4, 1);
	uint8_t byte;

	a = lv_guest(8, 8);
	LV_OK(uvm_map_enter_object(a->map, 8, 4, &to->to_object, 0));
	to->to_on_get = fail_get;
	LV_FAILS(soft_read(a->map, 9, 0, &byte, 1), EIO);
	lv_check();
	to->to_on_get = NULL;
	cr_assert(guest_holds(a, 9, 2));
	uvm_object_rele(&to->to_object);
}

static void *write_b(void *arg)
{
	(void)arg;
	uvm_world_enter();
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(guest_fill(b, 8 + i, 300 + i), 0);
	uvm_world_leave();
	return NULL;
}

/* Lender and borrower write at the same time: each gets a frame, whoever is last keeps the old one
 * or frees it. */
LvTest(uvm_fault, both_sides_write_at_once)
{
	pthread_t t;

	(void)lent(UVM_LOAN_TOANON);
	LV_OK(pthread_create(&t, NULL, write_b, NULL));
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 200 + i));
	uvm_world_leave();
	LV_OK(pthread_join(t, NULL));
	uvm_world_enter();
	for (unsigned i = 0; i < 8; i++)
		cr_assert(guest_holds(a, i, 200 + i) && guest_holds(b, 8 + i, 300 + i));
}
