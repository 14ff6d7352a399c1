/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_* on all domains, and on the pool of CPUs that they run on.
 */
#include <errno.h>

#include "core/guest.h"
#include "xen/bitmap.h"
#include "xen/domain.h"
#include "xen/schedule.h"
#include "xen/call_sysctl.h"

int64_t xen_sysctl_getdomaininfolist(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_getdomaininfolist *list = &op->u.getdomaininfolist;
	struct xen_domctl_getdomaininfo info;
	uint32_t domid = list->first_domain;
	uint64_t at = XEN_HANDLE(list->buffer);
	struct guest *g = NULL;

	list->num_domains = 0;
	while (list->num_domains < list->max_domains) {
		if (domid != 0 && (g = xen_domain_next(domid)) == NULL)
			break;
		xen_domain_info(g, &info);
		if (g != NULL)
			guest_put(g);
		if (xen_copy_out(c, at, &info, sizeof(info)) != 0)
			return -EFAULT;
		domid = info.domain + 1u;
		at += sizeof(info);
		list->num_domains++;
	}
	return 0;
}

int64_t xen_sysctl_sched_id(struct xen_caller *c, struct xen_sysctl *op)
{
	(void)c;
	op->u.sched_id.sched_id = XEN_SCHEDULER;
	return 0;
}

static uint32_t count_domains(void)
{
	struct guest *g;
	uint32_t n = 1; /* the host */

	for (uint32_t from = 1; (g = xen_domain_next(from)) != NULL; n++) {
		from = g->g_domid + 1;
		guest_put(g);
	}
	return n;
}

/* One pool has all CPUs and all domains, for good. */
int64_t xen_sysctl_cpupool_op(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_cpupool_op *po = &op->u.cpupool_op;
	cpu_set_t cpus;

	switch (po->op) {
	case XEN_SYSCTL_CPUPOOL_OP_INFO:
		if (po->cpupool_id != 0 && po->cpupool_id != XEN_SYSCTL_CPUPOOL_PAR_ANY)
			return -ENOENT;
		po->cpupool_id = 0;
		po->sched_id = XEN_SCHEDULER;
		po->n_dom = count_domains();
		xen_online_cpus(&cpus);
		return xen_cpus_out(c, &po->cpumap, &cpus);
	case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
		CPU_ZERO(&cpus);
		return xen_cpus_out(c, &po->cpumap, &cpus);
	default:
		return -EOPNOTSUPP;
	}
}

/* No switch is ever put off: Linux decides. */
int64_t xen_sysctl_scheduler_op(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_scheduler_op *so = &op->u.scheduler_op;

	(void)c;
	if (so->cpupool_id != 0)
		return -ESRCH;
	if (so->sched_id != XEN_SCHEDULER)
		return -EINVAL;
	switch (so->cmd) {
	case XEN_SYSCTL_SCHEDOP_putinfo:
		return so->u.sched_credit2.ratelimit_us == 0 ? 0 : -EOPNOTSUPP;
	case XEN_SYSCTL_SCHEDOP_getinfo:
		so->u.sched_credit2.ratelimit_us = 0;
		return 0;
	default:
		return -EINVAL;
	}
}
