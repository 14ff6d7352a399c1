/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_ledger.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_tree.h"

/* Extents built at once for the pmap. */
#define NEXTENTS 64u

struct offer {
	RB_ENTRY(offer)
	of_tree;
	uint64_t of_id;			 /* s */
	uint32_t of_lender;		 /* s: domid */
	struct uvm_offer_terms of_terms; /* s */
	uint64_t of_npages, of_bytes;	 /* s */
	struct uvm_map *of_map;		 /* s: a guest's offer: reference; NULL for the host's */
	uint64_t of_gfn;		 /* s */
	union uvm_loaned *of_loans;	 /* a guest's offer: the loans it holds */
	struct uvm_object *of_object;	 /* the host's: reference */
	uint64_t of_offset;		 /* s */
	uint32_t of_refs;    /* ledger: 1 until recalled, and one for each borrow under way */
	uint64_t of_windows; /* ledger: borrowed, not returned */
	bool of_recalled;    /* ledger */
	bool of_hidden;	     /* ledger: still being made */
};

struct uvm_hostloan {
	LIST_ENTRY(uvm_hostloan)
	hl_all;
	struct offer *hl_offer;
	union uvm_loaned *hl_loans;
};

RB_HEAD(offertree, offer);

static struct uvm_lock ledger_lock = {.lk_rank = UVM_RANK_LEDGER};
static struct offertree offers = RB_INITIALIZER(&offers);
static LIST_HEAD(, uvm_hostloan)
hostloans = LIST_HEAD_INITIALIZER(hostloans);
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

	return to == domid || (to == UVM_DOMID_ANY && domid != of->of_lender);
}

static void offer_free(struct offer *of)
{
	if (of->of_object != NULL)
		uvm_object_rele(of->of_object);
	if (of->of_map != NULL)
		uvm_map_rele(of->of_map);
	uvm_free(of->of_loans);
	uvm_free(of);
}

/* Nobody can borrow from the offer any more: its own loans end. */
static void offer_close(struct offer *of)
{
	if (of->of_loans == NULL)
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

	uvm_lock(&ledger_lock);
	KASSERT(of->of_refs >= refs && of->of_windows >= windows);
	closes = refs > 0 && of->of_refs == refs;
	of->of_windows -= windows;
	/* The last reference goes only when the loans are back: until then nobody else frees it. */
	if (!closes)
		of->of_refs -= refs;
	ends = of->of_refs == 0 && of->of_windows == 0;
	if (ends)
		RB_REMOVE(offertree, &offers, of);
	uvm_unlock(&ledger_lock);
	if (closes) {
		offer_close(of);
		uvm_lock(&ledger_lock);
		of->of_refs = 0;
		ends = of->of_windows == 0;
		if (ends)
			RB_REMOVE(offertree, &offers, of);
		uvm_unlock(&ledger_lock);
	}
	if (ends)
		offer_free(of);
	if (windows > 0)
		tell(lender);
}

static struct offer *offer_alloc(
    uint32_t lender, uint64_t npages, uint64_t bytes, const struct uvm_offer_terms *terms)
{
	struct offer *of = uvm_zalloc(sizeof(*of));

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

/* Enter an offer into the book: nobody finds it yet, but the auditor. */
static void enter(struct offer *of)
{
	uvm_lock(&ledger_lock);
	of->of_id = ++last_id;
	RB_INSERT(offertree, &offers, of);
	uvm_unlock(&ledger_lock);
}

static void strike(struct offer *of)
{
	uvm_lock(&ledger_lock);
	RB_REMOVE(offertree, &offers, of);
	uvm_unlock(&ledger_lock);
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

/* The offer is complete: show it.  From now on it may end at any time.  False: too late for that.
 */
static bool publish(struct offer *of, uint64_t *id)
{
	uint32_t to = of->of_terms.ot_borrower;
	bool shown;

	uvm_lock(&ledger_lock);
	shown = !lender_gone(of);
	of->of_hidden = !shown;
	*id = of->of_id;
	uvm_unlock(&ledger_lock);
	if (shown)
		tell(to);
	return shown;
}

int uvm_ledger_lend(struct uvm_map *lender, uint64_t gfn, uint64_t n,
    const struct uvm_offer_terms *terms, uint64_t *id)
{
	struct offer *of;
	int error;

	if (n == 0 || terms->ot_borrower == lender->vm_domid)
		return -EINVAL;
	/* Also a bound for what we are about to allocate. */
	if (n > uvm_map_size(lender))
		return -EFAULT;
	of = offer_alloc(lender->vm_domid, n, n * UVM_PAGE_SIZE, terms);
	if (of == NULL)
		return -ENOMEM;
	uvm_map_ref(lender);
	of->of_map = lender;
	of->of_gfn = gfn;
	of->of_loans = uvm_zalloc(n * sizeof(*of->of_loans));
	if (of->of_loans == NULL) {
		offer_free(of);
		return -ENOMEM;
	}
	enter(of);
	error = uvm_loan(lender, gfn, n, terms->ot_kind, of->of_loans);
	if (error == 0 && !publish(of, id)) {
		uvm_unloan(of->of_loans, n, terms->ot_kind);
		error = -ESRCH;
	}
	if (error != 0)
		strike(of);
	return error;
}

int uvm_ledger_lend_object(struct uvm_object *uo, uint64_t off, uint64_t n, uint64_t bytes,
    const struct uvm_offer_terms *terms, uint64_t *id)
{
	struct offer *of;

	if (n == 0 || off > uo->uo_npages || n > uo->uo_npages - off ||
	    terms->ot_borrower == UVM_DOMID_HOST)
		return -EINVAL;
	of = offer_alloc(UVM_DOMID_HOST, n, bytes, terms);
	if (of == NULL)
		return -ENOMEM;
	uvm_object_ref(uo);
	of->of_object = uo;
	of->of_offset = off;
	enter(of);
	(void)publish(of, id);
	return 0;
}

/* Find an offer for a borrower and hold it, if pages [first, first + n) of it can be borrowed. */
static int offer_get(uint64_t id, uint32_t domid, uint64_t first, uint64_t n, struct offer **ofp)
{
	struct offer *of;
	int error = 0;

	uvm_lock(&ledger_lock);
	of = find(id);
	if (of == NULL || of->of_recalled)
		error = -ENOENT;
	else if (!may_borrow(of, domid))
		error = -EPERM;
	else if (n == 0 || first > of->of_npages || n > of->of_npages - first)
		error = -ERANGE;
	else
		of->of_refs++;
	uvm_unlock(&ledger_lock);
	*ofp = of;
	return error;
}

/* Get loans of our own of pages [first, first + n) of an offer that is held. */
static int borrow_loans(struct offer *of, uint64_t first, uint64_t n, union uvm_loaned *out)
{
	if (of->of_object != NULL)
		return uvm_loan_object(
		    of->of_object, of->of_offset + first, n, of->of_terms.ot_kind, out);
	uvm_loan_again(of->of_loans + first, n, of->of_terms.ot_kind, out);
	return 0;
}

/* A page on loan that the caller holds: its frame does not change while he does. */
static struct uvm_page *page_of(const union uvm_loaned *l, enum uvm_loan_kind kind)
{
	return kind == UVM_LOAN_TOANON ? l->anon->an_page : l->page;
}

/* Gather runs of pages, at most max; *upto becomes the first page that did not fit. */
static unsigned gather(const union uvm_loaned *loans, enum uvm_loan_kind kind, uint64_t first,
    uint64_t end, uint64_t gfn, struct pmap_extent *ext, unsigned max, uint64_t *upto)
{
	struct uvm_page *pg;
	unsigned n = 0;
	uint64_t i;

	for (i = first; i < end; i++) {
		struct pmap_extent *last = &ext[n > 0 ? n - 1 : 0];

		pg = page_of(&loans[i], kind);
		if (n > 0 && uvm_zero_page_p(pg) && last->kind == PMAP_ZERO) {
			last->npages++;
			continue;
		}
		if (n > 0 && last->kind == PMAP_LENT && last->store == pg->pg_store &&
		    last->index + last->npages == pg->pg_index) {
			last->npages++;
			continue;
		}
		if (n == max)
			break;
		ext[n++] = (struct pmap_extent){.gfn = gfn + i,
		    .npages = 1,
		    .kind = uvm_zero_page_p(pg) ? PMAP_ZERO : PMAP_LENT,
		    .store = pg->pg_store,
		    .index = pg->pg_index};
	}
	*upto = i;
	return n;
}

/* Map loans into a guest at gfn.  The loans are held; no locks. */
static int map_loans(struct uvm_map *map, uint64_t gfn, uint64_t n, const union uvm_loaned *loans,
    enum uvm_loan_kind kind)
{
	struct pmap_extent ext[NEXTENTS];
	uint64_t i = 0;
	unsigned next;
	size_t done;
	int error = 0;

	uvm_world_leave();
	while (error == 0 && i < n) {
		next = gather(loans, kind, i, n, gfn, ext, NEXTENTS, &i);
		error = map->vm_pmap->pm_ops->pmo_enter(map->vm_pmap, ext, next, &done);
	}
	uvm_world_enter();
	return error;
}

/* Map nothing at [gfn, gfn + n).  A guest that is gone maps nothing. */
static int unmap(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	struct pmap_extent ext = {.gfn = gfn, .npages = n, .kind = PMAP_NONE};
	size_t done;
	int error;

	uvm_world_leave();
	error = map->vm_pmap->pm_ops->pmo_enter(map->vm_pmap, &ext, 1, &done);
	uvm_world_enter();
	return error == -ESRCH ? 0 : error;
}

/* The anons that a new entry has on loan move into its amap: all of them, or none. */
static int fill_amap(struct uvm_entry *e)
{
	uint64_t n = e->me_end - e->me_start;
	int error = 0;

	uvm_lock(&e->me_amap->am_lock);
	for (uint64_t i = 0; error == 0 && i < n; i++)
		error = uvm_ptab_reserve(&e->me_amap->am_slots, i);
	for (uint64_t i = 0; error == 0 && i < n; i++) {
		uvm_amap_replace(e->me_amap, i, e->me_loans[i].anon);
		e->me_loans[i].anon = NULL;
	}
	uvm_unlock(&e->me_amap->am_lock);
	return error;
}

/* Fill a busy entry with loans and map them.  On failure the entry may hold some: remove it. */
static int fill_entry(struct uvm_map *map, struct uvm_entry *e, struct offer *of, uint64_t first)
{
	enum uvm_loan_kind kind = of->of_terms.ot_kind;
	uint64_t n = e->me_end - e->me_start;
	int error;

	if (e->me_loans == NULL)
		e->me_loans = uvm_zalloc(n * sizeof(*e->me_loans));
	if (e->me_loans == NULL)
		return -ENOMEM;
	error = borrow_loans(of, first, n, e->me_loans);
	if (error != 0)
		return error;
	error = map_loans(map, e->me_start, n, e->me_loans, kind);
	if (error == 0 && kind == UVM_LOAN_TOANON)
		error = fill_amap(e);
	if (error != 0 && unmap(map, e->me_start, n) != 0)
		error = -ENOTRECOVERABLE;
	return error;
}

static enum uvm_entry_kind entry_kind(enum uvm_loan_kind kind)
{
	return kind == UVM_LOAN_TOANON ? UVM_ENTRY_MEMORY : UVM_ENTRY_WINDOW;
}

int uvm_ledger_borrow(struct uvm_map *map, uint64_t id, uint64_t first, uint64_t n, uint64_t gfn)
{
	struct uvm_entry *e;
	struct offer *of;
	int error;

	error = offer_get(id, map->vm_domid, first, n, &of);
	if (error != 0)
		return error;
	error = uvm_map_enter_new(
	    map, gfn, n, entry_kind(of->of_terms.ot_kind), UVM_ENTRY_BORROWED, &e);
	if (error != 0)
		goto out_offer;
	e->me_loan = id;
	if (of->of_map != NULL) {
		uvm_map_ref(of->of_map);
		e->me_origin = of->of_map;
		e->me_origin_gfn = of->of_gfn + first;
	}
	error = fill_entry(map, e, of, first);
	if (error == -ENOTRECOVERABLE)
		goto out_offer;
	if (error != 0) {
		uvm_map_remove(map, e);
		goto out_offer;
	}
	uvm_lock(&ledger_lock);
	of->of_windows++;
	uvm_unlock(&ledger_lock);
	e->me_counted = true;
	uvm_map_entry_ready(map, e);

out_offer:
	offer_drop(of, 1, 0);
	return error;
}

/* A window on an offer has gone. */
static void window_closed(uint64_t id)
{
	struct offer *of;

	uvm_lock(&ledger_lock);
	of = find(id);
	uvm_unlock(&ledger_lock);
	/* Its window keeps the offer in the book. */
	KASSERT(of != NULL);
	offer_drop(of, 0, 1);
}

int uvm_ledger_return(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry *e;
	uint64_t id;
	int error;

	error = uvm_map_claim(map, gfn, &e);
	if (error != 0)
		return error;
	error = unmap(map, gfn, e->me_end - e->me_start);
	if (error != 0) {
		uvm_map_unclaim(map, e);
		return error;
	}
	id = e->me_loan;
	uvm_map_remove(map, e);
	window_closed(id);
	return 0;
}

int uvm_ledger_recall(uint32_t lender, uint64_t id, uint64_t *windows)
{
	struct offer *of;
	int error = 0;

	uvm_lock(&ledger_lock);
	of = find(id);
	if (of == NULL || of->of_recalled) {
		error = -ENOENT;
	} else if (of->of_lender != lender) {
		error = -EPERM;
	} else {
		of->of_recalled = true;
		*windows = of->of_windows;
	}
	uvm_unlock(&ledger_lock);
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

	uvm_lock(&ledger_lock);
	of = find(id);
	if (of == NULL)
		error = -ENOENT;
	else if (domid != UVM_DOMID_HOST && of->of_lender != domid && !may_borrow(of, domid))
		error = -EPERM;
	else
		describe(of, info);
	uvm_unlock(&ledger_lock);
	return error;
}

int uvm_ledger_next(uint32_t domid, uint64_t id, struct uvm_offer_info *info)
{
	struct offer key = {.of_id = id + 1}, *of;
	int error = -ENOENT;

	if (id == UINT64_MAX)
		return -ENOENT;
	uvm_lock(&ledger_lock);
	for (of = RB_NFIND(offertree, &offers, &key); of != NULL && error != 0;
	     of = RB_NEXT(offertree, &offers, of)) {
		if (of->of_hidden)
			continue;
		if (domid == UVM_DOMID_HOST || (!of->of_recalled && may_borrow(of, domid))) {
			describe(of, info);
			error = 0;
		}
	}
	uvm_unlock(&ledger_lock);
	return error;
}

static void hostloan_free(struct uvm_hostloan *hl)
{
	uvm_lock(&ledger_lock);
	LIST_REMOVE(hl, hl_all);
	uvm_unlock(&ledger_lock);
	uvm_free(hl->hl_loans);
	uvm_free(hl);
}

/* => the offer is held.  An empty loan of all its pages, which the auditor sees. */
static struct uvm_hostloan *hostloan_alloc(struct offer *of)
{
	struct uvm_hostloan *hl = uvm_zalloc(sizeof(*hl));

	if (hl == NULL)
		return NULL;
	hl->hl_offer = of;
	hl->hl_loans = uvm_zalloc(of->of_npages * sizeof(*hl->hl_loans));
	if (hl->hl_loans == NULL) {
		uvm_free(hl);
		return NULL;
	}
	uvm_lock(&ledger_lock);
	LIST_INSERT_HEAD(&hostloans, hl, hl_all);
	uvm_unlock(&ledger_lock);
	return hl;
}

int uvm_ledger_host_borrow(uint64_t id, struct uvm_hostloan **hlp)
{
	struct uvm_hostloan *hl;
	struct offer *of;
	int error;

	error = offer_get(id, UVM_DOMID_HOST, 0, 1, &of);
	if (error != 0)
		return error;
	hl = hostloan_alloc(of);
	error = hl == NULL ? -ENOMEM : borrow_loans(of, 0, of->of_npages, hl->hl_loans);
	if (error == 0) {
		uvm_lock(&ledger_lock);
		of->of_windows++;
		uvm_unlock(&ledger_lock);
		*hlp = hl;
	} else if (hl != NULL) {
		hostloan_free(hl);
	}
	offer_drop(of, 1, 0);
	return error;
}

unsigned uvm_hostloan_extents(struct uvm_hostloan *hl, uint64_t first, uint64_t n,
    struct pmap_extent *ext, unsigned max, uint64_t *upto)
{
	struct offer *of = hl->hl_offer;

	KASSERT(first <= of->of_npages && n <= of->of_npages - first);
	return gather(hl->hl_loans, of->of_terms.ot_kind, first, first + n, 0, ext, max, upto);
}

void uvm_hostloan_return(struct uvm_hostloan *hl)
{
	struct offer *of = hl->hl_offer;

	uvm_unloan(hl->hl_loans, of->of_npages, of->of_terms.ot_kind);
	if (of->of_map != NULL)
		uvm_map_thaw(of->of_map, of->of_gfn, of->of_npages);
	hostloan_free(hl);
	offer_drop(of, 0, 1);
}

/* The first offer of a lender that has not been recalled, or 0. */
static uint64_t first_offer_of(uint32_t lender)
{
	struct offer *of;
	uint64_t id = 0;

	uvm_lock(&ledger_lock);
	RB_FOREACH (of, offertree, &offers) {
		if (of->of_lender == lender && !of->of_recalled && !of->of_hidden) {
			id = of->of_id;
			break;
		}
	}
	uvm_unlock(&ledger_lock);
	return id;
}

/* The first borrowed entry of a map, made busy, or NULL. */
static struct uvm_entry *claim_any(struct uvm_map *map)
{
	struct uvm_entry *e = NULL;

	uvm_lock(&map->vm_lock);
	while ((e = uvm_map_next_entry(map, e)) != NULL)
		if (e->me_flags & UVM_ENTRY_BORROWED)
			break;
	if (e != NULL)
		e->me_flags |= UVM_ENTRY_BUSY;
	uvm_unlock(&map->vm_lock);
	return e;
}

void uvm_ledger_guest_gone(struct uvm_map *map)
{
	struct uvm_entry *e;
	uint64_t id, windows;
	bool counted;

	uvm_map_retire(map);
	while ((id = first_offer_of(map->vm_domid)) != 0)
		(void)uvm_ledger_recall(map->vm_domid, id, &windows);
	while ((e = claim_any(map)) != NULL) {
		id = e->me_loan;
		counted = e->me_counted;
		uvm_map_remove(map, e);
		if (counted)
			window_closed(id);
	}
	uvm_map_destroy(map);
}

uint64_t uvm_ledger_count(void)
{
	struct offer *of;
	uint64_t n = 0;

	uvm_lock(&ledger_lock);
	RB_FOREACH (of, offertree, &offers)
		n += 1 + of->of_windows;
	uvm_unlock(&ledger_lock);
	return n;
}

void uvm_ledger_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct uvm_hostloan *hl;
	struct offer *of;

	RB_FOREACH (of, offertree, &offers)
		if (of->of_loans != NULL)
			visit(of->of_loans, of->of_npages, of->of_terms.ot_kind);
	LIST_FOREACH (hl, &hostloans, hl_all)
		visit(hl->hl_loans, hl->hl_offer->of_npages, hl->hl_offer->of_terms.ot_kind);
}
