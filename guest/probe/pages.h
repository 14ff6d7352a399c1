/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_PAGES_H
#define LOMBARD_PROBE_PAGES_H
/*
 * What tests of foreign maps and sharing say to a guest (serve-pages), by writing into its memory;
 * and what its pages hold.
 */
#include <stdint.h>

enum pages_op {
	PAGES_WRITE = 1, /* value into a word of a page */
	PAGES_SUM,	 /* result: pages_sum of a page */
	PAGES_DISCARD,	 /* give a page up; result: 0 or -errno */
	PAGES_END,	 /* answer, and shut down */
};

/* The host fills in the rest and then counts request up; the guest sets done when it has answered. */
struct pages_mailbox {
	uint64_t request, done;
	uint64_t op, page, word, value;
	uint64_t result;
};

/* Word i of all pages. */
static inline uint64_t pages_word(uint64_t fill, uint64_t i)
{
	return (fill << 32 | (i + 1)) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t pages_sum(const uint64_t *page)
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < 4096 / sizeof(*page); i++)
		sum = (sum ^ page[i]) * 0x100000001b3u;
	return sum;
}

#endif
