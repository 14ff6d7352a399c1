/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines, words and bytes by the rule of GNU wc (coreutils 9.1) in the C locale: a word is a
 * longest run of bytes between white space, if it holds a printable character.  Bytes that are
 * neither printable nor white space neither part words nor make one.
 */
#include "count.h"

#define HASH_START 0xcbf29ce484222325ULL
#define HASH_PRIME 0x100000001b3ULL
#define MAX_PROBES 16 /* a word that finds no place so near is left out of the table */

static bool space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool printable(unsigned char c)
{
	return c > ' ' && c < 0x7f;
}

static void table_add(struct word *table, uint64_t hash)
{
	uint64_t slot = hash ^ (hash >> 32);

	if (hash == 0)
		hash = 1;
	for (unsigned int i = 0; i < MAX_PROBES; i++) {
		struct word *word = &table[(slot + i) % TABLE_ENTRIES];

		if (word->hash == 0)
			word->hash = hash;
		if (word->hash == hash) {
			word->count++;
			return;
		}
	}
}

static void word_end(struct tally *tally)
{
	if (tally->in_word) {
		tally->words++;
		table_add(tally->table, tally->hash);
	}
	tally->in_word = false;
	tally->hash = HASH_START;
}

void tally_start(struct tally *tally, struct word *table)
{
	*tally = (struct tally){.hash = HASH_START, .table = table};
}

void tally_add(struct tally *tally, const unsigned char *text, size_t len)
{
	uint64_t hash = tally->hash;
	bool in_word = tally->in_word;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = text[i];

		if (!space(c)) {
			hash = (hash ^ c) * HASH_PRIME;
			in_word |= printable(c);
			continue;
		}
		tally->lines += c == '\n';
		tally->hash = hash;
		tally->in_word = in_word;
		word_end(tally);
		hash = tally->hash;
		in_word = false;
	}
	tally->hash = hash;
	tally->in_word = in_word;
	tally->bytes += len;
}

void tally_finish(struct tally *tally)
{
	word_end(tally);
}
