/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_* that set, and tell, what a domain may have.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "lib/host.h"
#include "xen/call_domctl.h"
#include "xen/domain.h"

#define TSC_MODE_DEFAULT 0u
#define TSC_MODE_NEVER_EMULATE 2u

int64_t xen_domctl_max_mem(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_max_pages = op->u.max_mem.max_memkb >> (UVM_PAGE_SHIFT - 10);
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/* A guest is made with all its vCPUs. */
int64_t xen_domctl_max_vcpus(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	return op->u.max_vcpus.max == g->g_vcpus ? 0 : -EINVAL;
}

int64_t xen_domctl_setdomainhandle(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	pthread_mutex_lock(&g->g_mutex);
	memcpy(g->g_xen.xd_handle, op->u.setdomainhandle.handle, sizeof(g->g_xen.xd_handle));
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

int64_t xen_domctl_get_mempool(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	pthread_mutex_lock(&g->g_mutex);
	op->u.paging_mempool.size = g->g_xen.xd_pool;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/* KVM's page tables grow as they must: the size is kept for those who ask. */
int64_t xen_domctl_set_mempool(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	if (op->u.paging_mempool.size % UVM_PAGE_SIZE != 0)
		return -EINVAL;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_pool = op->u.paging_mempool.size;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/* The TSC is never emulated, so its rate is the host's. */
int64_t xen_domctl_gettscinfo(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_tsc_info *ti = &op->u.tsc_info;
	struct timespec now;

	(void)c;
	clock_gettime(CLOCK_MONOTONIC, &now);
	*ti = (struct xen_domctl_tsc_info){.gtsc_khz = host_khz()};
	ti->elapsed_nsec = (uint64_t)(now.tv_sec - g->g_born.tv_sec) * UINT64_C(1000000000) +
			   (uint64_t)(now.tv_nsec - g->g_born.tv_nsec);
	pthread_mutex_lock(&g->g_mutex);
	ti->tsc_mode = g->g_xen.xd_tsc_mode;
	ti->incarnation = g->g_xen.xd_tsc_incarnation;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/*
 * A rate of 0 is the host's; a guest from a machine with another would need an emulated TSC.  The
 * clock starts with the guest, so there is no elapsed time to go on from.
 */
int64_t xen_domctl_settscinfo(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_tsc_info *ti = &op->u.tsc_info;

	(void)c;
	if (ti->tsc_mode > TSC_MODE_NEVER_EMULATE)
		return -EINVAL;
	if (ti->tsc_mode != TSC_MODE_DEFAULT && ti->tsc_mode != TSC_MODE_NEVER_EMULATE)
		return -EOPNOTSUPP;
	if (ti->gtsc_khz != 0 && ti->gtsc_khz != host_khz())
		return -EOPNOTSUPP;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_tsc_mode = ti->tsc_mode;
	g->g_xen.xd_tsc_incarnation = ti->incarnation;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}
