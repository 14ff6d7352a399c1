/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests that must fail, each in another way, and one that must not.  run-unit.sh runs them one by
 * one and fails when one of them passes: then a real failure of that kind would go unseen as well.
 */
#include "lvtest.h"

#include <stdlib.h>

/* Hide from the compiler what is wrong. */
static void *volatile hidden;
static volatile int big = INT32_MAX;

LvTest(known_bad, control)
{
	cr_assert_not_null(uvm_zero_page());
}

LvTest(known_bad, assertion)
{
	cr_assert_null(uvm_zero_page());
}

LvTest(known_bad, leak)
{
	hidden = malloc(100);
	hidden = NULL;
}

/* Without the wrapper: only the sanitizer at exit can tell, and Criterion ignores its status. */
Test(known_bad, leak_at_exit)
{
	hidden = malloc(100);
	hidden = NULL;
}

LvTest(known_bad, address)
{
	hidden = malloc(10);
	free(hidden);
	cr_assert_neq(*(volatile char *)hidden, 1);
}

LvTest(known_bad, undefined)
{
	big += 1;
}

/* A page that is on loan and writable. */
LvTest(known_bad, invariant)
{
	struct guest *a = lv_guest(4, 4);

	LV_OK(guest_fill(a, 0, 1));
	(void)lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	a->pmap->sp_ptes[0].writable = true;
}
