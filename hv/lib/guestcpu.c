/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/guestcpu.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lib/sys.h"

#define HV_FIRST 0x40000000U
#define HV_LAST 0x400000ffU

#define BIT(n) (1U << (n))

/*
 * Bits that are taken away.  AVX, protection keys, CET and AMX need XSAVE, which stays hidden: some
 * hosts' KVM does not see a guest's XSETBV.  Without an interrupt controller there is no APIC.
 */
static const struct {
	uint32_t leaf, eax, ebx, ecx, edx;
} hidden[] = {
    {
	.leaf = 1,
	/* FMA, x2APIC, TSC deadline, XSAVE, OSXSAVE, AVX, F16C */
	.ecx = BIT(12) | BIT(21) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29),
	.ebx = 0xff000000U, /* the APIC's number */
	.edx = BIT(9),	    /* APIC */
    },
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
    {.leaf = 0xb, .edx = UINT32_MAX},
    {.leaf = 0x1f, .edx = UINT32_MAX},
    {.leaf = 0x80000001U, .ecx = BIT(11) | BIT(16)}, /* XOP, FMA4 */
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

static void hide(struct kvm_cpuid_entry2 *e)
{
	for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (hidden[i].leaf != e->function)
			continue;
		e->eax &= ~hidden[i].eax;
		e->ebx &= ~hidden[i].ebx;
		e->ecx &= ~hidden[i].ecx;
		e->edx &= ~hidden[i].edx;
	}
	if (e->function == 1)
		e->ecx |= BIT(31); /* "there is a hypervisor" */
}

static void filter(struct kvm_cpuid2 *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (dropped_p(&c->entries[i]))
			continue;
		c->entries[kept] = c->entries[i];
		hide(&c->entries[kept++]);
	}
	c->nent = kept;
}

int guestcpu_get(int kvm, struct kvm_cpuid2 **list)
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
	filter(c);
	*list = c;
	return 0;
}
