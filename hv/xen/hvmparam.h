/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_HVMPARAM_H
#define HV_XEN_HVMPARAM_H
/*
 * Parameters of domains (Xen public/hvm/params.h), kept in struct xen_domain.
 *
 * => self: the guest itself asks, who may do less than the host
 * => 0; -EINVAL: no such parameter, or no such value; -EPERM: not for guests; -EOPNOTSUPP: it would
 *    turn on what is not there
 */
#include "core/guest.h"

int xen_hvm_set_param(struct guest *g, bool self, uint32_t index, uint64_t value);
int xen_hvm_get_param(struct guest *g, bool self, uint32_t index, uint64_t *value);

/* xen_hvm_param: either, as cmd says (HVMOP_set_param, HVMOP_get_param); op->domid is not looked at. */
int64_t xen_hvm_param(struct guest *g, bool self, uint64_t cmd, struct xen_hvm_param *op);

#endif
