/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CALL_MEMORY_H
#define HV_XEN_CALL_MEMORY_H
/*
 * XENMEM_*: call_memory.c has the table, and what only informs; the other functions are in files of
 * their own.
 */
#include "core/guest.h"
#include "xen/call.h"
#include "xen/public.h"

/* One operation.  => arg: where its structure is.  No locks held, not inside the world; may block */
typedef int64_t xen_memory_fn(struct xen_caller *c, uint64_t arg);

/*
 * xen_memory_domain: whom a caller means: 0 and its domid, DOMID_SELF resolved.
 * => -EPERM: a guest may mean nobody but itself
 */
int xen_memory_domain(const struct xen_caller *c, domid_t domid, uint32_t *who);

/* call_sharing.c */
xen_memory_fn xen_memory_sharing;

/* call_memory_build.c */
xen_memory_fn xen_memory_populate, xen_memory_decrease, xen_memory_claim, xen_memory_set_map;

#endif
