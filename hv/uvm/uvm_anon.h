/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_ANON_H
#define HV_UVM_ANON_H
/*
 * Anons: one frame each, referenced by amap slots and by loans.
 * With one reference the holder may change the page; with more it is copy-on-write.
 */
#include "uvm/uvm_page.h"

struct uvm_anon {
	struct uvm_lock an_lock;
	_Atomic uint32_t an_refs; /* an_lock to write; a holder that reads 1 may rely on it */
	uint32_t an_seen;	  /* auditor's, world stopped */
	struct uvm_page *an_page; /* an_lock: never NULL once the anon is in use */
	/* uvm_share.h.  an_lock; who holds the amap's lock of the only slot may look */
	uint64_t an_handle;   /* of a nominated page, or 0 */
	uint32_t an_sharers;  /* then: how many pages of RAM have it */
	uint32_t an_ram_seen; /* auditor's */
};

static inline uint32_t uvm_anon_refs(struct uvm_anon *an)
{
	return atomic_load_explicit(&an->an_refs, memory_order_acquire);
}

/* uvm_anon_alloc: one reference, no page.  NULL: out of memory. */
struct uvm_anon *uvm_anon_alloc(void);

/* uvm_anon_set_page: give a new anon, known to nobody else, an unowned page.  No lock needed. */
void uvm_anon_set_page(struct uvm_anon *an, struct uvm_page *pg);

/* uvm_anon_free_unused: for an anon that never got a page. */
void uvm_anon_free_unused(struct uvm_anon *an);

/*
 * uvm_anon_lock: lock an anon and, when its page is on loan from an object, the object too.
 * => returns the locked object or NULL.  A page whose object has gone is adopted on the way
 * => the caller refers to the anon, and holds no lock of rank ANON or above
 */
struct uvm_object *uvm_anon_lock(struct uvm_anon *an);
void uvm_anon_unlock(struct uvm_anon *an, struct uvm_object *uo);

void uvm_anon_ref(struct uvm_anon *an); /* => anon locked */

/*
 * uvm_anon_rele: drop a reference; the last one frees the anon and lets its page go.
 * => anon and object (as uvm_anon_lock gave it) locked on entry, unlocked on return
 * => returns true when the page was on loan and has become an orphan
 */
bool uvm_anon_rele(struct uvm_anon *an, struct uvm_object *uo);

/*
 * uvm_anon_adopt: turn the loan of an anon whose lender has gone into ownership.
 * => anon and queues locked
 */
void uvm_anon_adopt(struct uvm_page *pg);

#endif
