/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/topology.c */
/* CPUID leaves that tell of other processors. */
#include "vmm/topology.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

TestSuite(topology, .timeout = 10);

#define ROOM 32

static struct kvm_cpuid2 *list_of(const struct kvm_cpuid_entry2 *entries, uint32_t n)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + ROOM * sizeof(c->entries[0]));

	cr_assert(c != NULL);
	for (uint32_t i = 0; i < n; i++)
		c->entries[i] = entries[i];
	c->nent = n;
	return c;
}

static const struct kvm_cpuid_entry2 *find(
    const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function != function || c->entries[i].index != index)
			continue;
		cr_assert(found == NULL, "leaf %#x is there twice", function);
		found = &c->entries[i];
	}
	return found;
}

/* A host's leaves: 8 cores of 2 threads, and this was thread 5. */
static const struct kvm_cpuid_entry2 host[] = {
    {.function = 0, .eax = 0x1f, .ebx = 0x756e6547},
    {.function = 1, .eax = 0x906ea, .ebx = 0x05100800, .ecx = 7, .edx = 0x1fabfbff},
    {.function = 4, .index = 0, .eax = 0x3c004121, .ebx = 0x1c0003f},
    {.function = 4, .index = 3, .eax = 0x3c03c163, .ebx = 0x3c0003f},
    {.function = 4, .index = 4},
    {.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 5},
    {.function = 0xb, .index = 1, .eax = 4, .ebx = 16, .ecx = 0x201, .edx = 5},
    {.function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 5},
    {.function = 0x80000008, .eax = 0x3030, .ebx = 0x1234, .ecx = 0x400f},
    {.function = 0x8000001d, .index = 0, .eax = 0x4121},
    {.function = 0x8000001d, .index = 3, .eax = 0x3c163},
    {.function = 0x8000001e, .eax = 5, .ebx = 0x102, .ecx = 0x100},
    {.function = 0x80000026, .index = 0, .eax = 1, .ebx = 2, .edx = 5},
};
#define NHOST (sizeof(host) / sizeof(host[0]))

Test(topology, three_cores)
{
	struct kvm_cpuid2 *c = list_of(host, NHOST);

	topology_set(c, 2, 3, 0);
	cr_assert_eq(find(c, 1, 0)->ebx, 0x02030800);
	cr_assert_eq(find(c, 1, 0)->edx, 0x1fabfbff);
	cr_assert_eq(find(c, 1, 0)->eax, 0x906ea);
	cr_assert_eq(find(c, 4, 0)->eax, 0x0c000121);
	cr_assert_eq(find(c, 4, 3)->eax, 0x0c00c163);
	cr_assert_eq(find(c, 4, 4)->eax, 0);
	cr_assert_eq(find(c, 0x80000008, 0)->ecx, 0x2002);
	cr_assert_eq(find(c, 0x80000008, 0)->ebx, 0x1234);
	cr_assert_eq(find(c, 0x8000001d, 0)->eax, 0x121);
	cr_assert_eq(find(c, 0x8000001d, 3)->eax, 0x8163);
	cr_assert_eq(find(c, 0x8000001e, 0)->eax, 2);
	cr_assert_eq(find(c, 0x8000001e, 0)->ebx, 2);
	cr_assert_eq(find(c, 0x8000001e, 0)->ecx, 0);
	cr_assert(find(c, 0x1f, 0) == NULL);
	cr_assert(find(c, 0x80000026, 0) == NULL);
	free(c);
}

Test(topology, levels)
{
	struct kvm_cpuid2 *c = list_of(host, NHOST);

	topology_set(c, 3, 4, 0);
	cr_assert_eq(find(c, 0xb, 0)->eax, 0);
	cr_assert_eq(find(c, 0xb, 0)->ebx, 1);
	cr_assert_eq(find(c, 0xb, 0)->ecx, 0x100);
	cr_assert_eq(find(c, 0xb, 1)->eax, 2);
	cr_assert_eq(find(c, 0xb, 1)->ebx, 4);
	cr_assert_eq(find(c, 0xb, 1)->ecx, 0x201);
	cr_assert_eq(find(c, 0xb, 2)->ebx, 0);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(find(c, 0xb, i)->edx, 3);
		cr_assert_eq(find(c, 0xb, i)->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	}
	free(c);
}

/* As in domains that tools build: every other number is no APIC's. */
Test(topology, even_numbers)
{
	struct kvm_cpuid2 *c = list_of(host, NHOST);

	topology_set(c, 2, 3, 1);
	cr_assert_eq(find(c, 1, 0)->ebx, 0x04060800);
	cr_assert_eq(find(c, 4, 0)->eax, 0x0c004121);
	cr_assert_eq(find(c, 4, 3)->eax, 0x0c01c163);
	cr_assert_eq(find(c, 0x80000008, 0)->ecx, 0x3002);
	cr_assert_eq(find(c, 0x8000001d, 0)->eax, 0x4121);
	cr_assert_eq(find(c, 0x8000001d, 3)->eax, 0x14163);
	cr_assert_eq(find(c, 0x8000001e, 0)->eax, 4);
	cr_assert_eq(find(c, 0x8000001e, 0)->ebx, 2);
	cr_assert_eq(find(c, 0xb, 0)->eax, 1);
	cr_assert_eq(find(c, 0xb, 0)->ebx, 1);
	cr_assert_eq(find(c, 0xb, 1)->eax, 3);
	cr_assert_eq(find(c, 0xb, 1)->ebx, 3);
	cr_assert_eq(find(c, 0xb, 2)->edx, 4);
	free(c);
}

/* One core: no hyper-threading bit, all numbers 0; and a processor too old for leaf 0xb gets none. */
Test(topology, one_core_of_an_old_processor)
{
	struct kvm_cpuid2 *c = list_of(host, NHOST);

	c->entries[0].eax = 0xa;
	topology_set(c, 0, 1, 0);
	cr_assert_eq(find(c, 1, 0)->ebx, 0x00010800);
	cr_assert_eq(find(c, 1, 0)->edx, 0x0fabfbff);
	cr_assert_eq(find(c, 4, 3)->eax, 0x163);
	cr_assert_eq(find(c, 0x80000008, 0)->ecx, 0);
	cr_assert(find(c, 0xb, 0) == NULL);
	free(c);
}
