/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_LEDGER_PRIVATE_H
#define HV_UVM_LEDGER_PRIVATE_H
/*
 * What the two halves of the ledger share: uvm_ledger.c, the book of offers, and uvm_borrow.c, what
 * is borrowed from them.
 */
#include <bsd/sys/tree.h>

#include "uvm/uvm_ledger.h"

/* One offer.  Locks: ledger = uvm_ledger_lock; s = stable. */
struct offer {
	RB_ENTRY(offer) of_tree;
	uint64_t of_id;			 /* s */
	uint32_t of_lender;		 /* s: domid */
	struct uvm_offer_terms of_terms; /* s, but the borrower: ledger */
	uint64_t of_npages, of_bytes;	 /* s */
	struct uvm_map *of_map;		 /* s: a guest's offer: reference; NULL for the host's */
	uint64_t of_gfn;		 /* s */
	uint64_t of_lent; /* while it is being made, of who makes it: so many pages are on loan */
	struct uvm_object *of_object; /* the host's: reference */
	uint64_t of_offset;	      /* s */
	uint32_t of_refs;    /* ledger: 1 until recalled, and one for each borrow under way */
	uint64_t of_windows; /* ledger: borrowed, not returned */
	bool of_recalled;    /* ledger */
	bool of_hidden;	     /* ledger: still being made */
	/* A guest's offer: the loans it holds, of_npages of them.  The host's has none. */
	union uvm_loaned of_loans[];
};

extern struct uvm_lock uvm_ledger_lock;

/*
 * uvm_offer_get: find an offer for a borrower and hold it, if pages [first, first + n) of it can be
 * borrowed.  -ENOENT, -EPERM, -ERANGE
 */
int uvm_offer_get(uint64_t id, uint32_t domid, uint64_t first, uint64_t n, struct offer **ofp);

/* uvm_offer_put: let go of an offer that is held: it ends if it has been recalled meanwhile. */
void uvm_offer_put(struct offer *of);

/* uvm_offer_window_opened: => the offer is held.  uvm_offer_window_closed: it need not be. */
void uvm_offer_window_opened(struct offer *of);
void uvm_offer_window_closed(struct offer *of);

/* uvm_offer_of_window: the offer that a window was borrowed from: stays while it has the window. */
struct offer *uvm_offer_of_window(uint64_t id);

/* uvm_borrow_end_all: take down every window of a guest that is gone. */
void uvm_borrow_end_all(struct uvm_map *map);

/* uvm_borrow_visit: the host programs' part of uvm_ledger_visit. */
void uvm_borrow_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind));

#endif
