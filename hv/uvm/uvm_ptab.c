/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_ptab.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_lock.h"

static uint64_t nchunks(const struct uvm_ptab *pt)
{
	return (pt->pt_n + UVM_PTAB_CHUNK - 1) / UVM_PTAB_CHUNK;
}

int uvm_ptab_init(struct uvm_ptab *pt, uint64_t n)
{
	pt->pt_n = n;
	pt->pt_chunks = uvm_zalloc(nchunks(pt) * sizeof(*pt->pt_chunks));
	return pt->pt_chunks != NULL ? 0 : -ENOMEM;
}

void uvm_ptab_fini(struct uvm_ptab *pt)
{
	for (uint64_t c = 0; pt->pt_chunks != NULL && c < nchunks(pt); c++)
		uvm_free(pt->pt_chunks[c]);
	uvm_free(pt->pt_chunks);
	pt->pt_chunks = NULL;
}

int uvm_ptab_reserve(struct uvm_ptab *pt, uint64_t i)
{
	void ***chunk = &pt->pt_chunks[i / UVM_PTAB_CHUNK];

	KASSERT(i < pt->pt_n);
	if (*chunk == NULL)
		*chunk = uvm_zalloc(UVM_PTAB_CHUNK * sizeof(**chunk));
	return *chunk != NULL ? 0 : -ENOMEM;
}

void uvm_ptab_set(struct uvm_ptab *pt, uint64_t i, void *p)
{
	void **chunk = pt->pt_chunks[i / UVM_PTAB_CHUNK];

	KASSERT(i < pt->pt_n && (chunk != NULL || p == NULL));
	if (chunk != NULL)
		chunk[i % UVM_PTAB_CHUNK] = p;
}

void *uvm_ptab_next(const struct uvm_ptab *pt, uint64_t *i)
{
	for (uint64_t k = *i; k < pt->pt_n;) {
		void **chunk = pt->pt_chunks[k / UVM_PTAB_CHUNK];

		if (chunk == NULL) {
			k += UVM_PTAB_CHUNK - k % UVM_PTAB_CHUNK;
		} else if (chunk[k % UVM_PTAB_CHUNK] != NULL) {
			*i = k;
			return chunk[k % UVM_PTAB_CHUNK];
		} else {
			k++;
		}
	}
	return NULL;
}
