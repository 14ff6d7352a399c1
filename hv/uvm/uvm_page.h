/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_PAGE_H
#define HV_UVM_PAGE_H
/*
 * Frames, the stores they lie in, and the page queues.
 *
 * A store is memory that can be mapped by offset (a memfd; plain memory in tests).  A frame is one
 * page of a store that the ledger knows.  A page of a store without a frame is free, or it is
 * memory that a guest touched and nobody has asked about yet ("unlearned": see uvm_amap.h).
 * The pages of a store are all of one size: 4 KiB, or the 2 MiB of an arena with huge frames; an
 * index counts pages of that size.
 *
 * Who owns a frame (the owner's lock is the object's or the anon's):
 *
 *	object	pg_object set.  If pg_anon is set too, the page is lent to that anon (O->A) and
 *		one of pg_loans is that loan
 *	anon	pg_object NULL, pg_anon set, pg_anon_owns
 *	orphan	pg_object NULL; pg_anon NULL, or set without pg_anon_owns: then the object that had
 *		lent it to the anon is gone, and the anon adopts it when it next looks
 *
 * An orphan without loans, holds and wires is freed.  Frames on their way out wait on a list until
 * uvm_page_reap gives their memory back, because that may not happen under the queue lock.
 */
#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uvm/uvm_lock.h"
#include "uvm/uvm_ptab.h"

#define UVM_PAGE_SHIFT 12
#define UVM_PAGE_SIZE ((size_t)1 << UVM_PAGE_SHIFT)
#define UVM_HUGE_PAGES 512u /* pages in a huge frame */

struct uvm_anon;
struct uvm_map;
struct uvm_object;
struct uvm_store;

#define UVM_NOGFN UINT64_MAX

/* pg_flags */
#define UVM_PG_BUSY 0x01   /* being read in: its object's lock does not suffice */
#define UVM_PG_WANTED 0x02 /* somebody sleeps for the end of UVM_PG_BUSY */
#define UVM_PG_DIRTY 0x04  /* differs from the pager's copy */
#define UVM_PG_KEEP 0x08   /* never freed nor paged out: the zero frame */

/* pg_pqflags */
#define UVM_PQ_ACTIVE 0x01
#define UVM_PQ_INACTIVE 0x02

/*
 * Locks: o = owner's; q = queues; oq = both to write, either to read; m = the lock of the map whose
 * guest the store belongs to (only that guest can have the page writable); s = stable.
 * pg_loans is atomic only so that uvm_map_thaw may look without either lock.
 */
struct uvm_page {
	/* What lending and returning look at comes first, to share a cache line. */
	struct uvm_store *pg_store;   /* s */
	struct uvm_object *pg_object; /* oq */
	struct uvm_anon *pg_anon;     /* oq */
	uint64_t pg_gfn;	      /* m: where its guest maps it as PMAP_OWN, or UVM_NOGFN */
	_Atomic uint32_t pg_loans;    /* oq: loans outstanding, O->A included */
	uint32_t pg_wired;	      /* oq: mapped by a device or host program: cannot be lent */
	uint32_t pg_holds;	      /* q: mappings that are being replaced */
	uint8_t pg_flags;	      /* o */
	uint8_t pg_pqflags;	      /* q */
	bool pg_anon_owns;	      /* oq: pg_anon is the owner, not just a borrower */
	bool pg_protected;	      /* m: the mapping at pg_gfn is write-protected */

	uint64_t pg_index;		/* s: page number in the store */
	uint64_t pg_offset;		/* o: page number in pg_object */
	TAILQ_ENTRY(uvm_page) pg_queue; /* q: a paging queue, or the way out */
	struct uvm_map *pg_guest;	/* auditor's, world stopped: the guest that owns it */
	uint32_t pg_seen;		/* auditor's: loans found */
};

TAILQ_HEAD(uvm_pagelist, uvm_page);

/* Why a loan was broken: who lent the page and who borrowed it have different frames since. */
enum uvm_break_cause {
	UVM_BREAK_WRITE,    /* the lender wrote */
	UVM_BREAK_BORROWER, /* a copy-on-write borrower wrote */
	UVM_BREAK_FREE,	    /* the owner freed or flushed the page, or is gone */
	UVM_BREAK_PAGEOUT,  /* the page was paged out */
	UVM_NBREAKS,
};

extern struct uvm_lock uvm_queues_lock;

struct uvm_store_ops {
	/* The core's own address of a page: valid as long as the store. */
	void *(*so_kva)(struct uvm_store *, uint64_t index);
	/*
	 * The first run of pages with memory behind them in [index, index + n): *len 0 if none.  It may be told in
	 * parts: only the first.
	 */
	int (*so_resident)(
	    struct uvm_store *, uint64_t index, uint64_t n, uint64_t *first, uint64_t *len);
	/*
	 * Give the memory of pages back; they read as zeroes afterwards.  0 or -errno.  Of a huge page that
	 * somebody uses at this moment the kernel may keep it: an account tries again.
	 */
	int (*so_punch)(struct uvm_store *, uint64_t index, uint64_t n);
	/*
	 * Put memory behind a page before it is touched: 0 or -errno.  NULL: touching is enough.
	 */
	int (*so_back)(struct uvm_store *, uint64_t index);
	/* Pages with memory behind them, as the kernel counts. */
	uint64_t (*so_blocks)(struct uvm_store *);
	/* The last reference is gone: free everything, the store itself included. */
	void (*so_destroy)(struct uvm_store *);
};

/*
 * A store has st_nbanks banks of st_bank_pages pages.  The page that belongs at linear page p of
 * its guest lies at p of some bank: so a run of pages that was replaced together (one bank) is
 * again contiguous, and the kernel keeps it in one mapping.
 */
struct uvm_store {
	const struct uvm_store_ops *st_ops;
	struct uvm_lock st_lock;
	uint32_t st_frame_pages; /* s: 4 KiB pages in one of its pages */
	uint64_t st_bank_pages;
	unsigned st_nbanks;
	_Atomic uint32_t st_refs;     /* creator + frames */
	uint64_t st_nframes;	      /* st_lock */
	uint64_t st_cursor;	      /* st_lock: where the search for any free page goes on */
	struct uvm_ptab st_frames;    /* st_lock: struct uvm_page by index */
	LIST_ENTRY(uvm_store) st_all; /* all stores: the auditor walks them */
	uint32_t st_domid;	      /* of the guest it belongs to, for accounts */
	atomic_bool st_trimmed;	      /* that is gone: what no frame describes is nobody's */
};

LIST_HEAD(uvm_storelist, uvm_store);
extern struct uvm_storelist uvm_stores; /* under uvm_stores_lock */
extern struct uvm_lock uvm_stores_lock;

/*
 * uvm_store_init: the caller has set up what its ops need, and st_frame_pages.  0 or -ENOMEM.
 * => one reference, dropped by uvm_store_rele; each frame holds one more
 */
int uvm_store_init(struct uvm_store *st, const struct uvm_store_ops *ops, uint64_t bank_pages,
    unsigned nbanks, uint32_t domid);
void uvm_store_ref(struct uvm_store *st);
void uvm_store_rele(struct uvm_store *st);

/*
 * uvm_store_trim: free the memory of all pages that no frame describes (the guest is gone).
 * => no locks held
 */
void uvm_store_trim(struct uvm_store *st);

/*
 * uvm_page_alloc: a new frame without owner, for linear page p, preferably in a certain bank.
 * => contents: zeroes, or whatever memory a guest left there: the caller writes all of it
 * => NULL: out of memory, or every place of the store is taken
 * => any locks below STORE may be held
 */
struct uvm_page *uvm_page_alloc(struct uvm_store *st, uint64_t p, unsigned bank);

/*
 * uvm_page_learn: a frame for a page that the guest itself made resident: exactly this index.
 * => NULL: out of memory.  The index has no frame yet
 */
struct uvm_page *uvm_page_learn(struct uvm_store *st, uint64_t index);

/* uvm_page_forget: undo alloc or learn, for a frame that got no owner; memory stays as it is. */
void uvm_page_forget(struct uvm_page *pg);

static inline void *uvm_page_kva(struct uvm_page *pg)
{
	return pg->pg_store->st_ops->so_kva(pg->pg_store, pg->pg_index);
}

/* Bytes of each page of a store. */
static inline size_t uvm_store_frame_size(const struct uvm_store *st)
{
	return st->st_frame_pages * UVM_PAGE_SIZE;
}

static inline uint32_t uvm_page_loans(struct uvm_page *pg)
{
	return atomic_load_explicit(&pg->pg_loans, memory_order_acquire);
}

/* => queues locked, and the owner unless there is none */
static inline void uvm_page_loans_add(struct uvm_page *pg, int n)
{
	KDASSERT(uvm_lock_held(&uvm_queues_lock));
	atomic_store_explicit(
	    &pg->pg_loans, uvm_page_loans(pg) + (uint32_t)n, memory_order_release);
}

/* => lock of the map that st belongs to.  Does its guest map the page as its own, at gfn? */
static inline bool uvm_page_own_p(
    const struct uvm_page *pg, const struct uvm_store *st, uint64_t gfn)
{
	return pg->pg_store == st && pg->pg_gfn == gfn;
}

void uvm_page_copy(struct uvm_page *from, struct uvm_page *to);

/*
 * uvm_page_touch: put memory behind a new frame that shall read as zeroes.  It does already; and
 * writing zeroes could destroy what a guest writes there this moment, where it has the place mapped
 * from the start.
 */
void uvm_page_touch(struct uvm_page *pg);

/*
 * uvm_page_lock_owner: from the loaned side.  Locks the owner, if there is one.
 * => queues locked on entry and return; let go in between when the owner is busy
 * => returns the lock to release, or NULL for an orphan
 */
struct uvm_lock *uvm_page_lock_owner(struct uvm_page *pg);

/*
 * uvm_page_free: the caller, who held the last tie to an ownerless frame, lets it go.
 * => queues locked; no owner, loans, wires or holds left.  uvm_page_reap follows when no lock is held
 * uvm_page_free_unused: for a frame that never had an owner: takes the lock itself.
 */
void uvm_page_free(struct uvm_page *pg);
void uvm_page_free_unused(struct uvm_page *pg);

/* uvm_page_maybe_free: free pg if it is an orphan that nothing ties any more.  => queues locked */
void uvm_page_maybe_free(struct uvm_page *pg);

/* A hold keeps the memory of a frame while a mapping of it is being replaced. */
void uvm_page_hold(struct uvm_page *pg);
void uvm_page_unhold(struct uvm_page *pg);

/* Give the memory of freed frames back.  => no locks held but the world's */
void uvm_page_reap(void);

/*
 * uvm_page_keep_freed: from now on (or no more) frames that are freed keep memory and place.  For the
 * end of the core: host programs may still look at them, and what they have mapped lives as long
 * as they want.
 */
void uvm_page_keep_freed(bool keep);

/* Paging queues.  => queues locked */
void uvm_page_activate(struct uvm_page *pg);
void uvm_page_deactivate(struct uvm_page *pg);
void uvm_page_dequeue(struct uvm_page *pg);

#endif
