/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/lib/guestcpu.c hv/lib/sys.c */
/*
 * What guests see of a processor, on a KVM that is played here and has everything.
 */
#include "lib/guestcpu.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define FD 1000
#define ALL UINT32_MAX

#define BIT(n) (1U << (n))

static const struct {
	uint32_t leaf, subleaf;
} there[] = {
    {0, 0},
    {1, 0},
    {7, 0},
    {7, 1},
    {0xb, 0},
    {0xb, 1},
    {0xd, 0},
    {0xd, 1},
    {0xd, 2},
    {0xd, 7},
    {0xd, 9},
    {0xd, 11},
    {0xd, 17},
    {0xd, 18},
    {0x1d, 0},
    {0x1e, 0},
    {0x24, 0},
    {0x40000000, 0},
    {0x40000001, 0},
    {0x80000001, 0},
};
#define NTHERE (sizeof(there) / sizeof(there[0]))

static int supported(struct kvm_cpuid2 *c)
{
	cr_assert_geq(c->nent, NTHERE);
	for (size_t i = 0; i < NTHERE; i++)
		c->entries[i] = (struct kvm_cpuid_entry2){.function = there[i].leaf,
		    .index = there[i].subleaf,
		    .eax = ALL,
		    .ebx = ALL,
		    .ecx = ALL,
		    .edx = ALL};
	c->nent = NTHERE;
	return 0;
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd == FD && request == KVM_GET_SUPPORTED_CPUID)
		return supported(arg);
	errno = fd == FD ? EINVAL : EBADF;
	return -1;
}

static struct kvm_cpuid2 *list;

static void get(bool lapic)
{
	free(list);
	list = NULL;
	cr_assert_eq(guestcpu_get(FD, lapic, &list), 0);
}

static void end(void)
{
	free(list);
	list = NULL;
}

TestSuite(guestcpu, .fini = end);

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < list->nent; i++)
		if (list->entries[i].function == function && list->entries[i].index == index)
			return &list->entries[i];
	return NULL;
}

/* The only one that may set XCR0. */
Test(guestcpu, kernels_have_vectors)
{
	const struct kvm_cpuid_entry2 *e;

	get(true);
	e = leaf(1, 0);
	cr_assert_eq(e->ecx & (BIT(26) | BIT(28)), BIT(26) | BIT(28), "XSAVE, AVX: 0x%x", e->ecx);
	cr_assert_eq(leaf(7, 0)->ebx, ALL, "AVX2, AVX512F and others");
	cr_assert_eq(leaf(7, 1)->eax & BIT(4), BIT(4), "AVX-VNNI");
	cr_assert_eq(leaf(0xd, 0)->eax, 0x2ff);
	cr_assert_not_null(leaf(0xd, 2));
	cr_assert_not_null(leaf(0xd, 7));
	cr_assert_not_null(leaf(0xd, 9));
}

/* Its state has another size, or another call of KVM's. */
Test(guestcpu, nobody_has_amx_and_cet)
{
	get(true);
	cr_assert_eq(leaf(7, 0)->ecx & BIT(7), 0, "CET_SS");
	cr_assert_eq(leaf(7, 0)->edx & (BIT(20) | BIT(22) | BIT(24) | BIT(25)), 0, "CET_IBT, AMX");
	cr_assert_eq(leaf(7, 1)->eax & BIT(21), 0, "AMX_FP16");
	cr_assert_eq(
	    leaf(7, 1)->edx & (BIT(8) | BIT(18) | BIT(19)), 0, "AMX_COMPLEX, CET_SSS, AVX10");
	cr_assert_eq(leaf(0xd, 0)->edx, 0);
	cr_assert_eq(leaf(0xd, 1)->eax & BIT(4), 0, "XFD");
	cr_assert_eq(leaf(0xd, 1)->ecx, 0, "XSS");
	cr_assert_null(leaf(0xd, 11));
	cr_assert_null(leaf(0xd, 17));
	cr_assert_null(leaf(0xd, 18));
	cr_assert_null(leaf(0x1d, 0));
	cr_assert_null(leaf(0x1e, 0));
	cr_assert_null(leaf(0x24, 0));
}

Test(guestcpu, small_guests_have_neither_xsave_nor_apic)
{
	get(false);
	cr_assert_eq(leaf(1, 0)->ecx & (BIT(12) | BIT(26) | BIT(27) | BIT(28) | BIT(29)), 0);
	cr_assert_eq(leaf(1, 0)->edx & BIT(9), 0, "APIC");
	cr_assert_eq(leaf(1, 0)->ebx >> 24, 0, "its number");
	cr_assert_eq(leaf(7, 0)->eax, 0, "subleaves");
	cr_assert_eq(leaf(7, 0)->ebx & (BIT(5) | BIT(16)), 0, "AVX2, AVX512F");
	cr_assert_null(leaf(7, 1));
	cr_assert_null(leaf(0xd, 0));
	cr_assert_null(leaf(0xd, 2));
	cr_assert_eq(leaf(0xb, 0)->edx, 0);
	cr_assert_eq(leaf(0xb, 1)->edx, 0, "in each subleaf");
	cr_assert_eq(leaf(0x80000001, 0)->ecx & (BIT(11) | BIT(16)), 0, "XOP, FMA4");
}

Test(guestcpu, hypervisors_leaves_are_left_to_others)
{
	get(true);
	cr_assert_null(leaf(0x40000000, 0));
	cr_assert_null(leaf(0x40000001, 0));
	cr_assert_neq(leaf(1, 0)->ecx & BIT(31), 0, "there is a hypervisor");
	cr_assert_eq(leaf(1, 0)->ecx & BIT(24), 0, "the TSC deadline");
	cr_assert_eq(leaf(0xb, 1)->edx, ALL);
}

Test(guestcpu, kvm_that_does_not_answer)
{
	struct kvm_cpuid2 *none = NULL;

	cr_assert_eq(guestcpu_get(FD + 1, true, &none), -EBADF);
	cr_assert_null(none);
}
