/* SPDX-License-Identifier: BSD-2-Clause */
/* Fail the Nth: filling. */
#include "failnth.h"
#include "uvm/uvm_fill.h"

static unsigned lost; /* which page of b is touched while it is filled; 0: none */

static int touch(void)
{
	struct uvm_store *st = &sc.b->store->ss_store;

	if (lost != 0 && sc.b->pmap->sp_ptes[lost].kind == PMAP_OWN)
		page_fill(st->st_ops->so_kva(st, lost), 9);
	return 0;
}

static int fill_pages(uint64_t gfn, unsigned n)
{
	struct uvm_fill pages[4];
	int error;

	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct uvm_fill){.fl_gfn = gfn + i, .fl_offset = i};
	error = uvm_fill(sc.b->map, &sc.to->to_object, pages, n);
	for (unsigned i = 0; error == 0 && i < n; i++)
		error = pages[i].fl_error;
	return error;
}

static void holds(uint64_t gfn, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cr_assert(guest_holds(sc.b, gfn + i, 500 + i));
	LV_OK(guest_fill(sc.b, gfn, 1));
	cr_assert(guest_holds(sc.b, gfn, 1));
	cr_assert(page_holds(uvm_page_kva(lv_object_page(sc.to, 0)), 500));
}

static int holes(void)
{
	return fill_pages(1, 3);
}

static void filled_holes(void)
{
	holds(1, 3);
}

LvTest(uvm_failures_fill, holes)
{
	fail_each(&(struct operation){.run = holes, .done = filled_holes, .may_lose = 'b'}, 6);
}

static int page(void)
{
	return fill_pages(0, 1);
}

static void filled_page(void)
{
	holds(0, 1);
}

LvTest(uvm_failures_fill, page)
{
	fail_each(&(struct operation){.run = page, .done = filled_page, .may_lose = 'b'}, 4);
}

/* The hole is touched while it is being filled, and that can not be written down. */
static int hole_that_is_touched(void)
{
	lost = 3;
	sc.b->pmap->sp_fail = touch;
	return fill_pages(3, 1);
}

static void filled_touched(void)
{
	holds(3, 1);
}

LvTest(uvm_failures_fill, hole_that_is_touched)
{
	fail_each(&(struct operation){.run = hole_that_is_touched, .done = filled_touched}, 6);
}
