/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap.h"

#include "check.h"

#define HEAP_FREE 0x80000000U
#define WALK_FIRST 16 /* runs of a bin looked at before larger bins are */

void heap_init(struct heap *h, struct heap_node *node, uint32_t nr)
{
	CHAN_CHECK(nr <= HEAP_MAX_UNITS);
	h->node = node;
	h->nr = nr;
	h->filled[0] = h->filled[1] = 0;
	for (unsigned b = 0; b < HEAP_BINS; b++)
		h->bin[b] = HEAP_NONE;
}

/* Bins of 1, 2, 3, 4, 5, 6, 7, 8..9, 10..11, 12..13, 14..15, 16..19, ... units. */
static unsigned bin_of(uint32_t n)
{
	unsigned log;

	if (n < 4)
		return n;
	log = 31 - (unsigned)__builtin_clz(n);
	return 4 * (log - 1) + (n >> (log - 2) & 3);
}

static void link_run(struct heap *h, uint32_t first, uint32_t n)
{
	unsigned b = bin_of(n);
	struct heap_node *node = &h->node[first];

	h->node[first + n - 1].len = n | HEAP_FREE;
	*node = (struct heap_node){.len = n | HEAP_FREE, .next = h->bin[b], .prev = HEAP_NONE};
	if (node->next != HEAP_NONE)
		h->node[node->next].prev = first;
	h->bin[b] = first;
	h->filled[b / 64] |= UINT64_C(1) << b % 64;
}

/* => the run's length */
static uint32_t unlink_run(struct heap *h, uint32_t first)
{
	struct heap_node *node = &h->node[first];
	uint32_t n = node->len & ~HEAP_FREE;
	unsigned b = bin_of(n);

	if (node->next != HEAP_NONE)
		h->node[node->next].prev = node->prev;
	if (node->prev != HEAP_NONE)
		h->node[node->prev].next = node->next;
	else
		h->bin[b] = node->next;
	if (h->bin[b] == HEAP_NONE)
		h->filled[b / 64] &= ~(UINT64_C(1) << b % 64);
	return n;
}

static bool free_p(const struct heap *h, uint32_t unit)
{
	return (h->node[unit].len & HEAP_FREE) != 0;
}

void heap_put(struct heap *h, uint32_t first, uint32_t n)
{
	uint32_t left;

	CHAN_CHECK(n > 0 && first < h->nr && n <= h->nr - first && !free_p(h, first));
	if (first > 0 && free_p(h, first - 1)) {
		left = h->node[first - 1].len & ~HEAP_FREE;
		first -= left;
		n += unlink_run(h, first);
	}
	if (first + n < h->nr && free_p(h, first + n))
		n += unlink_run(h, first + n);
	link_run(h, first, n);
}

/* Take [at, at + n) out of the free run that starts at first and has all of it. */
static void carve(struct heap *h, uint32_t first, uint32_t at, uint32_t n)
{
	uint32_t total = unlink_run(h, first);
	uint32_t before = at - first;

	h->node[at + n - 1].len = 0;
	h->node[at].len = n;
	if (before > 0)
		link_run(h, first, before);
	if (total > before + n)
		link_run(h, at + n, total - before - n);
}

/* The first of at most `most` runs of a bin that is long enough. */
static uint32_t find_in(const struct heap *h, unsigned b, uint32_t n, uint32_t most)
{
	uint32_t run = h->bin[b];

	while (run != HEAP_NONE && (h->node[run].len & ~HEAP_FREE) < n && most-- > 0)
		run = h->node[run].next;
	return run != HEAP_NONE && (h->node[run].len & ~HEAP_FREE) >= n ? run : HEAP_NONE;
}

/* A run of a bin above b: all of them are long enough. */
static uint32_t find_above(const struct heap *h, unsigned b)
{
	uint64_t low = b < 63 ? h->filled[0] & ~UINT64_C(0) << (b + 1) : 0;
	uint64_t high = b < 63 ? h->filled[1] : h->filled[1] & ~UINT64_C(0) << (b - 63);

	if (low != 0)
		return h->bin[__builtin_ctzll(low)];
	return high != 0 ? h->bin[64 + __builtin_ctzll(high)] : HEAP_NONE;
}

bool heap_take(struct heap *h, uint32_t n, uint32_t *first)
{
	unsigned b = bin_of(n);
	uint32_t run;

	CHAN_CHECK(n > 0);
	if (n > h->nr)
		return false;
	run = find_in(h, b, n, WALK_FIRST);
	if (run == HEAP_NONE)
		run = find_above(h, b);
	if (run == HEAP_NONE)
		run = find_in(h, b, n, UINT32_MAX);
	if (run == HEAP_NONE)
		return false;
	carve(h, run, run, n);
	*first = run;
	return true;
}

/* A run with an aligned block of n in it; every run that could have one is looked at. */
static uint32_t find_aligned(const struct heap *h, uint32_t n)
{
	for (unsigned b = bin_of(n); b < HEAP_BINS; b++)
		for (uint32_t run = h->bin[b]; run != HEAP_NONE; run = h->node[run].next)
			if (((run + n - 1) & ~(n - 1)) + n <= run + (h->node[run].len & ~HEAP_FREE))
				return run;
	return HEAP_NONE;
}

bool heap_take_aligned(struct heap *h, uint32_t n, uint32_t *first)
{
	uint32_t run = find_aligned(h, n);

	if (run == HEAP_NONE)
		return false;
	*first = (run + n - 1) & ~(n - 1);
	carve(h, run, *first, n);
	return true;
}

uint32_t heap_len(const struct heap *h, uint32_t first)
{
	CHAN_CHECK(first < h->nr && h->node[first].len > 0 && !free_p(h, first));
	return h->node[first].len;
}
