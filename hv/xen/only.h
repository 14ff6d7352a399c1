/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_ONLY_H
#define HV_XEN_ONLY_H
/*
 * A connection of a program that serves one guest, and said so: it reaches no other guest, for good.
 */
#include <stdint.h>

struct guest;

/*
 * xen_only_set: from now on only this guest; *only is NULL before, and a reference afterwards.
 * => 0; -EPERM: it was said already; -ESRCH: there is no such guest
 *
 * xen_only_check: may it reach this domain?  only may be NULL: any.
 * => 0; -EPERM: it is another; -ESRCH: its guest has not begun, or has ended: the number may be another's
 *
 * xen_only_drop: the connection is gone.
 */
int xen_only_set(struct guest **only, uint64_t domid);
int xen_only_check(struct guest *only, uint32_t domid);
void xen_only_drop(struct guest **only);

#endif
