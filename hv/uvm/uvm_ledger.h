/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_LEDGER_H
#define HV_UVM_LEDGER_H
/*
 * The ledger: who lent what to whom.  It turns guests' requests into loans (uvm_loan.h), windows
 * (uvm_map.h) and mappings (pmap.h), and takes all of it apart again in whatever order it ends.
 *
 * An offer is made by a guest (some of its memory, frozen when it is made) or by the host (pages of
 * an object, lent when they are borrowed).  A guest borrows pages of an offer into a window at a
 * place of its choice; a host program borrows them to look at.  Each borrow holds loans of its own,
 * so an offer can be recalled, and its lender can go, while borrowers keep what they have.
 *
 * All functions run inside the world with no locks held, and may leave the world in between.
 * Functions that name a map are called by one thread at a time for each map.
 * Errors: 0 or -errno; after an error nothing is left of the call.
 */
#include "uvm/uvm_loan.h"

#define UVM_DOMID_HOST 0u
#define UVM_DOMID_ANY 0x7ffeu
#define UVM_DOMID_NOBODY 0x7ff4u /* the borrower of an offer is gone (Xen's DOMID_INVALID) */

struct uvm_offer_info {
	uint64_t oi_id, oi_tag, oi_npages, oi_bytes;
	uint64_t oi_windows; /* borrowed and not returned */
	uint32_t oi_lender, oi_borrower;
	enum uvm_loan_kind oi_kind;
	bool oi_recalled;
};

/*
 * What a guest may have offered at a time, recalled offers that have windows included: the core
 * keeps 8 bytes for each page of an offer, however often it is on offer.
 */
#define UVM_LEDGER_MAX_OFFERS 4096u
#define UVM_LEDGER_MAX_OFFERED ((uint64_t)1 << 22) /* pages */

/* What an offer is of, and for whom. */
struct uvm_offer_terms {
	uint32_t ot_borrower; /* domid, UVM_DOMID_ANY or UVM_DOMID_HOST */
	enum uvm_loan_kind ot_kind;
	bool ot_by_host; /* in the guest's name: not counted, and ends with the borrower */
	uint64_t ot_tag;
};

/* Called with no locks held when something changed for a domain (or UVM_DOMID_ANY): an offer for
 * it appeared, or a window on an offer of its own was returned.  Once, before the first offer. */
void uvm_ledger_notify_by(void (*call)(uint32_t domid));

/*
 * uvm_ledger_lend: freeze pages of a guest and offer them; for the host, wired pages are copied.
 *	Errors as uvm_loan; -EINVAL: to itself;
 *	-ESRCH: the lender is going, or the borrower, if it is by the host; -ENOSPC: it has too much on offer
 * uvm_ledger_lend_object: offer pages of an object on the host's behalf; takes a reference.
 *	bytes: how many of them count, for the borrower.  -ESRCH: the borrower is going
 */
int uvm_ledger_lend(struct uvm_map *lender, uint64_t gfn, uint64_t n,
    const struct uvm_offer_terms *terms, uint64_t *id);
int uvm_ledger_lend_object(struct uvm_object *uo, uint64_t off, uint64_t n, uint64_t bytes,
    const struct uvm_offer_terms *terms, uint64_t *id);

/*
 * uvm_ledger_lend in parts, with whatever the caller has to do in between.  Nobody finds the offer before it is
 * complete.
 *
 * uvm_ledger_lend_begin: an offer of which no page is lent yet.  Errors as uvm_ledger_lend
 * uvm_ledger_lend_on: UVM_LEND_PART pages more.  => -EINPROGRESS: there are more; 0: the offer is there, or an error
 *	as of uvm_ledger_lend and nothing is: then *of is not the caller's any more
 * uvm_ledger_lend_drop: nothing comes of it.  Before its lender goes
 * uvm_ledger_lend_id: what its number will be
 */
struct offer;
#define UVM_LEND_PART 4096u
int uvm_ledger_lend_begin(struct uvm_map *lender, uint64_t gfn, uint64_t n,
    const struct uvm_offer_terms *terms, struct offer **ofp);
int uvm_ledger_lend_on(struct offer *of, uint64_t *id);
void uvm_ledger_lend_drop(struct offer *of);
uint64_t uvm_ledger_lend_id(const struct offer *of);

/*
 * uvm_ledger_borrow: map n pages of an offer, from page `first` on, at gfn.
 * => -ENOENT: no such offer (any more); -EPERM: not for this guest; -ERANGE: beyond the offer;
 *    -EINVAL: bad place; -EEXIST: something is mapped there; -ENOMEM; the pager's error
 * => -ENOTRECOVERABLE: the guest's process cannot undo what it did half: it must be killed
 */
int uvm_ledger_borrow(struct uvm_map *map, uint64_t id, uint64_t first, uint64_t n, uint64_t gfn);

/*
 * uvm_ledger_return: -ENOENT: no window starts there; -EINVAL: not a window; -EBUSY: being mapped or
 * returned, or part of it is wired; -ENOTRECOVERABLE as above
 */
int uvm_ledger_return(struct uvm_map *map, uint64_t gfn);

/* uvm_ledger_window_p: does a window begin at gfn? */
bool uvm_ledger_window_p(struct uvm_map *map, uint64_t gfn);

/* uvm_ledger_recall: by the lender's domid.  -ENOENT; -EPERM: somebody else's; *windows still out.
 */
int uvm_ledger_recall(uint32_t lender, uint64_t id, uint64_t *windows);

/*
 * uvm_ledger_query: an offer that domid made or may borrow (the host: any).  -ENOENT, -EPERM
 * uvm_ledger_next: the first one above id that domid may borrow (the host: that exists).  -ENOENT
 */
int uvm_ledger_query(uint32_t domid, uint64_t id, struct uvm_offer_info *info);
int uvm_ledger_next(uint32_t domid, uint64_t id, struct uvm_offer_info *info);

/*
 * A host program's loan of some pages of an offer.
 * => uvm_hostloan_extents: fills up to max runs for pages [first, first + n) of it, gfn relative to
 *    the offer; returns how many runs; *upto: the page where the next call goes on
 */
struct uvm_hostloan;
int uvm_ledger_host_borrow(uint64_t id, struct uvm_hostloan **hlp);
unsigned uvm_hostloan_extents(struct uvm_hostloan *hl, uint64_t first, uint64_t n,
    struct pmap_extent *ext, unsigned max, uint64_t *upto);
void uvm_hostloan_return(struct uvm_hostloan *hl);

/*
 * uvm_ledger_guest_gone: return what the guest had borrowed, recall what it offers and what the host has
 * offered to it alone, and destroy its map: frames that are still on loan become orphans.
 * => the map's pmap is not called any more
 */
void uvm_ledger_guest_gone(struct uvm_map *map);

/* Outstanding offers and windows, recalled ones included. */
uint64_t uvm_ledger_count(void);

/* For the auditor, with the world stopped: all loans that offers and host programs hold. */
void uvm_ledger_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind));

#endif
