/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CALL_DOMCTL_H
#define HV_XEN_CALL_DOMCTL_H
/*
 * XEN_DOMCTL_*: operations of tools on one domain.  call_domctl.c has the table; the functions are
 * in call_domctl_PART.c.
 */
#include "core/guest.h"
#include "xen/call.h"
#include "xen/public.h"

/*
 * One operation.  => op: a copy, checked only for the interface's version; results go into it
 * => g: the domain, with a reference of the caller's; NULL: the host (only with DOMCTL_HOST), or
 *    nobody was looked for (DOMCTL_ANY)
 * => no locks held, not inside the world; may block
 */
typedef int64_t xen_domctl_fn(struct xen_caller *c, struct guest *g, struct xen_domctl *op);

#define DOMCTL_RESULTS 0x1u /* op is copied out on success */
#define DOMCTL_HOST 0x2u    /* domain 0 as well */
#define DOMCTL_ANY 0x4u	    /* the function looks at op->domain by itself */
#define DOMCTL_FAILURE 0x8u /* op is copied out on failure as well: it says what was wrong */

/* call_domctl_info.c */
xen_domctl_fn xen_domctl_getdomaininfo, xen_domctl_getvcpuinfo;

/* call_domctl_config.c */
xen_domctl_fn xen_domctl_max_mem, xen_domctl_max_vcpus, xen_domctl_setdomainhandle;
xen_domctl_fn xen_domctl_get_mempool, xen_domctl_set_mempool;
xen_domctl_fn xen_domctl_gettscinfo, xen_domctl_settscinfo;

/* call_domctl_policy.c */
xen_domctl_fn xen_domctl_get_cpu_policy, xen_domctl_set_cpu_policy;

/* call_domctl_sched.c */
xen_domctl_fn xen_domctl_setvcpuaffinity, xen_domctl_getvcpuaffinity;
xen_domctl_fn xen_domctl_setnodeaffinity, xen_domctl_getnodeaffinity;
xen_domctl_fn xen_domctl_scheduler_op;

/* call_sharing.c */
xen_domctl_fn xen_domctl_mem_sharing;

/* call_domctl_state.c */
xen_domctl_fn xen_domctl_pausedomain, xen_domctl_unpausedomain, xen_domctl_destroydomain;
xen_domctl_fn xen_domctl_getvcpucontext, xen_domctl_gethvmcontext, xen_domctl_sethvmcontext;
xen_domctl_fn xen_domctl_gethvmcontext_partial, xen_domctl_getpageframeinfo3;
xen_domctl_fn xen_domctl_sendtrigger;

/* call_domctl_build.c */
xen_domctl_fn xen_domctl_createdomain;

#endif
