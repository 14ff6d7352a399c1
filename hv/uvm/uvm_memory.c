/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to ranges of a guest's own memory: learning what it touched, making it writable
 * again after loans, giving it up.
 */
#include <errno.h>
#include <string.h>

#include "uvm/uvm_loan.h"
#include "uvm/uvm_map.h"

/*
 * Ask the store about the pages from home on.  What has a frame is not unlearned, and a frame that
 * is just being freed gives its memory back before it goes: so both questions must be asked in one
 * breath, or memory on its way out would be taken for the guest's.
 */
static int look(struct uvm_store *st, uint64_t home, uint64_t n, struct uvm_residency *ur)
{
	uint64_t first, len;
	int error;

	memset(ur, 0, sizeof(*ur));
	if (n > UVM_RESIDENCY_RUN)
		n = UVM_RESIDENCY_RUN;
	uvm_lock(&st->st_lock);
	error = st->st_ops->so_resident(st, home, n, &first, &len);
	if (error == 0) {
		ur->ur_from = home;
		ur->ur_first = len > 0 ? first : home + n;
		ur->ur_end = len > 0 ? first + len : home + n;
		for (uint64_t i = ur->ur_first; i < ur->ur_end; i++)
			if (uvm_ptab_get(&st->st_frames, i) != NULL)
				ur->ur_framed[(i - home) / 64] |= (uint64_t)1 << ((i - home) % 64);
	}
	uvm_unlock(&st->st_lock);
	return error;
}

/* => looked up.  Is the home page of gfn memory that the guest touched and no frame describes? */
static int unlearned(struct uvm_lookup *ul, uint64_t gfn, struct uvm_residency *ur, bool *yes)
{
	uint64_t home = uvm_map_home(ul->ul_map, gfn), i;
	int error;

	if (home < ur->ur_from || home >= ur->ur_end) {
		error = look(ul->ul_map->vm_store, home, ul->ul_entry->me_end - gfn, ur);
		if (error != 0)
			return error;
	}
	i = home - ur->ur_from;
	*yes = home >= ur->ur_first && !(ur->ur_framed[i / 64] >> (i % 64) & 1);
	return 0;
}

int uvm_map_learn_page(
    struct uvm_lookup *ul, uint64_t gfn, struct uvm_residency *ur, struct uvm_anon **anp)
{
	struct uvm_entry *e = ul->ul_entry;
	struct uvm_store *st = ul->ul_map->vm_store;
	uint64_t home;
	struct uvm_page *pg;
	bool yes = false;
	int error;

	*anp = uvm_amap_lookup(e->me_amap, gfn - e->me_start);
	if (*anp != NULL || !(e->me_flags & UVM_ENTRY_RAM))
		return 0;
	home = uvm_map_home(ul->ul_map, gfn);
	error = unlearned(ul, gfn, ur, &yes);
	if (error != 0 || !yes)
		return error;

	*anp = uvm_anon_alloc();
	if (*anp == NULL)
		return -ENOMEM;
	pg = uvm_page_learn(st, home);
	if (pg == NULL || uvm_amap_add(e->me_amap, gfn - e->me_start, *anp) != 0)
		goto out_nomem;
	uvm_anon_set_page(*anp, pg);
	pg->pg_gfn = gfn;
	return 0;

out_nomem:
	/* The frame must not be freed the usual way: its memory is the guest's. */
	if (pg != NULL)
		uvm_page_forget(pg);
	uvm_anon_free_unused(*anp);
	*anp = NULL;
	return -ENOMEM;
}

/* => looked up.  Free what the guest touched here after we had learned the range: true if there was any. */
static bool punch_unlearned(struct uvm_lookup *ul, uint64_t gfn, struct uvm_residency *ur)
{
	struct uvm_store *st = ul->ul_map->vm_store;
	bool yes = false;

	if ((ul->ul_entry->me_flags & UVM_ENTRY_RAM) && unlearned(ul, gfn, ur, &yes) == 0 && yes)
		(void)st->st_ops->so_punch(st, uvm_map_home(ul->ul_map, gfn), 1);
	return yes;
}

/* => looked up.  The guest has another frame mapped: not its home, nor what may lie there as zeroes. */
static bool away_p(struct uvm_lookup *ul, uint64_t gfn, struct uvm_anon *an)
{
	struct uvm_page *pg;
	bool yes;

	if (uvm_amap_busy(ul->ul_entry->me_amap, gfn - ul->ul_entry->me_start))
		return false;
	uvm_lock(&an->an_lock);
	pg = an->an_page;
	yes = !uvm_zero_page_p(pg) && (pg->pg_store != ul->ul_map->vm_store ||
					  pg->pg_index != uvm_map_home(ul->ul_map, gfn));
	uvm_unlock(&an->an_lock);
	return yes;
}

/*
 * => looked up, away.  There may be memory at its home: the kernel could not take it out of a huge page when
 * it was freed.  Returns how much it keeps still.
 */
static uint64_t punch_kept(struct uvm_lookup *ul, uint64_t gfn, struct uvm_residency *ur)
{
	struct uvm_store *st = ul->ul_map->vm_store;
	uint64_t home = uvm_map_home(ul->ul_map, gfn), first, len = 0;

	if (punch_unlearned(ul, gfn, ur) && st->st_ops->so_resident(st, home, 1, &first, &len) != 0)
		len = 0;
	return len;
}

/* *kept: see vm_kept */
static int learn_entry(struct uvm_lookup *ul, uint64_t *kept)
{
	struct uvm_entry *e = ul->ul_entry;
	struct uvm_residency ur = {0};
	struct uvm_anon *an;
	int error = 0;

	for (uint64_t gfn = e->me_start; error == 0 && gfn < e->me_end; gfn++) {
		error = uvm_map_learn_page(ul, gfn, &ur, &an);
		if (error == 0 && an != NULL && away_p(ul, gfn, an))
			*kept += punch_kept(ul, gfn, &ur);
		/* Skip what the store knows to be a hole. */
		if (error == 0 && an == NULL && ur.ur_first > uvm_map_home(ul->ul_map, gfn))
			gfn += ur.ur_first - uvm_map_home(ul->ul_map, gfn) - 1;
	}
	return error;
}

int uvm_map_learn(struct uvm_map *map)
{
	struct uvm_lookup ul;
	uint64_t gfn, kept = 0;
	int error = 0;

	for (unsigned i = 0; error == 0 && i < map->vm_nranges; i++) {
		gfn = map->vm_ranges[i].mr_gfn;
		while (error == 0 && gfn < map->vm_ranges[i].mr_gfn + map->vm_ranges[i].mr_npages) {
			/* Only RAM entries have anything to learn, and they fill their range. */
			if (uvm_map_lookup(map, gfn, &ul) != 0)
				break;
			if (ul.ul_entry->me_flags & UVM_ENTRY_RAM)
				error = learn_entry(&ul, &kept);
			gfn = ul.ul_entry->me_end;
			uvm_map_unlock(&ul);
		}
	}
	atomic_store(&map->vm_kept, kept);
	return error;
}

/* => looked up.  May the guest have the page of this slot writable, right where it is? */
bool uvm_map_thawable(struct uvm_lookup *ul, uint64_t gfn)
{
	struct uvm_amap *am = ul->ul_entry->me_amap;
	uint64_t i = gfn - ul->ul_entry->me_start;
	struct uvm_anon *an = uvm_amap_lookup(am, i);
	struct uvm_page *pg;

	/*
	 * A reference count of 1 is ours, and cannot grow without our amap's lock; then nobody else
	 * can lend the page either.  Counts that are about to drop are thawed by who drops them.
	 */
	if (an == NULL || uvm_amap_busy(am, i) || uvm_anon_refs(an) != 1 || an->an_handle != 0)
		return false;
	pg = an->an_page;
	return uvm_page_own_p(pg, ul->ul_map->vm_store, gfn) && pg->pg_protected &&
	       uvm_page_loans(pg) == 0;
}

/* => looked up.  Thaw the part of [gfn, end) in this entry. */
static void thaw_entry(struct uvm_lookup *ul, uint64_t gfn, uint64_t end)
{
	struct uvm_entry *e = ul->ul_entry;
	struct uvm_map *map = ul->ul_map;
	uint64_t run;

	while (gfn < end) {
		for (run = 0; gfn + run < end; run++) {
			if (!uvm_map_thawable(ul, gfn + run))
				break;
			uvm_amap_lookup(e->me_amap, gfn + run - e->me_start)
			    ->an_page->pg_protected = false;
		}
		if (run > 0)
			map->vm_pmap->pm_ops->pmo_unprotect(map->vm_pmap, gfn, run);
		gfn += run + 1;
	}
}

void uvm_map_thaw(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	uint64_t end = gfn + n;
	struct uvm_lookup ul;

	while (gfn < end) {
		uint64_t upto;

		/* Part of what was lent may be gone, or on its way. */
		if (uvm_map_lookup(map, gfn, &ul) != 0) {
			gfn = uvm_map_next_start(map, gfn);
			continue;
		}
		upto = ul.ul_entry->me_end < end ? ul.ul_entry->me_end : end;
		if (ul.ul_entry->me_amap != NULL)
			thaw_entry(&ul, gfn, upto);
		uvm_map_unlock(&ul);
		gfn = upto;
	}
}

/* => looked up.  Can every page of [gfn, end) be given up?  Learns them.  -EAGAIN: a slot is busy.
 */
static int may_discard(struct uvm_lookup *ul, uint64_t gfn, uint64_t end)
{
	struct uvm_entry *e = ul->ul_entry;
	struct uvm_residency ur = {0};
	struct uvm_anon *an;
	int error = 0;

	if (e->me_kind != UVM_ENTRY_MEMORY || (e->me_flags & UVM_ENTRY_BORROWED) || e->me_end < end)
		return -EINVAL;
	for (; error == 0 && gfn < end; gfn++) {
		if (uvm_amap_busy(e->me_amap, gfn - e->me_start))
			return -EAGAIN;
		error = uvm_map_learn_page(ul, gfn, &ur, &an);
		if (error != 0 || an == NULL)
			continue;
		uvm_lock(&an->an_lock);
		if (an->an_page->pg_anon_owns && an->an_page->pg_wired > 0)
			error = -EBUSY;
		uvm_unlock(&an->an_lock);
	}
	return error;
}

/* => looked up.  Make all slots busy, or none. */
static int claim_slots(struct uvm_amap *am, uint64_t slot, uint64_t n)
{
	uint64_t i;
	int error = 0;

	for (i = 0; error == 0 && i < n; i++)
		error = uvm_amap_set_busy(am, slot + i);
	if (error != 0)
		for (i--; i > 0; i--)
			uvm_amap_clear_busy(am, slot + i - 1);
	return error;
}

/* Nothing is mapped there any more (or error): let the slots go, and what is in them. */
static uint64_t drop_slots(
    struct uvm_map *map, struct uvm_entry *e, uint64_t gfn, uint64_t n, int error)
{
	struct uvm_lookup ul = {.ul_map = map, .ul_entry = e};
	struct uvm_residency ur = {0};
	uint64_t broken = 0, slot;

	uvm_lock(&map->vm_lock);
	uvm_lock(&e->me_amap->am_lock);
	for (uint64_t i = 0; i < n; i++) {
		slot = gfn + i - e->me_start;
		uvm_amap_clear_busy(e->me_amap, slot);
		if (error == 0 && uvm_amap_lookup(e->me_amap, slot) != NULL)
			broken += uvm_map_drop_anon(map, e, slot);
		else if (error == 0)
			(void)punch_unlearned(&ul, gfn + i, &ur);
	}
	uvm_map_unlock(&ul);
	return broken;
}

int uvm_map_discard(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	struct pmap_extent ext = {.gfn = gfn, .npages = n, .kind = PMAP_NONE};
	struct uvm_lookup ul;
	struct uvm_amap *am;
	int error;

	if (n == 0 || gfn + n < gfn)
		return -EINVAL;
	for (;;) {
		error = uvm_map_lookup(map, gfn, &ul);
		if (error != 0)
			return error == -EFAULT ? -EINVAL : error;
		am = ul.ul_entry->me_amap;
		error = may_discard(&ul, gfn, gfn + n);
		if (error != -EAGAIN)
			break;
		uvm_unlock(&map->vm_lock);
		uvm_amap_wait(am);
	}
	if (error == 0)
		error = claim_slots(am, gfn - ul.ul_entry->me_start, n);
	uvm_map_unlock(&ul);
	if (error != 0)
		return error;
	error = uvm_map_show(map, &ext);
	map->vm_stats.ms_broken[UVM_BREAK_FREE] += drop_slots(map, ul.ul_entry, gfn, n, error);
	uvm_page_reap();
	return error;
}
