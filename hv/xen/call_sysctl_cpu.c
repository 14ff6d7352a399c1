/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_* that tell what processor this is, and what guests see of it.
 */
#include <errno.h>

#include "xen/call_sysctl.h"
#include "xen/cpupolicy.h"

/* Guests are of one kind only, and what they get is all they can get. */
static int policy_of(uint32_t index, struct cpu_policy *cp)
{
	switch (index) {
	case XEN_SYSCTL_cpu_policy_raw:
	case XEN_SYSCTL_cpu_policy_host:
		cpu_policy_host(cp);
		return 0;
	case XEN_SYSCTL_cpu_policy_hvm_max:
	case XEN_SYSCTL_cpu_policy_hvm_default:
		return cpu_policy_guest(cp) != 0 ? -EOPNOTSUPP : 0;
	case XEN_SYSCTL_cpu_policy_pv_max:
	case XEN_SYSCTL_cpu_policy_pv_default:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

/* The numbers of featuresets are others than those of policies. */
static int policy_of_featureset(uint32_t index)
{
	static const int policies[] = {
	    [XEN_SYSCTL_cpu_featureset_raw] = XEN_SYSCTL_cpu_policy_raw,
	    [XEN_SYSCTL_cpu_featureset_host] = XEN_SYSCTL_cpu_policy_host,
	    [XEN_SYSCTL_cpu_featureset_pv] = XEN_SYSCTL_cpu_policy_pv_default,
	    [XEN_SYSCTL_cpu_featureset_hvm] = XEN_SYSCTL_cpu_policy_hvm_default,
	    [XEN_SYSCTL_cpu_featureset_pv_max] = XEN_SYSCTL_cpu_policy_pv_max,
	    [XEN_SYSCTL_cpu_featureset_hvm_max] = XEN_SYSCTL_cpu_policy_hvm_max,
	};

	return index < sizeof(policies) / sizeof(policies[0]) ? policies[index] : -1;
}

int64_t xen_sysctl_featureset(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_cpu_featureset *fs = &op->u.cpu_featureset;
	uint32_t words[CPU_POLICY_WORDS], n = fs->nr_features;
	struct cpu_policy cp;
	int error;

	fs->nr_features = CPU_POLICY_WORDS;
	if (XEN_HANDLE(fs->features) == 0)
		return 0;
	error = policy_of((uint32_t)policy_of_featureset(fs->index), &cp);
	if (error != 0)
		return error;
	cpu_policy_features(&cp, words);
	if (n < CPU_POLICY_WORDS)
		fs->nr_features = n;
	if (xen_copy_out(c, XEN_HANDLE(fs->features), words, fs->nr_features * sizeof(words[0])) !=
	    0)
		return -EFAULT;
	/* Who has too little room gets what fits, and the error. */
	return n < CPU_POLICY_WORDS ? -ENOBUFS : 0;
}

int64_t xen_sysctl_cpu_policy(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_cpu_policy *p = &op->u.cpu_policy;
	struct cpu_policy cp;
	int error;

	if (p->_rsvd != 0)
		return -EINVAL;
	error = policy_of(p->index, &cp);
	if (error != 0)
		return error;
	return cpu_policy_give(
	    c, &cp, XEN_HANDLE(p->leaves), &p->nr_leaves, XEN_HANDLE(p->msrs), &p->nr_msrs);
}
