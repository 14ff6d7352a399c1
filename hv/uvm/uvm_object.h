/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_OBJECT_H
#define HV_UVM_OBJECT_H
/*
 * Objects: frames by offset, shared by whoever maps or borrows them, filled by a pager.
 * Offsets and counts are pages.
 */
#include "uvm/uvm_page.h"

struct uvm_object;

struct uvm_pagerops {
	/*
	 * Fill pages off .. off + n - 1 (n <= UVM_OBJECT_CLUSTER); dst are their addresses.
	 * => no locks held; may sleep.  0, or -errno and nothing is kept.  NULL op: zeroes
	 * => -EAGAIN: not now; it is asked again after a short while
	 */
	int (*po_get)(struct uvm_object *, uint64_t off, unsigned n, void *const *dst);
	/*
	 * Write a dirty page back.  => no locks held; may sleep.  NULL op: changes are not kept
	 */
	int (*po_put)(struct uvm_object *, uint64_t off, const void *src);
	/* The last reference is gone and so are the pages: free the object. */
	void (*po_detach)(struct uvm_object *);
};

/* Most pages asked of a pager at once (256 KiB). */
#define UVM_OBJECT_CLUSTER 64u

struct uvm_object {
	struct uvm_lock uo_lock;
	const struct uvm_pagerops *uo_ops; /* s */
	struct uvm_store *uo_store; /* s: where its frames lie; the object holds a reference */
	uint64_t uo_npages;	    /* s */
	struct uvm_ptab uo_pages;   /* uo_lock: struct uvm_page by offset */
	uint64_t uo_nresident;	    /* uo_lock */
	uint64_t uo_hand;	    /* uo_lock: where uvm_object_trim goes on */
	_Atomic uint32_t uo_refs;
	_Atomic uint64_t uo_reads;	/* pager calls */
	_Atomic uint64_t uo_read_pages; /* pages they filled */
};

/* Loans of objects' pages that were broken, of all objects.  Only ever grow; need no lock. */
extern _Atomic uint64_t uvm_object_broken[UVM_NBREAKS];

/*
 * uvm_object_init: one reference for the caller; the store's reference is taken over on success.
 * => returns 0 or -ENOMEM
 */
int uvm_object_init(struct uvm_object *uo, const struct uvm_pagerops *ops, struct uvm_store *store,
    uint64_t npages);
void uvm_object_ref(struct uvm_object *uo);
/* uvm_object_tryref: a reference for who has none but knows the memory is there: false if it dies.
 */
bool uvm_object_tryref(struct uvm_object *uo);
/* => no locks held but the world's.  With the last one, dirty pages are written back if they can be
 */
void uvm_object_rele(struct uvm_object *uo);

/* => object locked */
static inline struct uvm_page *uvm_object_lookup(struct uvm_object *uo, uint64_t off)
{
	KDASSERT(uvm_lock_held(&uo->uo_lock));
	return uvm_ptab_get(&uo->uo_pages, off);
}

/*
 * uvm_object_get: make a page resident and find it.
 * => object locked on entry.  Returns 0: *pgp is resident and not busy, object still locked all
 * along
 * => -EAGAIN: the pager was asked or somebody else's I/O awaited; the object has been unlocked in
 *    between and is unlocked now: look everything up again
 * => other -errno: the pager or the allocation failed; the object is unlocked
 * => when it may have to wait (*pgp would not be there at once), no other lock may be held: with
 *    locked set it returns -EBUSY instead, object still locked
 * => n: pages from off on that the caller will want next; they are read in one go
 */
int uvm_object_get(
    struct uvm_object *uo, uint64_t off, uint64_t n, bool locked, struct uvm_page **pgp);

#define UVM_FLUSH_CLEAN 0x1u /* write dirty pages back */
#define UVM_FLUSH_FREE 0x2u  /* and let the pages go: loans of them become orphans */

/*
 * uvm_object_flush: => no locks held but the world's; returns 0 or the first error of the pager;
 * pages that could not be written back stay.  *nbroken counts pages that were on loan when freed
 */
int uvm_object_flush(
    struct uvm_object *uo, uint64_t off, uint64_t n, unsigned flags, uint64_t *nbroken);

/*
 * uvm_object_trim: look at the next n resident pages, round and round, and free those that nobody has on
 * loan and the pager can give again.  => no locks held but the world's
 */
void uvm_object_trim(struct uvm_object *uo, uint64_t n);

/*
 * uvm_object_disown: take a page out of its object (which frees or replaces it).
 * => object and queues locked; returns true when the page was on loan, and now is an orphan
 */
bool uvm_object_disown(struct uvm_page *pg);

/* uvm_object_insert: => object and queues locked; the slot is free and reserved */
void uvm_object_insert(struct uvm_object *uo, uint64_t off, struct uvm_page *pg);

#endif
