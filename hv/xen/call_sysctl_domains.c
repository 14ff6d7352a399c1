/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_getdomaininfolist.
 */
#include <errno.h>

#include "core/guest.h"
#include "xen/domain.h"
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
