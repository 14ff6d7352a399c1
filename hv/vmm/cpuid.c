/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <xen/arch-x86/cpuid.h>

#include "lib/guestcpu.h"
#include "lib/sys.h"

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

int cpuid_set(const struct vcpu *v, struct failure *f)
{
	struct kvm_cpuid2 *c;
	int ret;

	ret = guestcpu_get(v->vm->kvm, &c);
	if (ret)
		return failure_sys(f, ret, "KVM_GET_SUPPORTED_CPUID");
	ret = check_window(v->vm, c, f);
	if (ret)
		goto out_free;
	ret = add_xen(v, c);
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
