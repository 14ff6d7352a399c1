/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_GRANT_H
#define LOMBARD_PROBE_GRANT_H
/*
 * The conversation of two ends of a granted page, which probe's roles grant-serve and grant-use and
 * the host program xengrant can be.  Each step is told by an event.
 *
 *	server	writes a pattern to all words but the first two, grants the page
 *	user	maps it, sees the pattern; writes its complement, if it may; GRANT_USED
 *	server	sees that, if it was written; writes another pattern; GRANT_ANSWERED
 *	user	sees it without mapping anew; unmaps
 *	server	revokes
 *
 * Who uses the page read-only leaves the steps out that it would write.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRANT_WORDS 512u
#define GRANT_STEP 0u /* the word that holds the step */
#define GRANT_LIVE 1u /* the word whose first byte says that the user lives */
#define GRANT_FIRST 2u
#define GRANT_LIVE_OFFSET 8u

enum { GRANT_GIVEN = 1, GRANT_USED, GRANT_ANSWERED };

static inline uint64_t grant_word_of(unsigned step, unsigned i)
{
	uint64_t word = (i + 1) * 0x9e3779b97f4a7c15ULL;

	return step == GRANT_USED	? ~word
	       : step == GRANT_ANSWERED ? word ^ 0x5555555555555555ULL
					: word;
}

static inline void grant_write(volatile uint64_t *page, unsigned step)
{
	for (unsigned i = GRANT_FIRST; i < GRANT_WORDS; i++)
		page[i] = grant_word_of(step, i);
	__atomic_store_n(&page[GRANT_STEP], step, __ATOMIC_SEQ_CST);
}

/* The number of words that are not as this step has them. */
static inline unsigned grant_wrong(const volatile uint64_t *page, unsigned step)
{
	unsigned n = __atomic_load_n(&page[GRANT_STEP], __ATOMIC_SEQ_CST) != step;

	for (unsigned i = GRANT_FIRST; i < GRANT_WORDS; i++)
		n += page[i] != grant_word_of(step, i);
	return n;
}

#endif
