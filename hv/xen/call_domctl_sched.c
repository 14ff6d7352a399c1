/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_* on where and how often a domain runs.  The scheduler is Linux', which can do what
 * Xen's credit2 calls weights and affinity; a weight becomes a nice value, of which each step is
 * worth a quarter.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/host.h"
#include "xen/bitmap.h"
#include "xen/call_domctl.h"
#include "xen/domain.h"
#include "xen/schedule.h"

/* Each step of a nice value is worth that much; half a step is its root. */
#define NICE_STEP 1.25
#define HALF_STEP 1.118

static int nice_of(uint16_t weight)
{
	double w = XEN_DEFAULT_WEIGHT;
	int nice = 0;

	for (; nice > -20 && weight > w * HALF_STEP; w *= NICE_STEP)
		nice--;
	for (; nice < 19 && weight < w / HALF_STEP; w /= NICE_STEP)
		nice++;
	return nice;
}

void xen_online_cpus(cpu_set_t *cpus)
{
	const unsigned n = host_cpus();

	CPU_ZERO(cpus);
	for (unsigned i = 0; i < n; i++)
		if (host_cpu_online(i))
			CPU_SET(i, cpus);
}

/* Where a vCPU may run: hard affinity counts for Linux, too; soft affinity it does not know. */
static void affinity_of(struct guest *g, unsigned vcpu, struct xen_affinity *xa)
{
	pthread_mutex_lock(&g->g_mutex);
	if (g->g_xen.xd_affinity != NULL)
		*xa = g->g_xen.xd_affinity[vcpu];
	else
		memset(xa, 0xff, sizeof(*xa));
	pthread_mutex_unlock(&g->g_mutex);
}

static int place(struct guest *g, unsigned vcpu, const cpu_set_t *hard)
{
	pid_t tid = guest_vcpu_thread(g, vcpu);
	cpu_set_t online, both;

	if (tid == 0)
		return 0;
	xen_online_cpus(&online);
	CPU_AND(&both, &online, hard);
	return sched_setaffinity(tid, sizeof(both), &both) != 0 ? -errno : 0;
}

static int weigh(struct guest *g, uint16_t weight)
{
	pid_t tid;

	for (unsigned i = 0; i < g->g_vcpus; i++) {
		tid = guest_vcpu_thread(g, i);
		if (tid > 0 && setpriority(PRIO_PROCESS, (id_t)tid, nice_of(weight)) != 0)
			return -errno;
	}
	return 0;
}

/* => guest locked */
static int set_affinity(struct guest *g, unsigned vcpu, const struct xen_affinity *xa)
{
	struct xen_domain *xd = &g->g_xen;

	if (xd->xd_affinity == NULL) {
		xd->xd_affinity = malloc(g->g_vcpus * sizeof(*xd->xd_affinity));
		if (xd->xd_affinity == NULL)
			return -ENOMEM;
		memset(xd->xd_affinity, 0xff, g->g_vcpus * sizeof(*xd->xd_affinity));
	}
	xd->xd_affinity[vcpu] = *xa;
	return 0;
}

#define BOTH (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)

/* FORCE is about SCHEDOP_pin_override, which no guest can use here. */
static bool flags_p(const struct xen_domctl_vcpuaffinity *va, const struct guest *g)
{
	return (va->flags & BOTH) != 0 && (va->flags & ~(BOTH | XEN_VCPUAFFINITY_FORCE)) == 0 &&
	       (g == NULL ? va->vcpu < host_cpus() : va->vcpu < g->g_vcpus);
}

static int take_affinity(
    struct xen_caller *c, const struct xen_domctl_vcpuaffinity *va, struct xen_affinity *xa)
{
	cpu_set_t online, usable;
	int error = 0;

	if (va->flags & XEN_VCPUAFFINITY_HARD)
		error = xen_cpus_in(c, &va->cpumap_hard, &xa->xa_hard);
	if (error == 0 && (va->flags & XEN_VCPUAFFINITY_SOFT))
		error = xen_cpus_in(c, &va->cpumap_soft, &xa->xa_soft);
	xen_online_cpus(&online);
	CPU_AND(&usable, &online, &xa->xa_hard);
	if (error == 0 && CPU_COUNT(&usable) == 0)
		error = -EINVAL;
	return error;
}

/* What comes of it: hard, less the CPUs that are not there; soft, less those that are not hard. */
static int tell_effect(
    struct xen_caller *c, const struct xen_domctl_vcpuaffinity *va, const struct xen_affinity *xa)
{
	cpu_set_t online, set;
	int error = 0;

	xen_online_cpus(&online);
	CPU_AND(&set, &online, &xa->xa_hard);
	if (va->flags & XEN_VCPUAFFINITY_HARD)
		error = xen_cpus_out(c, &va->cpumap_hard, &set);
	CPU_AND(&set, &set, &xa->xa_soft);
	if (error == 0 && (va->flags & XEN_VCPUAFFINITY_SOFT))
		error = xen_cpus_out(c, &va->cpumap_soft, &set);
	return error;
}

int64_t xen_domctl_setvcpuaffinity(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_vcpuaffinity *va = &op->u.vcpuaffinity;
	struct xen_affinity xa;
	int error;

	if (!flags_p(va, g))
		return -EINVAL;
	affinity_of(g, va->vcpu, &xa);
	error = take_affinity(c, va, &xa);
	if (error != 0)
		return error;
	error = place(g, va->vcpu, &xa.xa_hard);
	if (error != 0)
		return error;
	pthread_mutex_lock(&g->g_mutex);
	error = set_affinity(g, va->vcpu, &xa);
	pthread_mutex_unlock(&g->g_mutex);
	return error != 0 ? error : tell_effect(c, va, &xa);
}

/* The host's vCPUs are the machine's CPUs. */
int64_t xen_domctl_getvcpuaffinity(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_vcpuaffinity *va = &op->u.vcpuaffinity;
	struct xen_affinity xa;
	int error = 0;

	if (!flags_p(va, g))
		return -EINVAL;
	if (g != NULL) {
		affinity_of(g, va->vcpu, &xa);
	} else {
		memset(&xa, 0xff, sizeof(xa));
		CPU_ZERO(&xa.xa_hard);
		CPU_SET(va->vcpu, &xa.xa_hard);
	}
	if (va->flags & XEN_VCPUAFFINITY_HARD)
		error = xen_cpus_out(c, &va->cpumap_hard, &xa.xa_hard);
	if (error == 0 && (va->flags & XEN_VCPUAFFINITY_SOFT))
		error = xen_cpus_out(c, &va->cpumap_soft, &xa.xa_soft);
	return error;
}

uint64_t xen_online_nodes(void)
{
	const unsigned n = host_nodes();

	return n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
}

int64_t xen_domctl_setnodeaffinity(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	uint64_t nodes, online = xen_online_nodes();
	int error = xen_nodes_in(c, &op->u.nodeaffinity.nodemap, &nodes);

	if (error == 0 && (nodes & online) == 0)
		error = -EINVAL;
	if (error != 0)
		return error;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_nodes = nodes & online;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

int64_t xen_domctl_getnodeaffinity(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	uint64_t nodes = xen_online_nodes();

	if (g != NULL) {
		pthread_mutex_lock(&g->g_mutex);
		nodes = g->g_xen.xd_nodes;
		pthread_mutex_unlock(&g->g_mutex);
	}
	return xen_nodes_out(c, &op->u.nodeaffinity.nodemap, nodes);
}

/* A weight of 0 leaves it as it is.  Linux limits CPU time by cgroups, which are not ours to make. */
static int put_weight(struct guest *g, const struct xen_domctl_sched_credit2 *p)
{
	int error;

	if (g == NULL)
		return -EPERM;
	if (p->cap != 0)
		return -EOPNOTSUPP;
	if (p->weight == 0)
		return 0;
	error = weigh(g, p->weight);
	if (error != 0)
		return error;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_weight = p->weight;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

int64_t xen_domctl_scheduler_op(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_scheduler_op *so = &op->u.scheduler_op;

	(void)c;
	if (so->sched_id != XEN_SCHEDULER)
		return -EINVAL;
	switch (so->cmd) {
	case XEN_DOMCTL_SCHEDOP_putinfo:
		return put_weight(g, &so->u.credit2);
	case XEN_DOMCTL_SCHEDOP_getinfo:
		so->u.credit2.cap = 0;
		so->u.credit2.weight = XEN_DEFAULT_WEIGHT;
		if (g == NULL)
			return 0;
		pthread_mutex_lock(&g->g_mutex);
		so->u.credit2.weight = g->g_xen.xd_weight;
		pthread_mutex_unlock(&g->g_mutex);
		return 0;
	default:
		return -EINVAL;
	}
}
