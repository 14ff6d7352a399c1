/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests' consoles: the ring of each, and who serves it.
 */
#include <errno.h>

#include "core/guest.h"
#include "xen/hvmparam.h"
#include "xen/public.h"

int guest_add_console(struct guest *g, struct failure *f)
{
	/* By itself: a program of the host can bind to the port. */
	struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = EVTCHN_HOST};
	int error = evtchn_op(&g->g_events, EVTCHNOP_alloc_unbound, &op, sizeof(op));

	if (error == 0)
		error = grant_seed(
		    &g->g_grants, GNTTAB_RESERVED_CONSOLE, EVTCHN_HOST, GUEST_CONSOLE_GFN);
	if (error != 0)
		return failure_sys(f, error, "%s can't have a console", g->g_name);
	(void)xen_hvm_set_param(g, false, HVM_PARAM_CONSOLE_PFN, GUEST_CONSOLE_GFN);
	(void)xen_hvm_set_param(g, false, HVM_PARAM_CONSOLE_EVTCHN, op.port);
	return 0;
}

uint32_t guest_console_port(struct guest *g)
{
	uint64_t port;

	(void)xen_hvm_get_param(g, false, HVM_PARAM_CONSOLE_EVTCHN, &port);
	return port <= UINT32_MAX ? (uint32_t)port : 0;
}

int guest_console_ours(struct guest *g, bool raise, uint64_t *gfn)
{
	uint32_t port = guest_console_port(g);
	int error;

	(void)xen_hvm_get_param(g, false, HVM_PARAM_CONSOLE_PFN, gfn);
	if (port == 0 || *gfn == 0)
		return -ENOENT;
	error = evtchn_stand_in(&g->g_events, port, raise);
	return error == -EINVAL ? -ENOENT : error;
}
