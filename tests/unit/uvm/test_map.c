/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

/* RAM is [0, 8), things can be entered at [8, 24). */
static struct guest *guest_with_room(void)
{
	return lv_guest(8, 16);
}

LvTest(uvm_map, enter_refuses_bad_places)
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e;
	static const struct {
		uint64_t gfn, n;
		int error;
	} rows[] = {
	    {8, 0, EINVAL},		 /* empty */
	    {24, 1, EINVAL},		 /* outside */
	    {20, 5, EINVAL},		 /* over the end */
	    {UINT64_MAX, 2, EINVAL},	 /* wraps */
	    {9, UINT64_MAX - 4, EINVAL}, /* wraps */
	    {7, 2, EINVAL},		 /* in two ranges */
	    {0, 1, EEXIST},
	    {7, 1, EEXIST},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		LV_FAILS(uvm_map_enter_new(a->map, rows[i].gfn, rows[i].n, UVM_ENTRY_MEMORY, 0, &e),
		    rows[i].error);
}

LvTest(uvm_map, enter_refuses_every_overlap_and_takes_neighbours)
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e[3], *none;

	LV_OK(uvm_map_enter_new(a->map, 12, 4, UVM_ENTRY_MEMORY, UVM_ENTRY_BORROWED, &e[0]));
	for (uint64_t gfn = 9; gfn < 16; gfn++)
		LV_FAILS(uvm_map_enter_new(a->map, gfn, 4, UVM_ENTRY_WINDOW, 0, &none), EEXIST);
	LV_FAILS(uvm_map_enter_new(a->map, 8, 16, UVM_ENTRY_WINDOW, 0, &none), EEXIST);
	LV_OK(uvm_map_enter_new(a->map, 8, 4, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e[1]));
	LV_OK(uvm_map_enter_new(a->map, 16, 8, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e[2]));
	for (unsigned i = 0; i < 3; i++)
		uvm_map_remove(a->map, e[i]);
}

LvTest(uvm_map, enter_object_stays_within_the_object)
{
	struct guest *a = guest_with_room();
	struct test_object *to = test_object_create(4, 1);

	LV_FAILS(uvm_map_enter_object(a->map, 8, 1, &to->to_object, 4), EINVAL);
	LV_FAILS(uvm_map_enter_object(a->map, 8, 3, &to->to_object, 2), EINVAL);
	LV_FAILS(uvm_map_enter_object(a->map, 8, UINT64_MAX, &to->to_object, 1), EINVAL);
	LV_FAILS(uvm_map_enter_object(a->map, 8, 1, &to->to_object, UINT64_MAX), EINVAL);
	LV_FAILS(uvm_map_enter_object(a->map, 8, 0, &to->to_object, 0), EINVAL);
	LV_OK(uvm_map_enter_object(a->map, 8, 4, &to->to_object, 0));
	cr_assert_eq(to->to_object.uo_refs, 2);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_map, lookup_finds_entries_not_holes_nor_busy_ones)
{
	struct guest *a = guest_with_room();
	struct uvm_lookup ul;
	struct uvm_entry *e;

	LV_OK(uvm_map_lookup(a->map, 7, &ul));
	cr_assert_eq(ul.ul_entry->me_end, 8);
	cr_assert(uvm_lock_held(&a->map->vm_lock));
	cr_assert(uvm_lock_held(&ul.ul_entry->me_amap->am_lock));
	uvm_map_unlock(&ul);
	LV_FAILS(uvm_map_lookup(a->map, 8, &ul), EFAULT);
	cr_assert(!uvm_lock_held(&a->map->vm_lock));
	LV_OK(uvm_map_enter_new(a->map, 10, 2, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e));
	LV_FAILS(uvm_map_lookup(a->map, 10, &ul), EFAULT);
	uvm_map_entry_ready(a->map, e);
	LV_OK(uvm_map_lookup(a->map, 11, &ul));
	cr_assert_eq(ul.ul_entry, e);
	uvm_map_unlock(&ul);
	LV_FAILS(uvm_map_lookup(a->map, 12, &ul), EFAULT);
	LV_FAILS(uvm_map_lookup(a->map, UINT64_MAX, &ul), EFAULT);
	LV_OK(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &e));
	uvm_map_remove(a->map, e);
}

LvTest(uvm_map, claim_takes_borrowed_entries_by_their_start_once)
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e, *claimed;

	LV_FAILS(uvm_map_claim(a->map, 0, UVM_ENTRY_BORROWED, &claimed), EINVAL);
	LV_FAILS(uvm_map_claim(a->map, 1, UVM_ENTRY_BORROWED, &claimed), ENOENT);
	LV_OK(uvm_map_enter_new(a->map, 10, 2, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e));
	LV_FAILS(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &claimed), EBUSY);
	uvm_map_entry_ready(a->map, e);
	LV_FAILS(uvm_map_claim(a->map, 11, UVM_ENTRY_BORROWED, &claimed), ENOENT);
	LV_OK(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &claimed));
	cr_assert_eq(claimed, e);
	LV_FAILS(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &claimed), EBUSY);
	uvm_map_entry_ready(a->map, e);
	LV_OK(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &claimed));
	uvm_map_remove(a->map, e);
	LV_FAILS(uvm_map_claim(a->map, 10, UVM_ENTRY_BORROWED, &claimed), ENOENT);
}

LvTest(uvm_map, entries_are_walked_in_order)
{
	struct guest *a = guest_with_room();
	struct uvm_entry *made[3], *e = NULL;
	const uint64_t starts[3] = {20, 8, 14};
	const uint64_t in_order[4] = {0, 8, 14, 20};

	for (unsigned i = 0; i < 3; i++)
		LV_OK(uvm_map_enter_new(
		    a->map, starts[i], 2, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &made[i]));
	uvm_lock(&a->map->vm_lock);
	for (unsigned i = 0; i < 4; i++) {
		e = uvm_map_next_entry(a->map, e);
		cr_assert_eq(e->me_start, in_order[i]);
	}
	cr_assert_null(uvm_map_next_entry(a->map, e));
	uvm_unlock(&a->map->vm_lock);
	cr_assert_eq(uvm_map_next_start(a->map, 0), 8);
	cr_assert_eq(uvm_map_next_start(a->map, 9), 14);
	cr_assert_eq(uvm_map_next_start(a->map, 20), UINT64_MAX);
	for (unsigned i = 0; i < 3; i++)
		uvm_map_remove(a->map, made[i]);
}

LvTest(uvm_map, find_room_takes_the_highest_hole_that_is_large_enough)
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e[2];
	uint64_t gfn = 0;
	static const struct {
		uint64_t from, end, n, align, gfn; /* gfn 0: none */
	} rows[] = {
	    {8, 24, 1, 1, 23},
	    {8, 24, 3, 1, 21},
	    {8, 24, 4, 1, 14}, /* [18, 21) is too small, and [21, 24) as well */
	    {8, 24, 4, 4, 12}, /* 16 is within the first entry */
	    {8, 24, 7, 1, 11},
	    {8, 24, 10, 1, 8},
	    {8, 24, 11, 1, 0},
	    {9, 24, 10, 1, 0},
	    {9, 20, 1, 1, 17},
	    {8, 24, 3, 16, 0}, /* 16 is too late, 0 too early */
	    {19, 20, 1, 1, 0},
	    {8, 24, UINT64_MAX, 1, 0},
	};

	LV_OK(uvm_map_enter_new(a->map, 18, 2, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e[0]));
	LV_OK(uvm_map_enter_new(a->map, 20, 1, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e[1]));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int error = uvm_map_find_room(
		    a->map, rows[i].from, rows[i].end, rows[i].n, rows[i].align, &gfn);

		cr_assert_eq(error, rows[i].gfn != 0 ? 0 : -ENOSPC, "row %u: %d", i, error);
		cr_assert(error != 0 || gfn == rows[i].gfn, "row %u: %lu", i, (unsigned long)gfn);
	}
	LV_FAILS(uvm_map_find_room(a->map, 8, 24, 0, 1, &gfn), EINVAL);
	for (unsigned i = 0; i < 2; i++)
		uvm_map_remove(a->map, e[i]);
}

LvTest(uvm_map, ranges_give_homes_and_bounds)
{
	const struct uvm_maprange ranges[2] = {{0x100, 8, 4}, {0x10, 4, 0}};
	struct soft_store *ss = soft_store_create(12, 1, 9);
	struct soft_pmap *sp = soft_pmap_create(0x200);
	struct uvm_map *map = uvm_map_create(&sp->sp_pmap, &ss->ss_store, 9, ranges, 2);

	cr_assert_eq(uvm_map_home(map, 0x100), 4);
	cr_assert_eq(uvm_map_home(map, 0x107), 11);
	cr_assert_eq(uvm_map_home(map, 0x13), 3);
	cr_assert_eq(uvm_map_size(map), 12);
	cr_assert(uvm_map_inside(map, 0x10, 4));
	cr_assert(!uvm_map_inside(map, 0x10, 5));
	cr_assert(!uvm_map_inside(map, 0xf, 2));
	cr_assert(!uvm_map_inside(map, 0x101, UINT64_MAX));
	cr_assert(!uvm_map_inside(map, 0x100, 0));
	uvm_map_destroy(map);
	soft_pmap_destroy(sp);
	uvm_store_rele(&ss->ss_store);
}

LvTest(uvm_map, removed_entry_lets_go_of_all_it_holds)
{
	struct guest *a = guest_with_room(), *b = guest_with_room();
	uint64_t id, windows;

	for (unsigned i = 0; i < 4; i++)
		LV_OK(guest_fill(a, i, 1 + i));
	id = lv_lend(a, 0, 4, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 8));
	LV_OK(guest_fill(b, 9, 50));
	cr_assert_eq(b->store->ss_store.st_nframes, 1);
	LV_OK(uvm_ledger_return(b->map, 8));
	cr_assert_eq(b->store->ss_store.st_nframes, 0, "private copies are gone");
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(uvm_anon_refs(lv_anon(a, 0)), 1);
}

LvTest(uvm_map, destroyed_map_gives_all_memory_back)
{
	struct guest *a = guest_with_room();
	struct uvm_account ac;

	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 1 + i)); /* some of it never learned */
	LV_OK(uvm_map_learn(a->map));
	lv_account(&ac);
	cr_assert_eq(ac.ac_kernel_pages, 8);
	lv_kill(a);
	lv_account(&ac);
	cr_assert_eq(ac.ac_kernel_pages, 0);
}

LvTest(uvm_map, retired_map_has_nothing_in_it)
{
	struct guest *a = guest_with_room();
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	struct uvm_lookup ul;
	struct uvm_entry *e;
	uint64_t id;

	LV_OK(guest_fill(a, 0, 1));
	LV_OK(uvm_map_learn(a->map));
	uvm_map_retire(a->map);
	LV_FAILS(uvm_map_lookup(a->map, 0, &ul), EFAULT);
	LV_FAILS(uvm_map_enter_new(a->map, 8, 1, UVM_ENTRY_WINDOW, 0, &e), ESRCH);
	LV_FAILS(uvm_fault(a->map, 0, UVM_ACCESS_WRITE), EFAULT);
	cr_assert_neq(uvm_ledger_lend(a->map, 0, 1, &terms, &id), 0);
	cr_assert_eq(uvm_map_next_start(a->map, 0), UINT64_MAX);
}

/* Whoever has a reference to a dead map can still use it: nothing is found in it. */
LvTest(uvm_map, reference_outlives_the_guest)
{
	struct guest *a = guest_with_room();
	struct uvm_map *map = a->map;

	uvm_map_ref(map);
	lv_kill(a);
	uvm_map_thaw(map, 0, 8);
	LV_OK(uvm_map_learn(map));
	uvm_map_rele(map);
}

LvDeath(uvm_map_death, remove_of_an_entry_that_is_not_busy, "UVM_ENTRY_BUSY")
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e;

	LV_OK(uvm_map_enter_new(a->map, 8, 1, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e));
	uvm_map_entry_ready(a->map, e);
	uvm_map_remove(a->map, e);
}

LvDeath(uvm_map_death, ready_twice, "UVM_ENTRY_BUSY")
{
	struct guest *a = guest_with_room();
	struct uvm_entry *e;

	LV_OK(uvm_map_enter_new(a->map, 8, 1, UVM_ENTRY_WINDOW, UVM_ENTRY_BORROWED, &e));
	uvm_map_entry_ready(a->map, e);
	uvm_map_entry_ready(a->map, e);
}

LvDeath(uvm_map_death, last_reference_to_a_map_that_lives, "vm_dead")
{
	uvm_map_rele(guest_with_room()->map);
}

LvDeath(uvm_map_death, home_of_a_gfn_outside, "gfn outside the map")
{
	(void)uvm_map_home(guest_with_room()->map, 24);
}

LvDeath(uvm_map_death, too_many_ranges, "nranges <= UVM_MAP_MAXRANGES")
{
	const struct uvm_maprange ranges[UVM_MAP_MAXRANGES + 1] = {{0}};

	(void)uvm_map_create(
	    NULL, &soft_store_create(1, 1, 9)->ss_store, 9, ranges, UVM_MAP_MAXRANGES + 1);
}
