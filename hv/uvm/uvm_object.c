/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_object.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_anon.h"

_Atomic uint64_t uvm_object_broken[UVM_NBREAKS];

int uvm_object_init(
    struct uvm_object *uo, const struct uvm_pagerops *ops, struct uvm_store *store, uint64_t npages)
{
	int error = uvm_ptab_init(&uo->uo_pages, npages);

	if (error != 0)
		return error;
	uvm_lock_init(&uo->uo_lock, UVM_RANK_OBJECT);
	uo->uo_ops = ops;
	uo->uo_store = store;
	uo->uo_npages = npages;
	uo->uo_nresident = uo->uo_hand = 0;
	atomic_init(&uo->uo_refs, 1);
	atomic_init(&uo->uo_reads, 0);
	atomic_init(&uo->uo_read_pages, 0);
	return 0;
}

void uvm_object_ref(struct uvm_object *uo)
{
	atomic_fetch_add(&uo->uo_refs, 1);
}

bool uvm_object_tryref(struct uvm_object *uo)
{
	uint32_t refs = atomic_load(&uo->uo_refs);

	while (refs != 0)
		if (atomic_compare_exchange_weak(&uo->uo_refs, &refs, refs + 1))
			return true;
	return false;
}

void uvm_object_rele(struct uvm_object *uo)
{
	uint64_t nbroken = 0;

	if (atomic_fetch_sub(&uo->uo_refs, 1) != 1)
		return;
	(void)uvm_object_flush(uo, 0, uo->uo_npages, UVM_FLUSH_CLEAN | UVM_FLUSH_FREE, &nbroken);
	/* What could not be written back is lost: nobody is left who could try again. */
	(void)uvm_object_flush(uo, 0, uo->uo_npages, UVM_FLUSH_FREE, &nbroken);
	KASSERT(uo->uo_nresident == 0);
	uvm_ptab_fini(&uo->uo_pages);
	uvm_store_rele(uo->uo_store);
	uo->uo_ops->po_detach(uo);
}

void uvm_object_insert(struct uvm_object *uo, uint64_t off, struct uvm_page *pg)
{
	KASSERT(uvm_lock_held(&uo->uo_lock) && uvm_lock_held(&uvm_queues_lock));
	KASSERT(uvm_object_lookup(uo, off) == NULL && pg->pg_object == NULL);
	pg->pg_object = uo;
	pg->pg_offset = off;
	uvm_ptab_set(&uo->uo_pages, off, pg);
	uo->uo_nresident++;
}

bool uvm_object_disown(struct uvm_page *pg)
{
	struct uvm_object *uo = pg->pg_object;

	KASSERT(uvm_lock_held(&uo->uo_lock) && uvm_lock_held(&uvm_queues_lock));
	uvm_ptab_set(&uo->uo_pages, pg->pg_offset, NULL);
	uo->uo_nresident--;
	pg->pg_object = NULL;
	/* Without loans of its own to page through, only an anon can still be interested. */
	if (pg->pg_anon == NULL)
		uvm_page_dequeue(pg);
	return uvm_page_loans(pg) > 0;
}

/* => object locked.  Enter up to n new busy pages from off on; returns how many, or -ENOMEM. */
static int enter_busy(struct uvm_object *uo, uint64_t off, unsigned n, struct uvm_page **pgs)
{
	unsigned i;

	for (i = 0; i < n && uvm_object_lookup(uo, off + i) == NULL; i++) {
		pgs[i] = uvm_page_alloc(uo->uo_store, off + i, 0);
		if (pgs[i] == NULL)
			break;
		if (uvm_ptab_reserve(&uo->uo_pages, off + i) != 0) {
			uvm_page_forget(pgs[i]);
			break;
		}
		pgs[i]->pg_flags |= UVM_PG_BUSY;
		uvm_lock(&uvm_queues_lock);
		uvm_object_insert(uo, off + i, pgs[i]);
		uvm_unlock(&uvm_queues_lock);
	}
	return i > 0 ? (int)i : -ENOMEM;
}

/* => object locked.  The pages have been filled (or not): let others at them (or free them). */
static void leave_busy(struct uvm_page **pgs, int n, int error)
{
	bool wanted = false;

	uvm_lock(&uvm_queues_lock);
	for (int i = 0; i < n; i++) {
		wanted |= (pgs[i]->pg_flags & UVM_PG_WANTED) != 0;
		pgs[i]->pg_flags &= (uint8_t) ~(UVM_PG_BUSY | UVM_PG_WANTED);
		if (error != 0) {
			(void)uvm_object_disown(pgs[i]);
			uvm_page_free(pgs[i]);
		} else {
			uvm_page_activate(pgs[i]);
		}
	}
	uvm_unlock(&uvm_queues_lock);
	/* Each waits for its own page; waking all of the object's sleepers is simpler. */
	if (wanted)
		for (int i = 0; i < n; i++)
			uvm_wakeup(pgs[i]);
}

/* => object locked; unlocked on return.  Read a cluster in.  -EAGAIN when that worked. */
static int read_cluster(struct uvm_object *uo, uint64_t off, uint64_t n)
{
	struct uvm_page *pgs[UVM_OBJECT_CLUSTER];
	void *dst[UVM_OBJECT_CLUSTER];
	int npages, error = 0;

	if (n > UVM_OBJECT_CLUSTER)
		n = UVM_OBJECT_CLUSTER;
	if (n > uo->uo_npages - off)
		n = uo->uo_npages - off;
	npages = enter_busy(uo, off, (unsigned)n, pgs);
	uvm_unlock(&uo->uo_lock);
	if (npages < 0)
		return npages;
	if (uo->uo_ops->po_get == NULL) {
		for (int i = 0; i < npages; i++)
			uvm_page_touch(pgs[i]);
	} else {
		for (int i = 0; i < npages; i++)
			dst[i] = uvm_page_kva(pgs[i]);
		/* Pages that are busy stay in place; the object lives, the caller refers to it. */
		uvm_world_leave();
		error = uo->uo_ops->po_get(uo, off, (unsigned)npages, dst);
		if (error == -EAGAIN)
			uvm_backoff(UVM_BACKOFF_LONG);
		uvm_world_enter();
		atomic_fetch_add(&uo->uo_reads, 1);
		if (error == 0)
			atomic_fetch_add(&uo->uo_read_pages, (uint64_t)npages);
	}
	uvm_lock(&uo->uo_lock);
	leave_busy(pgs, npages, error);
	uvm_unlock(&uo->uo_lock);
	uvm_page_reap();
	return error != 0 ? error : -EAGAIN;
}

int uvm_object_get(
    struct uvm_object *uo, uint64_t off, uint64_t n, bool locked, struct uvm_page **pgp)
{
	struct uvm_page *pg;

	KASSERT(off < uo->uo_npages);
	pg = uvm_object_lookup(uo, off);
	if (pg != NULL && (pg->pg_flags & UVM_PG_BUSY) == 0) {
		*pgp = pg;
		return 0;
	}
	if (locked)
		return -EBUSY;
	if (pg == NULL)
		return read_cluster(uo, off, n);
	pg->pg_flags |= UVM_PG_WANTED;
	uvm_sleep(pg, &uo->uo_lock);
	return -EAGAIN;
}

/* => object locked and so on return, not in between.  Returns 0 when the page is clean now. */
static int write_back(struct uvm_object *uo, uint64_t off, struct uvm_page *pg)
{
	int error;

	pg->pg_flags = (uint8_t)((pg->pg_flags & ~UVM_PG_DIRTY) | UVM_PG_BUSY);
	uvm_unlock(&uo->uo_lock);
	uvm_world_leave();
	error = uo->uo_ops->po_put(uo, off, uvm_page_kva(pg));
	uvm_world_enter();
	uvm_lock(&uo->uo_lock);
	if (pg->pg_flags & UVM_PG_WANTED)
		uvm_wakeup(pg);
	pg->pg_flags &= (uint8_t) ~(UVM_PG_BUSY | UVM_PG_WANTED);
	if (error != 0)
		pg->pg_flags |= UVM_PG_DIRTY;
	return error;
}

/* => object locked, page not busy.  Returns true when the page was on loan. */
static bool free_page(struct uvm_page *pg)
{
	bool lent;

	uvm_lock(&uvm_queues_lock);
	lent = uvm_object_disown(pg);
	uvm_page_maybe_free(pg);
	uvm_unlock(&uvm_queues_lock);
	return lent;
}

int uvm_object_flush(
    struct uvm_object *uo, uint64_t off, uint64_t n, unsigned flags, uint64_t *nbroken)
{
	uint64_t end = off + n;
	struct uvm_page *pg;
	int error = 0, rv;

	KASSERT(end >= off && end <= uo->uo_npages);
	uvm_lock(&uo->uo_lock);
	while ((pg = uvm_ptab_next(&uo->uo_pages, &off)) != NULL && off < end) {
		if (pg->pg_flags & UVM_PG_BUSY) {
			pg->pg_flags |= UVM_PG_WANTED;
			uvm_sleep(pg, &uo->uo_lock);
			uvm_lock(&uo->uo_lock);
			continue;
		}
		rv = 0;
		if ((flags & UVM_FLUSH_CLEAN) && (pg->pg_flags & UVM_PG_DIRTY) &&
		    uo->uo_ops->po_put != NULL)
			rv = write_back(uo, off, pg);
		if (error == 0)
			error = rv;
		if (rv == 0 && (flags & UVM_FLUSH_FREE) && !(pg->pg_flags & UVM_PG_KEEP) &&
		    pg->pg_wired == 0 && free_page(pg)) {
			++*nbroken;
			uvm_object_broken[UVM_BREAK_FREE]++;
		}
		off++;
	}
	uvm_unlock(&uo->uo_lock);
	uvm_page_reap();
	return error;
}

/* => object locked */
static bool idle_p(struct uvm_page *pg)
{
	return (pg->pg_flags & (UVM_PG_BUSY | UVM_PG_DIRTY | UVM_PG_KEEP)) == 0 &&
	       pg->pg_wired == 0 && uvm_page_loans(pg) == 0;
}

void uvm_object_trim(struct uvm_object *uo, uint64_t n)
{
	struct uvm_page *pg;

	uvm_lock(&uo->uo_lock);
	for (; n > 0 && uo->uo_nresident > 0; n--) {
		pg = uvm_ptab_next(&uo->uo_pages, &uo->uo_hand);
		if (pg == NULL) {
			uo->uo_hand = 0;
			continue;
		}
		uo->uo_hand++;
		if (idle_p(pg))
			(void)free_page(pg);
	}
	uvm_unlock(&uo->uo_lock);
	uvm_page_reap();
}
