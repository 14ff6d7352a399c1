/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VICTIM_TAG_H
#define LOMBARD_VICTIM_TAG_H
/*
 * How guests that fuzz and their victims find each other: by the tags of loans.  A loan with such a
 * tag has the bytes that follow from its salt, and comes with a port to bind and a reference to map.
 */
#include <stdbool.h>
#include <stdint.h>

#define TAG_MAGIC 0xf0225ULL

static inline uint64_t tag_make(uint16_t salt, uint32_t port, uint32_t ref)
{
	return TAG_MAGIC << 44 | (uint64_t)salt << 28 | (uint64_t)(port & 0xfff) << 16 |
	       (ref & 0xffff);
}

static inline bool tag_p(uint64_t tag)
{
	return tag >> 44 == TAG_MAGIC;
}

static inline uint16_t tag_salt(uint64_t tag)
{
	return (uint16_t)(tag >> 28);
}

static inline uint32_t tag_port(uint64_t tag)
{
	return tag >> 16 & 0xfff;
}

static inline uint32_t tag_ref(uint64_t tag)
{
	return tag & 0xffff;
}

/* Word i of all pages of such a loan. */
static inline uint64_t tag_word(uint16_t salt, uint64_t i)
{
	return ((uint64_t)salt << 32 | (i + 1)) * 0x9e3779b97f4a7c15ULL;
}

static inline void tag_fill(uint64_t *p, uint64_t words, uint16_t salt)
{
	for (uint64_t i = 0; i < words; i++)
		p[i] = tag_word(salt, i);
}

static inline bool tag_holds(const volatile uint64_t *p, uint64_t words, uint16_t salt)
{
	for (uint64_t i = 0; i < words; i++)
		if (p[i] != tag_word(salt, i))
			return false;
	return true;
}

#endif
