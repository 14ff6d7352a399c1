/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_BITMAP_H
#define HV_XEN_BITMAP_H
/*
 * Bitmaps as Xen's tools give and take them (struct xenctl_bitmap): bit 0 of byte 0 is the first.
 */
#include <sched.h>

#include "xen/call.h"
#include "xen/public.h"

/* More bits than this nobody needs, and nobody gets. */
#define XEN_BITMAP_MAX 65536u

/*
 * xen_cpus_in, xen_nodes_in: what a tool gave, as far as we have room for it.
 * xen_cpus_out, xen_nodes_out: as many bits as the tool has room for, zeroes at the end.
 * => 0, -EFAULT; -EINVAL: no bits, or too many
 */
int xen_cpus_in(struct xen_caller *c, const struct xenctl_bitmap *map, cpu_set_t *cpus);
int xen_cpus_out(struct xen_caller *c, const struct xenctl_bitmap *map, const cpu_set_t *cpus);
int xen_nodes_in(struct xen_caller *c, const struct xenctl_bitmap *map, uint64_t *nodes);
int xen_nodes_out(struct xen_caller *c, const struct xenctl_bitmap *map, uint64_t nodes);

#endif
