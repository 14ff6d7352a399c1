/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <pthread.h>

/* Get a page as a caller without other locks does; unlocked again on return. */
static int get(struct test_object *to, uint64_t off, uint64_t n, struct uvm_page **pgp)
{
	int error;

	do {
		uvm_lock(&to->to_object.uo_lock);
		error = uvm_object_get(&to->to_object, off, n, false, pgp);
	} while (error == -EAGAIN);
	if (error == 0)
		uvm_unlock(&to->to_object.uo_lock);
	return error;
}

static int fail_get(struct test_object *to, uint64_t off, unsigned n)
{
	(void)to;
	(void)off;
	(void)n;
	return -EIO;
}

static int fail_put(struct test_object *to, uint64_t off)
{
	(void)to;
	return off == 1 ? -EIO : 0;
}

LvTest(uvm_object, get_reads_each_page_once_in_clusters)
{
	struct test_object *to = test_object_create(2 * UVM_OBJECT_CLUSTER + 5, 1);
	struct uvm_page *pg;

	for (uint64_t i = 0; i < to->to_object.uo_npages; i++) {
		LV_OK(get(to, i, to->to_object.uo_npages - i, &pg));
		cr_assert(page_holds(uvm_page_kva(pg), 1 + i));
	}
	cr_assert_eq(to->to_gets, 3);
	cr_assert_eq(to->to_object.uo_reads, 3);
	cr_assert_eq(to->to_object.uo_read_pages, to->to_object.uo_npages);
	cr_assert_eq(to->to_object.uo_nresident, to->to_object.uo_npages);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_object, get_stops_a_cluster_before_a_resident_page)
{
	struct test_object *to = test_object_create(8, 1);
	struct uvm_page *pg;

	LV_OK(get(to, 3, 1, &pg));
	LV_OK(get(to, 1, 7, &pg));
	cr_assert_eq(to->to_object.uo_nresident, 3);
	cr_assert_null(lv_object_page(to, 4));
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_object, get_with_other_locks_held_does_not_wait)
{
	struct test_object *to = test_object_create(2, 1);
	struct uvm_page *pg;

	uvm_lock(&to->to_object.uo_lock);
	LV_FAILS(uvm_object_get(&to->to_object, 0, 1, true, &pg), EBUSY);
	cr_assert(uvm_lock_held(&to->to_object.uo_lock));
	uvm_unlock(&to->to_object.uo_lock);
	cr_assert_eq(to->to_gets, 0);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_object, pager_error_keeps_nothing)
{
	struct test_object *to = test_object_create(8, 1);
	struct uvm_page *pg;

	to->to_on_get = fail_get;
	LV_FAILS(get(to, 0, 8, &pg), EIO);
	cr_assert_eq(to->to_object.uo_nresident, 0);
	cr_assert_eq(to->to_store->ss_store.st_nframes, 0);
	lv_check();
	to->to_on_get = NULL;
	LV_OK(get(to, 0, 8, &pg));
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_object, without_pager_pages_are_zeroes_and_have_memory)
{
	struct test_object *to = anon_object_create(4);
	struct uvm_page *pg;

	LV_OK(get(to, 0, 4, &pg));
	lv_check(); /* the sums agree */
	cr_assert(page_holds(uvm_page_kva(pg), 0));
	uvm_object_rele(&to->to_object);
}

static _Atomic int stage;

/* The pager sleeps until somebody else has come for the page. */
static int slow_get(struct test_object *to, uint64_t off, unsigned n)
{
	(void)to;
	(void)off;
	(void)n;
	atomic_store(&stage, 1);
	for (unsigned i = 0; i < 100; i++)
		uvm_backoff(8 + i);
	return 0;
}

static void *second_getter(void *arg)
{
	struct test_object *to = arg;
	struct uvm_page *pg;

	while (atomic_load(&stage) != 1)
		uvm_backoff(0);
	uvm_world_enter();
	cr_assert_eq(get(to, 1, 1, &pg), 0);
	cr_assert(page_holds(uvm_page_kva(pg), 2));
	uvm_world_leave();
	return NULL;
}

LvTest(uvm_object, second_getter_waits_for_the_first_one_s_pager)
{
	struct test_object *to = test_object_create(4, 1);
	struct uvm_page *pg;
	pthread_t t;

	atomic_store(&stage, 0);
	to->to_on_get = slow_get;
	LV_OK(pthread_create(&t, NULL, second_getter, to));
	LV_OK(get(to, 0, 4, &pg));
	uvm_world_leave();
	LV_OK(pthread_join(t, NULL));
	uvm_world_enter();
	cr_assert_eq(to->to_gets, 1);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_object, flush_clean_writes_dirty_pages_only)
{
	struct test_object *to = test_object_create(4, 1);
	struct uvm_page *pg;
	uint64_t nbroken = 0;

	LV_OK(get(to, 0, 4, &pg));
	LV_OK(uvm_object_write(&to->to_object, 2, 0, "xy", 2, &nbroken));
	LV_OK(uvm_object_flush(&to->to_object, 0, 4, UVM_FLUSH_CLEAN, &nbroken));
	LV_OK(uvm_object_flush(&to->to_object, 0, 4, UVM_FLUSH_CLEAN, &nbroken));
	cr_assert_eq(to->to_puts, 1, "once written back, it is clean");
	cr_assert_eq(to->to_disk[2 * UVM_PAGE_SIZE], 'x');
	cr_assert_eq(to->to_object.uo_nresident, 4);
	cr_assert_eq(nbroken, 0);
	uvm_object_rele(&to->to_object);
	cr_assert_eq(nbroken, 0);
}

LvTest(uvm_object, flush_that_cannot_write_keeps_the_page_and_says_so)
{
	struct test_object *to = test_object_create(4, 1);
	uint64_t nbroken = 0;

	for (unsigned i = 0; i < 4; i++)
		LV_OK(uvm_object_write(&to->to_object, i, 0, "x", 1, &nbroken));
	to->to_on_put = fail_put;
	LV_FAILS(uvm_object_flush(&to->to_object, 0, 4, UVM_FLUSH_CLEAN | UVM_FLUSH_FREE, &nbroken),
	    EIO);
	cr_assert_eq(to->to_object.uo_nresident, 1);
	cr_assert_not_null(lv_object_page(to, 1));
	to->to_on_put = NULL;
	LV_OK(uvm_object_flush(&to->to_object, 0, 4, UVM_FLUSH_CLEAN, &nbroken));
	cr_assert_eq(to->to_disk[UVM_PAGE_SIZE], 'x');
	uvm_object_rele(&to->to_object);
}

/* seed: broken by: owner frees or flushes */
LvTest(uvm_object, flush_of_lent_pages_makes_orphans_and_counts_them)
{
	struct guest *a = lv_guest(4, 4);
	struct test_object *to = test_object_create(4, 1);
	uint64_t nbroken = 0, id = lv_lend_object(to, 0, 3, UVM_LOAN_TOPAGE), windows;
	struct uvm_account ac;

	LV_OK(uvm_ledger_borrow(a->map, id, 0, 3, 4));
	LV_OK(uvm_object_flush(&to->to_object, 0, 4, UVM_FLUSH_FREE, &nbroken));
	cr_assert_eq(nbroken, 3);
	lv_account(&ac);
	cr_assert_eq(ac.ac_all.fr_orphaned, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(guest_holds(a, 4 + i, 1 + i));
	LV_OK(uvm_ledger_return(a->map, 4));
	lv_account(&ac);
	cr_assert_eq(ac.ac_all.fr_orphaned, 0);
	LV_OK(uvm_ledger_recall(0, id, &windows));
	uvm_object_rele(&to->to_object);
}

/* Regression: the last reference used to abort when the pager could not write back. */
LvTest(uvm_object, last_reference_with_a_failing_pager_loses_the_bytes)
{
	struct test_object *to = test_object_create(4, 1);
	bool gone = false;
	uint64_t nbroken = 0;

	LV_OK(uvm_object_write(&to->to_object, 1, 0, "x", 1, &nbroken));
	to->to_on_put = fail_put;
	to->to_gone = &gone;
	uvm_object_ref(&to->to_object);
	uvm_object_rele(&to->to_object);
	cr_assert(!gone);
	uvm_object_rele(&to->to_object);
	cr_assert(gone);
}

LvTest(uvm_object, last_reference_writes_dirty_pages_back)
{
	struct test_object *to = test_object_create(4, 1);
	uint64_t nbroken = 0;
	bool gone = false;

	to->to_gone = &gone;
	LV_OK(uvm_object_write(&to->to_object, 3, 0, "x", 1, &nbroken));
	LV_OK(uvm_object_write(&to->to_object, 3, 1, "y", 1, &nbroken));
	uvm_object_rele(&to->to_object);
	cr_assert(gone);
}

LvTest(uvm_object, disown_of_a_page_nobody_borrows_dequeues_it)
{
	struct test_object *to = test_object_create(1, 1);
	struct uvm_page *pg;

	LV_OK(get(to, 0, 1, &pg));
	uvm_lock(&to->to_object.uo_lock);
	uvm_lock(&uvm_queues_lock);
	cr_assert(pg->pg_pqflags & UVM_PQ_ACTIVE);
	cr_assert(!uvm_object_disown(pg));
	cr_assert_eq(pg->pg_pqflags, 0);
	uvm_page_free(pg);
	uvm_unlock(&uvm_queues_lock);
	uvm_unlock(&to->to_object.uo_lock);
	uvm_page_reap();
	uvm_object_rele(&to->to_object);
}

LvDeath(uvm_object_death, get_beyond_the_end, "off < uo->uo_npages")
{
	struct test_object *to = test_object_create(2, 1);
	struct uvm_page *pg;

	uvm_lock(&to->to_object.uo_lock);
	(void)uvm_object_get(&to->to_object, 2, 1, false, &pg);
}

LvDeath(uvm_object_death, flush_beyond_the_end, "end <= uo->uo_npages")
{
	struct test_object *to = test_object_create(2, 1);
	uint64_t nbroken = 0;

	(void)uvm_object_flush(&to->to_object, 1, 2, UVM_FLUSH_FREE, &nbroken);
}

LvDeath(uvm_object_death, insert_into_a_slot_that_is_taken, "uvm_object_lookup(uo, off) == NULL")
{
	struct test_object *to = test_object_create(2, 1);
	struct uvm_page *pg;

	LV_OK(get(to, 0, 1, &pg));
	pg = uvm_page_alloc(&to->to_store->ss_store, 1, 0);
	uvm_lock(&to->to_object.uo_lock);
	uvm_lock(&uvm_queues_lock);
	uvm_object_insert(&to->to_object, 0, pg);
}

LvDeath(uvm_object_death, disown_without_the_object_s_lock, "uvm_lock_held(&uo->uo_lock)")
{
	struct test_object *to = test_object_create(2, 1);
	struct uvm_page *pg;

	LV_OK(get(to, 0, 1, &pg));
	uvm_lock(&uvm_queues_lock);
	(void)uvm_object_disown(pg);
}
