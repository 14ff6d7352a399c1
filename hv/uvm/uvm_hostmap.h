/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_HOSTMAP_H
#define HV_UVM_HOSTMAP_H
/*
 * Pages of a guest that a host program has mapped, as Xen's tools map foreign memory.
 *
 * To write: the page is the guest's own and wired; loans of it are broken first.  To read: a page
 * that is not on loan is wired, too, so that the program sees what the guest writes.  Of a page on
 * loan, or of somebody else's, it has a loan: it sees the frame as it was lent, whatever the guest
 * does afterwards; of a page that nobody ever touched it sees zeroes.
 *
 * All functions run inside the world with no locks held, and may leave the world in between.
 */
#include "uvm/uvm_loan.h"

struct uvm_hostmap;

/* uvm_hostmap_create: room for n pages, of a guest that may end meanwhile.  NULL: out of memory. */
struct uvm_hostmap *uvm_hostmap_create(struct uvm_map *map, uint64_t n);

/*
 * uvm_hostmap_add: take page gfn in, as the i-th.
 * => *pgp: the frame to map, which stays until uvm_hostmap_destroy; the zero frame has no store to
 *    map it from
 * => the guest may not end before this returns
 * => 0; -EINVAL, -EFAULT: no memory that can be mapped like that; -ENOMEM, the pager's error;
 *    -ENOTRECOVERABLE as uvm_map_show; -ESRCH: the guest is gone.  Then nothing is taken in
 */
int uvm_hostmap_add(
    struct uvm_hostmap *hm, uint64_t i, uint64_t gfn, bool write, struct uvm_page **pgp);

/* uvm_hostmap_destroy: the program has none of it any more. */
void uvm_hostmap_destroy(struct uvm_hostmap *hm);

/* For the auditor, with the world stopped: all loans that host programs hold in this way. */
void uvm_hostmap_visit(
    void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind));

#endif
