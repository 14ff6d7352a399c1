/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <xen/arch-x86/cpuid.h>

#include "lib/guestcpu.h"
#include "lib/sys.h"
#include "vmm/platform.h"
#include "vmm/topology.h"

#define HV_FIRST 0x40000000U
#define HV_TIMING 0x40000010U	/* eax = TSC kHz, as on other hypervisors */
#define XEN_VERSION 0x00040011U /* 4.17 */

/* Leaves not listed here answer zeroes up to HV_TIMING, which is what Xen's leaf 3 may say too. */
static int add_xen(const struct vcpu *v, struct kvm_cpuid2 *c)
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
		.ebx = v->id,
		.ecx = v->vm->cfg.domid,
	    },
	    {.function = HV_TIMING, .eax = v->tsc_khz},
	};
	const uint32_t n = sizeof(leaves) / sizeof(leaves[0]);

	if (c->nent + n > GUESTCPU_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < n; i++)
		c->entries[c->nent++] = leaves[i];
	return 0;
}

static unsigned address_bits(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 0x80000008U)
			return c->entries[i].eax & 0xff;
	}
	return 36; /* what a processor without the leaf has */
}

/* Guests with LAPICs get their upcalls by a vector of each vCPU's, and may want a hypercall page. */
static int add_xen_lapic(struct kvm_cpuid2 *c)
{
	const uint32_t bits = address_bits(c);
	struct kvm_cpuid_entry2 *e;

	if (c->nent + 2 > GUESTCPU_MAX)
		return -E2BIG;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
	    .function = HV_FIRST + 2, .eax = 1, .ebx = PLATFORM_HYPERCALL_MSR};
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){.function = HV_FIRST + 5, .ebx = bits};
	for (e = c->entries; e->function != HV_FIRST + 4; e++)
		continue;
	e->eax |= XEN_HVM_CPUID_UPCALL_VECTOR;
	return 0;
}

static int add_others(const struct vcpu *v, struct kvm_cpuid2 *c)
{
	if (c->nent + TOPOLOGY_LEAVES > GUESTCPU_MAX)
		return -E2BIG;
	topology_set(c, v->id, v->vm->cfg.vcpus, vcpu_apic_shift(v->vm));
	return 0;
}

static int complete(const struct vcpu *v, struct kvm_cpuid2 *c)
{
	int ret = add_xen(v, c);

	if (!ret && v->vm->cfg.lapic)
		ret = add_xen_lapic(c);
	if (!ret && v->vm->cfg.lapic)
		ret = add_others(v, c);
	return ret;
}

static int check_window(const struct vmm *vm, const struct kvm_cpuid2 *c, struct failure *f)
{
	uint64_t end = (vm->cfg.window_gfn + vm->cfg.window_pages) << 12;
	unsigned bits = address_bits(c);

	if (bits < 64 && end > UINT64_C(1) << bits)
		return failure_set(f, -ERANGE,
		    "the window area ends beyond the %u physical address bits of a guest here",
		    bits);
	return 0;
}

int cpuid_set(const struct vcpu *v, struct failure *f)
{
	struct kvm_cpuid2 *c;
	int ret;

	ret = guestcpu_get(v->vm->kvm, v->vm->cfg.lapic, &c);
	if (ret)
		return failure_sys(f, ret, "KVM_GET_SUPPORTED_CPUID");
	ret = check_window(v->vm, c, f);
	if (ret)
		goto out_free;
	ret = complete(v, c);
	if (ret) {
		failure_sys(f, ret, "CPUID");
		goto out_free;
	}
	if (SYS(ioctl(v->fd, KVM_SET_CPUID2, c)))
		ret = failure_sys(f, -errno, "KVM_SET_CPUID2");
out_free:
	free(c);
	return ret;
}
