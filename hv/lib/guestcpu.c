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

#define EVERY UINT32_MAX /* subleaf */
#define XCR0_KEPT 0x2ffU /* x87, SSE, AVX, MPX, AVX-512, protection keys: KVM saves them unasked */

/* Bits that are taken away. */
struct bits {
	uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};

/*
 * For everybody: AMX, whose state KVM saves only if asked and which does not fit into struct kvm_xsave; AVX10, which has
 * a leaf of its own; CET, whose state is a supervisor's; and the TSC deadline of a LAPIC.
 */
static const struct bits hidden[] = {
    {.leaf = 1, .ecx = BIT(24)}, /* TSC deadline */
    {
	.leaf = 7,
	.ecx = BIT(7),				      /* CET_SS */
	.edx = BIT(20) | BIT(22) | BIT(24) | BIT(25), /* CET_IBT, AMX */
    },
    {
	.leaf = 7,
	.subleaf = 1,
	.eax = BIT(21),			   /* AMX_FP16 */
	.edx = BIT(8) | BIT(18) | BIT(19), /* AMX_COMPLEX, CET_SSS, AVX10 */
    },
    {.leaf = 0xd, .eax = ~XCR0_KEPT, .edx = UINT32_MAX},
    {.leaf = 0xd, .subleaf = 1, .eax = BIT(4), .ecx = UINT32_MAX, .edx = UINT32_MAX}, /* XFD, XSS */
};

/*
 * Likewise what needs XSAVE, for guests at CPL 3, which can't set XCR0: AVX, protection keys. Their
 * leaf 0xd is dropped.
 */
static const struct bits hidden_xsave[] = {
    /* FMA, XSAVE, OSXSAVE, AVX, F16C */
    {.leaf = 1, .ecx = BIT(12) | BIT(26) | BIT(27) | BIT(28) | BIT(29)},
    {
	.leaf = 7,
	.eax = UINT32_MAX, /* no subleaves: all they have is AVX and the like */
	.ebx = BIT(5) | BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) |
	       BIT(31), /* AVX2, AVX512* */
	.ecx = BIT(1) | BIT(3) | BIT(4) | BIT(6) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |
	       BIT(14),				   /* AVX512*, PKU, OSPKE, VAES, VPCLMULQDQ */
	.edx = BIT(2) | BIT(3) | BIT(8) | BIT(23), /* AVX512* */
    },
    {.leaf = 0x80000001U, .ecx = BIT(11) | BIT(16)}, /* XOP, FMA4 */
};

/* Likewise where there is no interrupt controller: APIC, x2APIC, the APIC's number. */
static const struct bits hidden_apic[] = {
    {.leaf = 1, .ebx = 0xff000000U, .ecx = BIT(21), .edx = BIT(9)},
    {.leaf = 0xb, .subleaf = EVERY, .edx = UINT32_MAX},
    {.leaf = 0x1f, .subleaf = EVERY, .edx = UINT32_MAX},
    {.leaf = 0x8000001eU, .eax = UINT32_MAX},
};

/* Leaves that are dropped: AMX's and AVX10's, KVM's own description of itself, and where it is hidden XSAVE's. */
static bool dropped_p(const struct kvm_cpuid_entry2 *e, bool xsave)
{
	switch (e->function) {
	case 7:
		return !xsave && e->index > 0;
	case 0xd: /* its subleaves are the bits of XCR0 and XSS, but for 0 and 1 */
		return !xsave || (e->index > 1 && !(XCR0_KEPT >> e->index & 1));
	case 0x1d:
	case 0x1e:
	case 0x24:
		return true;
	default:
		return e->function >= HV_FIRST && e->function <= HV_LAST;
	}
}

static void hide(struct kvm_cpuid_entry2 *e, const struct bits *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (b[i].leaf != e->function || (b[i].subleaf != e->index && b[i].subleaf != EVERY))
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
	if (!lapic) {
		hide(e, hidden_xsave, sizeof(hidden_xsave) / sizeof(hidden_xsave[0]));
		hide(e, hidden_apic, sizeof(hidden_apic) / sizeof(hidden_apic[0]));
	}
	if (e->function == 1)
		e->ecx |= BIT(31); /* "there is a hypervisor" */
}

static void filter(struct kvm_cpuid2 *c, bool lapic)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (dropped_p(&c->entries[i], lapic))
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
