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
    [XEN_DOMCTL_getdomaininfo] = {xen_domctl_getdomaininfo, DOMCTL_RESULTS | DOMCTL_ANY},
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

	if (!(row->flags & DOMCTL_ANY) && !((row->flags & DOMCTL_HOST) && op->domain == 0)) {
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
	if (ret >= 0 && (row->flags & DOMCTL_RESULTS) &&
	    xen_copy_out(c, arg[0], &op, sizeof(op)) != 0)
		return -EFAULT;
	return ret;
}
