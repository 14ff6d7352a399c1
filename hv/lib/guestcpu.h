/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_GUESTCPU_H
#define LOMBARD_LIB_GUESTCPU_H
/*
 * The processor that guests see: what this host's KVM has, less what Lombard takes away.  One place
 * says so to the VMM, which sets it, and to the core, which tells tools about it.
 */
#include <linux/kvm.h>
#include <stdbool.h>

#define GUESTCPU_MAX 256 /* entries: KVM's own bound */

/*
 * guestcpu_get: the leaves of a guest's CPUID but for those of hypervisors (0x40000000 on), as a
 * list with room for GUESTCPU_MAX entries, to be freed.
 * => kvm: /dev/kvm; lapic: it has a local APIC.  0 or -errno
 */
int guestcpu_get(int kvm, bool lapic, struct kvm_cpuid2 **list);

/*
 * guestcpu_virtualized_p: whether this processor has VMX or SVM.  A KVM without either of them emulates what
 * guests do at privilege level 0.
 */
bool guestcpu_virtualized_p(void);

#endif
