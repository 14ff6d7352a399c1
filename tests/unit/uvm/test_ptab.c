/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

static int a, b;

LvTest(uvm_ptab, get_of_unwritten_slot_is_null)
{
	struct uvm_ptab pt;

	LV_OK(uvm_ptab_init(&pt, 3 * UVM_PTAB_CHUNK));
	for (uint64_t i = 0; i < pt.pt_n; i++)
		cr_assert_null(uvm_ptab_get(&pt, i));
	uvm_ptab_fini(&pt);
}

LvTest(uvm_ptab, set_after_reserve_is_found)
{
	struct uvm_ptab pt;

	LV_OK(uvm_ptab_init(&pt, 2 * UVM_PTAB_CHUNK));
	LV_OK(uvm_ptab_reserve(&pt, UVM_PTAB_CHUNK + 7));
	uvm_ptab_set(&pt, UVM_PTAB_CHUNK + 7, &a);
	cr_assert_eq(uvm_ptab_get(&pt, UVM_PTAB_CHUNK + 7), &a);
	cr_assert_null(uvm_ptab_get(&pt, UVM_PTAB_CHUNK + 6));
	cr_assert_null(pt.pt_chunks[0], "only the chunk written to exists");
	uvm_ptab_set(&pt, UVM_PTAB_CHUNK + 7, NULL);
	cr_assert_null(uvm_ptab_get(&pt, UVM_PTAB_CHUNK + 7));
	uvm_ptab_fini(&pt);
}

LvTest(uvm_ptab, clearing_in_a_chunk_that_never_was_does_nothing)
{
	struct uvm_ptab pt;

	LV_OK(uvm_ptab_init(&pt, UVM_PTAB_CHUNK));
	uvm_ptab_set(&pt, 1, NULL);
	cr_assert_null(pt.pt_chunks[0]);
	uvm_ptab_fini(&pt);
}

LvTest(uvm_ptab, next_skips_holes_in_and_between_chunks)
{
	const uint64_t places[] = {0, 1, UVM_PTAB_CHUNK - 1, 3 * UVM_PTAB_CHUNK};
	struct uvm_ptab pt;
	uint64_t i = 0;

	LV_OK(uvm_ptab_init(&pt, 3 * UVM_PTAB_CHUNK + 1));
	for (unsigned k = 0; k < 4; k++) {
		LV_OK(uvm_ptab_reserve(&pt, places[k]));
		uvm_ptab_set(&pt, places[k], k % 2 ? &b : &a);
	}
	for (unsigned k = 0; k < 4; k++, i++) {
		cr_assert_eq(uvm_ptab_next(&pt, &i), k % 2 ? &b : &a);
		cr_assert_eq(i, places[k]);
	}
	cr_assert_null(uvm_ptab_next(&pt, &i));
	uvm_ptab_fini(&pt);
}

LvTest(uvm_ptab, next_on_the_last_slot_ends_there)
{
	struct uvm_ptab pt;
	uint64_t i = 4;

	LV_OK(uvm_ptab_init(&pt, 5));
	LV_OK(uvm_ptab_reserve(&pt, 4));
	uvm_ptab_set(&pt, 4, &a);
	cr_assert_eq(uvm_ptab_next(&pt, &i), &a);
	i = 5;
	cr_assert_null(uvm_ptab_next(&pt, &i));
	uvm_ptab_fini(&pt);
}

static void set_unreserved(void)
{
	struct uvm_ptab pt;

	LV_OK(uvm_ptab_init(&pt, 5));
	uvm_ptab_set(&pt, 4, &a);
}

Test(uvm_ptab_death, set_of_a_slot_not_reserved)
{
	lv_expect_panic(set_unreserved, "chunk != NULL || p == NULL");
}

static void reserve_outside(void)
{
	struct uvm_ptab pt;

	LV_OK(uvm_ptab_init(&pt, 5));
	(void)uvm_ptab_reserve(&pt, 5);
}

Test(uvm_ptab_death, reserve_beyond_the_end)
{
	lv_expect_panic(reserve_outside, "i < pt->pt_n");
}
