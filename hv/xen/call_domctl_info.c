/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_* that tell what a domain is and does.
 */
#include <errno.h>

#include "lib/host.h"
#include "xen/domain.h"
#include "xen/call_domctl.h"

/* The next domain that there is, from the one asked for on. */
int64_t xen_domctl_getdomaininfo(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct guest *next = op->domain != 0 ? xen_domain_next(op->domain) : NULL;

	(void)c;
	(void)g;
	if (op->domain != 0 && next == NULL)
		return -ESRCH;
	xen_domain_info(next, &op->u.getdomaininfo);
	op->domain = op->u.getdomaininfo.domain;
	if (next != NULL)
		guest_put(next);
	return 0;
}

/* The host's vCPUs are the machine's CPUs; those that are online run whatever there is. */
static int64_t host_vcpu(struct xen_domctl_getvcpuinfo *vi)
{
	uint64_t busy, idle;
	host_cpu_times(vi->vcpu, &busy, &idle);
	vi->online = vi->running = host_cpu_online(vi->vcpu);
	vi->blocked = 0;
	vi->cpu_time = busy;
	vi->cpu = vi->vcpu;
	return 0;
}

int64_t xen_domctl_getvcpuinfo(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_getvcpuinfo *vi = &op->u.getvcpuinfo;
	struct guest_vcpu v;

	(void)c;
	if (vi->vcpu >= (g != NULL ? g->g_vcpus : host_cpus()))
		return -EINVAL;
	if (g == NULL)
		return host_vcpu(vi);
	/* Without a thread it does not run yet, or any more. */
	(void)guest_vcpu(g, vi->vcpu, &v);
	vi->online = 1;
	vi->running = v.gv_running && !guest_paused_p(g);
	vi->blocked = v.gv_tid > 0 && !v.gv_running && !guest_paused_p(g);
	vi->cpu_time = v.gv_cpu_ns;
	vi->cpu = v.gv_cpu;
	return 0;
}
