/* SPDX-License-Identifier: BSD-2-Clause */
/* Single steps of uvm_lock.h; the hammering is tests/unit/stress/stress_lock.c. */
#include "lvtest.h"

#include <pthread.h>

static struct uvm_lock lk, above;
static _Atomic int stage;
static bool other_got_it;

static void *try_other(void *arg)
{
	(void)arg;
	other_got_it = uvm_trylock(&lk);
	if (other_got_it)
		uvm_unlock(&lk);
	return NULL;
}

static bool other_thread_can_lock(void)
{
	pthread_t t;

	LV_OK(pthread_create(&t, NULL, try_other, NULL));
	LV_OK(pthread_join(t, NULL));
	return other_got_it;
}

LvTest(uvm_lock, lock_excludes_other_threads_until_unlock)
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	cr_assert(other_thread_can_lock());
	uvm_lock(&lk);
	cr_assert(uvm_lock_held(&lk));
	cr_assert(!other_thread_can_lock());
	uvm_unlock(&lk);
	cr_assert(!uvm_lock_held(&lk));
	cr_assert(other_thread_can_lock());
}

LvTest(uvm_lock, trylock_from_the_wrong_side_is_allowed)
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	uvm_lock_init(&above, UVM_RANK_ANON);
	uvm_lock(&above);
	cr_assert(uvm_trylock(&lk));
	uvm_unlock(&lk);
	uvm_unlock(&above);
}

static void *sleeper(void *arg)
{
	uvm_world_enter();
	uvm_lock(&lk);
	atomic_store(&stage, 1);
	while (atomic_load(&stage) != 2) {
		uvm_sleep(arg, &lk);
		cr_assert(!uvm_lock_held(&lk));
		uvm_lock(&lk);
	}
	uvm_unlock(&lk);
	uvm_world_leave();
	return NULL;
}

LvTest(uvm_lock, sleep_ends_with_wakeup_of_its_channel)
{
	pthread_t t;

	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	atomic_store(&stage, 0);
	LV_OK(pthread_create(&t, NULL, sleeper, &stage));
	while (atomic_load(&stage) != 1)
		uvm_backoff(0);
	uvm_lock(&lk);
	atomic_store(&stage, 2);
	uvm_wakeup(&stage);
	uvm_unlock(&lk);
	LV_OK(pthread_join(t, NULL));
}

LvTest(uvm_lock, sleep_lets_the_world_go)
{
	pthread_t t;

	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	atomic_store(&stage, 0);
	LV_OK(pthread_create(&t, NULL, sleeper, &stage));
	while (atomic_load(&stage) != 1)
		uvm_backoff(0);
	uvm_lock(&lk); /* the sleeper has let go: it sleeps */
	uvm_unlock(&lk);
	uvm_world_leave();
	uvm_world_stop();
	uvm_world_resume();
	uvm_world_enter();
	uvm_lock(&lk);
	atomic_store(&stage, 2);
	uvm_wakeup(&stage);
	uvm_unlock(&lk);
	LV_OK(pthread_join(t, NULL));
}

static void *in_and_out(void *arg)
{
	(void)arg;
	uvm_world_enter();
	atomic_store(&stage, 1);
	uvm_world_leave();
	return NULL;
}

LvTest(uvm_lock, world_stopped_keeps_others_out)
{
	pthread_t t;

	atomic_store(&stage, 0);
	uvm_world_leave();
	uvm_world_stop();
	LV_OK(pthread_create(&t, NULL, in_and_out, NULL));
	for (unsigned i = 0; i < 50; i++)
		uvm_backoff(8 + i);
	cr_assert_eq(atomic_load(&stage), 0);
	uvm_world_resume();
	LV_OK(pthread_join(t, NULL));
	cr_assert_eq(atomic_load(&stage), 1);
	uvm_world_enter();
}

#ifdef LOMBARD_DEBUG
LvDeath(uvm_lock_death, lower_rank_while_higher_is_held, "lock order")
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	uvm_lock_init(&above, UVM_RANK_ANON);
	uvm_lock(&above);
	uvm_lock(&lk);
}

LvDeath(uvm_lock_death, two_of_one_rank, "lock order")
{
	uvm_lock_init(&lk, UVM_RANK_ANON);
	uvm_lock_init(&above, UVM_RANK_ANON);
	uvm_lock(&above);
	uvm_lock(&lk);
}

LvDeath(uvm_lock_death, world_entered_with_a_lock_held, "lock order")
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	uvm_world_leave();
	uvm_lock(&lk);
	uvm_world_enter();
}

LvDeath(uvm_lock_death, unlock_of_a_lock_not_held, "uvm_lock_held(lk)")
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	uvm_unlock(&lk);
}
#endif

LvDeath(uvm_lock_death, recursive_slow_path, "!uvm_lock_held(lk)")
{
	uvm_lock_init(&lk, UVM_RANK_OBJECT);
	uvm_lock(&lk);
	uvm_lock_slow(&lk, uvm_self());
}
