/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CPUPOLICY_H
#define HV_XEN_CPUPOLICY_H
/*
 * CPU policies: what CPUID and some MSRs say, as the lists of leaves and MSRs that Xen's tools
 * exchange (xen_cpuid_leaf_t, xen_msr_entry_t), and as featuresets.
 *
 * A list of ours has every leaf that Xen 4.17's tools know, in order, with zeroes where there is
 * nothing: tools make room for as many as they were once told of.
 */
#include <stdbool.h>
#include <stdint.h>

#include "xen/public.h"

#define CPU_POLICY_LEAVES 120u
#define CPU_POLICY_MSRS 2u
#define CPU_POLICY_WORDS 19u /* of a featureset: Xen public/arch-x86/cpufeatureset.h */

struct xen_caller;

struct cpu_policy {
	xen_cpuid_leaf_t cp_leaf[CPU_POLICY_LEAVES];
	xen_msr_entry_t cp_msr[CPU_POLICY_MSRS];
};

/*
 * cpu_policy_host: what the processor itself says here.
 * cpu_policy_guest: what guests see of it.  => 0, or -errno: KVM can't be asked
 */
void cpu_policy_host(struct cpu_policy *cp);
int cpu_policy_guest(struct cpu_policy *cp);

/* cpu_policy_leaf: the place of a leaf (XEN_CPUID_NO_SUBLEAF for most), or NULL: no tool knows it. */
xen_cpuid_leaf_t *cpu_policy_leaf(struct cpu_policy *cp, uint32_t leaf, uint32_t subleaf);
xen_msr_entry_t *cpu_policy_msr(struct cpu_policy *cp, uint32_t idx);

/*
 * cpu_policy_clip: take away what the other has not.
 * => false: it has more leaves than the other, and *leaf says in which one it claims so
 */
bool cpu_policy_clip(struct cpu_policy *cp, struct cpu_policy *max, uint32_t *leaf);

void cpu_policy_features(struct cpu_policy *cp, uint32_t words[CPU_POLICY_WORDS]);

/*
 * cpu_policy_give: the lists to a caller, who has room for *nleaves and *nmsrs (in), and is told how
 * many there are (out).  A NULL pointer asks for the number only.
 * => 0, -EFAULT or -ENOBUFS
 */
int cpu_policy_give(struct xen_caller *c, const struct cpu_policy *cp, uint64_t leaves,
    uint32_t *nleaves, uint64_t msrs, uint32_t *nmsrs);

#endif
