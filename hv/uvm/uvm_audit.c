/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "uvm/uvm_arena.h"
#include "uvm/uvm_fill.h"
#include "uvm/uvm_hostmap.h"
#include "uvm/uvm_share.h"

/* How often running guests may spoil the comparison before it is reported as it is. */
#define ATTEMPTS 8

static __attribute__((format(printf, 2, 3))) void finding(
    struct uvm_account *ac, const char *fmt, ...)
{
	const unsigned max = sizeof(ac->ac_findings) / sizeof(ac->ac_findings[0]);
	va_list ap;

	if (ac->ac_nfindings < max) {
		va_start(ap, fmt);
		vsnprintf(ac->ac_findings[ac->ac_nfindings], sizeof(ac->ac_findings[0]), fmt, ap);
		va_end(ap);
	}
	ac->ac_nfindings++;
}

/* Everything below runs with the world stopped: no lock is needed. */

static void forget_counts(void)
{
	struct uvm_store *st;
	struct uvm_map *map;
	struct uvm_page *pg;
	uint64_t i;

	LIST_FOREACH (st, &uvm_stores, st_all) {
		for (i = 0; (pg = uvm_ptab_next(&st->st_frames, &i)) != NULL; i++) {
			pg->pg_seen = 0;
			pg->pg_guest = NULL;
			if (pg->pg_anon != NULL)
				pg->pg_anon->an_seen = pg->pg_anon->an_ram_seen = 0;
		}
	}
	LIST_FOREACH (map, &uvm_maps, vm_all)
		map->vm_frames = (struct uvm_frames){.fr_moving = map->vm_kept};
}

/* One slot of an amap: who maps what, and may he?  => is it a page of RAM with a handle? */
static bool check_slot(struct uvm_account *ac, struct uvm_map *map, struct uvm_entry *e, uint64_t i)
{
	struct uvm_anon *an = uvm_amap_lookup(e->me_amap, i);
	struct uvm_page *pg = an->an_page;
	uint64_t gfn = e->me_start + i;
	bool mapped = uvm_page_own_p(pg, map->vm_store, gfn);
	bool shared = uvm_anon_refs(an) > 1 || uvm_page_loans(pg) > 0 || an->an_handle != 0;

	an->an_seen++;
	an->an_ram_seen += (e->me_flags & UVM_ENTRY_RAM) != 0;
	if (mapped && shared && !pg->pg_protected && !uvm_amap_busy(e->me_amap, i))
		finding(ac, "domain %u: gfn %#jx is on loan and writable", map->vm_domid,
		    (uintmax_t)gfn);
	if (pg->pg_anon != an)
		finding(ac, "domain %u: the page of gfn %#jx belongs to another anon",
		    map->vm_domid, (uintmax_t)gfn);
	/* The guest that maps a page as its own owns it; else its only holder does. */
	if (pg->pg_anon_owns && (mapped || uvm_anon_refs(an) == 1))
		pg->pg_guest = map;
	else
		map->vm_frames.fr_borrowed++;
	return (e->me_flags & UVM_ENTRY_RAM) && an->an_handle != 0;
}

static void see_loans(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind kind)
{
	for (uint64_t i = 0; i < n; i++) {
		if (kind == UVM_LOAN_TOANON && loans[i].anon != NULL)
			loans[i].anon->an_seen++;
		if (kind == UVM_LOAN_TOPAGE && loans[i].page != NULL)
			loans[i].page->pg_seen++;
	}
}

/* What a page that is being shared this moment holds. */
static void see_sharer(struct uvm_anon *an)
{
	an->an_seen++;
	an->an_ram_seen++;
}

static void check_view(struct uvm_account *ac, struct uvm_map *map, struct uvm_entry *e)
{
	uint64_t exposed = uvm_arena_exposed(e);

	if (exposed > 0)
		finding(ac,
		    "domain %u: %ju frames of the arena at gfn %#jx are sealed and writable",
		    map->vm_domid, (uintmax_t)exposed, (uintmax_t)e->me_start);
	map->vm_frames.fr_borrowed += uvm_arena_claim(map, e);
}

static void walk_map(struct uvm_account *ac, struct uvm_map *map)
{
	struct uvm_entry *e = NULL;
	uint64_t i, n, shared = 0;

	while ((e = uvm_map_next_entry(map, e)) != NULL) {
		n = e->me_end - e->me_start;
		for (i = 0; e->me_amap != NULL && uvm_ptab_next(&e->me_amap->am_slots, &i) != NULL;
		     i++)
			if (uvm_amap_lookup(e->me_amap, i) != NULL)
				shared += check_slot(ac, map, e, i);
		if (e->me_kind == UVM_ENTRY_ARENA)
			check_view(ac, map, e);
		if (e->me_kind == UVM_ENTRY_MAPIN)
			map->vm_frames.fr_borrowed += n;
		if (e->me_loans == NULL)
			continue;
		see_loans(e->me_loans, n,
		    e->me_kind == UVM_ENTRY_WINDOW ? UVM_LOAN_TOPAGE : UVM_LOAN_TOANON);
		if (e->me_kind == UVM_ENTRY_WINDOW)
			map->vm_frames.fr_borrowed += n;
	}
	if (map->vm_shared != shared)
		finding(ac, "domain %u: %ju pages shared are counted, %ju found", map->vm_domid,
		    (uintmax_t)map->vm_shared, (uintmax_t)shared);
}

/* Which state is a frame in?  The field of fr to count it in. */
static uint64_t *state_of(struct uvm_page *pg, struct uvm_frames *fr)
{
	bool owned = pg->pg_object != NULL || (pg->pg_anon != NULL && pg->pg_anon_owns);

	if (pg->pg_flags & UVM_PG_BUSY)
		return &fr->fr_moving;
	/* Its guest may be gone. */
	if (!owned && pg->pg_wired > 0)
		return &fr->fr_wired;
	if (!owned)
		return uvm_page_loans(pg) > 0 ? &fr->fr_orphaned : &fr->fr_moving;
	if (pg->pg_object == NULL && pg->pg_guest == NULL)
		/* Several hold it copy-on-write and none of them is the guest that made it. */
		return &fr->fr_orphaned;
	if (pg->pg_wired > 0)
		return &fr->fr_wired;
	if (uvm_page_loans(pg) > 0 || (pg->pg_anon_owns && uvm_anon_refs(pg->pg_anon) > 1))
		return &fr->fr_lent;
	return &fr->fr_owned;
}

static void check_page(struct uvm_account *ac, struct uvm_page *pg)
{
	uint32_t loans = uvm_page_loans(pg), seen = pg->pg_seen;
	uintmax_t index = pg->pg_index;

	if (pg->pg_object != NULL && pg->pg_anon != NULL)
		seen++; /* the anon's loan */
	if (pg->pg_object == NULL && pg->pg_anon != NULL && !pg->pg_anon_owns)
		seen++; /* likewise, waiting to be adopted */
	if (loans != seen)
		finding(ac, "store %u page %#jx: %u loans counted, %u found",
		    pg->pg_store->st_domid, index, loans, seen);
	if (pg->pg_wired > 0 && loans > 0)
		finding(ac, "store %u page %#jx: wired and on loan", pg->pg_store->st_domid, index);
	if (pg->pg_anon != NULL && uvm_anon_refs(pg->pg_anon) != pg->pg_anon->an_seen)
		finding(ac, "store %u page %#jx: its anon has %u references, %u found",
		    pg->pg_store->st_domid, index, uvm_anon_refs(pg->pg_anon),
		    pg->pg_anon->an_seen);
}

/* Is a handle what its pages of RAM say?  Adds what it stands for. */
static void check_sharing(
    struct uvm_account *ac, struct uvm_page *pg, uint64_t *frames, uint64_t *saved)
{
	const struct uvm_anon *an = pg->pg_anon;

	if (an == NULL)
		return;
	if (an->an_handle != 0 ? an->an_sharers != an->an_ram_seen
			       : an->an_sharers != 0 || an->an_ram_seen > 1)
		finding(ac, "store %u page %#jx: %u pages of RAM share it, %u found%s",
		    pg->pg_store->st_domid, (uintmax_t)pg->pg_index, an->an_sharers,
		    an->an_ram_seen, an->an_handle != 0 ? "" : ", without a handle");
	if (an->an_handle != 0) {
		*frames += 1;
		*saved += an->an_sharers - 1;
	}
}

static void check_counts(struct uvm_account *ac, uint64_t frames, uint64_t saved)
{
	uint64_t counted, counted_saved;

	uvm_share_counts(&counted, &counted_saved);
	if (frames != counted || saved != counted_saved)
		finding(ac, "%ju frames shared and %ju saved are counted, %ju and %ju found",
		    (uintmax_t)counted, (uintmax_t)counted_saved, (uintmax_t)frames,
		    (uintmax_t)saved);
}

static void add_frames(struct uvm_frames *to, const struct uvm_frames *from)
{
	to->fr_owned += from->fr_owned;
	to->fr_lent += from->fr_lent;
	to->fr_orphaned += from->fr_orphaned;
	to->fr_wired += from->fr_wired;
	to->fr_moving += from->fr_moving;
	to->fr_borrowed += from->fr_borrowed;
}

/* The guest that a store belongs to, if its map is still there. */
static struct uvm_map *guest_of_store(const struct uvm_store *st)
{
	struct uvm_map *map;

	LIST_FOREACH (map, &uvm_maps, vm_all)
		if (map->vm_store == st)
			return map;
	return NULL;
}

static void walk_stores(struct uvm_account *ac)
{
	struct uvm_frames *fr, *of_store;
	struct uvm_store *st;
	struct uvm_page *pg;
	struct uvm_map *map;
	uint64_t i, blocks, shared = 0, saved = 0;

	LIST_FOREACH (st, &uvm_stores, st_all) {
		map = guest_of_store(st);
		/* A frame without a living owner goes to the account of its store's guest. */
		of_store = map != NULL && !map->vm_dead ? &map->vm_frames : &ac->ac_departed;
		for (i = 0; (pg = uvm_ptab_next(&st->st_frames, &i)) != NULL; i++) {
			check_page(ac, pg);
			check_sharing(ac, pg, &shared, &saved);
			/* The zero frame is part of the program, not of any store's memory. */
			if (uvm_zero_page_p(pg))
				continue;
			fr = pg->pg_guest != NULL    ? &pg->pg_guest->vm_frames
			     : pg->pg_object != NULL ? &ac->ac_host
						     : of_store;
			*state_of(pg, fr) += st->st_frame_pages;
		}
		blocks = st->st_ops->so_blocks(st);
		if (st->st_trimmed && blocks > st->st_nframes) {
			/* What could not be given back then, see so_punch. */
			uvm_store_trim(st);
			blocks = st->st_ops->so_blocks(st);
		}
		ac->ac_kernel_pages += blocks * st->st_frame_pages;
		/* What a guest touched unseen, and will be freed with its map, or has not been yet. */
		if (((map != NULL && map->vm_dead) || st->st_trimmed) && blocks > st->st_nframes)
			ac->ac_departed.fr_moving += blocks - st->st_nframes;
		ac->ac_free += (st->st_bank_pages * st->st_nbanks - st->st_nframes) *
			       st->st_frame_pages;
	}
	check_counts(ac, shared, saved);
}

/* => world stopped */
static void take_account(struct uvm_account *ac)
{
	struct uvm_map *map;

	memset(ac, 0, sizeof(*ac));
	forget_counts();
	uvm_ledger_visit(see_loans);
	uvm_hostmap_visit(see_loans);
	uvm_arena_visit(see_loans);
	uvm_share_visit(see_sharer);
	uvm_fill_visit(see_loans);
	LIST_FOREACH (map, &uvm_maps, vm_all)
		walk_map(ac, map);
	walk_stores(ac);
	add_frames(&ac->ac_all, &ac->ac_host);
	add_frames(&ac->ac_all, &ac->ac_departed);
	LIST_FOREACH (map, &uvm_maps, vm_all)
		add_frames(&ac->ac_all, &map->vm_frames);
	ac->ac_equal = uvm_frames_total(&ac->ac_all) == ac->ac_kernel_pages;
}

/* The first live map above domid, with a reference, or NULL. */
static struct uvm_map *next_map(uint32_t domid)
{
	struct uvm_map *map, *next = NULL;

	uvm_lock(&uvm_stores_lock);
	LIST_FOREACH (map, &uvm_maps, vm_all)
		if (map->vm_domid > domid && (next == NULL || map->vm_domid < next->vm_domid))
			next = map;
	if (next != NULL)
		uvm_map_ref(next);
	uvm_unlock(&uvm_stores_lock);
	return next;
}

static int learn_all(void)
{
	struct uvm_map *map;
	uint32_t domid = 0;
	int error = 0;

	while (error == 0 && (map = next_map(domid)) != NULL) {
		domid = map->vm_domid;
		error = uvm_map_learn(map);
		uvm_map_rele(map);
	}
	return error;
}

int uvm_account(struct uvm_account *ac,
    void (*per_guest)(void *arg, struct uvm_map *map, const struct uvm_frames *fr), void *arg)
{
	struct uvm_map *map;
	int error = 0;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		uvm_world_enter();
		error = learn_all();
		uvm_world_leave();
		if (error != 0)
			return error;
		uvm_world_stop();
		take_account(ac);
		if (ac->ac_equal || i == ATTEMPTS - 1)
			break;
		uvm_world_resume();
	}
	ac->ac_zero_loans = uvm_zero_loans();
	LIST_FOREACH (map, &uvm_maps, vm_all)
		if (per_guest != NULL && !map->vm_dead)
			per_guest(arg, map, &map->vm_frames);
	uvm_world_resume();
	return 0;
}
