/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests in the cell's xenstore: their ring, and how they are entered there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/guest.h"
#include "core/xenstore.h"
#include "lib/log.h"
#include "xen/hvmparam.h"
#include "xen/public.h"

bool guest_wants_store(void)
{
	struct failure f;
	enum xenstore_state state = xenstore_status(false, &f);

	return state == XENSTORE_STARTING || state == XENSTORE_RUNNING;
}

/* A port of the guest that a program of the host can bind to. */
static int make_port(struct guest *g, uint32_t *port)
{
	struct evtchn_alloc_unbound op = {.dom = (domid_t)g->g_domid, .remote_dom = 0};
	int error = evtchn_host_op(EVTCHNOP_alloc_unbound, &op, sizeof(op));

	*port = op.port;
	return error;
}

/* => the guest does not run yet */
static int make_ring(struct guest *g, struct xs_guest *xg)
{
	int error = make_port(g, &xg->xg_store_port);

	if (error == 0)
		error = grant_seed(&g->g_grants, GNTTAB_RESERVED_XENSTORE, EVTCHN_HOST,
		    (uint32_t)xg->xg_store_gfn);
	return error;
}

/* In its name: it does not run yet. */
static void drop_port(struct guest *g, const struct xs_guest *xg)
{
	struct evtchn_close op = {.port = xg->xg_store_port};

	if (op.port != 0)
		(void)evtchn_op(&g->g_events, EVTCHNOP_close, &op, sizeof(op));
}

static void show_ring(struct guest *g, const struct xs_guest *xg)
{
	(void)xen_hvm_set_param(g, false, HVM_PARAM_STORE_PFN, xg->xg_store_gfn);
	(void)xen_hvm_set_param(g, false, HVM_PARAM_STORE_EVTCHN, xg->xg_store_port);
}

static void describe(struct guest *g, struct xs_guest *xg)
{
	_Static_assert(sizeof(xg->xg_name) == sizeof(g->g_name), "names are as long");
	xg->xg_domid = g->g_domid;
	memcpy(xg->xg_name, g->g_name, sizeof(xg->xg_name));
	pthread_mutex_lock(&g->g_mutex);
	memcpy(xg->xg_uuid, g->g_xen.xd_handle, sizeof(xg->xg_uuid));
	pthread_mutex_unlock(&g->g_mutex);
	xg->xg_ram_pages = g->g_ram_pages;
	xg->xg_vcpus = g->g_vcpus;
	xg->xg_store_gfn = GUEST_STORE_GFN;
	xg->xg_console_gfn = GUEST_CONSOLE_GFN;
	xg->xg_console_port = guest_console_port(g);
}

void guest_enter_store(struct guest *g)
{
	struct xs_guest *xg = calloc(1, sizeof(*xg));
	int error = xg != NULL ? 0 : -ENOMEM;

	if (error == 0) {
		describe(g, xg);
		error = make_ring(g, xg);
	}
	if (error == 0) {
		error = xenstore_add(xg);
		/* It may have got so far that something stands there, or will. */
		if (error != 0)
			xenstore_remove(xg);
	}
	if (error == 0) {
		show_ring(g, xg);
		g->g_store = xg;
		return;
	}
	log_warn(
	    "%s (domain %u) has no xenstore: %s", g->g_name, g->g_domid, strerrordesc_np(-error));
	if (xg != NULL)
		drop_port(g, xg);
	free(xg);
}

void guest_leave_store(struct guest *g)
{
	if (g->g_store != NULL)
		xenstore_remove(g->g_store);
	free(g->g_store);
	g->g_store = NULL;
}
