/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_lock.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

_Thread_local uint32_t uvm_thread_number;

/* Sleepers wait in a bucket chosen by the address they wait for; sharing one is harmless. */
#define NBUCKETS 64
#define SPINS 64

static struct bucket {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	uint64_t generation; /* counts wake-ups */
} buckets[NBUCKETS];

static pthread_rwlock_t world;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void uvm_panic(const char *file, int line, const char *what)
{
	fprintf(stderr, "lombard: bug: %s:%d: %s\n", file, line, what);
	abort();
}

static void init_once(void)
{
	pthread_rwlockattr_t attr;

	for (unsigned i = 0; i < NBUCKETS; i++) {
		pthread_mutex_init(&buckets[i].mutex, NULL);
		pthread_cond_init(&buckets[i].cond, NULL);
	}
	pthread_rwlockattr_init(&attr);
	/* The auditor must not starve behind a stream of operations. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&world, &attr);
	pthread_rwlockattr_destroy(&attr);
}

uint32_t uvm_thread_number_new(void)
{
	static _Atomic uint32_t last;

	pthread_once(&once, init_once);
	uvm_thread_number = (atomic_fetch_add(&last, 1) + 1) << 1;
	KASSERT(uvm_thread_number != 0);
	return uvm_thread_number;
}

static struct bucket *bucket_of(const void *chan)
{
	uintptr_t a = (uintptr_t)chan;

	return &buckets[(a >> 4 ^ a >> 10) % NBUCKETS];
}

void uvm_lock_init(struct uvm_lock *lk, enum uvm_rank rank)
{
	atomic_init(&lk->lk_word, 0);
	lk->lk_rank = rank;
}

void uvm_lock_slow(struct uvm_lock *lk, uint32_t self)
{
	struct bucket *b = bucket_of(lk);
	uint32_t word;

	KASSERT(!uvm_lock_held(lk));
	for (unsigned tries = 0;; tries++) {
		word = 0;
		if (atomic_compare_exchange_strong_explicit(
			&lk->lk_word, &word, self, memory_order_acquire, memory_order_relaxed))
			return;
		if (tries < SPINS)
			continue;
		/* The holder clears the word with the bucket locked once it sees the wait bit. */
		pthread_mutex_lock(&b->mutex);
		word = atomic_load_explicit(&lk->lk_word, memory_order_relaxed);
		if (word != 0 && atomic_compare_exchange_strong_explicit(&lk->lk_word, &word,
				     word | 1, memory_order_relaxed, memory_order_relaxed))
			pthread_cond_wait(&b->cond, &b->mutex);
		pthread_mutex_unlock(&b->mutex);
	}
}

void uvm_unlock_slow(struct uvm_lock *lk)
{
	struct bucket *b = bucket_of(lk);

	KASSERT(uvm_lock_held(lk));
	pthread_mutex_lock(&b->mutex);
	atomic_store_explicit(&lk->lk_word, 0, memory_order_release);
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->mutex);
}

void uvm_sleep(const void *chan, struct uvm_lock *lk)
{
	struct bucket *b = bucket_of(chan);
	uint64_t generation;

	pthread_mutex_lock(&b->mutex);
	generation = b->generation;
	pthread_mutex_unlock(&b->mutex);
	uvm_unlock(lk);
	uvm_world_leave();

	/* A wake-up needs lk to see that somebody waits, so it comes after the first read. */
	pthread_mutex_lock(&b->mutex);
	while (b->generation == generation)
		pthread_cond_wait(&b->cond, &b->mutex);
	pthread_mutex_unlock(&b->mutex);
	uvm_world_enter();
}

void uvm_wakeup(const void *chan)
{
	struct bucket *b = bucket_of(chan);

	pthread_mutex_lock(&b->mutex);
	b->generation++;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->mutex);
}

void uvm_backoff(unsigned n)
{
	const struct timespec nap = {.tv_nsec = 50000};

	if (n < UVM_BACKOFF_LONG)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}

void uvm_world_enter(void)
{
	(void)uvm_self();
	uvm_rank_enter(UVM_RANK_WORLD, true);
	pthread_rwlock_rdlock(&world);
}

void uvm_world_leave(void)
{
	uvm_rank_leave(UVM_RANK_WORLD);
	pthread_rwlock_unlock(&world);
}

void uvm_world_stop(void)
{
	(void)uvm_self();
	uvm_rank_enter(UVM_RANK_WORLD, true);
	pthread_rwlock_wrlock(&world);
}

void uvm_world_resume(void)
{
	uvm_world_leave();
}

#ifdef LOMBARD_DEBUG
static _Thread_local unsigned held[UVM_NRANKS];

void uvm_rank_enter(enum uvm_rank rank, bool may_block)
{
	for (unsigned r = rank; may_block && r < UVM_NRANKS; r++) {
		if (held[r] == 0)
			continue;
		fprintf(stderr, "lombard: lock order: rank %d taken while %u is held\n", rank, r);
		abort();
	}
	held[rank]++;
}

void uvm_rank_leave(enum uvm_rank rank)
{
	KASSERT(held[rank] > 0);
	held[rank]--;
}
#endif
