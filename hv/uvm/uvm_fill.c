/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_fill.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_ledger_private.h"
#include "uvm/uvm_share.h"

/* One call, while it is under way. */
struct filling {
	LIST_ENTRY(filling) fi_all;
	struct uvm_map *fi_map;
	struct uvm_fill *fi_pages;
	unsigned fi_n;
	union uvm_loaned fi_loans[UVM_FILL_MAX]; /* the object's pages, as anons; NULL: none */
	/* Of pages whose slots are busy for us; NULL: not so. */
	struct uvm_entry *fi_entries[UVM_FILL_MAX];
	struct uvm_page *fi_old[UVM_FILL_MAX]; /* what was mapped before: held; NULL: a hole */
};

static LIST_HEAD(, filling) under_way = LIST_HEAD_INITIALIZER(under_way); /* ledger */

static void begin(struct filling *fi)
{
	uvm_lock(&uvm_ledger_lock);
	LIST_INSERT_HEAD(&under_way, fi, fi_all);
	uvm_unlock(&uvm_ledger_lock);
}

static void end(struct filling *fi)
{
	uvm_lock(&uvm_ledger_lock);
	LIST_REMOVE(fi, fi_all);
	uvm_unlock(&uvm_ledger_lock);
}

/* ---- the object's side ---- */

/* How many pages from i on lie one behind the other in the object. */
static unsigned run_in_object(const struct filling *fi, unsigned i, const struct uvm_object *uo)
{
	uint64_t first = fi->fi_pages[i].fl_offset;
	unsigned n = 1;

	while (i + n < fi->fi_n && fi->fi_pages[i + n].fl_offset == first + n &&
	       first + n < uo->uo_npages)
		n++;
	return n;
}

/* A loan of each page, read in runs. */
static void borrow(struct filling *fi, struct uvm_object *uo)
{
	unsigned n;
	int error;

	for (unsigned i = 0; i < fi->fi_n; i += n) {
		n = 1;
		error = -EINVAL;
		if (fi->fi_pages[i].fl_offset < uo->uo_npages) {
			n = run_in_object(fi, i, uo);
			error = uvm_loan_object(
			    uo, fi->fi_pages[i].fl_offset, n, UVM_LOAN_TOANON, &fi->fi_loans[i]);
		}
		for (unsigned k = i; k < i + n; k++)
			fi->fi_pages[k].fl_error = error;
	}
}

/* ---- the guest's side ---- */

/* => amap locked: the anon keeps its page */
static bool wired_p(const struct uvm_anon *an)
{
	bool wired;

	uvm_lock(&uvm_queues_lock);
	wired = an->an_page->pg_wired > 0;
	uvm_unlock(&uvm_queues_lock);
	return wired;
}

/*
 * => looked up.  Make the slot busy.  Nobody is waited for: we have others busy already, and somebody may
 * wait for those.
 */
static int claim(struct filling *fi, unsigned i, struct uvm_lookup *ul, struct uvm_residency *ur)
{
	uint64_t gfn = fi->fi_pages[i].fl_gfn, slot = gfn - ul->ul_entry->me_start;
	struct uvm_amap *am = ul->ul_entry->me_amap;
	struct uvm_anon *an;
	int error;

	if (!(ul->ul_entry->me_flags & UVM_ENTRY_RAM))
		return -EINVAL;
	if (uvm_amap_busy(am, slot))
		return -EBUSY;
	error = uvm_map_learn_page(ul, gfn, ur, &an);
	/* It is what it shall become: nothing is left to do. */
	if (error != 0 || an == fi->fi_loans[i].anon)
		return error;
	if (an != NULL && wired_p(an))
		return -EBUSY;
	error = uvm_amap_set_busy(am, slot);
	if (error != 0)
		return error;
	fi->fi_entries[i] = ul->ul_entry;
	fi->fi_old[i] = an != NULL ? an->an_page : NULL;
	if (an != NULL)
		uvm_page_hold(an->an_page);
	return 0;
}

static bool inside_p(const struct uvm_lookup *ul, uint64_t gfn)
{
	return ul->ul_entry != NULL && gfn >= ul->ul_entry->me_start && gfn < ul->ul_entry->me_end;
}

/* An entry is looked up once for all its pages that follow each other. */
static void claim_all(struct filling *fi)
{
	struct uvm_residency ur = {0};
	struct uvm_lookup ul = {0};

	for (unsigned i = 0; i < fi->fi_n; i++) {
		struct uvm_fill *fl = &fi->fi_pages[i];

		if (fl->fl_error != 0)
			continue;
		if (!inside_p(&ul, fl->fl_gfn)) {
			if (ul.ul_entry != NULL)
				uvm_map_unlock(&ul);
			ul.ul_entry = NULL;
			ur = (struct uvm_residency){0};
			if (uvm_map_lookup(fi->fi_map, fl->fl_gfn, &ul) != 0) {
				fl->fl_error = -EINVAL;
				continue;
			}
		}
		fl->fl_error = claim(fi, i, &ul, &ur);
	}
	if (ul.ul_entry != NULL)
		uvm_map_unlock(&ul);
}

/* While we have a loan nobody gives the anon another frame. */
static unsigned gather(const struct filling *fi, struct pmap_extent *ext)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fi->fi_n; i++) {
		struct pmap_extent *last = n > 0 ? &ext[n - 1] : NULL;
		uint64_t gfn = fi->fi_pages[i].fl_gfn;
		const struct uvm_page *pg;

		if (fi->fi_entries[i] == NULL)
			continue;
		pg = fi->fi_loans[i].anon->an_page;
		if (last != NULL && last->gfn + last->npages == gfn &&
		    fi->fi_entries[i] == fi->fi_entries[i - 1] && last->store == pg->pg_store &&
		    last->index + last->npages == pg->pg_index)
			last->npages++;
		else
			ext[n++] = (struct pmap_extent){.gfn = gfn,
			    .npages = 1,
			    .kind = PMAP_LENT,
			    .store = pg->pg_store,
			    .index = pg->pg_index};
	}
	return n;
}

/* As uvm_map_show, of all of them. */
static int show(struct filling *fi)
{
	struct pmap *pm = fi->fi_map->vm_pmap;
	struct pmap_extent ext[UVM_FILL_MAX];
	unsigned n = gather(fi, ext);
	size_t done;
	int error = 0;

	uvm_world_leave();
	if (n > 0)
		error = pm->pm_ops->pmo_enter(pm, ext, n, &done);
	uvm_world_enter();
	return error == 0 || error == -ESRCH ? error : -ENOTRECOVERABLE;
}

/*
 * => looked up, the guest maps the loan.  A hole it may have touched before: that memory has to be
 * described, so that it can be freed.  -ENOMEM: it can't, and the slot stays as it was, busy
 */
static int install(struct filling *fi, unsigned i, struct uvm_lookup *ul, struct uvm_residency *ur)
{
	uint64_t gfn = fi->fi_pages[i].fl_gfn, slot = gfn - ul->ul_entry->me_start;
	struct uvm_amap *am = ul->ul_entry->me_amap;
	struct uvm_anon *loan = fi->fi_loans[i].anon, *an;
	int error = uvm_map_learn_page(ul, gfn, ur, &an);

	if (error != 0)
		return error;
	uvm_amap_clear_busy(am, slot);
	if (an != NULL)
		fi->fi_map->vm_stats.ms_broken[UVM_BREAK_FREE] += uvm_map_drop_anon(
		    fi->fi_map, ul->ul_entry, slot);
	uvm_amap_replace(am, slot, loan);
	uvm_lock(&loan->an_lock);
	uvm_share_join(fi->fi_map, loan);
	uvm_unlock(&loan->an_lock);
	fi->fi_loans[i].anon = NULL;
	return 0;
}

/* Pages [i, end) that are of one entry.  => error: the guest does not map them */
static void conclude_run(struct filling *fi, unsigned i, unsigned end, int error)
{
	struct uvm_lookup ul = {.ul_map = fi->fi_map, .ul_entry = fi->fi_entries[i]};
	struct uvm_amap *am = ul.ul_entry->me_amap;
	struct uvm_residency ur = {0};

	uvm_lock(&fi->fi_map->vm_lock);
	uvm_lock(&am->am_lock);
	for (; i < end; i++) {
		if (error != 0)
			uvm_amap_clear_busy(am, fi->fi_pages[i].fl_gfn - ul.ul_entry->me_start);
		fi->fi_pages[i].fl_error = error != 0 ? error : install(fi, i, &ul, &ur);
	}
	uvm_map_unlock(&ul);
}

/* The hole's memory is mapped again; the slot is still busy. */
static int restore_hole(struct filling *fi, unsigned i)
{
	struct uvm_map *map = fi->fi_map;
	struct pmap_extent ext = {.gfn = fi->fi_pages[i].fl_gfn,
	    .npages = 1,
	    .kind = PMAP_OWN,
	    .store = map->vm_store,
	    .index = uvm_map_home(map, fi->fi_pages[i].fl_gfn)};
	int error = uvm_map_show(map, &ext);

	uvm_lock(&fi->fi_entries[i]->me_amap->am_lock);
	uvm_amap_clear_busy(
	    fi->fi_entries[i]->me_amap, fi->fi_pages[i].fl_gfn - fi->fi_entries[i]->me_start);
	uvm_unlock(&fi->fi_entries[i]->me_amap->am_lock);
	return error == -ESRCH ? 0 : error;
}

static unsigned run_in_entry(const struct filling *fi, unsigned i)
{
	unsigned n = 1;

	while (i + n < fi->fi_n && fi->fi_entries[i + n] == fi->fi_entries[i])
		n++;
	return n;
}

/* => error: the guest does not map them */
static int conclude(struct filling *fi, int error)
{
	int broken = error == -ESRCH ? 0 : error;
	unsigned n;

	for (unsigned i = 0; i < fi->fi_n; i += n) {
		n = run_in_entry(fi, i);
		if (fi->fi_entries[i] != NULL)
			conclude_run(fi, i, i + n, error);
	}
	for (unsigned i = 0; i < fi->fi_n; i++) {
		if (fi->fi_entries[i] == NULL)
			continue;
		if (error == 0 && fi->fi_pages[i].fl_error != 0 && restore_hole(fi, i) != 0)
			broken = -ENOTRECOVERABLE;
		if (fi->fi_old[i] != NULL)
			uvm_page_unhold(fi->fi_old[i]);
	}
	uvm_page_reap();
	return broken;
}

static int refuse_all(struct uvm_fill *pages, unsigned n, int error)
{
	for (unsigned i = 0; i < n; i++)
		pages[i].fl_error = error;
	return 0;
}

int uvm_fill(struct uvm_map *map, struct uvm_object *uo, struct uvm_fill *pages, unsigned n)
{
	struct filling *fi;
	int error;

	KASSERT(n <= UVM_FILL_MAX);
	if (map->vm_pmap->pm_crowded)
		return refuse_all(pages, n, -ENOSPC);
	fi = uvm_zalloc(sizeof(*fi));
	if (fi == NULL)
		return refuse_all(pages, n, -ENOMEM);
	fi->fi_map = map;
	fi->fi_pages = pages;
	fi->fi_n = n;
	begin(fi);
	borrow(fi, uo);
	claim_all(fi);
	error = conclude(fi, show(fi));
	uvm_unloan(fi->fi_loans, n, UVM_LOAN_TOANON);
	end(fi);
	uvm_free(fi);
	return error;
}

void uvm_fill_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct filling *fi;

	LIST_FOREACH (fi, &under_way, fi_all)
		visit(fi->fi_loans, fi->fi_n, UVM_LOAN_TOANON);
}
