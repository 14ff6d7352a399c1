/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CALL_SYSCTL_H
#define HV_XEN_CALL_SYSCTL_H
/*
 * XEN_SYSCTL_*: operations of tools on the whole cell.  call_sysctl.c has the table; the functions
 * are in call_sysctl_PART.c.
 */
#include "xen/call.h"
#include "xen/public.h"

/*
 * One operation.  => op: a copy, checked only for the interface's version; results go into it, and
 * on success it is copied out
 * => no locks held, not inside the world; may block
 */
typedef int64_t xen_sysctl_fn(struct xen_caller *c, struct xen_sysctl *op);

/* call_sysctl_domains.c */
xen_sysctl_fn xen_sysctl_getdomaininfolist, xen_sysctl_sched_id, xen_sysctl_cpupool_op;
xen_sysctl_fn xen_sysctl_scheduler_op;

/* call_sysctl_host.c */
xen_sysctl_fn xen_sysctl_physinfo, xen_sysctl_getcpuinfo, xen_sysctl_availheap;
xen_sysctl_fn xen_sysctl_cputopoinfo, xen_sysctl_numainfo, xen_sysctl_pcitopoinfo;

/* call_sysctl_cpu.c */
xen_sysctl_fn xen_sysctl_featureset, xen_sysctl_cpu_policy;

/* call_sysctl_console.c */
xen_sysctl_fn xen_sysctl_readconsole, xen_sysctl_debug_keys;

#endif
