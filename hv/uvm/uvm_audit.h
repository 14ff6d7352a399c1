/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_AUDIT_H
#define HV_UVM_AUDIT_H
/*
 * The auditor: counts every frame, by state and by guest, and checks what has to hold always.
 * It stops the world, so its figures are of one moment.
 */
#include "uvm/uvm_ledger.h"

static inline uint64_t uvm_frames_total(const struct uvm_frames *fr)
{
	return fr->fr_owned + fr->fr_lent + fr->fr_orphaned + fr->fr_wired + fr->fr_moving;
}

struct uvm_account {
	struct uvm_frames ac_all;
	struct uvm_frames ac_host;     /* objects' frames */
	struct uvm_frames ac_departed; /* orphans of guests that are gone */
	uint64_t ac_free;	       /* places of stores with nothing behind them */
	uint64_t ac_kernel_pages;      /* what the stores' memory comes to for the kernel */
	bool ac_equal;		       /* uvm_frames_total(&ac_all) == ac_kernel_pages */
	uint64_t ac_zero_loans;
	unsigned ac_nfindings;	  /* broken invariants */
	char ac_findings[8][160]; /* the first of them, in words */
};

/*
 * uvm_account: learn what guests touched, count all, check all.
 * => per_guest is called for each live map, with the world stopped: it must not block
 * => a guest that runs may touch new memory between our look and the kernel's: uvm_account tries
 *    again a few times until the sums agree
 * => outside the world, no locks held.  0 or -ENOMEM
 */
int uvm_account(struct uvm_account *ac,
    void (*per_guest)(void *arg, struct uvm_map *map, const struct uvm_frames *fr), void *arg);

#endif
