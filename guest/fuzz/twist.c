/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables that only the hypervisor walks: entries of every kind at every level, as they come.  None
 * leads to where the guest would be stopped for looking, or to what the program needs.
 */
#include "fuzz.h"

#define LEVELS 3u  /* below the first table */
#define PLACE 200u /* in the first table */
#define PRESENT 1UL
#define LARGE 0x80UL

static uint64_t *tables[LEVELS];

/* More than any machine has, or the 1 GiB that ends at 4 GiB, where RAM is not. */
static uint64_t nowhere(void)
{
	return one_in(2) ? 0xc0000000UL : (rnd() & 0xffffffffff000UL) | 1UL << 50;
}

static uint64_t entry(unsigned level)
{
	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return rnd() & ~PRESENT;
	case 2:
		return nowhere() | PTE_TABLE;
	case 3:
		return nowhere() | (rnd() & 0xff8) | PRESENT | LARGE;
	default:
		if (level + 1 < LEVELS)
			return (uint64_t)tables[level + 1] | PTE_TABLE;
		return public_gfn() * PAGE_SIZE | PRESENT | (rnd() & 0xff8) | rnd() << 52;
	}
}

void twist(void)
{
	for (unsigned level = 0; level < LEVELS; level++) {
		if (tables[level] == NULL)
			tables[level] = page_alloc(1);
		if (tables[level] == NULL)
			die("fuzz: no memory");
	}
	for (unsigned level = 0; level < LEVELS; level++)
		for (unsigned i = 0; i < 512; i++)
			tables[level][i] = entry(level);
	lombard_pml4[PLACE] = (uint64_t)tables[0] | PTE_TABLE;
}

uint64_t twisted(void)
{
	return (uint64_t)PLACE << 39 | (rnd() & 0x7fffffffffUL);
}

bool twisted_p(const void *address)
{
	return (uint64_t)address >> 39 == PLACE;
}
