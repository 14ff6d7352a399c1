/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_fault.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "uvm/uvm_arena.h"
#include "uvm/uvm_share.h"

/* Most pages that one write un-protects ahead. */
#define THAW_AHEAD 512u

/*
 * What is broken together where mappings run short: aligned runs of so many pages, which take one
 * mapping then.  That bounds the mappings of a guest whose memory is on loan as a whole, whatever it
 * writes: the largest has 14,336 such runs, and vm.max_map_count is 65,530.
 */
#define CROWD_PAGES 64u

#define NO_BANK UINT_MAX

/* A fault on a page of memory, between the lookup and the installation of the new frame. */
struct fault {
	struct uvm_map *fl_map;
	struct uvm_entry *fl_entry; /* stays while its slot is busy */
	uint64_t fl_gfn, fl_slot;
	unsigned
	    fl_bank; /* where the new frame had better lie; NO_BANK: wherever its neighbour does */
	struct uvm_page *fl_old, *fl_new; /* fl_old: held; NULL for zero-fill */
	struct uvm_anon *fl_spare;	  /* for a slot whose anon is shared, or that has none */
};

/*
 * As was wished, else the bank of the page before: then both may lie in one mapping.  A page that
 * nobody ever touched gets its home: the guest, whose thread may not be the one that needs the page
 * now, has it mapped, and may be writing to it.
 */
static unsigned wanted_bank(struct fault *fl)
{
	struct uvm_store *st = fl->fl_map->vm_store;
	struct uvm_anon *an = NULL;

	if (fl->fl_bank != NO_BANK)
		return fl->fl_bank;
	if (uvm_amap_lookup(fl->fl_entry->me_amap, fl->fl_slot) == NULL)
		return 0;
	if (fl->fl_slot > 0 && !uvm_amap_busy(fl->fl_entry->me_amap, fl->fl_slot - 1))
		an = uvm_amap_lookup(fl->fl_entry->me_amap, fl->fl_slot - 1);
	if (an == NULL || an->an_page->pg_store != st)
		return 0;
	return (unsigned)(an->an_page->pg_index / st->st_bank_pages);
}

/*
 * => looked up.  Get everything that can fail, and make the slot busy.
 * The old frame is lent, so its bytes stay; the hold keeps its memory until nobody maps it.
 */
static int prepare(struct fault *fl, struct uvm_anon *an)
{
	struct uvm_map *map = fl->fl_map;

	fl->fl_spare = uvm_anon_alloc();
	fl->fl_new = uvm_page_alloc(map->vm_store, uvm_map_home(map, fl->fl_gfn), wanted_bank(fl));
	if (fl->fl_spare == NULL || fl->fl_new == NULL ||
	    uvm_amap_set_busy(fl->fl_entry->me_amap, fl->fl_slot) != 0) {
		if (fl->fl_new != NULL)
			uvm_page_forget(fl->fl_new);
		if (fl->fl_spare != NULL)
			uvm_anon_free_unused(fl->fl_spare);
		return -ENOMEM;
	}
	fl->fl_old = an != NULL ? an->an_page : NULL;
	if (fl->fl_old != NULL)
		uvm_page_hold(fl->fl_old);
	return 0;
}

/* => map locked */
static enum uvm_break_cause cause_of(const struct fault *fl)
{
	return fl->fl_entry->me_flags & UVM_ENTRY_BORROWED ? UVM_BREAK_BORROWER : UVM_BREAK_WRITE;
}

/* => map and amap locked, slot not busy any more.  Put the new frame into the slot. */
static void install(struct fault *fl)
{
	struct uvm_amap *am = fl->fl_entry->me_amap;
	struct uvm_anon *an = uvm_amap_lookup(am, fl->fl_slot);
	struct uvm_object *uo;

	fl->fl_new->pg_gfn = fl->fl_gfn;
	if (an == NULL) {
		uvm_anon_set_page(fl->fl_spare, fl->fl_new);
		uvm_amap_replace(am, fl->fl_slot, fl->fl_spare);
		fl->fl_spare = NULL;
		return;
	}
	uo = uvm_anon_lock(an);
	if (fl->fl_entry->me_flags & UVM_ENTRY_RAM)
		uvm_share_leave(fl->fl_map, an);
	if (uvm_page_own_p(fl->fl_old, fl->fl_map->vm_store, fl->fl_gfn))
		fl->fl_old->pg_gfn = UVM_NOGFN;
	/* Others may have let go of the anon while we copied: then it is ours to change. */
	if (uvm_anon_refs(an) == 1) {
		uvm_loan_break_anon(an, fl->fl_new);
		uvm_anon_unlock(an, uo);
		return;
	}
	uvm_anon_set_page(fl->fl_spare, fl->fl_new);
	uvm_amap_replace(am, fl->fl_slot, fl->fl_spare);
	fl->fl_spare = NULL;
	(void)uvm_anon_rele(an, uo);
}

/* No locks held: the new frame is mapped (or could not be).  Finish or undo. */
static void conclude(struct fault *fl, int error)
{
	struct uvm_amap *am = fl->fl_entry->me_amap;

	uvm_lock(&fl->fl_map->vm_lock);
	uvm_lock(&am->am_lock);
	uvm_amap_clear_busy(am, fl->fl_slot);
	if (error == 0)
		install(fl);
	uvm_unlock(&am->am_lock);
	uvm_unlock(&fl->fl_map->vm_lock);
	if (error != 0)
		uvm_page_free_unused(fl->fl_new);
	if (fl->fl_spare != NULL)
		uvm_anon_free_unused(fl->fl_spare);
	if (fl->fl_old != NULL)
		uvm_page_unhold(fl->fl_old);
	uvm_page_reap();
}

/* => looked up; unlocked on return.  Give the guest a frame of its own: a copy of an's, or zeroes.
 */
static int give_new_frame(struct fault *fl, struct uvm_lookup *ul, struct uvm_anon *an)
{
	struct uvm_map *map = fl->fl_map;
	enum uvm_break_cause cause = cause_of(fl);
	struct pmap_extent ext;
	int error = prepare(fl, an);

	uvm_map_unlock(ul);
	if (error != 0)
		return error;
	if (fl->fl_old != NULL && !uvm_zero_page_p(fl->fl_old))
		uvm_page_copy(fl->fl_old, fl->fl_new);
	else
		uvm_page_touch(fl->fl_new);

	ext = (struct pmap_extent){.gfn = fl->fl_gfn,
	    .npages = 1,
	    .kind = PMAP_OWN,
	    .store = map->vm_store,
	    .index = fl->fl_new->pg_index};
	error = uvm_map_show(map, &ext);

	if (error == 0 && fl->fl_old != NULL) {
		map->vm_stats.ms_broken[cause]++;
		map->vm_stats.ms_copied += !uvm_zero_page_p(fl->fl_old);
	}
	conclude(fl, error);
	return error;
}

/* => looked up; unlocked on return.  Show the guest a page that it may only read. */
static int map_for_reading(struct fault *fl, struct uvm_lookup *ul, struct uvm_anon *an)
{
	struct uvm_map *map = fl->fl_map;
	struct uvm_page *pg = an->an_page;
	struct pmap_extent ext = {.gfn = fl->fl_gfn,
	    .npages = 1,
	    .kind = uvm_zero_page_p(pg) ? PMAP_ZERO : PMAP_LENT,
	    .store = pg->pg_store,
	    .index = pg->pg_index};
	bool own = uvm_page_own_p(pg, map->vm_store, fl->fl_gfn);
	int error = 0;

	if (!own)
		error = uvm_amap_set_busy(fl->fl_entry->me_amap, fl->fl_slot);
	uvm_map_unlock(ul);
	if (own)
		/* The guest's own pages are mapped: somebody else was faster. */
		map->vm_pmap->pm_ops->pmo_wake(map->vm_pmap, fl->fl_gfn);
	if (own || error != 0)
		return error;
	error = uvm_map_show(map, &ext);
	uvm_lock(&fl->fl_entry->me_amap->am_lock);
	uvm_amap_clear_busy(fl->fl_entry->me_amap, fl->fl_slot);
	uvm_unlock(&fl->fl_entry->me_amap->am_lock);
	return error;
}

/*
 * => looked up.  May the guest write to the anon's frame, right where it is?  A nominated page that
 * nobody shares is written to at the price of its handle.
 */
static bool ours_alone(struct fault *fl, struct uvm_anon *an, enum uvm_access access)
{
	struct uvm_object *uo = uvm_anon_lock(an);
	bool yes = uvm_anon_refs(an) == 1 && uo == NULL &&
		   uvm_page_own_p(an->an_page, fl->fl_map->vm_store, fl->fl_gfn) &&
		   uvm_page_loans(an->an_page) == 0 &&
		   (an->an_handle == 0 || access == UVM_ACCESS_WRITE);

	if (yes)
		uvm_share_leave(fl->fl_map, an);
	uvm_anon_unlock(an, uo);
	return yes;
}

/* => looked up; unlocked on return.  Un-protect the page and those after it that are alike. */
static void thaw_ahead(struct fault *fl, struct uvm_lookup *ul)
{
	struct uvm_map *map = fl->fl_map;
	uint64_t n = 1, most = fl->fl_entry->me_end - fl->fl_gfn;

	uvm_amap_lookup(fl->fl_entry->me_amap, fl->fl_slot)->an_page->pg_protected = false;
	if (most > THAW_AHEAD)
		most = THAW_AHEAD;
	while (n < most && uvm_map_thawable(ul, fl->fl_gfn + n)) {
		uvm_amap_lookup(fl->fl_entry->me_amap, fl->fl_slot + n)
		    ->an_page->pg_protected = false;
		n++;
	}
	map->vm_pmap->pm_ops->pmo_unprotect(map->vm_pmap, fl->fl_gfn, n);
	uvm_map_unlock(ul);
}

/*
 * => looked up; unlocked on return.  No anon, but an object below: lend the page to a new anon of
 * this slot, and come again.
 */
static int borrow_from_object(struct fault *fl, struct uvm_lookup *ul)
{
	struct uvm_entry *e = fl->fl_entry;
	struct uvm_object *uo = e->me_object;
	uint64_t off = e->me_offset + fl->fl_slot;
	union uvm_loaned loan;
	int error = uvm_amap_set_busy(e->me_amap, fl->fl_slot);

	uvm_map_unlock(ul);
	if (error != 0)
		return error;
	error = uvm_loan_object(uo, off, 1, UVM_LOAN_TOANON, &loan);
	uvm_lock(&e->me_amap->am_lock);
	if (error == 0)
		uvm_amap_replace(e->me_amap, fl->fl_slot, loan.anon);
	uvm_amap_clear_busy(e->me_amap, fl->fl_slot);
	uvm_unlock(&e->me_amap->am_lock);
	return error != 0 ? error : -EAGAIN;
}

/* => looked up, slot not busy; unlocked on return */
static int fault_memory(struct fault *fl, struct uvm_lookup *ul, enum uvm_access access)
{
	struct uvm_residency ur = {0};
	struct uvm_anon *an;
	int error = uvm_map_learn_page(ul, fl->fl_gfn, &ur, &an);

	if (error != 0) {
		uvm_map_unlock(ul);
		return error;
	}
	if (an == NULL && fl->fl_entry->me_object != NULL)
		return borrow_from_object(fl, ul);
	if (an == NULL)
		return give_new_frame(fl, ul, NULL);
	if (ours_alone(fl, an, access)) {
		thaw_ahead(fl, ul);
		return 0;
	}
	if (access == UVM_ACCESS_READ)
		return map_for_reading(fl, ul, an);
	return give_new_frame(fl, ul, an);
}

static int fault_once(struct uvm_map *map, uint64_t gfn, enum uvm_access access)
{
	struct fault fl = {.fl_map = map, .fl_gfn = gfn, .fl_bank = NO_BANK};
	struct uvm_lookup ul;
	struct uvm_amap *am;
	bool forbidden;
	int error = uvm_map_lookup(map, gfn, &ul);

	if (error != 0)
		return error;
	fl.fl_entry = ul.ul_entry;
	fl.fl_slot = gfn - ul.ul_entry->me_start;
	if (ul.ul_entry->me_kind == UVM_ENTRY_WINDOW || ul.ul_entry->me_kind == UVM_ENTRY_MAPIN) {
		forbidden = ul.ul_entry->me_kind == UVM_ENTRY_WINDOW ||
			    (ul.ul_entry->me_flags & UVM_ENTRY_READONLY) != 0;
		uvm_map_unlock(&ul);
		if (forbidden && access == UVM_ACCESS_WRITE)
			return -EACCES;
		map->vm_pmap->pm_ops->pmo_wake(map->vm_pmap, gfn);
		return 0;
	}
	if (ul.ul_entry->me_kind == UVM_ENTRY_ARENA)
		return uvm_arena_fault(&ul, gfn, access == UVM_ACCESS_WRITE);
	am = ul.ul_entry->me_amap;
	if (uvm_amap_busy(am, fl.fl_slot)) {
		uvm_unlock(&map->vm_lock);
		uvm_amap_wait(am);
		return -EAGAIN;
	}
	return fault_memory(&fl, &ul, access);
}

/*
 * => looked up, nothing was known of the page.  Still so, now that the guest cannot touch it unseen?
 * What it did touch in the last moment is its own, and stays: the next write un-protects it.  So
 * does what could not be protected.
 */
static bool untouched(struct fault *fl, struct uvm_lookup *ul)
{
	struct uvm_map *map = fl->fl_map;
	struct uvm_residency ur = {0};
	struct uvm_anon *an;

	if (!(fl->fl_entry->me_flags & UVM_ENTRY_RAM) ||
	    map->vm_pmap->pm_ops->pmo_protect(map->vm_pmap, fl->fl_gfn, 1) != 0)
		return false;
	return uvm_map_learn_page(ul, fl->fl_gfn, &ur, &an) == 0 && an == NULL;
}

/*
 * => looked up.  Is there no need to give the page another frame?  One that was nominated, and that
 * nobody shares yet, would lose its handle.
 */
static bool stays_p(struct fault *fl, struct uvm_anon *an)
{
	bool nominated;

	uvm_lock(&an->an_lock);
	nominated = an->an_handle != 0 && an->an_sharers == 1 &&
		    uvm_page_own_p(an->an_page, fl->fl_map->vm_store, fl->fl_gfn);
	uvm_unlock(&an->an_lock);
	return nominated || ours_alone(fl, an, UVM_ACCESS_READ);
}

/*
 * Give a page that is on loan, or that was never touched, a frame of the guest's own before it is
 * written to.  0 also when there is nothing to do.
 */
static int break_ahead(struct uvm_map *map, uint64_t gfn, unsigned bank)
{
	struct fault fl = {.fl_map = map, .fl_gfn = gfn, .fl_bank = bank};
	struct uvm_residency ur = {0};
	struct uvm_lookup ul;
	struct uvm_anon *an;
	int error;

	if (uvm_map_lookup(map, gfn, &ul) != 0)
		return 0;
	fl.fl_entry = ul.ul_entry;
	fl.fl_slot = gfn - ul.ul_entry->me_start;
	if (fl.fl_entry->me_kind != UVM_ENTRY_MEMORY ||
	    uvm_amap_busy(fl.fl_entry->me_amap, fl.fl_slot)) {
		uvm_map_unlock(&ul);
		return 0;
	}
	error = uvm_map_learn_page(&ul, gfn, &ur, &an);
	if (error != 0 || (an != NULL ? stays_p(&fl, an) : !untouched(&fl, &ul))) {
		uvm_map_unlock(&ul);
		return error;
	}
	return give_new_frame(&fl, &ul, an);
}

/* The bank where a page lies that has just been broken; NO_BANK: it is elsewhere again. */
static unsigned bank_of(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_lookup ul;
	struct uvm_anon *an;
	unsigned bank = NO_BANK;

	if (uvm_map_lookup(map, gfn, &ul) != 0)
		return NO_BANK;
	if (ul.ul_entry->me_kind == UVM_ENTRY_MEMORY) {
		an = uvm_amap_lookup(ul.ul_entry->me_amap, gfn - ul.ul_entry->me_start);
		if (an != NULL && an->an_page->pg_store == map->vm_store)
			bank = (unsigned)(an->an_page->pg_index / map->vm_store->st_bank_pages);
	}
	uvm_map_unlock(&ul);
	return bank;
}

/*
 * Mappings run short: the pages around one that was broken get frames in its bank, so that all lie
 * in one mapping.
 */
static int break_neighbours(struct uvm_map *map, uint64_t gfn)
{
	uint64_t first = gfn / CROWD_PAGES * CROWD_PAGES;
	unsigned bank = bank_of(map, gfn);
	int error = 0;

	for (uint64_t i = first; error == 0 && bank != NO_BANK && i < first + CROWD_PAGES; i++)
		error = break_ahead(map, i, bank);
	/* Who asked has got what he wanted: being short of memory can wait. */
	return error == -ENOMEM ? 0 : error;
}

static uint64_t breaks_by_writes(const struct uvm_map *map)
{
	return map->vm_stats.ms_broken[UVM_BREAK_WRITE] +
	       map->vm_stats.ms_broken[UVM_BREAK_BORROWER];
}

int uvm_fault(struct uvm_map *map, uint64_t gfn, enum uvm_access access)
{
	uint64_t breaks = breaks_by_writes(map);
	int error;

	map->vm_stats.ms_faults++;
	do {
		error = fault_once(map, gfn, access);
	} while (error == -EAGAIN);
	if (error == 0 && breaks_by_writes(map) != breaks && map->vm_pmap->pm_crowded)
		error = break_neighbours(map, gfn);
	return error;
}
