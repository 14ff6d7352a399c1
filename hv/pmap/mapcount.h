/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PMAP_MAPCOUNT_H
#define LOMBARD_PMAP_MAPCOUNT_H
/*
 * How many mappings (lines of /proc/PID/maps) an area of guest memory takes, without asking the
 * kernel.  Every page has a class; the kernel keeps two neighbours in one mapping when nothing
 * about them differs but the position, and the caller chooses classes that are equal exactly then.
 * Not thread-safe.  Costs 8 bytes a page, of which only those that ever left class 0 are resident.
 */
#include <stdint.h>

struct mapcount {
	uint64_t *class; /* [npages], 0 at first */
	uint64_t npages;
	uint64_t lines;
};

/* mapcount_init: all pages in class 0.  => 0 or -ENOMEM; mapcount_fini releases it. */
int mapcount_init(struct mapcount *mc, uint64_t npages);
void mapcount_fini(struct mapcount *mc);

/* mapcount_set: n pages from `first` get a class.  => first + n <= npages */
void mapcount_set(struct mapcount *mc, uint64_t first, uint64_t n, uint64_t class);

#endif
