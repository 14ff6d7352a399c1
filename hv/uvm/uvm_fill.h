/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_FILL_H
#define HV_UVM_FILL_H
/*
 * Filling: what a device would read from a file into a guest's RAM is lent instead of copied.  The
 * page becomes a page of the object, copy-on-write: a loan to anon without a window, as shared pages
 * have it (uvm_share.h), with a handle and counted with them.  A write breaks it as it breaks any
 * loan.  What the page held before is gone, as if the device had written over it.
 */
#include "uvm/uvm_loan.h"

#define UVM_FILL_MAX 256u /* pages at a time */

struct uvm_fill {
	uint64_t fl_gfn;
	uint64_t fl_offset; /* page of the object */
	int fl_error;	    /* out */
};

/*
 * uvm_fill: n (at most UVM_FILL_MAX) pages, in any order; neighbours that are neighbours in the object,
 * too, cost one mapping together.
 * => each has its fl_error: 0; -EINVAL: no RAM there, or no such page of the object; -EBUSY: it is wired, or
 *    somebody else is at it this moment (never waited for); -ENOSPC: the guest has too many mappings;
 *    -ENOMEM, -ESRCH: the guest is gone; or the pager's.  With an error the guest's page is what it was
 * => 0; or -ENOTRECOVERABLE as uvm_map_show: then no fl_error means anything
 * => inside the world, no locks held; leaves it in between.  The map may not be destroyed meanwhile (it may
 *    be retired)
 */
int uvm_fill(struct uvm_map *map, struct uvm_object *uo, struct uvm_fill *pages, unsigned n);

/* For the auditor, with the world stopped: loans held by what is under way. */
void uvm_fill_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind));

#endif
