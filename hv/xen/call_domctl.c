/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_*: which operations there are.
 */
#include <errno.h>

#include "xen/domain.h"
#include "xen/call_domctl.h"

static const struct row {
	xen_domctl_fn *call;
	unsigned flags;
} rows[] = {
    [XEN_DOMCTL_createdomain] = {xen_domctl_createdomain, DOMCTL_RESULTS | DOMCTL_ANY},
    [XEN_DOMCTL_destroydomain] = {xen_domctl_destroydomain, 0},
    [XEN_DOMCTL_pausedomain] = {xen_domctl_pausedomain, 0},
    [XEN_DOMCTL_unpausedomain] = {xen_domctl_unpausedomain, 0},
    [XEN_DOMCTL_getdomaininfo] = {xen_domctl_getdomaininfo, DOMCTL_RESULTS | DOMCTL_ANY},
    [XEN_DOMCTL_setvcpuaffinity] = {xen_domctl_setvcpuaffinity, 0},
    [XEN_DOMCTL_max_mem] = {xen_domctl_max_mem, 0},
    [XEN_DOMCTL_getvcpucontext] = {xen_domctl_getvcpucontext, 0},
    [XEN_DOMCTL_getvcpuinfo] = {xen_domctl_getvcpuinfo, DOMCTL_RESULTS | DOMCTL_HOST},
    [XEN_DOMCTL_max_vcpus] = {xen_domctl_max_vcpus, 0},
    [XEN_DOMCTL_scheduler_op] = {xen_domctl_scheduler_op, DOMCTL_RESULTS | DOMCTL_HOST},
    [XEN_DOMCTL_setdomainhandle] = {xen_domctl_setdomainhandle, 0},
    [XEN_DOMCTL_getvcpuaffinity] = {xen_domctl_getvcpuaffinity, DOMCTL_HOST},
    [XEN_DOMCTL_mem_sharing_op] = {xen_domctl_mem_sharing, 0},
    [XEN_DOMCTL_sendtrigger] = {xen_domctl_sendtrigger, 0},
    [XEN_DOMCTL_gethvmcontext] = {xen_domctl_gethvmcontext, DOMCTL_RESULTS},
    [XEN_DOMCTL_sethvmcontext] = {xen_domctl_sethvmcontext, 0},
    [XEN_DOMCTL_gethvmcontext_partial] = {xen_domctl_gethvmcontext_partial, DOMCTL_RESULTS},
    [XEN_DOMCTL_gettscinfo] = {xen_domctl_gettscinfo, DOMCTL_RESULTS},
    [XEN_DOMCTL_settscinfo] = {xen_domctl_settscinfo, 0},
    [XEN_DOMCTL_getpageframeinfo3] = {xen_domctl_getpageframeinfo3, 0},
    [XEN_DOMCTL_setnodeaffinity] = {xen_domctl_setnodeaffinity, 0},
    [XEN_DOMCTL_getnodeaffinity] = {xen_domctl_getnodeaffinity, DOMCTL_HOST},
    [XEN_DOMCTL_get_cpu_policy] = {xen_domctl_get_cpu_policy, DOMCTL_RESULTS},
    [XEN_DOMCTL_set_cpu_policy] = {xen_domctl_set_cpu_policy, DOMCTL_RESULTS | DOMCTL_FAILURE},
    [XEN_DOMCTL_get_paging_mempool_size] = {xen_domctl_get_mempool, DOMCTL_RESULTS},
    [XEN_DOMCTL_set_paging_mempool_size] = {xen_domctl_set_mempool, 0},
};

static const struct row *find_row(uint32_t cmd)
{
	if (cmd >= sizeof(rows) / sizeof(rows[0]) || rows[cmd].call == NULL)
		return NULL;
	return &rows[cmd];
}

static int64_t on_domain(struct xen_caller *c, const struct row *row, struct xen_domctl *op)
{
	struct guest *g = NULL;
	int64_t ret;

	if (op->domain == 0 && !(row->flags & (DOMCTL_ANY | DOMCTL_HOST)))
		return -EPERM;
	if (op->domain != 0 && !(row->flags & DOMCTL_ANY)) {
		g = xen_domain_find(op->domain);
		if (g == NULL)
			return -ESRCH;
	}
	ret = row->call(c, g, op);
	if (g != NULL)
		guest_put(g);
	return ret;
}

int64_t xen_call_domctl(struct xen_caller *c, const uint64_t arg[5])
{
	const struct row *row;
	struct xen_domctl op;
	int64_t ret;

	if (c->domid != 0)
		return -EPERM;
	if (xen_copy_in(c, &op, arg[0], sizeof(op)) != 0)
		return -EFAULT;
	if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
		return -EACCES;
	row = find_row(op.cmd);
	if (row == NULL)
		return -ENOSYS;
	ret = on_domain(c, row, &op);
	if ((row->flags & (ret >= 0 ? DOMCTL_RESULTS : DOMCTL_FAILURE)) != 0 &&
	    xen_copy_out(c, arg[0], &op, sizeof(op)) != 0)
		return -EFAULT;
	return ret;
}
