/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_* that tell what a domain is and does.
 */
#include <errno.h>

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
