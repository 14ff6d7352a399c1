/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <xen/arch-x86/cpuid.h>

#include "lib/sys.h"

#define MAX_ENTRIES 256 /* KVM's own bound */
#define HV_FIRST 0x40000000U
#define HV_LAST 0x400000ffU
#define HV_TIMING 0x40000010U	/* eax = TSC kHz, as on other hypervisors */
#define XEN_VERSION 0x00040011U /* 4.17 */

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

/* Leaves not listed here answer zeroes up to HV_TIMING, which is what Xen's leaf 3 may say too. */
static int add_xen(const struct vmm *vm, struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 leaves[] = {
	    {
		.function = HV_FIRST,
		.eax = HV_TIMING,
		.ebx = XEN_CPUID_SIGNATURE_EBX,
		.ecx = XEN_CPUID_SIGNATURE_ECX,
		.edx = XEN_CPUID_SIGNATURE_EDX,
	    },
	    {.function = HV_FIRST + 1, .eax = XEN_VERSION},
	    {
		.function = HV_FIRST + 4,
		.eax = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT,
		.ecx = vm->cfg.domid,
	    },
	    {.function = HV_TIMING, .eax = vm->vcpu.tsc_khz},
	};
	const uint32_t n = sizeof(leaves) / sizeof(leaves[0]);

	if (c->nent + n > MAX_ENTRIES)
		return -E2BIG;
	for (uint32_t i = 0; i < n; i++)
		c->entries[c->nent++] = leaves[i];
	return 0;
}

static int check_window(const struct vmm *vm, const struct kvm_cpuid2 *c, struct failure *f)
{
	uint64_t end = (vm->cfg.window_gfn + vm->cfg.window_pages) << 12;
	unsigned bits = 36; /* what a processor without the leaf has */

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 0x80000008U)
			bits = c->entries[i].eax & 0xff;
	}
	if (bits < 64 && end > UINT64_C(1) << bits)
		return failure_set(f, -ERANGE,
		    "the window area ends beyond the %u physical address bits of a guest here",
		    bits);
	return 0;
}

int cpuid_set(const struct vmm *vm, struct failure *f)
{
	struct kvm_cpuid2 *c;
	int ret;

	c = SYS_ALLOC(calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0])));
	if (!c)
		return failure_sys(f, -ENOMEM, "CPUID");
	c->nent = MAX_ENTRIES;
	if (SYS(ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, c))) {
		ret = failure_sys(f, -errno, "KVM_GET_SUPPORTED_CPUID");
		goto out_free;
	}
	ret = check_window(vm, c, f);
	if (ret)
		goto out_free;
	filter(c);
	ret = add_xen(vm, c);
	if (ret) {
		failure_sys(f, ret, "CPUID");
		goto out_free;
	}
	if (SYS(ioctl(vm->vcpu.fd, KVM_SET_CPUID2, c)))
		ret = failure_sys(f, -errno, "KVM_SET_CPUID2");
out_free:
	free(c);
	return ret;
}
