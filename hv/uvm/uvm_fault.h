/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_FAULT_H
#define HV_UVM_FAULT_H
/*
 * What to do when a guest touches a page in a way that its second-level translation forbids.
 */
#include "uvm/uvm_map.h"

enum uvm_access { UVM_ACCESS_READ = 1, UVM_ACCESS_WRITE };

/*
 * uvm_fault: make the access possible, breaking loans where it must, and wake whoever waits.
 *
 * Write to a page that is the guest's alone: un-protect it, with the pages after it that are in the
 * same state.  Write to a page that is lent or borrowed copy-on-write: the guest gets a new frame
 * with the same bytes, everybody else keeps the old one.  Where mappings run short (pm_crowded), the
 * pages around it that are on loan, or were never touched, get theirs, too, so that all lie in one
 * mapping again.
 *
 * => inside the world, no locks held; leaves the world while the guest's process maps pages
 * => 0; -EFAULT: nothing is mapped there; -EACCES: a write to a read-only window: the guest's
 *    fault; -ENOMEM and others: the host is short, nothing changed; -ENOTRECOVERABLE as
 *    uvm_map_show; -ESRCH: the guest is gone
 */
int uvm_fault(struct uvm_map *map, uint64_t gfn, enum uvm_access access);

#endif
