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

/* A guest-physical range and where it lies in this process. */
struct pmap_area {
	uint8_t *hva; /* 2 MiB aligned */
	uint64_t gfn; /* first page */
	uint64_t npages;
};

struct pmap_local {
	struct pmap_area ram;
	struct pmap_area window;
	struct mapcount ram_count;
	struct mapcount window_count;
	/*
	 * The areas are a host program's own memory: what it may not touch, or only read, is mapped
	 * so, and the wrong access is a signal for it and not an event for the core.
	 */
	bool program;
	int store;	    /* memfd of the guest's own frames; borrowed from the caller */
	uint64_t ram_index; /* page of the store that is RAM's first at start-up */
	int uffd; /* open as long as the process lives: its last close would lift all protection */
	uint64_t features; /* as UFFDIO_API answered */
};

/*
 * pmap_local_init: map RAM from the store and an empty window area, both registered with a new
 * userfaultfd.  => 0 or -errno with the reason; nothing is undone, the process is meant to end
 * => ram.gfn, ram.npages, window.gfn, window.npages, program, and, when there is RAM, store and
 *    ram_index are set by the caller
 */
int pmap_local_init(struct pmap_local *p, struct failure *f);

/*
 * pmap_local_serve: obey the core on sock until it goes away.
 * => returns -EPIPE then, or another -errno when the core sends what is no wire_map
 */
int pmap_local_serve(struct pmap_local *p, int sock);

#endif
