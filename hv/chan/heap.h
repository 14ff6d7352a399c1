/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CHAN_HEAP_H
#define HV_CHAN_HEAP_H
/*
 * Runs of numbered units (pages, frames): which are free, best fit in constant time but for lists
 * of runs of like size.  A freed run merges with its neighbours at once.  The bookkeeping lies in
 * an array of nodes apart from the units, which nobody here touches.
 */
#include <stdbool.h>
#include <stdint.h>

#define HEAP_MAX_UNITS (1U << 18)
#define HEAP_BINS 80 /* four for each power of two */
#define HEAP_NONE UINT32_MAX

/*
 * Of a run's first unit: its length, its neighbours in the bin.  Of its last unit: the length, too,
 * if the run is free, else 0.
 */
struct heap_node {
	uint32_t len; /* | HEAP_FREE */
	uint32_t next, prev;
};

struct heap {
	struct heap_node *node;
	uint32_t nr;
	uint64_t filled[2]; /* bit b: bin b has a run */
	uint32_t bin[HEAP_BINS];
};

/* heap_init: nr units, none of them free.  => node: nr nodes of zeroes, the caller's */
void heap_init(struct heap *h, struct heap_node *node, uint32_t nr);

/* heap_put: units that are not the heap's, [first, first + n), n > 0, are free from now on. */
void heap_put(struct heap *h, uint32_t first, uint32_t n);

/* heap_take: n > 0 units that follow each other; false if there are none. */
bool heap_take(struct heap *h, uint32_t n, uint32_t *first);

/* heap_take_aligned: the same, n a power of two and *first a multiple of it. */
bool heap_take_aligned(struct heap *h, uint32_t n, uint32_t *first);

/* heap_len: length of a run that was taken, by its first unit. */
uint32_t heap_len(const struct heap *h, uint32_t first);

#endif
