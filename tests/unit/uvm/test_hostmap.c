/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_hostmap.h"

/* What the host sees of a page it has mapped: a number that page_fill wrote. */
static bool shows(struct uvm_page *pg, uint64_t tag)
{
	return page_holds(uvm_page_kva(pg), tag);
}

static struct uvm_hostmap *hostmap(struct guest *g, uint64_t n)
{
	struct uvm_hostmap *hm = uvm_hostmap_create(g->map, n);

	cr_assert_not_null(hm);
	return hm;
}

LvTest(uvm_hostmap, read_only_map_of_a_page_is_live)
{
	struct guest *a = lv_guest(8, 8);
	struct uvm_hostmap *hm = hostmap(a, 1);
	struct uvm_page *pg;
	union uvm_loaned loan;

	LV_OK(guest_fill(a, 2, 1));
	LV_OK(uvm_hostmap_add(hm, 0, 2, false, &pg));
	cr_assert(shows(pg, 1));
	LV_OK(guest_fill(a, 2, 7));
	cr_assert(shows(pg, 7));
	cr_assert_eq(lv_frames(a).fr_wired, 1);
	LV_FAILS(uvm_loan(a->map, 2, 1, UVM_LOAN_TOPAGE, &loan), EBUSY);
	uvm_hostmap_destroy(hm);
	cr_assert_eq(lv_frames(a).fr_wired, 0);
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

LvTest(uvm_hostmap, read_only_map_of_a_lent_page_shows_it_as_lent)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_hostmap *hm = hostmap(a, 2);
	struct uvm_page *pg, *untouched;
	uint64_t id, windows;

	LV_OK(guest_fill(a, 2, 1));
	id = lv_lend(a, 2, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_OK(uvm_hostmap_add(hm, 0, 2, false, &pg));
	LV_OK(uvm_hostmap_add(hm, 1, 3, false, &untouched));
	cr_assert(uvm_zero_page_p(untouched));
	LV_OK(guest_fill(a, 2, 9));
	LV_OK(guest_fill(a, 3, 9));
	cr_assert(shows(pg, 1) && shows(untouched, 0));
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	lv_check();
	cr_assert_eq(lv_frames(a).fr_orphaned, 1, "the host still has it");
	uvm_hostmap_destroy(hm);
	cr_assert_eq(lv_frames(a).fr_orphaned, 0);
	cr_assert_eq(uvm_zero_loans(), 0);
}

LvTest(uvm_hostmap, window_can_be_looked_at_and_not_written)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_hostmap *hm = hostmap(b, 2);
	struct uvm_page *pg;
	uint64_t id, windows;

	LV_OK(guest_fill(a, 2, 5));
	id = lv_lend(a, 2, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_FAILS(uvm_hostmap_add(hm, 0, 8, true, &pg), EINVAL);
	LV_OK(uvm_hostmap_add(hm, 0, 8, false, &pg));
	cr_assert(shows(pg, 5));
	LV_FAILS(uvm_hostmap_add(hm, 1, 9, false, &pg), EFAULT);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	uvm_hostmap_destroy(hm);
	cr_assert(guest_holds(a, 2, 5));
}

LvTest(uvm_hostmap, writable_map_breaks_loans_and_is_live)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_hostmap *hm = hostmap(a, 3);
	struct uvm_page *pg, *again, *fresh;
	uint64_t id, windows;

	LV_OK(guest_fill(a, 2, 1));
	id = lv_lend(a, 2, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
	LV_OK(uvm_hostmap_add(hm, 0, 2, true, &pg));
	page_fill(uvm_page_kva(pg), 4);
	cr_assert(guest_holds(a, 2, 4) && guest_holds(b, 8, 1));
	LV_OK(uvm_hostmap_add(hm, 1, 2, true, &again));
	cr_assert_eq(pg, again);
	cr_assert_eq(pg->pg_wired, 2);
	LV_OK(uvm_hostmap_add(hm, 2, 6, true, &fresh));
	page_fill(uvm_page_kva(fresh), 6);
	cr_assert(guest_holds(a, 6, 6));
	cr_assert_eq(lv_frames(a).fr_wired, 2);
	uvm_hostmap_destroy(hm);
	cr_assert_eq(lv_frames(a).fr_wired, 0);
	LV_OK(uvm_ledger_return(b->map, 8));
	LV_OK(uvm_ledger_recall(1, id, &windows));
}

/* The frames of a guest that is gone live until the last program has unmapped them. */
LvTest(uvm_hostmap, guest_that_ends_leaves_its_wired_frames)
{
	struct guest *a = lv_guest(8, 8);
	struct uvm_hostmap *one = hostmap(a, 2), *two = hostmap(a, 2);
	struct uvm_page *pg, *other;
	struct uvm_account ac;

	LV_OK(guest_fill(a, 2, 1));
	LV_OK(guest_fill(a, 3, 2));
	LV_OK(uvm_hostmap_add(one, 0, 2, true, &pg));
	LV_OK(uvm_hostmap_add(one, 1, 3, false, &other));
	LV_OK(uvm_hostmap_add(two, 0, 2, false, &other));
	lv_kill(a);
	lv_account(&ac);
	cr_assert_eq(ac.ac_departed.fr_wired, 2);
	cr_assert_eq(ac.ac_kernel_pages, 2);
	uvm_hostmap_destroy(one);
	lv_account(&ac);
	cr_assert_eq(ac.ac_departed.fr_wired, 1);
	cr_assert(shows(pg, 1));
	LV_FAILS(uvm_hostmap_add(two, 1, 4, false, &other), EFAULT);
	uvm_hostmap_destroy(two);
	lv_account(&ac);
	cr_assert_eq(uvm_frames_total(&ac.ac_all), 0);
}

static uint64_t sleeper_gfn;
static struct guest *sleeper;

/* The guest, which runs, touches the page for the first time while it is being wired. */
static int touch_meanwhile(void)
{
	struct uvm_store *st = &sleeper->store->ss_store;

	page_fill(st->st_ops->so_kva(st, sleeper_gfn), 9);
	return 0;
}

LvTest(uvm_hostmap, first_touch_meanwhile_is_not_lost)
{
	struct guest *a = sleeper = lv_guest(8, 8);
	struct uvm_hostmap *hm = hostmap(a, 1);
	struct uvm_page *pg;
	uint64_t id, windows;

	/* The page before has a frame in another bank, which would be the better neighbour. */
	LV_OK(guest_fill(a, 3, 1));
	id = lv_lend(a, 3, 1, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	LV_OK(guest_fill(a, 3, 2));
	cr_assert_geq(lv_page(a, 3)->pg_index, a->store->ss_store.st_bank_pages);
	sleeper_gfn = 4;
	a->pmap->sp_fail = touch_meanwhile;
	LV_OK(uvm_hostmap_add(hm, 0, 4, true, &pg));
	a->pmap->sp_fail = NULL;
	cr_assert(guest_holds(a, 4, 9) && shows(pg, 9));
	uvm_hostmap_destroy(hm);
	LV_OK(uvm_ledger_recall(1, id, &windows));
}
