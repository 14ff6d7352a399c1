/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_* by host programs (Xen public/grant_table.h): only asking is left for them, who map and
 * share by the kinds "gnttab" and "gntshr".  Guests' come as structures that the VMM has copied
 * already (core/hypercall.c).
 */
#include <errno.h>

#include "xen/call.h"
#include "xen/grant.h"
#include "xen/public.h"

int64_t xen_call_grant_table(struct xen_caller *c, const uint64_t arg[5])
{
	struct gnttab_query_size op;
	int error;

	if (arg[0] != GNTTABOP_query_size || c->domid != GRANT_HOST)
		return -ENOSYS;
	if (arg[2] != 1)
		return -EINVAL;
	error = xen_copy_in(c, &op, arg[1], sizeof(op));
	if (error != 0)
		return error;
	op.status = (int16_t)grant_query(
	    op.dom == DOMID_SELF ? GRANT_HOST : op.dom, &op.nr_frames, &op.max_nr_frames);
	return xen_copy_out(c, arg[1], &op, sizeof(op));
}
