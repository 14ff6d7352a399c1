/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_PTAB_H
#define HV_UVM_PTAB_H
/*
 * A sparse array of pointers: slots exist in chunks that are made when first written.
 * Used for an amap's slots, an object's pages and a store's frames.  The owner's lock protects it.
 */
#include <stddef.h>
#include <stdint.h>

#define UVM_PTAB_CHUNK 512u

struct uvm_ptab {
	uint64_t pt_n; /* slots */
	void ***pt_chunks;
};

/* Returns 0 or -ENOMEM. */
int uvm_ptab_init(struct uvm_ptab *pt, uint64_t n);
void uvm_ptab_fini(struct uvm_ptab *pt);

/* Make slot i writable: 0 or -ENOMEM.  uvm_ptab_set on a reserved slot cannot fail. */
int uvm_ptab_reserve(struct uvm_ptab *pt, uint64_t i);
void uvm_ptab_set(struct uvm_ptab *pt, uint64_t i, void *p);

static inline void *uvm_ptab_get(const struct uvm_ptab *pt, uint64_t i)
{
	void **chunk = pt->pt_chunks[i / UVM_PTAB_CHUNK];

	return chunk != NULL ? chunk[i % UVM_PTAB_CHUNK] : NULL;
}

/* The first non-NULL slot at or after i, or NULL; *i becomes its number. */
void *uvm_ptab_next(const struct uvm_ptab *pt, uint64_t *i);

#endif
