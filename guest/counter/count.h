/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_COUNTER_COUNT_H
#define LOMBARD_COUNTER_COUNT_H
/* Counting lines and words of a text that arrives in pieces.  Needs nothing of the library. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_ENTRIES 65536U

/* One word of the table: XOR-multiply (FNV-1a, 64 bit) hash of its bytes, 0 for a free entry. */
struct word {
	uint64_t hash;
	uint64_t count;
};

struct tally {
	uint64_t lines;
	uint64_t words;
	uint64_t bytes;
	uint64_t hash;	    /* of the run of bytes that is being read */
	bool in_word;	    /* that run holds a printable character */
	struct word *table; /* TABLE_ENTRIES, zeroes at first */
};

void tally_start(struct tally *tally, struct word *table);
void tally_add(struct tally *tally, const unsigned char *text, size_t len);
void tally_finish(struct tally *tally);

#endif
