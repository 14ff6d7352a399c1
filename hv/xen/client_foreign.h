/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CLIENT_FOREIGN_H
#define HV_XEN_CLIENT_FOREIGN_H
/*
 * The maps of one client of the kind "foreignmemory": numbered, of one or more parts each.
 */
#include <stdbool.h>

#include "xen/client.h"

/*
 * xen_foreign_add: take a part with npages pages into a map, for the client's account.
 * => *id: the map's number; on entry 0 (a new map) or an earlier answer
 * => end(arg) is called when the map or the client ends, outside the world, no locks held
 * => 0; -EINVAL: no such map; -ENOSPC: the client has too many pages; -ENOMEM.  Then end is not called
 */
int xen_foreign_add(
    struct xen_client *c, uint64_t *id, uint64_t npages, void (*end)(void *arg), void *arg);

/*
 * xen_foreign_place: say where a page lies, in an element of the answer whose descriptors are those
 * of memfd stores.  False: the answer has no room for another descriptor
 */
struct uvm_page;
bool xen_foreign_place(
    struct xen_reply *rep, struct xenwire_page *where, struct uvm_page *pg, bool write);

/* The requests for resources: client_resource.c. */
xen_request_fn xen_resource_size, xen_resource_map;

#endif
