/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_LOCK_H
#define HV_UVM_LOCK_H
/*
 * Locks, their order, and sleeping.  This header is the only place that states the order.
 *
 * A thread may block on a lock only if its rank is above the rank of every lock the thread holds;
 * from the wrong side it must use uvm_trylock.  Builds with LOMBARD_DEBUG check this on every call.
 *
 *	rank	lock			protects
 *	WORLD	uvm_world (shared)	nothing moves while the auditor holds it exclusively
 *	LEDGER	the book of loans	loan numbers, who may borrow, who holds which window
 *	ARENA	an arena		who has it
 *	MAP	a guest map		its entries
 *	AMAP	an amap			its slots; write-protection of the frames mapped through it
 *	OBJECT	an object		its pages, flags, the owner's half of their loan counts
 *	ANON	an anon			its frame; the owner's half of that frame's loan count
 *	QUEUES	the page queues		paging queues; the other half of every loan count
 *	STORE	a store			which of its frames exist
 *		uvm_stores_lock		(of the same rank) the lists of stores and maps
 *
 * Locks are four bytes of futex-like state, because every anon has one.  They sleep (after a short
 * spin), know their holder, are not recursive and cost two atomic operations when uncontended.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum uvm_rank {
	UVM_RANK_WORLD = 1,
	UVM_RANK_LEDGER,
	UVM_RANK_ARENA,
	UVM_RANK_MAP,
	UVM_RANK_AMAP,
	UVM_RANK_OBJECT,
	UVM_RANK_ANON,
	UVM_RANK_QUEUES,
	UVM_RANK_STORE,
	UVM_NRANKS,
};

struct uvm_lock {
	_Atomic uint32_t lk_word; /* 0, or the holder's number << 1 | somebody waits */
	uint32_t lk_rank;
};

/* Our own bugs end here, in release builds too: prints and aborts. */
_Noreturn void uvm_panic(const char *file, int line, const char *what);

#define KASSERT(e) ((e) ? (void)0 : uvm_panic(__FILE__, __LINE__, #e))
#ifdef LOMBARD_DEBUG
#define KDASSERT(e) KASSERT(e)
#else
#define KDASSERT(e) ((void)sizeof(e))
#endif

extern _Thread_local uint32_t uvm_thread_number; /* 0 until the thread's first lock */
uint32_t uvm_thread_number_new(void);

void uvm_lock_init(struct uvm_lock *lk, enum uvm_rank rank);
void uvm_lock_slow(struct uvm_lock *lk, uint32_t self);
void uvm_unlock_slow(struct uvm_lock *lk);
#ifdef LOMBARD_DEBUG
void uvm_rank_enter(enum uvm_rank rank, bool may_block);
void uvm_rank_leave(enum uvm_rank rank);
#else
static inline void uvm_rank_enter(enum uvm_rank rank, bool may_block)
{
	(void)rank;
	(void)may_block;
}
static inline void uvm_rank_leave(enum uvm_rank rank)
{
	(void)rank;
}
#endif

static inline uint32_t uvm_self(void)
{
	uint32_t n = uvm_thread_number;

	return n != 0 ? n : uvm_thread_number_new();
}

static inline bool uvm_lock_held(const struct uvm_lock *lk)
{
	return (atomic_load_explicit(&lk->lk_word, memory_order_relaxed) & ~1u) == uvm_self();
}

static inline void uvm_lock(struct uvm_lock *lk)
{
	uint32_t zero = 0, self = uvm_self();

	uvm_rank_enter(lk->lk_rank, true);
	if (!atomic_compare_exchange_strong_explicit(
		&lk->lk_word, &zero, self, memory_order_acquire, memory_order_relaxed))
		uvm_lock_slow(lk, self);
}

static inline bool uvm_trylock(struct uvm_lock *lk)
{
	uint32_t zero = 0;

	if (!atomic_compare_exchange_strong_explicit(
		&lk->lk_word, &zero, uvm_self(), memory_order_acquire, memory_order_relaxed))
		return false;
	uvm_rank_enter(lk->lk_rank, false);
	return true;
}

static inline void uvm_unlock(struct uvm_lock *lk)
{
	uint32_t self = uvm_self();

	KDASSERT(uvm_lock_held(lk));
	uvm_rank_leave(lk->lk_rank);
	if (!atomic_compare_exchange_strong_explicit(
		&lk->lk_word, &self, 0, memory_order_release, memory_order_relaxed))
		uvm_unlock_slow(lk);
}

/*
 * uvm_sleep: release lk and wait for a uvm_wakeup of chan.
 * => lk held on entry, not held on return; no other lock but the world's may be held, and that is
 *    let go meanwhile: look everything up again
 * => may return early
 */
void uvm_sleep(const void *chan, struct uvm_lock *lk);
void uvm_wakeup(const void *chan);

/* uvm_backoff: after the n-th failed try-lock (n from 0), wait a little; locks must not be held. */
#define UVM_BACKOFF_LONG 8u /* from here on it sleeps 50 us */
void uvm_backoff(unsigned n);

/*
 * The world: operations run inside uvm_world_enter/leave (not nested), the auditor stops them all.
 * => leave it around anything that waits for another process or for I/O
 */
void uvm_world_enter(void);
void uvm_world_leave(void);
void uvm_world_stop(void);
void uvm_world_resume(void);

#endif
