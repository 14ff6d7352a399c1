/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_*: which operations there are.
 */
#include "xen/call_sysctl.h"

#include <errno.h>

static xen_sysctl_fn *const calls[] = {
    [XEN_SYSCTL_readconsole] = xen_sysctl_readconsole,
    [XEN_SYSCTL_physinfo] = xen_sysctl_physinfo,
    [XEN_SYSCTL_sched_id] = xen_sysctl_sched_id,
    [XEN_SYSCTL_getdomaininfolist] = xen_sysctl_getdomaininfolist,
    [XEN_SYSCTL_debug_keys] = xen_sysctl_debug_keys,
    [XEN_SYSCTL_getcpuinfo] = xen_sysctl_getcpuinfo,
    [XEN_SYSCTL_availheap] = xen_sysctl_availheap,
    [XEN_SYSCTL_cputopoinfo] = xen_sysctl_cputopoinfo,
    [XEN_SYSCTL_numainfo] = xen_sysctl_numainfo,
    [XEN_SYSCTL_cpupool_op] = xen_sysctl_cpupool_op,
    [XEN_SYSCTL_scheduler_op] = xen_sysctl_scheduler_op,
    [XEN_SYSCTL_pcitopoinfo] = xen_sysctl_pcitopoinfo,
    [XEN_SYSCTL_get_cpu_featureset] = xen_sysctl_featureset,
    [XEN_SYSCTL_get_cpu_policy] = xen_sysctl_cpu_policy,
};

int64_t xen_call_sysctl(struct xen_caller *c, const uint64_t arg[5])
{
	struct xen_sysctl op;
	int64_t ret;

	if (c->domid != 0)
		return -EPERM;
	if (xen_copy_in(c, &op, arg[0], sizeof(op)) != 0)
		return -EFAULT;
	if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
		return -EACCES;
	if (op.cmd >= sizeof(calls) / sizeof(calls[0]) || calls[op.cmd] == NULL)
		return -ENOSYS;
	ret = calls[op.cmd](c, &op);
	if (ret >= 0 && xen_copy_out(c, arg[0], &op, sizeof(op)) != 0)
		return -EFAULT;
	return ret;
}
