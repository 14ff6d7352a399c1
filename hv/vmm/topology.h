/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_TOPOLOGY_H
#define LOMBARD_VMM_TOPOLOGY_H
/*
 * What CPUID says of the other processors.  Leaves: Intel SDM vol. 2A, AMD APM vol. 3, appendix E.
 */
#include <linux/kvm.h>

/*
 * topology_set: one package with n cores of one thread each; this is core `core`.  The last caches are all
 * cores', the others each core's own.
 * => c has room for TOPOLOGY_LEAVES more entries; core < n, and the APICs' numbers, each core << shift, are
 *    below 255
 */
#define TOPOLOGY_LEAVES 3
void topology_set(struct kvm_cpuid2 *c, unsigned core, unsigned n, unsigned shift);

#endif
