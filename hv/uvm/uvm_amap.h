/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_AMAP_H
#define HV_UVM_AMAP_H
/*
 * An amap: the anons of one map entry, by page.
 *
 * A slot can be busy: the page is being given another frame, which needs the guest's process and so
 * is done without locks.  Nobody else may change a busy slot, lend it or un-protect it.
 */
#include "uvm/uvm_anon.h"

struct uvm_amap {
	struct uvm_lock am_lock;
	struct uvm_ptab am_slots; /* am_lock: struct uvm_anon, bit 0 of the pointer: busy */
	uint64_t am_nbusy;	  /* am_lock */
	bool am_wanted;		  /* am_lock: somebody sleeps for a busy slot */
};

/* NULL: out of memory.  uvm_amap_free: all slots are empty. */
struct uvm_amap *uvm_amap_alloc(uint64_t npages);
void uvm_amap_free(struct uvm_amap *am);

/* => amap locked, for all of these */
static inline struct uvm_anon *uvm_amap_lookup(struct uvm_amap *am, uint64_t i)
{
	return (struct uvm_anon *)((uintptr_t)uvm_ptab_get(&am->am_slots, i) & ~(uintptr_t)1);
}

static inline bool uvm_amap_busy(struct uvm_amap *am, uint64_t i)
{
	return ((uintptr_t)uvm_ptab_get(&am->am_slots, i) & 1) != 0;
}

/* The reference to the anon goes into the slot.  0 or -ENOMEM; on a slot used before, always 0. */
int uvm_amap_add(struct uvm_amap *am, uint64_t i, struct uvm_anon *an);

/* Set (NULL: clear) a slot that exists; busy stays as it is. */
void uvm_amap_replace(struct uvm_amap *am, uint64_t i, struct uvm_anon *an);

/* Returns 0 or -ENOMEM (never for a slot used before). */
int uvm_amap_set_busy(struct uvm_amap *am, uint64_t i);
void uvm_amap_clear_busy(struct uvm_amap *am, uint64_t i);

/* Wait until some slot stops being busy.  => unlocks; look everything up again */
void uvm_amap_wait(struct uvm_amap *am);

#endif
