/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PMAP_LOCAL_H
#define LOMBARD_PMAP_LOCAL_H
/*
 * The VMM's half of the pmap: the address ranges that KVM's memslots point at, and the executor
 * that maps frames into them as the core says (proto/wire.h, struct wire_map).
 *
 * Threads: built by one thread, which then only reads the areas; from pmap_local_serve on the
 * mappings and counts belong to the thread that runs it.  Guest memory itself is read and written
 * by anybody at any time: such an access may sleep until the core has resolved a fault.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/failure.h"
#include "pmap/mapcount.h"

/*
 * The guest-physical ranges.  RAM, what of it lies from 4 GiB on (high), and the special area (tables and
 * rings that tools put below 4 GiB) are the guest's own memory from the start, the window area begins
 * empty.
 */
enum pmap_area_name { PMAP_RAM, PMAP_WINDOW, PMAP_SPECIAL, PMAP_HIGH, PMAP_AREAS };

struct pmap_area {
	uint8_t *hva; /* where it lies in this process; 2 MiB aligned */
	uint64_t gfn; /* first page */
	uint64_t npages;
	uint64_t index; /* not WINDOW: page of the store that is the first at start-up */
	struct mapcount count;
};

struct pmap_local {
	struct pmap_area area[PMAP_AREAS]; /* without pages: there is none */
	/*
	 * The areas are a host program's own memory: what it may not touch, or only read, is mapped
	 * so, and the wrong access is a signal for it and not an event for the core.
	 */
	bool program;
	int store; /* memfd of the guest's own frames; borrowed from the caller */
	int uffd;  /* open as long as the process lives: its last close would lift all protection */
	uint64_t features; /* as UFFDIO_API answered */
};

/*
 * pmap_local_init: map the guest's own areas from the store and an empty window area, all registered
 * with a new userfaultfd.  => 0 or -errno with the reason; nothing is undone, the process is meant to
 * end
 * => gfn, npages and index of the areas, program, and, when one has own memory, store are set by the
 *    caller
 */
int pmap_local_init(struct pmap_local *p, struct failure *f);

/*
 * pmap_local_serve: obey the core on sock until it goes away.
 * => returns -EPIPE then, or another -errno when the core sends what is no wire_map
 */
int pmap_local_serve(struct pmap_local *p, int sock);

#endif
