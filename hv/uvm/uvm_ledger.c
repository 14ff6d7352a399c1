/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_ledger_private.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_tree.h"

RB_HEAD(offertree, offer);

struct uvm_lock uvm_ledger_lock = {.lk_rank = UVM_RANK_LEDGER};
static struct offertree offers = RB_INITIALIZER(&offers);
static uint64_t last_id;
static void (*notify)(uint32_t domid);

static int offer_cmp(const struct offer *a, const struct offer *b)
{
	return a->of_id < b->of_id ? -1 : a->of_id > b->of_id;
}

RB_GENERATE_STATIC(offertree, offer, of_tree, offer_cmp)

void uvm_ledger_notify_by(void (*call)(uint32_t domid))
{
	notify = call;
}

static void tell(uint32_t domid)
{
	if (notify != NULL && domid != UVM_DOMID_HOST)
		notify(domid);
}

/* => ledger locked */
static struct offer *find(uint64_t id)
{
	struct offer key = {.of_id = id}, *of;

	of = RB_FIND(offertree, &offers, &key);
	return of != NULL && !of->of_hidden ? of : NULL;
}

static bool may_borrow(const struct offer *of, uint32_t domid)
{
	uint32_t to = of->of_terms.ot_borrower;

	/* The host may look at the files that it lends itself. */
	return to == domid ||
	       (to == UVM_DOMID_ANY && (domid != of->of_lender || domid == UVM_DOMID_HOST));
}

static void offer_free(struct offer *of)
{
	if (of->of_object != NULL)
		uvm_object_rele(of->of_object);
	if (of->of_map != NULL)
		uvm_map_rele(of->of_map);
	uvm_free(of);
}

/* => ledger locked.  Nobody finds the offer any more, and it does not count. */
static void take_out(struct offer *of)
{
	RB_REMOVE(offertree, &offers, of);
	if (of->of_map != NULL && !of->of_terms.ot_by_host) {
		of->of_map->vm_noffers--;
		of->of_map->vm_offered -= of->of_npages;
	}
}

/* Nobody can borrow from the offer any more: its own loans end. */
static void offer_close(struct offer *of)
{
	if (of->of_map == NULL)
		return;
	uvm_unloan(of->of_loans, of->of_npages, of->of_terms.ot_kind);
	of->of_map->vm_stats.ms_loans_returned += of->of_npages;
	uvm_map_thaw(of->of_map, of->of_gfn, of->of_npages);
}

/* Drop references and windows; close and free the offer when they come to nothing. */
static void offer_drop(struct offer *of, uint32_t refs, uint64_t windows)
{
	uint32_t lender = of->of_lender;
	bool closes, ends;

	uvm_lock(&uvm_ledger_lock);
	KASSERT(of->of_refs >= refs && of->of_windows >= windows);
	closes = refs > 0 && of->of_refs == refs;
	of->of_windows -= windows;
	/* The last reference goes only when the loans are back: until then nobody else frees it. */
	if (!closes)
		of->of_refs -= refs;
	ends = of->of_refs == 0 && of->of_windows == 0;
	if (ends)
		take_out(of);
	uvm_unlock(&uvm_ledger_lock);
	if (closes) {
		offer_close(of);
		uvm_lock(&uvm_ledger_lock);
		of->of_refs = 0;
		ends = of->of_windows == 0;
		if (ends)
			take_out(of);
		uvm_unlock(&uvm_ledger_lock);
	}
	if (ends)
		offer_free(of);
	if (windows > 0)
		tell(lender);
}

void uvm_offer_put(struct offer *of)
{
	offer_drop(of, 1, 0);
}

void uvm_offer_window_opened(struct offer *of)
{
	uvm_lock(&uvm_ledger_lock);
	KASSERT(of->of_refs > 0);
	of->of_windows++;
	uvm_unlock(&uvm_ledger_lock);
}

void uvm_offer_window_closed(struct offer *of)
{
	offer_drop(of, 0, 1);
}

struct offer *uvm_offer_of_window(uint64_t id)
{
	struct offer *of;

	uvm_lock(&uvm_ledger_lock);
	of = find(id);
	KASSERT(of != NULL && of->of_windows > 0);
	uvm_unlock(&uvm_ledger_lock);
	return of;
}

static struct offer *offer_alloc(uint32_t lender, uint64_t npages, uint64_t bytes, uint64_t nloans,
    const struct uvm_offer_terms *terms)
{
	struct offer *of = uvm_zalloc(sizeof(*of) + nloans * sizeof(of->of_loans[0]));

	if (of != NULL) {
		of->of_lender = lender;
		of->of_npages = npages;
		of->of_bytes = bytes;
		of->of_terms = *terms;
		of->of_refs = 1;
		of->of_hidden = true;
	}
	return of;
}

/* => ledger locked.  Count an offer that its lender made itself, while that has room for it. */
static bool count(const struct offer *of)
{
	struct uvm_map *map = of->of_map;

	if (map == NULL || of->of_terms.ot_by_host)
		return true;
	if (map->vm_noffers == UVM_LEDGER_MAX_OFFERS ||
	    of->of_npages > UVM_LEDGER_MAX_OFFERED - map->vm_offered)
		return false;
	map->vm_noffers++;
	map->vm_offered += of->of_npages;
	return true;
}

/* Enter an offer into the book: nobody finds it yet, but the auditor.  -ENOSPC */
static int enter(struct offer *of)
{
	bool counted;

	uvm_lock(&uvm_ledger_lock);
	counted = count(of);
	if (counted) {
		of->of_id = ++last_id;
		RB_INSERT(offertree, &offers, of);
	}
	uvm_unlock(&uvm_ledger_lock);
	return counted ? 0 : -ENOSPC;
}

static void strike(struct offer *of)
{
	uvm_lock(&uvm_ledger_lock);
	take_out(of);
	uvm_unlock(&uvm_ledger_lock);
	offer_free(of);
}

/* Is the lender going, or gone?  Then nobody would recall what is offered in its name. */
static bool lender_gone(struct offer *of)
{
	bool gone;

	if (of->of_map == NULL)
		return false;
	uvm_lock(&of->of_map->vm_lock);
	gone = of->of_map->vm_dead;
	uvm_unlock(&of->of_map->vm_lock);
	return gone;
}

/* Was it the host's doing?  Then no guest knows its number. */
static bool host_made(const struct offer *of)
{
	return of->of_map == NULL || of->of_terms.ot_by_host;
}

/*
 * => ledger locked.  An offer that the host made to a guest that is gone: nobody can borrow it, and nobody
 * would think of recalling it.
 */
static bool pointless(const struct offer *of)
{
	return host_made(of) && of->of_terms.ot_borrower == UVM_DOMID_NOBODY;
}

/* The offer is complete: show it, if it is not too late.  From now on it may end at any time. */
static bool publish(struct offer *of, uint64_t *id)
{
	uint32_t to;
	bool shown;

	uvm_lock(&uvm_ledger_lock);
	to = of->of_terms.ot_borrower;
	shown = !lender_gone(of) && !pointless(of);
	of->of_hidden = !shown;
	*id = of->of_id;
	uvm_unlock(&uvm_ledger_lock);
	if (shown)
		tell(to);
	return shown;
}

int uvm_ledger_lend_begin(struct uvm_map *lender, uint64_t gfn, uint64_t n,
    const struct uvm_offer_terms *terms, struct offer **ofp)
{
	struct offer *of;
	int error;

	if (n == 0 || terms->ot_borrower == lender->vm_domid)
		return -EINVAL;
	/* Also a bound for what we are about to allocate. */
	if (n > uvm_map_size(lender))
		return -EFAULT;
	of = offer_alloc(lender->vm_domid, n, n * UVM_PAGE_SIZE, n, terms);
	if (of == NULL)
		return -ENOMEM;
	uvm_map_ref(lender);
	of->of_map = lender;
	of->of_gfn = gfn;
	error = enter(of);
	if (error != 0)
		offer_free(of);
	else
		*ofp = of;
	return error;
}

uint64_t uvm_ledger_lend_id(const struct offer *of)
{
	return of->of_id;
}

void uvm_ledger_lend_drop(struct offer *of)
{
	uvm_unloan(of->of_loans, of->of_lent, of->of_terms.ot_kind);
	of->of_map->vm_stats.ms_loans_returned += of->of_lent;
	uvm_map_thaw(of->of_map, of->of_gfn, of->of_lent);
	strike(of);
}

static int lend_part(struct offer *of, uint64_t n)
{
	const struct uvm_offer_terms *terms = &of->of_terms;
	union uvm_loaned *out = &of->of_loans[of->of_lent];
	uint64_t gfn = of->of_gfn + of->of_lent;
	int error;

	/* The host only looks. */
	error = terms->ot_borrower == UVM_DOMID_HOST && terms->ot_kind == UVM_LOAN_TOPAGE
		    ? uvm_loan_picture(of->of_map, gfn, n, out)
		    : uvm_loan(of->of_map, gfn, n, terms->ot_kind, out);
	if (error == 0)
		of->of_lent += n;
	return error;
}

int uvm_ledger_lend_on(struct offer *of, uint64_t *id)
{
	uint64_t left = of->of_npages - of->of_lent;
	int error = lend_part(of, left < UVM_LEND_PART ? left : UVM_LEND_PART);

	if (error == 0 && left > UVM_LEND_PART)
		return -EINPROGRESS;
	if (error == 0 && !publish(of, id))
		error = -ESRCH;
	if (error != 0)
		uvm_ledger_lend_drop(of);
	return error;
}

int uvm_ledger_lend(struct uvm_map *lender, uint64_t gfn, uint64_t n,
    const struct uvm_offer_terms *terms, uint64_t *id)
{
	struct offer *of;
	int error = uvm_ledger_lend_begin(lender, gfn, n, terms, &of);

	if (error != 0)
		return error;
	do
		error = uvm_ledger_lend_on(of, id);
	while (error == -EINPROGRESS);
	return error;
}

int uvm_ledger_lend_object(struct uvm_object *uo, uint64_t off, uint64_t n, uint64_t bytes,
    const struct uvm_offer_terms *terms, uint64_t *id)
{
	struct offer *of;

	if (n == 0 || off > uo->uo_npages || n > uo->uo_npages - off ||
	    terms->ot_borrower == UVM_DOMID_HOST)
		return -EINVAL;
	of = offer_alloc(UVM_DOMID_HOST, n, bytes, 0, terms);
	if (of == NULL)
		return -ENOMEM;
	uvm_object_ref(uo);
	of->of_object = uo;
	of->of_offset = off;
	/* The host's own offers are not counted. */
	(void)enter(of);
	if (publish(of, id))
		return 0;
	strike(of);
	return -ESRCH;
}

int uvm_offer_get(uint64_t id, uint32_t domid, uint64_t first, uint64_t n, struct offer **ofp)
{
	struct offer *of;
	int error = 0;

	uvm_lock(&uvm_ledger_lock);
	of = find(id);
	if (of == NULL || of->of_recalled)
		error = -ENOENT;
	else if (!may_borrow(of, domid))
		error = -EPERM;
	else if (n == 0 || first > of->of_npages || n > of->of_npages - first)
		error = -ERANGE;
	else
		of->of_refs++;
	uvm_unlock(&uvm_ledger_lock);
	*ofp = of;
	return error;
}

int uvm_ledger_recall(uint32_t lender, uint64_t id, uint64_t *windows)
{
	struct offer *of;
	int error = 0;

	uvm_lock(&uvm_ledger_lock);
	of = find(id);
	if (of == NULL || of->of_recalled) {
		error = -ENOENT;
	} else if (of->of_lender != lender) {
		error = -EPERM;
	} else {
		of->of_recalled = true;
		*windows = of->of_windows;
	}
	uvm_unlock(&uvm_ledger_lock);
	if (error == 0)
		offer_drop(of, 1, 0);
	return error;
}

static void describe(const struct offer *of, struct uvm_offer_info *info)
{
	*info = (struct uvm_offer_info){.oi_id = of->of_id,
	    .oi_tag = of->of_terms.ot_tag,
	    .oi_npages = of->of_npages,
	    .oi_bytes = of->of_bytes,
	    .oi_windows = of->of_windows,
	    .oi_lender = of->of_lender,
	    .oi_borrower = of->of_terms.ot_borrower,
	    .oi_kind = of->of_terms.ot_kind,
	    .oi_recalled = of->of_recalled};
}

int uvm_ledger_query(uint32_t domid, uint64_t id, struct uvm_offer_info *info)
{
	struct offer *of;
	int error = 0;

	uvm_lock(&uvm_ledger_lock);
	of = find(id);
	if (of == NULL)
		error = -ENOENT;
	else if (domid != UVM_DOMID_HOST && of->of_lender != domid && !may_borrow(of, domid))
		error = -EPERM;
	else
		describe(of, info);
	uvm_unlock(&uvm_ledger_lock);
	return error;
}

int uvm_ledger_next(uint32_t domid, uint64_t id, struct uvm_offer_info *info)
{
	struct offer key = {.of_id = id + 1}, *of;
	int error = -ENOENT;

	if (id == UINT64_MAX)
		return -ENOENT;
	uvm_lock(&uvm_ledger_lock);
	for (of = RB_NFIND(offertree, &offers, &key); of != NULL && error != 0;
	     of = RB_NEXT(offertree, &offers, of)) {
		if (of->of_hidden)
			continue;
		if (domid == UVM_DOMID_HOST || (!of->of_recalled && may_borrow(of, domid))) {
			describe(of, info);
			error = 0;
		}
	}
	uvm_unlock(&uvm_ledger_lock);
	return error;
}

/* The first offer of a lender that has not been recalled, or 0. */
static uint64_t first_offer_of(uint32_t lender)
{
	struct offer *of;
	uint64_t id = 0;

	uvm_lock(&uvm_ledger_lock);
	RB_FOREACH (of, offertree, &offers) {
		if (of->of_lender == lender && !of->of_recalled && !of->of_hidden) {
			id = of->of_id;
			break;
		}
	}
	uvm_unlock(&uvm_ledger_lock);
	return id;
}

/* => false: there is none */
static bool first_pointless_offer(uint64_t *id, uint32_t *lender)
{
	struct offer *of;

	uvm_lock(&uvm_ledger_lock);
	RB_FOREACH (of, offertree, &offers)
		if (pointless(of) && !of->of_recalled && !of->of_hidden)
			break;
	if (of != NULL) {
		*id = of->of_id;
		*lender = of->of_lender;
	}
	uvm_unlock(&uvm_ledger_lock);
	return of != NULL;
}

/* Domids come round again: what was offered to this one is not for the next who gets it. */
static void forget_borrower(uint32_t domid)
{
	struct offer *of;

	uvm_lock(&uvm_ledger_lock);
	RB_FOREACH (of, offertree, &offers)
		if (of->of_terms.ot_borrower == domid)
			of->of_terms.ot_borrower = UVM_DOMID_NOBODY;
	uvm_unlock(&uvm_ledger_lock);
}

void uvm_ledger_guest_gone(struct uvm_map *map)
{
	uint64_t id, windows;
	uint32_t lender;

	uvm_map_retire(map);
	forget_borrower(map->vm_domid);
	while (first_pointless_offer(&id, &lender))
		(void)uvm_ledger_recall(lender, id, &windows);
	while ((id = first_offer_of(map->vm_domid)) != 0)
		(void)uvm_ledger_recall(map->vm_domid, id, &windows);
	uvm_borrow_end_all(map);
	uvm_map_destroy(map);
}

uint64_t uvm_ledger_count(void)
{
	struct offer *of;
	uint64_t n = 0;

	uvm_lock(&uvm_ledger_lock);
	RB_FOREACH (of, offertree, &offers)
		n += 1 + of->of_windows;
	uvm_unlock(&uvm_ledger_lock);
	return n;
}

void uvm_ledger_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct offer *of;

	RB_FOREACH (of, offertree, &offers)
		if (of->of_map != NULL)
			visit(of->of_loans, of->of_npages, of->of_terms.ot_kind);
	uvm_borrow_visit(visit);
}
