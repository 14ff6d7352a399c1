/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_PMAP_H
#define HV_UVM_PMAP_H
/*
 * The second-level translation of one guest, as the core sees it: what EPT/NPT lets the guest read
 * or write.  hv/pmap has two of them: a software model for tests, and the one that rules a VMM.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmap;
struct uvm_store;

enum pmap_kind {
	PMAP_OWN = 1, /* the guest's own store: writable until protected */
	PMAP_LENT,    /* any store: read-only; a write raises uvm_fault */
	PMAP_ARENA,   /* any store: as OWN, for an arena's writer */
	PMAP_ZERO,    /* the zero frame: read-only; a write raises uvm_fault */
	PMAP_NONE,    /* nothing; an access raises uvm_fault */
};

/*
 * A run of pages, contiguous in the guest and (but for ZERO and NONE) in the store.  All are pages of
 * 4 KiB: so is index, even if the store's own pages are larger.
 */
struct pmap_extent {
	uint64_t gfn;
	uint64_t npages;
	enum pmap_kind kind;
	struct uvm_store *store;
	uint64_t index;
};

struct pmap_ops {
	/*
	 * Map the extents in order, replacing what is there; whoever sleeps on them is woken.
	 * => no locks held, may sleep
	 * => returns 0 or -errno.  After an error the extents before *done are mapped, the one at
	 *    *done may be in part; -ESRCH: the guest is gone
	 */
	int (*pmo_enter)(struct pmap *, const struct pmap_extent *, size_t n, size_t *done);

	/*
	 * Take write permission away from OWN or ARENA pages, or give it back and wake the sleepers.
	 * Where nothing is mapped (NONE), nothing is done.
	 * => called with the lock of the amap that maps the pages, or by who has the arena; does
	 *    not sleep for the guest
	 * => when it returns no processor can write (protect).  A guest that is gone counts as done
	 * => protect returns 0 or -errno, and then nothing is known: unprotect and undo
	 */
	int (*pmo_protect)(struct pmap *, uint64_t gfn, uint64_t npages);
	void (*pmo_unprotect)(struct pmap *, uint64_t gfn, uint64_t npages);

	/* Let whoever sleeps on a page try again: nothing had to change.  => any locks */
	void (*pmo_wake)(struct pmap *, uint64_t gfn);
};

struct pmap {
	const struct pmap_ops *pm_ops;
	/*
	 * The pmap's word: the guest's process has so many mappings that pages which can lie in one
	 * with their neighbours had better do so.
	 */
	_Atomic bool pm_crowded;
};

#endif
