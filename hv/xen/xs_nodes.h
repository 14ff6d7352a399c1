/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_XS_NODES_H
#define HV_XEN_XS_NODES_H
/*
 * What is written of guests in a xenstore: the nodes that Xen's own tools look for, with the
 * permissions that libxl gives them (Xen, docs/misc/xenstore-paths).
 */
#include <stdint.h>
#include <xen/xen.h>

#include "xen/xs_client.h"

#define XS_NAME_LEN 32

struct xs_guest {
	uint32_t xg_domid;
	char xg_name[XS_NAME_LEN];
	xen_domain_handle_t xg_uuid;
	uint64_t xg_ram_pages;
	uint32_t xg_vcpus;
	/* Its rings, for domain 0. */
	uint64_t xg_store_gfn, xg_console_gfn;
	uint32_t xg_store_port, xg_console_port;
};

/*
 * All: 0 or -errno, as xs_client.h has it.
 *
 * xs_enter_host: domain 0, as xen-init-dom0 does it.
 * xs_enter_guest: its nodes, all or none, then xenstored binds to its page and port.
 * xs_remove_guest: its nodes.  => it may never have been entered
 */
int xs_enter_host(struct xs_client *xs);
int xs_enter_guest(struct xs_client *xs, const struct xs_guest *xg);
int xs_remove_guest(struct xs_client *xs, const struct xs_guest *xg);

#endif
