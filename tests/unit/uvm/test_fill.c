/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"
#include "uvm/uvm_fill.h"
#include "uvm/uvm_share.h"

#define TAG 500u /* of the object's page 0 */

static struct uvm_fill pages[UVM_FILL_MAX];

/* n pages from gfn on become the object's from off on; all of them must. */
static void fill(struct guest *g, uint64_t gfn, struct test_object *to, uint64_t off, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct uvm_fill){.fl_gfn = gfn + i, .fl_offset = off + i};
	LV_OK(uvm_fill(g->map, &to->to_object, pages, n));
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(pages[i].fl_error, 0, "page %u: %d", i, pages[i].fl_error);
}

static int fill_one(struct guest *g, uint64_t gfn, struct test_object *to, uint64_t off)
{
	pages[0] = (struct uvm_fill){.fl_gfn = gfn, .fl_offset = off};
	LV_OK(uvm_fill(g->map, &to->to_object, pages, 1));
	return pages[0].fl_error;
}

static void holds(struct guest *g, uint64_t gfn, uint64_t n, uint64_t tag)
{
	for (uint64_t i = 0; i < n; i++)
		cr_assert(guest_holds(g, gfn + i, tag + i), "gfn %ju", (uintmax_t)(gfn + i));
}

static uint64_t total(void)
{
	struct uvm_account ac;

	lv_account(&ac);
	return uvm_frames_total(&ac.ac_all);
}

LvTest(uvm_fill, pages_of_many_guests_are_the_objects_frames)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t frames, saved;

	fill(a, 0, to, 2, 4);
	cr_assert_eq(total(), 4);
	fill(b, 1, to, 2, 4);
	cr_assert_eq(total(), 4, "each page is there once");
	cr_assert_eq(to->to_gets, 1, "and was read once");
	for (unsigned i = 0; i < 4; i++)
		cr_assert(lv_page(a, i) == lv_object_page(to, 2 + i) &&
			  lv_page(b, 1 + i) == lv_object_page(to, 2 + i));
	holds(a, 0, 4, TAG + 2);
	holds(b, 1, 4, TAG + 2);
	cr_assert_eq(a->map->vm_shared, 4);
	uvm_share_counts(&frames, &saved);
	cr_assert(frames == 4 && saved == 4);
	cr_assert_eq(lv_frames(b).fr_borrowed, 4);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, neighbours_cost_one_mapping)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);
	uint64_t before = a->pmap->sp_enters;

	fill(a, 0, to, 0, 8);
	cr_assert_eq(a->pmap->sp_enters, before + 1);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, write_breaks_and_leaves_the_object)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	fill(a, 0, to, 0, 3);
	fill(b, 0, to, 0, 3);
	LV_OK(guest_fill(a, 1, 9));
	lv_check();
	cr_assert_eq(a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 1);
	cr_assert_eq(total(), 4);
	cr_assert(guest_holds(a, 1, 9));
	holds(b, 0, 3, TAG);
	cr_assert(page_holds(to->to_disk + UVM_PAGE_SIZE, TAG + 1));
	/* The only one left writes: the object keeps its frame all the same. */
	LV_OK(guest_fill(b, 1, 10));
	cr_assert(page_holds(uvm_page_kva(lv_object_page(to, 1)), TAG + 1));
	cr_assert_eq(uvm_page_loans(lv_object_page(to, 1)), 0);
	fill(a, 1, to, 1, 1);
	holds(a, 0, 3, TAG);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, what_was_there_is_gone)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id, windows, handle;

	/* Written unseen, learned, on loan, nominated, the object's already, untouched. */
	LV_OK(guest_fill(a, 0, 1));
	LV_OK(guest_fill(a, 1, 2));
	LV_OK(uvm_map_learn(a->map));
	LV_OK(guest_fill(a, 2, 3));
	id = lv_lend(a, 2, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_OK(guest_fill(a, 3, 4));
	LV_OK(uvm_share_nominate(a->map, 3, &handle));
	fill(a, 4, to, 7, 1);
	fill(a, 0, to, 0, 6);
	holds(a, 0, 6, TAG);
	lv_check();
	cr_assert(guest_holds(b, 8, 3), "the borrower keeps what it was lent");
	cr_assert_eq(total(), 8, "six pages, the borrower's, and one that nobody has");
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(total(), 7);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, same_page_again_changes_nothing)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);
	uint64_t before;

	fill(a, 0, to, 0, 4);
	before = a->pmap->sp_enters;
	fill(a, 0, to, 0, 4);
	cr_assert_eq(a->pmap->sp_enters, before);
	cr_assert_eq(a->map->vm_shared, 4);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, pages_that_cannot_be_are_left_as_they_were)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);
	struct uvm_page *wired;

	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 1 + i));
	LV_OK(uvm_map_wire(a->map, 2, &wired));
	for (unsigned i = 0; i < 8; i++)
		pages[i] = (struct uvm_fill){.fl_gfn = i, .fl_offset = i};
	pages[3].fl_offset = 8;
	pages[4].fl_offset = UINT64_MAX;
	pages[5].fl_gfn = 8;
	pages[6].fl_gfn = UINT64_MAX;
	pages[7].fl_gfn = 0;
	LV_OK(uvm_fill(a->map, &to->to_object, pages, 8));
	cr_assert_eq(pages[0].fl_error, 0);
	cr_assert_eq(pages[1].fl_error, 0);
	LV_FAILS(pages[2].fl_error, EBUSY);
	for (unsigned i = 3; i < 7; i++)
		LV_FAILS(pages[i].fl_error, EINVAL);
	LV_FAILS(pages[7].fl_error, EBUSY);
	holds(a, 0, 2, TAG);
	holds(a, 2, 6, 3);
	uvm_map_unwire(a->map, wired);
	LV_OK(fill_one(a, 2, to, 2));
	uvm_object_rele(&to->to_object);
}

/* A page that is the object's is given to a device, or a program. */
LvTest(uvm_fill, wiring_breaks)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);
	struct uvm_page *pg;

	fill(a, 0, to, 0, 2);
	LV_OK(uvm_map_wire(a->map, 1, &pg));
	cr_assert_neq(pg, lv_object_page(to, 1));
	cr_assert(page_holds(uvm_page_kva(pg), TAG + 1));
	LV_FAILS(fill_one(a, 1, to, 1), EBUSY);
	uvm_map_unwire(a->map, pg);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, page_is_lent_and_shared_and_discarded_as_any)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id, windows, ha, hb;

	fill(a, 0, to, 0, 3);
	for (enum uvm_loan_kind kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 0, 3, kind, 2);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 3, 8));
		holds(b, 8, 3, TAG);
		LV_OK(guest_fill(a, 1, 7));
		holds(b, 8, 3, TAG);
		lv_check();
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_OK(uvm_ledger_recall(1, id, &windows));
		fill(a, 1, to, 1, 1);
	}
	LV_OK(guest_fill(b, 0, TAG + 2));
	LV_OK(uvm_share_nominate(a->map, 2, &ha));
	LV_OK(uvm_share_nominate(b->map, 0, &hb));
	LV_OK(uvm_share_pages(a->map, 2, ha, b->map, 0, hb));
	cr_assert_eq(lv_page(b, 0), lv_object_page(to, 2));
	LV_OK(uvm_map_discard(a->map, 0, 3));
	holds(b, 0, 1, TAG + 2);
	cr_assert(guest_holds(a, 0, 0));
	cr_assert_eq(b->map->vm_shared, 1);
	uvm_object_rele(&to->to_object);
}

/* An object that is gone leaves its pages to those who have them. */
LvTest(uvm_fill, pages_outlive_the_object_and_the_guests)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	fill(a, 0, to, 0, 4);
	fill(b, 0, to, 0, 4);
	uvm_object_rele(&to->to_object);
	lv_check();
	holds(a, 0, 4, TAG);
	LV_OK(guest_fill(a, 1, 3));
	holds(b, 0, 4, TAG);
	lv_kill(a);
	lv_check();
	holds(b, 0, 4, TAG);
	LV_OK(guest_fill(b, 2, 4));
	cr_assert(guest_holds(b, 2, 4));
	cr_assert_eq(total(), 4);
}

LvTest(uvm_fill, trim_frees_what_nobody_has)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);
	uint64_t nbroken = 0;
	char byte = 1;

	fill(a, 0, to, 0, 6);
	LV_OK(uvm_object_write(&to->to_object, 5, 0, &byte, 1, &nbroken));
	for (unsigned i = 2; i < 6; i++)
		LV_OK(guest_fill(a, i, 1));
	cr_assert_eq(total(), 10);
	uvm_object_trim(&to->to_object, 3);
	cr_assert_eq(total(), 9, "0 and 1 are on loan, 2 is not");
	uvm_object_trim(&to->to_object, 3);
	cr_assert_eq(total(), 7, "5 would have to be written back");
	uvm_object_trim(&to->to_object, 100);
	cr_assert_eq(total(), 7);
	holds(a, 0, 2, TAG);
	LV_OK(fill_one(a, 3, to, 3));
	holds(a, 3, 1, TAG + 3);
	uvm_object_rele(&to->to_object);
}

/* Where mappings run short nothing is lent any more, and what was lent does not stay in the way. */
LvTest(uvm_fill, crowded_guest_gets_no_more_mappings)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);

	fill(a, 0, to, 2, 6);
	a->pmap->sp_pmap.pm_crowded = true;
	LV_FAILS(fill_one(a, 7, to, 0), ENOSPC);
	LV_OK(guest_fill(a, 3, 9));
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(lv_page(a, i)->pg_store, &a->store->ss_store, "page %u", i);
	holds(a, 0, 3, TAG + 2);
	holds(a, 4, 2, TAG + 6);
	uvm_object_rele(&to->to_object);
}

static struct guest *toucher;

/* The guest, which runs, touches the hole, and writes to its page, before they are mapped anew. */
static int touch(void)
{
	struct uvm_store *st = &toucher->store->ss_store;

	page_fill(st->st_ops->so_kva(st, 3), 9);
	page_fill(st->st_ops->so_kva(st, 4), 9);
	return 0;
}

LvTest(uvm_fill, what_is_touched_meanwhile_is_overwritten_and_freed)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = toucher = lv_guest(8, 8);

	LV_OK(guest_fill(a, 4, 1));
	a->pmap->sp_fail = touch;
	fill(a, 3, to, 3, 2);
	a->pmap->sp_fail = NULL;
	holds(a, 3, 2, TAG + 3);
	cr_assert_eq(total(), 2);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_fill, guest_that_is_gone_or_lost)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);

	LV_OK(guest_fill(a, 0, 1));
	a->pmap->sp_gone = true;
	LV_FAILS(fill_one(a, 0, to, 0), ESRCH);
	LV_FAILS(fill_one(a, 1, to, 0), ESRCH);
	a->pmap->sp_gone = false;
	cr_assert(guest_holds(a, 0, 1) && guest_holds(a, 1, 0));
	uvm_map_retire(a->map);
	LV_FAILS(fill_one(a, 0, to, 0), EINVAL);
	uvm_object_rele(&to->to_object);
}

static int no_read(struct test_object *to, uint64_t off, unsigned n)
{
	(void)to;
	return off <= 4 && off + n > 4 ? -EIO : 0;
}

LvTest(uvm_fill, page_that_cannot_be_read)
{
	struct test_object *to = test_object_create(8, TAG);
	struct guest *a = lv_guest(8, 8);

	LV_OK(guest_fill(a, 1, 1));
	to->to_on_get = no_read;
	pages[0] = (struct uvm_fill){.fl_gfn = 0, .fl_offset = 2};
	pages[1] = (struct uvm_fill){.fl_gfn = 1, .fl_offset = 4};
	LV_OK(uvm_fill(a->map, &to->to_object, pages, 2));
	cr_assert_eq(pages[0].fl_error, 0);
	LV_FAILS(pages[1].fl_error, EIO);
	cr_assert(guest_holds(a, 0, TAG + 2) && guest_holds(a, 1, 1));
	uvm_object_rele(&to->to_object);
}
