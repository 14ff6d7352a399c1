/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CLIENT_GNTTAB_H
#define HV_XEN_CLIENT_GNTTAB_H
/*
 * A client of the kind "gnttab": client_gnttab.c, what it has mapped; client_fill.c, what the backend of
 * a disk may do beside that, for its one guest.
 */
#include <bsd/sys/queue.h>

#include "core/guest.h"
#include "uvm/uvm_object.h"
#include "xen/client.h"

struct grants_map;

struct grants {
	LIST_HEAD(, grants_map) gr_maps;
	uint64_t gr_last_id, gr_npages;
	struct guest *gr_only;	    /* a reference: no other guest's grants; or NULL */
	struct uvm_object *gr_file; /* a reference: whose pages are lent; or NULL */
};

/* The requests GRANT_ONLY, GRANT_FILE, GRANT_FILL (proto/xenwire.h). */
xen_request_fn xen_fill_only, xen_fill_file, xen_fill_pages;

/* xen_fill_end: the client is gone. */
void xen_fill_end(struct grants *gr);

#endif
