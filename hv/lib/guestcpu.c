/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/guestcpu.h"

#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/sys.h"

#define HV_FIRST 0x40000000U
#define HV_LAST 0x400000ffU

#define BIT(n) (1U << (n))

/*
 * Bits that are taken away.  AVX, protection keys, CET and AMX need XSAVE, which stays hidden: some
 * hosts' KVM does not see a guest's XSETBV.
 */
struct bits {
	uint32_t leaf, eax, ebx, ecx, edx;
};

static const struct bits hidden[] = {
    /* FMA, TSC deadline, XSAVE, OSXSAVE, AVX, F16C */
    {.leaf = 1, .ecx = BIT(12) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29)},
    {
	.leaf = 7,
	.eax = UINT32_MAX, /* no subleaves: all they have is AVX and the like */
	.ebx = BIT(5) | BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) |
	       BIT(31), /* AVX2, AVX512* */
	.ecx = BIT(1) | BIT(3) | BIT(4) | BIT(6) | BIT(7) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |
	       BIT(14), /* AVX512*, PKU, OSPKE, CET_SS, VAES, VPCLMULQDQ */
	.edx = BIT(2) | BIT(3) | BIT(8) | BIT(20) | BIT(22) | BIT(23) | BIT(24) |
	       BIT(25), /* AVX512*, CET_IBT, AMX */
    },
    {.leaf = 0x80000001U, .ecx = BIT(11) | BIT(16)}, /* XOP, FMA4 */
};

/* Likewise where there is no interrupt controller: APIC, x2APIC, the APIC's number. */
static const struct bits hidden_apic[] = {
    {.leaf = 1, .ebx = 0xff000000U, .ecx = BIT(21), .edx = BIT(9)},
    {.leaf = 0xb, .edx = UINT32_MAX},
    {.leaf = 0x1f, .edx = UINT32_MAX},
    {.leaf = 0x8000001eU, .eax = UINT32_MAX},
};

/* Leaves that are dropped: XSAVE's, AMX's and AVX10's, and KVM's own description of itself. */
static bool dropped_p(const struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0xd:
	case 0x1d:
	case 0x1e:
	case 0x24:
		return true;
	case 7:
		return e->index > 0;
	default:
		return e->function >= HV_FIRST && e->function <= HV_LAST;
	}
}

static void hide(struct kvm_cpuid_entry2 *e, const struct bits *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (b[i].leaf != e->function)
			continue;
		e->eax &= ~b[i].eax;
		e->ebx &= ~b[i].ebx;
		e->ecx &= ~b[i].ecx;
		e->edx &= ~b[i].edx;
	}
}

static void change(struct kvm_cpuid_entry2 *e, bool lapic)
{
	hide(e, hidden, sizeof(hidden) / sizeof(hidden[0]));
	if (!lapic)
		hide(e, hidden_apic, sizeof(hidden_apic) / sizeof(hidden_apic[0]));
	if (e->function == 1)
		e->ecx |= BIT(31); /* "there is a hypervisor" */
}

static void filter(struct kvm_cpuid2 *c, bool lapic)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (dropped_p(&c->entries[i]))
			continue;
		c->entries[kept] = c->entries[i];
		change(&c->entries[kept++], lapic);
	}
	c->nent = kept;
}

int guestcpu_get(int kvm, bool lapic, struct kvm_cpuid2 **list)
{
	struct kvm_cpuid2 *c = SYS_ALLOC(
	    calloc(1, sizeof(*c) + GUESTCPU_MAX * sizeof(c->entries[0])));
	int ret;

	if (c == NULL)
		return -ENOMEM;
	c->nent = GUESTCPU_MAX;
	if (SYS(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c)) != 0) {
		ret = -errno;
		free(c);
		return ret;
	}
	filter(c, lapic);
	*list = c;
	return 0;
}

#define LEAF1_ECX_VMX BIT(5)
#define LEAF80000001_ECX_SVM BIT(2)

bool guestcpu_virtualized_p(void)
{
	unsigned eax, ebx, ecx, edx;

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & LEAF1_ECX_VMX))
		return true;
	return __get_cpuid(0x80000001U, &eax, &ebx, &ecx, &edx) && (ecx & LEAF80000001_ECX_SVM);
}
