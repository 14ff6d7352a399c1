/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <pthread.h>

static struct uvm_anon *anon_new(struct soft_store *ss, uint64_t p)
{
	struct uvm_anon *an = uvm_anon_alloc();

	uvm_anon_set_page(an, uvm_page_alloc(&ss->ss_store, p, 0));
	return an;
}

static void anon_end(struct uvm_anon *an)
{
	(void)uvm_anon_rele(an, uvm_anon_lock(an));
	uvm_page_reap();
}

LvTest(uvm_amap, add_lookup_replace_keep_busy_apart)
{
	struct soft_store *ss = soft_store_create(4, 1, 9);
	struct uvm_amap *am = uvm_amap_alloc(4);
	struct uvm_anon *a = anon_new(ss, 0), *b = anon_new(ss, 1);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_add(am, 2, a));
	cr_assert_eq(uvm_amap_lookup(am, 2), a);
	cr_assert(!uvm_amap_busy(am, 2));
	LV_OK(uvm_amap_set_busy(am, 2));
	cr_assert(uvm_amap_busy(am, 2));
	cr_assert_eq(uvm_amap_lookup(am, 2), a);
	uvm_amap_replace(am, 2, b);
	cr_assert(uvm_amap_busy(am, 2), "replace leaves busy as it is");
	cr_assert_eq(uvm_amap_lookup(am, 2), b);
	uvm_amap_clear_busy(am, 2);
	cr_assert_eq(am->am_nbusy, 0);
	uvm_amap_replace(am, 2, NULL);
	uvm_unlock(&am->am_lock);
	uvm_amap_free(am);
	anon_end(a);
	anon_end(b);
	uvm_store_rele(&ss->ss_store);
}

LvTest(uvm_amap, empty_slot_can_be_busy)
{
	struct uvm_amap *am = uvm_amap_alloc(4);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_set_busy(am, 0));
	cr_assert_null(uvm_amap_lookup(am, 0));
	cr_assert_eq(am->am_nbusy, 1);
	uvm_amap_clear_busy(am, 0);
	uvm_unlock(&am->am_lock);
	uvm_amap_free(am);
}

static _Atomic int stage;

static void *waiter(void *arg)
{
	struct uvm_amap *am = arg;

	uvm_world_enter();
	uvm_lock(&am->am_lock);
	while (uvm_amap_busy(am, 1)) {
		atomic_store(&stage, 1);
		uvm_amap_wait(am);
		uvm_lock(&am->am_lock);
	}
	uvm_unlock(&am->am_lock);
	uvm_world_leave();
	return NULL;
}

LvTest(uvm_amap, wait_ends_when_a_slot_stops_being_busy)
{
	struct uvm_amap *am = uvm_amap_alloc(4);
	pthread_t t;

	atomic_store(&stage, 0);
	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_set_busy(am, 1));
	uvm_unlock(&am->am_lock);
	LV_OK(pthread_create(&t, NULL, waiter, am));
	while (atomic_load(&stage) == 0)
		uvm_backoff(0);
	uvm_lock(&am->am_lock);
	uvm_amap_clear_busy(am, 1);
	uvm_unlock(&am->am_lock);
	LV_OK(pthread_join(t, NULL));
	uvm_amap_free(am);
}

LvDeath(uvm_amap_death, free_with_an_anon_in_it, "uvm_ptab_next(&am->am_slots, &i) == NULL")
{
	struct uvm_amap *am = uvm_amap_alloc(4);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_add(am, 0, anon_new(soft_store_create(4, 1, 9), 0)));
	uvm_unlock(&am->am_lock);
	uvm_amap_free(am);
}

LvDeath(uvm_amap_death, free_with_a_busy_slot, "am->am_nbusy == 0")
{
	struct uvm_amap *am = uvm_amap_alloc(4);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_set_busy(am, 0));
	uvm_unlock(&am->am_lock);
	uvm_amap_free(am);
}

LvDeath(uvm_amap_death, add_to_a_slot_that_is_taken, "uvm_amap_lookup(am, i) == NULL")
{
	struct uvm_amap *am = uvm_amap_alloc(4);
	struct uvm_anon *an = anon_new(soft_store_create(4, 1, 9), 0);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_add(am, 0, an));
	(void)uvm_amap_add(am, 0, an);
}

LvDeath(uvm_amap_death, busy_twice, "!uvm_amap_busy(am, i)")
{
	struct uvm_amap *am = uvm_amap_alloc(4);

	uvm_lock(&am->am_lock);
	LV_OK(uvm_amap_set_busy(am, 0));
	(void)uvm_amap_set_busy(am, 0);
}

LvDeath(uvm_amap_death, clear_of_a_slot_not_busy, "uvm_amap_busy(am, i)")
{
	struct uvm_amap *am = uvm_amap_alloc(4);

	uvm_lock(&am->am_lock);
	uvm_amap_clear_busy(am, 0);
}

LvDeath(uvm_amap_death, set_busy_without_the_lock, "uvm_lock_held(&am->am_lock)")
{
	(void)uvm_amap_set_busy(uvm_amap_alloc(4), 0);
}
