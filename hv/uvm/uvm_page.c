/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_page.h"

#include <errno.h>
#include <string.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_anon.h"
#include "uvm/uvm_object.h"

struct uvm_lock uvm_queues_lock = {.lk_rank = UVM_RANK_QUEUES};
struct uvm_lock uvm_stores_lock = {.lk_rank = UVM_RANK_STORE};
struct uvm_storelist uvm_stores = LIST_HEAD_INITIALIZER(uvm_stores);

/* All under uvm_queues_lock. */
static struct uvm_pagelist active = TAILQ_HEAD_INITIALIZER(active);
static struct uvm_pagelist inactive = TAILQ_HEAD_INITIALIZER(inactive);
static struct uvm_pagelist dying = TAILQ_HEAD_INITIALIZER(dying);
static _Atomic bool some_dying;
static atomic_bool keep_freed;

int uvm_store_init(struct uvm_store *st, const struct uvm_store_ops *ops, uint64_t bank_pages,
    unsigned nbanks, uint32_t domid)
{
	int error;

	KASSERT(bank_pages > 0 && nbanks > 0 && st->st_frame_pages > 0);
	st->st_ops = ops;
	st->st_bank_pages = bank_pages;
	st->st_nbanks = nbanks;
	st->st_nframes = 0;
	st->st_cursor = 0;
	st->st_domid = domid;
	uvm_lock_init(&st->st_lock, UVM_RANK_STORE);
	atomic_init(&st->st_refs, 1);
	error = uvm_ptab_init(&st->st_frames, bank_pages * nbanks);
	if (error != 0)
		return error;
	uvm_lock(&uvm_stores_lock);
	LIST_INSERT_HEAD(&uvm_stores, st, st_all);
	uvm_unlock(&uvm_stores_lock);
	return 0;
}

void uvm_store_ref(struct uvm_store *st)
{
	atomic_fetch_add(&st->st_refs, 1);
}

void uvm_store_rele(struct uvm_store *st)
{
	if (atomic_fetch_sub(&st->st_refs, 1) != 1)
		return;
	KASSERT(st->st_nframes == 0);
	uvm_lock(&uvm_stores_lock);
	LIST_REMOVE(st, st_all);
	uvm_unlock(&uvm_stores_lock);
	uvm_ptab_fini(&st->st_frames);
	st->st_ops->so_destroy(st);
}

/* The number of pages from index on, at most n, that no frame describes. */
static uint64_t frameless(struct uvm_store *st, uint64_t index, uint64_t n)
{
	uint64_t next = index;

	uvm_lock(&st->st_lock);
	if (uvm_ptab_next(&st->st_frames, &next) == NULL)
		next = index + n;
	uvm_unlock(&st->st_lock);
	return next - index < n ? next - index : n;
}

void uvm_store_trim(struct uvm_store *st)
{
	uint64_t index = 0, end = st->st_bank_pages * st->st_nbanks, first, len, n;

	atomic_store(&st->st_trimmed, true);
	while (index < end && !atomic_load(&keep_freed)) {
		n = frameless(st, index, end - index);
		if (n == 0) {
			index++;
			continue;
		}
		if (st->st_ops->so_resident(st, index, n, &first, &len) != 0)
			return;
		if (len > 0)
			(void)st->st_ops->so_punch(st, first, len);
		index = len > 0 ? first + len : index + n;
	}
}

/* => store locked; the slot is reserved */
static void place_page(struct uvm_store *st, struct uvm_page *pg, uint64_t index)
{
	pg->pg_store = st;
	pg->pg_index = index;
	pg->pg_gfn = UVM_NOGFN;
	uvm_ptab_set(&st->st_frames, index, pg);
	st->st_nframes++;
	uvm_store_ref(st);
}

/* => store locked.  A free index for linear page p: the wanted bank, any bank, any place. */
static bool find_place(struct uvm_store *st, uint64_t p, unsigned bank, uint64_t *index)
{
	uint64_t total = st->st_bank_pages * st->st_nbanks, spare = total - st->st_bank_pages;

	for (unsigned b = 0; b < st->st_nbanks; b++) {
		*index = (uint64_t)((bank + b) % st->st_nbanks) * st->st_bank_pages + p;
		if (uvm_ptab_get(&st->st_frames, *index) == NULL)
			return true;
	}
	/* Not in bank 0: there, a place without frame may be memory that the guest uses. */
	for (uint64_t i = 0; i < spare; i++) {
		*index = st->st_bank_pages + (st->st_cursor + i) % spare;
		if (uvm_ptab_get(&st->st_frames, *index) == NULL) {
			st->st_cursor = (*index - st->st_bank_pages + 1) % spare;
			return true;
		}
	}
	return false;
}

struct uvm_page *uvm_page_alloc(struct uvm_store *st, uint64_t p, unsigned bank)
{
	struct uvm_page *pg = uvm_zalloc(sizeof(*pg));
	uint64_t index;

	KASSERT(p < st->st_bank_pages);
	if (pg == NULL)
		return NULL;
	uvm_lock(&st->st_lock);
	if (find_place(st, p, bank, &index) && uvm_ptab_reserve(&st->st_frames, index) == 0) {
		place_page(st, pg, index);
	} else {
		uvm_free(pg);
		pg = NULL;
	}
	uvm_unlock(&st->st_lock);
	if (pg != NULL && st->st_ops->so_back != NULL && st->st_ops->so_back(st, index) != 0) {
		uvm_page_forget(pg);
		pg = NULL;
	}
	return pg;
}

struct uvm_page *uvm_page_learn(struct uvm_store *st, uint64_t index)
{
	struct uvm_page *pg = uvm_zalloc(sizeof(*pg));

	if (pg == NULL)
		return NULL;
	uvm_lock(&st->st_lock);
	KASSERT(uvm_ptab_get(&st->st_frames, index) == NULL);
	if (uvm_ptab_reserve(&st->st_frames, index) == 0) {
		place_page(st, pg, index);
	} else {
		uvm_free(pg);
		pg = NULL;
	}
	uvm_unlock(&st->st_lock);
	return pg;
}

void uvm_page_forget(struct uvm_page *pg)
{
	struct uvm_store *st = pg->pg_store;

	KASSERT(pg->pg_object == NULL && pg->pg_anon == NULL && pg->pg_pqflags == 0);
	uvm_lock(&st->st_lock);
	uvm_ptab_set(&st->st_frames, pg->pg_index, NULL);
	st->st_nframes--;
	uvm_unlock(&st->st_lock);
	uvm_free(pg);
	uvm_store_rele(st);
}

void uvm_page_copy(struct uvm_page *from, struct uvm_page *to)
{
	KASSERT(to->pg_store->st_frame_pages == from->pg_store->st_frame_pages);
	memcpy(uvm_page_kva(to), uvm_page_kva(from), uvm_store_frame_size(to->pg_store));
}

void uvm_page_touch(struct uvm_page *pg)
{
	atomic_fetch_or((_Atomic uint8_t *)uvm_page_kva(pg), 0);
}

struct uvm_lock *uvm_page_lock_owner(struct uvm_page *pg)
{
	struct uvm_lock *lk;

	KDASSERT(uvm_lock_held(&uvm_queues_lock));
	for (unsigned tries = 0;; tries++) {
		/* The queue lock keeps the owner from going away, not from being busy. */
		if (pg->pg_object != NULL)
			lk = &pg->pg_object->uo_lock;
		else if (pg->pg_anon != NULL)
			lk = &pg->pg_anon->an_lock;
		else
			return NULL;
		if (uvm_trylock(lk))
			return lk;
		uvm_unlock(&uvm_queues_lock);
		uvm_backoff(tries);
		uvm_lock(&uvm_queues_lock);
	}
}

void uvm_page_free(struct uvm_page *pg)
{
	KDASSERT(uvm_lock_held(&uvm_queues_lock));
	KASSERT(pg->pg_object == NULL && pg->pg_anon == NULL);
	KASSERT(uvm_page_loans(pg) == 0 && pg->pg_holds == 0 && pg->pg_wired == 0);
	KASSERT((pg->pg_flags & (UVM_PG_BUSY | UVM_PG_KEEP)) == 0);
	uvm_page_dequeue(pg);
	TAILQ_INSERT_TAIL(&dying, pg, pg_queue);
	atomic_store_explicit(&some_dying, true, memory_order_relaxed);
}

void uvm_page_free_unused(struct uvm_page *pg)
{
	uvm_lock(&uvm_queues_lock);
	uvm_page_free(pg);
	uvm_unlock(&uvm_queues_lock);
}

void uvm_page_maybe_free(struct uvm_page *pg)
{
	if (pg->pg_object == NULL && pg->pg_anon == NULL && uvm_page_loans(pg) == 0 &&
	    pg->pg_holds == 0 && pg->pg_wired == 0)
		uvm_page_free(pg);
}

void uvm_page_hold(struct uvm_page *pg)
{
	uvm_lock(&uvm_queues_lock);
	pg->pg_holds++;
	uvm_unlock(&uvm_queues_lock);
}

void uvm_page_unhold(struct uvm_page *pg)
{
	uvm_lock(&uvm_queues_lock);
	KASSERT(pg->pg_holds > 0);
	pg->pg_holds--;
	uvm_page_maybe_free(pg);
	uvm_unlock(&uvm_queues_lock);
}

/* Free the run of dying pages that starts with the first one: contiguous, one store. */
static bool reap_run(struct uvm_pagelist *list)
{
	struct uvm_page *first = TAILQ_FIRST(list), *pg;
	struct uvm_store *st;
	uint64_t n = 0;

	if (first == NULL)
		return false;
	st = first->pg_store;
	TAILQ_FOREACH (pg, list, pg_queue) {
		if (pg->pg_store != st || pg->pg_index != first->pg_index + n)
			break;
		n++;
	}
	/* The places become free only now that nothing of the old contents is left in them. */
	while (st->st_ops->so_punch(st, first->pg_index, n) == -EINTR)
		continue;
	uvm_lock(&st->st_lock);
	for (uint64_t i = 0; i < n; i++) {
		pg = TAILQ_FIRST(list);
		TAILQ_REMOVE(list, pg, pg_queue);
		uvm_ptab_set(&st->st_frames, pg->pg_index, NULL);
		uvm_free(pg);
	}
	st->st_nframes -= n;
	uvm_unlock(&st->st_lock);
	for (uint64_t i = 0; i < n; i++)
		uvm_store_rele(st);
	return true;
}

void uvm_page_keep_freed(bool keep)
{
	atomic_store(&keep_freed, keep);
}

void uvm_page_reap(void)
{
	struct uvm_pagelist list = TAILQ_HEAD_INITIALIZER(list);

	if (!atomic_load_explicit(&some_dying, memory_order_relaxed) || atomic_load(&keep_freed))
		return;
	uvm_lock(&uvm_queues_lock);
	TAILQ_CONCAT(&list, &dying, pg_queue);
	atomic_store_explicit(&some_dying, false, memory_order_relaxed);
	uvm_unlock(&uvm_queues_lock);
	while (reap_run(&list))
		continue;
}

void uvm_page_dequeue(struct uvm_page *pg)
{
	KDASSERT(uvm_lock_held(&uvm_queues_lock));
	if (pg->pg_pqflags & UVM_PQ_ACTIVE)
		TAILQ_REMOVE(&active, pg, pg_queue);
	else if (pg->pg_pqflags & UVM_PQ_INACTIVE)
		TAILQ_REMOVE(&inactive, pg, pg_queue);
	pg->pg_pqflags &= (uint8_t) ~(UVM_PQ_ACTIVE | UVM_PQ_INACTIVE);
}

void uvm_page_activate(struct uvm_page *pg)
{
	if (pg->pg_pqflags & UVM_PQ_ACTIVE)
		return;
	uvm_page_dequeue(pg);
	TAILQ_INSERT_TAIL(&active, pg, pg_queue);
	pg->pg_pqflags |= UVM_PQ_ACTIVE;
}

void uvm_page_deactivate(struct uvm_page *pg)
{
	if (pg->pg_pqflags & UVM_PQ_INACTIVE)
		return;
	uvm_page_dequeue(pg);
	TAILQ_INSERT_TAIL(&inactive, pg, pg_queue);
	pg->pg_pqflags |= UVM_PQ_INACTIVE;
}
