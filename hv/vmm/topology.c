/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/topology.h"

#include <stdbool.h>
#include <stdint.h>

#define BIT(n) (1U << (n))
#define LAST_LEVEL 3 /* of caches: this one, and any beyond it */

/* Types of a level in leaf 0xb. */
#define LEVEL_THREAD (1U << 8)
#define LEVEL_CORE (2U << 8)

/* Core number `core` of n; its APIC has the number core << shift. */
struct place {
	unsigned core, n, shift;
};

/* Bits of an APIC's number that count the cores of a package. */
static unsigned core_bits(unsigned n)
{
	unsigned bits = 0;

	while (BIT(bits) < n)
		bits++;
	return bits;
}

static uint32_t replace(uint32_t word, unsigned shift, unsigned width, uint32_t value)
{
	uint32_t mask = (BIT(width) - 1) << shift;

	return (word & ~mask) | (value << shift & mask);
}

/*
 * A cache: in both makers' leaves its level, and for how many of APICs' numbers it is less one, lie at the
 * same places.
 */
static void share_cache(uint32_t *eax, const struct place *p, uint32_t all)
{
	uint32_t numbers = ((*eax >> 5 & 7) >= LAST_LEVEL ? all : 1) << p->shift;

	*eax = replace(*eax, 14, 12, numbers - 1);
}

static void set_leaf(struct kvm_cpuid_entry2 *e, const struct place *p)
{
	const unsigned bits = core_bits(p->n), apic = p->core << p->shift;

	switch (e->function) {
	case 1:
		e->ebx = replace(replace(e->ebx, 24, 8, apic), 16, 8, p->n << p->shift);
		e->edx = replace(e->edx, 28, 1, p->n > 1);
		break;
	case 4:
		if ((e->eax & 31) == 0)
			break;
		share_cache(&e->eax, p, BIT(bits));
		e->eax = replace(e->eax, 26, 6, BIT(bits) - 1);
		break;
	case 0x80000008U:
		e->ecx = replace(replace(e->ecx, 0, 8, p->n - 1), 12, 4, bits + p->shift);
		break;
	case 0x8000001dU:
		if ((e->eax & 31) != 0)
			share_cache(&e->eax, p, p->n);
		break;
	case 0x8000001eU:
		e->eax = apic;
		e->ebx = p->core; /* with one thread */
		e->ecx = 0;	  /* the only node */
		break;
	default:
		break;
	}
}

/* Those that are written anew, or say no more than 0xb does. */
static bool dropped_p(uint32_t function)
{
	return function == 0xb || function == 0x1f || function == 0x80000026U;
}

static void add_levels(struct kvm_cpuid2 *c, const struct place *p)
{
	const struct kvm_cpuid_entry2 levels[TOPOLOGY_LEAVES] = {
	    {.eax = p->shift, .ebx = 1, .ecx = LEVEL_THREAD},
	    {.eax = core_bits(p->n) + p->shift, .ebx = p->n, .ecx = LEVEL_CORE},
	    {.ebx = 0},
	};

	for (uint32_t i = 0; i < TOPOLOGY_LEAVES; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

		*e = levels[i];
		e->function = 0xb;
		e->index = i;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->ecx |= i;
		e->edx = p->core << p->shift;
	}
}

void topology_set(struct kvm_cpuid2 *c, unsigned core, unsigned n, unsigned shift)
{
	const struct place p = {.core = core, .n = n, .shift = shift};
	bool levels = false;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 0)
			levels = c->entries[i].eax >= 0xb;
		if (dropped_p(c->entries[i].function))
			continue;
		c->entries[kept] = c->entries[i];
		set_leaf(&c->entries[kept++], &p);
	}
	c->nent = kept;
	if (levels)
		add_levels(c, &p);
}
