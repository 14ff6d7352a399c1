/* SPDX-License-Identifier: BSD-2-Clause */
/* Fail the Nth: sharing, and host programs' maps. */
#include "failnth.h"
#include "uvm/uvm_hostmap.h"
#include "uvm/uvm_share.h"

static uint64_t handle;

static int nominate(void)
{
	return uvm_share_nominate(sc.a->map, 4, &handle);
}

static void nominated(void)
{
	LV_OK(uvm_share_pages(sc.a->map, 4, handle, sc.a->map, 4, handle));
	LV_OK(guest_fill(sc.a, 4, 1));
	cr_assert_eq(uvm_share_refs(sc.a->map, 4), -EINVAL);
}

LvTest(uvm_failures_share, nominate)
{
	fail_each(&(struct operation){.run = nominate, .done = nominated}, 3);
}

static int nominate_untouched(void)
{
	return uvm_share_nominate(sc.a->map, 2, &handle);
}

static void nominated_untouched(void)
{
	cr_assert_eq(uvm_share_refs(sc.a->map, 2), 1);
	cr_assert(guest_holds(sc.a, 2, 0));
}

LvTest(uvm_failures_share, nominate_untouched)
{
	fail_each(
	    &(struct operation){
		.run = nominate_untouched, .done = nominated_untouched, .may_lose = 'a'},
	    4);
}

static uint64_t client_handle;

static void two_handles(void)
{
	LV_OK(uvm_share_nominate(sc.a->map, 4, &handle));
	LV_OK(uvm_share_nominate(sc.b->map, 0, &client_handle));
}

static int share(void)
{
	return uvm_share_pages(sc.a->map, 4, handle, sc.b->map, 0, client_handle);
}

static void shared(void)
{
	cr_assert_eq(lv_page(sc.a, 4), lv_page(sc.b, 0));
	cr_assert(guest_holds(sc.b, 0, 104));
	LV_OK(guest_fill(sc.a, 4, 1));
	cr_assert(guest_holds(sc.b, 0, 104));
}

LvTest(uvm_failures_share, share)
{
	fail_each(
	    &(struct operation){
		.run = share, .done = shared, .before = two_handles, .may_lose = 'b'},
	    1);
}

static int add(void)
{
	return uvm_share_add(sc.a->map, 4, handle, sc.b->map, 3);
}

static void added(void)
{
	cr_assert_eq(lv_page(sc.a, 4), lv_page(sc.b, 3));
	cr_assert(guest_holds(sc.b, 3, 104));
	LV_OK(guest_fill(sc.b, 3, 1));
	cr_assert(guest_holds(sc.a, 4, 104));
}

LvTest(uvm_failures_share, add)
{
	fail_each(
	    &(struct operation){.run = add, .done = added, .before = two_handles, .may_lose = 'b'},
	    2);
}

/* The hole is touched while it is being filled, and that can not be written down. */
static int touch_and_fail(void)
{
	struct uvm_store *st = &sc.b->store->ss_store;

	if (sc.b->pmap->sp_ptes[3].kind == PMAP_OWN)
		page_fill(st->st_ops->so_kva(st, 3), 9);
	return 0;
}

static int add_to_touched(void)
{
	int error;

	sc.b->pmap->sp_fail = touch_and_fail;
	error = uvm_share_add(sc.a->map, 4, handle, sc.b->map, 3);
	return error == -ENOENT ? 0 : error;
}

static void not_added(void)
{
	cr_assert(guest_holds(sc.b, 3, 9));
	LV_OK(guest_fill(sc.b, 3, 1));
}

LvTest(uvm_failures_share, add_to_a_page_that_is_touched)
{
	fail_each(
	    &(struct operation){.run = add_to_touched, .done = not_added, .before = two_handles},
	    1);
}

static int write_shared(void)
{
	return guest_fill(sc.b, 0, 7);
}

static void wrote_shared(void)
{
	cr_assert(guest_holds(sc.b, 0, 7) && guest_holds(sc.a, 4, 104));
	LV_OK(guest_fill(sc.b, 0, 300));
}

LvTest(uvm_failures_share, write_to_a_shared_page)
{
	uint64_t b_handle;

	for (unsigned nth = 0; nth < 3; nth++) {
		struct guest *a = sc.a = lv_guest(8, 8), *b = sc.b = lv_guest(8, 8);

		LV_OK(guest_fill(a, 4, 104));
		LV_OK(guest_fill(b, 0, 104));
		LV_OK(uvm_share_nominate(a->map, 4, &handle));
		LV_OK(uvm_share_nominate(b->map, 0, &b_handle));
		LV_OK(uvm_share_pages(a->map, 4, handle, b->map, 0, b_handle));
		cr_assert_eq(fail_nth_allocation(write_shared, nth + 1), nth < 2 ? -ENOMEM : 0);
		cr_assert(nth == 2 || guest_holds(b, 0, 104));
		lv_check();
		LV_OK(write_shared());
		wrote_shared();
		lv_kill(a);
		lv_kill(b);
	}
}

static struct uvm_hostmap *hm;

/* A page that is not learned, one on loan, one that was never touched. */
static int look(void)
{
	static const uint64_t gfns[] = {0, 5, 2};
	struct uvm_page *pg;
	int error = 0;

	hm = uvm_hostmap_create(sc.a->map, 3);
	if (hm == NULL)
		return -ENOMEM;
	for (unsigned i = 0; error == 0 && i < 3; i++)
		error = uvm_hostmap_add(hm, i, gfns[i], false, &pg);
	if (error != 0)
		uvm_hostmap_destroy(hm);
	return error;
}

static void looked(void)
{
	uvm_hostmap_destroy(hm);
}

LvTest(uvm_failures_share, look)
{
	fail_each(&(struct operation){.run = look, .done = looked}, 5);
}

static int map_writable(void)
{
	struct uvm_page *pg;
	int error;

	hm = uvm_hostmap_create(sc.a->map, 2);
	if (hm == NULL)
		return -ENOMEM;
	error = uvm_hostmap_add(hm, 0, 0, true, &pg);
	if (error == 0)
		error = uvm_hostmap_add(hm, 1, 5, true, &pg);
	if (error != 0)
		uvm_hostmap_destroy(hm);
	return error;
}

LvTest(uvm_failures_share, map_writable)
{
	fail_each(&(struct operation){.run = map_writable, .done = looked, .may_lose = 'a'}, 6);
}
