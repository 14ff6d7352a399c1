/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_share.h"

#include <errno.h>

#include "uvm/uvm_fault.h"
#include "uvm/uvm_ledger_private.h"

static _Atomic uint64_t last_handle;
static _Atomic uint64_t nframes, nsharers; /* anons with a handle; the sum of their an_sharers */

/* A page on its way to a client. */
struct sharing {
	LIST_ENTRY(sharing) sh_all;
	struct uvm_anon *sh_anon; /* the source's: a reference, counted as a sharer; or NULL */
	struct uvm_map *sh_map;	  /* the client */
	uint64_t sh_gfn;
	struct uvm_entry *sh_entry; /* stays while the slot is busy */
	struct uvm_page *sh_old;    /* what the client maps until now: held, or NULL */
};

static LIST_HEAD(, sharing) under_way = LIST_HEAD_INITIALIZER(under_way); /* ledger */

/* => anon locked */
static void join(struct uvm_anon *an)
{
	an->an_sharers++;
	nsharers++;
}

static void leave(struct uvm_anon *an)
{
	KASSERT(uvm_lock_held(&an->an_lock) && an->an_sharers > 0);
	nsharers--;
	if (--an->an_sharers == 0) {
		an->an_handle = 0;
		nframes--;
	}
}

void uvm_share_join(struct uvm_map *map, struct uvm_anon *an)
{
	KASSERT(uvm_lock_held(&an->an_lock));
	if (an->an_handle == 0) {
		an->an_handle = ++last_handle;
		nframes++;
	}
	join(an);
	map->vm_shared++;
}

void uvm_share_leave(struct uvm_map *map, struct uvm_anon *an)
{
	if (an->an_handle == 0)
		return;
	leave(an);
	map->vm_shared--;
}

/*
 * Find a slot of RAM that is not busy.
 * => 0, looked up; -EINVAL: no RAM there
 */
static int lookup(struct uvm_map *map, uint64_t gfn, struct uvm_lookup *ul)
{
	struct uvm_amap *am;

	for (;;) {
		if (uvm_map_lookup(map, gfn, ul) != 0)
			return -EINVAL;
		if (!(ul->ul_entry->me_flags & UVM_ENTRY_RAM)) {
			uvm_map_unlock(ul);
			return -EINVAL;
		}
		am = ul->ul_entry->me_amap;
		if (!uvm_amap_busy(am, gfn - ul->ul_entry->me_start))
			return 0;
		uvm_unlock(&map->vm_lock);
		uvm_amap_wait(am);
	}
}

/* => looked up.  The guest shall not write to its page unseen. */
static int protect(struct uvm_lookup *ul, uint64_t gfn, struct uvm_page *pg)
{
	struct pmap *pm = ul->ul_map->vm_pmap;
	int error;

	/* What is not the guest's own is mapped read-only already. */
	if (!uvm_page_own_p(pg, ul->ul_map->vm_store, gfn) || pg->pg_protected)
		return 0;
	error = pm->pm_ops->pmo_protect(pm, gfn, 1);
	if (error == 0)
		pg->pg_protected = true;
	else
		pm->pm_ops->pmo_unprotect(pm, gfn, 1);
	return error;
}

/* => looked up */
static int nominate(struct uvm_lookup *ul, uint64_t gfn, struct uvm_anon *an, uint64_t *handle)
{
	int error = 0;

	/* Without our amap's lock nobody can wire it, nor give it a handle if it has none. */
	uvm_lock(&an->an_lock);
	*handle = an->an_handle;
	if (uvm_anon_refs(an) == 1 && an->an_page->pg_wired > 0)
		error = -EBUSY;
	uvm_unlock(&an->an_lock);
	if (error == 0 && *handle == 0)
		error = protect(ul, gfn, an->an_page);
	if (error != 0 || *handle != 0)
		return error;
	uvm_lock(&an->an_lock);
	uvm_share_join(ul->ul_map, an);
	*handle = an->an_handle;
	uvm_unlock(&an->an_lock);
	return 0;
}

int uvm_share_nominate(struct uvm_map *map, uint64_t gfn, uint64_t *handle)
{
	struct uvm_residency ur;
	struct uvm_lookup ul;
	struct uvm_anon *an;
	int error;

	for (;;) {
		error = lookup(map, gfn, &ul);
		if (error != 0)
			return error;
		ur = (struct uvm_residency){0};
		error = uvm_map_learn_page(&ul, gfn, &ur, &an);
		if (error == 0 && an != NULL)
			error = nominate(&ul, gfn, an, handle);
		uvm_map_unlock(&ul);
		if (error != 0 || an != NULL)
			return error;
		error = uvm_fault(map, gfn, UVM_ACCESS_WRITE);
		if (error != 0)
			return error == -EFAULT ? -EINVAL : error;
	}
}

/* Take a reference to the source's anon, if it is what the handle says. */
static int pin_source(struct sharing *sh, struct uvm_map *map, uint64_t gfn, uint64_t handle)
{
	struct uvm_lookup ul;
	struct uvm_anon *an;

	if (lookup(map, gfn, &ul) != 0)
		return -ESTALE;
	an = uvm_amap_lookup(ul.ul_entry->me_amap, gfn - ul.ul_entry->me_start);
	if (an != NULL) {
		uvm_lock(&an->an_lock);
		if (an->an_handle != 0 && an->an_handle == handle) {
			uvm_anon_ref(an);
			join(an);
			sh->sh_anon = an;
		}
		uvm_unlock(&an->an_lock);
	}
	uvm_map_unlock(&ul);
	return sh->sh_anon != NULL ? 0 : -ESTALE;
}

/* The client could not get it. */
static void unpin_source(struct sharing *sh)
{
	struct uvm_anon *an = sh->sh_anon;
	struct uvm_object *uo;

	if (an == NULL)
		return;
	sh->sh_anon = NULL;
	uo = uvm_anon_lock(an);
	leave(an);
	(void)uvm_anon_rele(an, uo);
	uvm_page_reap();
}

static void begin(struct sharing *sh)
{
	uvm_lock(&uvm_ledger_lock);
	LIST_INSERT_HEAD(&under_way, sh, sh_all);
	uvm_unlock(&uvm_ledger_lock);
}

static void end(struct sharing *sh)
{
	uvm_lock(&uvm_ledger_lock);
	LIST_REMOVE(sh, sh_all);
	uvm_unlock(&uvm_ledger_lock);
}

/*
 * Make the client's slot busy if its page is what the handle says.
 * => 0, or 1: it has the source's anon already; -ENOENT
 */
static int claim_page(struct sharing *sh, uint64_t handle)
{
	struct uvm_lookup ul;
	struct uvm_anon *an;
	uint64_t slot;
	int ret = -ENOENT;

	if (lookup(sh->sh_map, sh->sh_gfn, &ul) != 0)
		return -ENOENT;
	slot = sh->sh_gfn - ul.ul_entry->me_start;
	an = uvm_amap_lookup(ul.ul_entry->me_amap, slot);
	if (an != NULL && an == sh->sh_anon) {
		ret = 1;
	} else if (an != NULL) {
		uvm_lock(&an->an_lock);
		if (an->an_handle != 0 && an->an_handle == handle)
			ret = 0;
		uvm_unlock(&an->an_lock);
	}
	/* A slot that was used before never fails. */
	if (ret == 0)
		ret = uvm_amap_set_busy(ul.ul_entry->me_amap, slot);
	if (ret == 0) {
		sh->sh_entry = ul.ul_entry;
		sh->sh_old = an->an_page;
		uvm_page_hold(sh->sh_old);
	}
	uvm_map_unlock(&ul);
	return ret;
}

static int show_source(const struct sharing *sh)
{
	const struct uvm_page *pg = sh->sh_anon->an_page;
	const struct pmap_extent ext = {.gfn = sh->sh_gfn,
	    .npages = 1,
	    .kind = PMAP_LENT,
	    .store = pg->pg_store,
	    .index = pg->pg_index};

	/* While we have a reference nobody gives the anon another frame. */
	return uvm_map_show(sh->sh_map, &ext);
}

/* The client maps the source's frame (or error: what it mapped before): finish, or undo. */
static void conclude(struct sharing *sh, int error)
{
	struct uvm_map *map = sh->sh_map;
	struct uvm_amap *am = sh->sh_entry->me_amap;
	uint64_t slot = sh->sh_gfn - sh->sh_entry->me_start;

	uvm_lock(&map->vm_lock);
	uvm_lock(&am->am_lock);
	uvm_amap_clear_busy(am, slot);
	if (error == 0) {
		if (uvm_amap_lookup(am, slot) != NULL)
			map->vm_stats.ms_broken[UVM_BREAK_FREE] += uvm_map_drop_anon(
			    map, sh->sh_entry, slot);
		/* Our reference, and our part in the sharing, are the slot's now. */
		uvm_amap_replace(am, slot, sh->sh_anon);
		map->vm_shared++;
		sh->sh_anon = NULL;
	}
	uvm_unlock(&am->am_lock);
	uvm_unlock(&map->vm_lock);
	if (sh->sh_old != NULL)
		uvm_page_unhold(sh->sh_old);
	uvm_page_reap();
}

int uvm_share_pages(struct uvm_map *source, uint64_t sgfn, uint64_t shandle, struct uvm_map *client,
    uint64_t cgfn, uint64_t chandle)
{
	struct sharing sh = {.sh_map = client, .sh_gfn = cgfn};
	int error;

	begin(&sh);
	error = pin_source(&sh, source, sgfn, shandle);
	if (error == 0)
		error = claim_page(&sh, chandle);
	if (error == 0) {
		error = show_source(&sh);
		conclude(&sh, error);
	}
	unpin_source(&sh);
	end(&sh);
	return error > 0 ? 0 : error;
}

/* Make an empty slot busy.  -ENOENT: it is not empty */
static int claim_hole(struct sharing *sh)
{
	struct uvm_residency ur = {0};
	struct uvm_lookup ul;
	struct uvm_anon *an;
	int error;

	if (lookup(sh->sh_map, sh->sh_gfn, &ul) != 0)
		return -ENOENT;
	error = uvm_map_learn_page(&ul, sh->sh_gfn, &ur, &an);
	if (error == 0 && an != NULL)
		error = -ENOENT;
	if (error == 0)
		error = uvm_amap_set_busy(ul.ul_entry->me_amap, sh->sh_gfn - ul.ul_entry->me_start);
	sh->sh_entry = ul.ul_entry;
	uvm_map_unlock(&ul);
	return error;
}

/* Nothing is mapped at the hole any more.  Did the guest touch it before?  *anp: learned. */
static int look_again(struct sharing *sh, struct uvm_anon **anp)
{
	struct uvm_lookup ul = {.ul_map = sh->sh_map, .ul_entry = sh->sh_entry};
	struct uvm_residency ur = {0};
	int error;

	uvm_lock(&sh->sh_map->vm_lock);
	uvm_lock(&sh->sh_entry->me_amap->am_lock);
	error = uvm_map_learn_page(&ul, sh->sh_gfn, &ur, anp);
	uvm_map_unlock(&ul);
	return error;
}

/*
 * A guest that runs may touch the hole this moment, and it would be a pity if what it wrote got
 * lost: so first nothing is mapped there, then we look, and only then the frame is mapped.
 */
static int fill_hole(struct sharing *sh)
{
	struct pmap_extent ext = {.gfn = sh->sh_gfn, .npages = 1, .kind = PMAP_NONE};
	struct uvm_anon *an = NULL;
	int error = uvm_map_show(sh->sh_map, &ext);

	if (error != 0)
		return error;
	error = look_again(sh, &an);
	if (error == 0 && an == NULL)
		return show_source(sh);
	/* There is memory that the guest touched, even if it could not be learned: as before. */
	ext.kind = PMAP_OWN;
	ext.store = sh->sh_map->vm_store;
	ext.index = uvm_map_home(sh->sh_map, sh->sh_gfn);
	if ((error != 0 && error != -ENOMEM) || uvm_map_show(sh->sh_map, &ext) != 0)
		return -ENOTRECOVERABLE;
	return error == 0 ? -ENOENT : error;
}

int uvm_share_add(
    struct uvm_map *source, uint64_t sgfn, uint64_t shandle, struct uvm_map *client, uint64_t cgfn)
{
	struct sharing sh = {.sh_map = client, .sh_gfn = cgfn};
	int error;

	begin(&sh);
	error = pin_source(&sh, source, sgfn, shandle);
	if (error == 0)
		error = claim_hole(&sh);
	if (error == 0) {
		error = fill_hole(&sh);
		conclude(&sh, error);
	}
	unpin_source(&sh);
	end(&sh);
	return error;
}

int uvm_share_refs(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_lookup ul;
	struct uvm_anon *an;
	int n = -EINVAL;

	if (lookup(map, gfn, &ul) != 0)
		return -EINVAL;
	an = uvm_amap_lookup(ul.ul_entry->me_amap, gfn - ul.ul_entry->me_start);
	if (an != NULL) {
		uvm_lock(&an->an_lock);
		if (an->an_handle != 0)
			n = (int)an->an_sharers;
		uvm_unlock(&an->an_lock);
	}
	uvm_map_unlock(&ul);
	return n;
}

int uvm_share_untouched(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_residency ur = {0};
	struct uvm_lookup ul;
	struct uvm_anon *an;
	int error = lookup(map, gfn, &ul);

	if (error != 0)
		return error;
	error = uvm_map_learn_page(&ul, gfn, &ur, &an);
	uvm_map_unlock(&ul);
	return error != 0 ? error : an == NULL;
}

void uvm_share_counts(uint64_t *frames, uint64_t *saved)
{
	uint64_t sharers = nsharers;

	*frames = nframes;
	*saved = sharers > *frames ? sharers - *frames : 0;
}

void uvm_share_visit(void (*visit)(struct uvm_anon *an))
{
	struct sharing *sh;

	LIST_FOREACH (sh, &under_way, sh_all)
		if (sh->sh_anon != NULL)
			visit(sh->sh_anon);
}
