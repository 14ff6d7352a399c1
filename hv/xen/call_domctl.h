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

/* call_domctl_info.c */
xen_domctl_fn xen_domctl_getdomaininfo;

#endif
