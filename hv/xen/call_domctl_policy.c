/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_get_cpu_policy, set_cpu_policy: the processor that a domain sees.
 */
#include <errno.h>
#include <stdlib.h>

#include "xen/call_domctl.h"
#include "xen/domain.h"

/* As a tool has set it; else as all guests have it. */
static int policy_of(struct guest *g, struct cpu_policy *cp)
{
	bool own;

	pthread_mutex_lock(&g->g_mutex);
	own = g->g_xen.xd_policy != NULL;
	if (own)
		*cp = *g->g_xen.xd_policy;
	pthread_mutex_unlock(&g->g_mutex);
	return own ? 0 : cpu_policy_guest(cp);
}

int64_t xen_domctl_get_cpu_policy(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;
	struct cpu_policy cp;

	if (policy_of(g, &cp) != 0)
		return -EOPNOTSUPP;
	return cpu_policy_give(
	    c, &cp, XEN_HANDLE(p->leaves), &p->nr_leaves, XEN_HANDLE(p->msrs), &p->nr_msrs);
}

static int take_leaves(struct xen_caller *c, const struct xen_domctl_cpu_policy *p,
    struct cpu_policy *cp, uint32_t *bad)
{
	uint64_t from = XEN_HANDLE(p->leaves);
	xen_cpuid_leaf_t in, *l;

	if (p->nr_leaves > CPU_POLICY_LEAVES)
		return -E2BIG;
	for (uint32_t i = 0; i < p->nr_leaves; i++, from += sizeof(in)) {
		if (xen_copy_in(c, &in, from, sizeof(in)) != 0)
			return -EFAULT;
		l = cpu_policy_leaf(cp, in.leaf, in.subleaf);
		bad[0] = in.leaf;
		bad[1] = in.subleaf;
		if (l == NULL)
			return -ERANGE;
		*l = in;
	}
	return 0;
}

static int take_msrs(struct xen_caller *c, const struct xen_domctl_cpu_policy *p,
    struct cpu_policy *cp, uint32_t *bad)
{
	uint64_t from = XEN_HANDLE(p->msrs);
	xen_msr_entry_t in, *m;

	if (p->nr_msrs > CPU_POLICY_MSRS)
		return -E2BIG;
	for (uint32_t i = 0; i < p->nr_msrs; i++, from += sizeof(in)) {
		if (xen_copy_in(c, &in, from, sizeof(in)) != 0)
			return -EFAULT;
		m = cpu_policy_msr(cp, in.idx);
		*bad = in.idx;
		if (in.flags != 0)
			return -EINVAL;
		if (m == NULL)
			return -ERANGE;
		*m = in;
	}
	return 0;
}

/* => guest locked.  What has run once keeps its processor. */
static int install(struct xen_domain *xd, const struct cpu_policy *cp)
{
	if (xd->xd_ran)
		return -EEXIST;
	if (xd->xd_policy == NULL)
		xd->xd_policy = malloc(sizeof(*xd->xd_policy));
	if (xd->xd_policy == NULL)
		return -ENOMEM;
	*xd->xd_policy = *cp;
	return 0;
}

int64_t xen_domctl_set_cpu_policy(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;
	uint32_t bad[2] = {UINT32_MAX, UINT32_MAX}, bad_msr = UINT32_MAX;
	struct cpu_policy cp, max;
	int error;

	p->err_leaf = p->err_subleaf = p->err_msr = UINT32_MAX;
	if (policy_of(g, &cp) != 0 || cpu_policy_guest(&max) != 0)
		return -EOPNOTSUPP;
	error = take_leaves(c, p, &cp, bad);
	if (error != 0) {
		p->err_leaf = bad[0];
		p->err_subleaf = bad[1];
		return error;
	}
	error = take_msrs(c, p, &cp, &bad_msr);
	if (error != 0) {
		p->err_msr = bad_msr;
		return error;
	}
	if (!cpu_policy_clip(&cp, &max, &p->err_leaf))
		return -EINVAL;
	p->err_leaf = UINT32_MAX;
	pthread_mutex_lock(&g->g_mutex);
	error = install(&g->g_xen, &cp);
	pthread_mutex_unlock(&g->g_mutex);
	return error;
}
