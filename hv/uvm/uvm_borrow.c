/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Borrowing: guests' windows on offers, and host programs' loans.
 */
#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_ledger_private.h"

/* Extents built at once for the pmap. */
#define NEXTENTS 64u

struct uvm_hostloan {
	LIST_ENTRY(uvm_hostloan) hl_all;
	struct offer *hl_offer;
	union uvm_loaned *hl_loans;
};

static LIST_HEAD(, uvm_hostloan) hostloans = LIST_HEAD_INITIALIZER(hostloans); /* ledger lock */

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
	int error = uvm_map_show(map, &ext);

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

	error = uvm_offer_get(id, map->vm_domid, first, n, &of);
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
	uvm_offer_window_opened(of);
	e->me_counted = true;
	uvm_map_entry_ready(map, e);

out_offer:
	uvm_offer_put(of);
	return error;
}

int uvm_ledger_return(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry *e;
	uint64_t id;
	int error;

	error = uvm_map_claim(map, gfn, UVM_ENTRY_BORROWED, &e);
	if (error != 0)
		return error;
	/* When that fails the window stays as it is, for the auditor, until the guest is killed. */
	error = unmap(map, gfn, e->me_end - e->me_start);
	if (error != 0)
		return error;
	id = e->me_loan;
	uvm_map_remove(map, e);
	uvm_offer_window_closed(uvm_offer_of_window(id));
	return 0;
}

bool uvm_ledger_window_p(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry *e;
	bool found;

	uvm_lock(&map->vm_lock);
	e = uvm_map_entry_of(map, gfn);
	found = e != NULL && e->me_start == gfn && (e->me_flags & UVM_ENTRY_BORROWED) != 0;
	uvm_unlock(&map->vm_lock);
	return found;
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

void uvm_borrow_end_all(struct uvm_map *map)
{
	struct uvm_entry *e;
	uint64_t id;
	bool counted;

	while ((e = claim_any(map)) != NULL) {
		id = e->me_loan;
		counted = e->me_counted;
		uvm_map_remove(map, e);
		if (counted)
			uvm_offer_window_closed(uvm_offer_of_window(id));
	}
}

static void hostloan_free(struct uvm_hostloan *hl)
{
	uvm_lock(&uvm_ledger_lock);
	LIST_REMOVE(hl, hl_all);
	uvm_unlock(&uvm_ledger_lock);
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
	uvm_lock(&uvm_ledger_lock);
	LIST_INSERT_HEAD(&hostloans, hl, hl_all);
	uvm_unlock(&uvm_ledger_lock);
	return hl;
}

int uvm_ledger_host_borrow(uint64_t id, struct uvm_hostloan **hlp)
{
	struct uvm_hostloan *hl;
	struct offer *of;
	int error;

	error = uvm_offer_get(id, UVM_DOMID_HOST, 0, 1, &of);
	if (error != 0)
		return error;
	hl = hostloan_alloc(of);
	error = hl == NULL ? -ENOMEM : borrow_loans(of, 0, of->of_npages, hl->hl_loans);
	if (error == 0) {
		uvm_offer_window_opened(of);
		*hlp = hl;
	} else if (hl != NULL) {
		hostloan_free(hl);
	}
	uvm_offer_put(of);
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
	uvm_offer_window_closed(of);
}

void uvm_borrow_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct uvm_hostloan *hl;

	LIST_FOREACH (hl, &hostloans, hl_all)
		visit(hl->hl_loans, hl->hl_offer->of_npages, hl->hl_offer->of_terms.ot_kind);
}
