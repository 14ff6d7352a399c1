/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_VIEW_H
#define LOMBARD_XEN_VIEW_H
/*
 * Putting the pages that an answer brings into the address space.
 */
#include <stddef.h>

#include "link.h"

/*
 * view_reserve: addresses for npages, where nothing can be read yet.
 * => address, flags: as for mmap; of the flags those count that say where
 * => 0 or -errno; *atp
 */
int view_reserve(void *address, int flags, size_t npages, void **atp);

/*
 * view_place: map an answer's pages at `at`, which was reserved; prot and flags as for mmap.  Runs
 * of pages become one mapping.  Pages with an error stay as they are.
 * => a's descriptors are dropped
 * => 0 or -errno; some may have been placed then
 */
int view_place(void *at, int prot, int flags, struct link_answer *a);

/* view_drop: unmap it.  Keeps errno. */
void view_drop(void *at, size_t npages);

/* view_prot: PROT_* as XENWIRE_*. */
uint32_t view_prot(int prot);

#endif
