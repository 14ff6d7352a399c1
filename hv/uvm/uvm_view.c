/* SPDX-License-Identifier: BSD-2-Clause */
/* Views of arenas: who maps them, what each shows, and what happens when the writer writes. */
#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena_private.h"

/* Extents built at once for the pmap. */
#define NEXTENTS 64u

/* Most frames that one write un-protects ahead. */
#define THAW_AHEAD 512u

/* A list of extents on its way to a view's pmap. */
struct showing {
	struct uvm_view *sh_view;
	unsigned sh_n;
	struct pmap_extent sh_ext[NEXTENTS];
};

/*
 * Map what has been gathered.  Waits for the guest's process, so nobody may have the arena: a process
 * that does not answer stops its own guest only.
 */
static int show_gathered(struct showing *sh)
{
	struct pmap *pm = sh->sh_view->vw_map->vm_pmap;
	unsigned n = sh->sh_n;
	size_t done;
	int error;

	sh->sh_n = 0;
	if (n == 0)
		return 0;
	uvm_world_leave();
	error = pm->pm_ops->pmo_enter(pm, sh->sh_ext, n, &done);
	uvm_world_enter();
	return error == 0 || error == -ESRCH ? error : -ENOTRECOVERABLE;
}

/* Add a frame; maps first what does not fit. */
static int gather(struct showing *sh, uint64_t frame, const struct uvm_page *pg)
{
	struct uvm_view *vw = sh->sh_view;
	uint64_t pages = arena_frame_pages(vw->vw_arena), gfn = vw->vw_gfn + frame * pages;
	struct pmap_extent *last = &sh->sh_ext[sh->sh_n > 0 ? sh->sh_n - 1 : 0];
	int error = 0;

	if (sh->sh_n > 0 && last->gfn + last->npages == gfn && last->store == pg->pg_store &&
	    last->index + last->npages == pg->pg_index * pages) {
		last->npages += pages;
		return 0;
	}
	if (sh->sh_n == NEXTENTS)
		error = show_gathered(sh);
	sh->sh_ext[sh->sh_n++] = (struct pmap_extent){.gfn = gfn,
	    .npages = pages,
	    .kind = vw->vw_flags & UVM_VIEW_WRITER ? PMAP_ARENA : PMAP_LENT,
	    .store = pg->pg_store,
	    .index = pg->pg_index * pages};
	return error;
}

/*
 * Showing frames, in three steps:
 *
 *	coming_begin	the view shall show these pages: they are held, and stay
 *	coming_map	its process maps them, while others go on with the arena
 *	coming_end	what it shows now is entered
 *
 * Between the first and the last the writer may break the loan of a page that is coming: then the
 * view gets it on loan (coming_broken), and keeps it as an old one.
 */

/* => inside.  The view shall show pg of a frame; lent: pg is on loan, and to the view, too. */
static void coming_add(struct uvm_view *vw, uint64_t frame, struct uvm_page *pg, bool lent)
{
	const union uvm_loaned loan = {.page = pg};
	union uvm_loaned ours;

	vw->vw_coming[frame - vw->vw_from] = (struct coming){.co_page = pg, .co_lent = lent};
	uvm_page_hold(pg);
	if (lent)
		uvm_loan_again(&loan, 1, UVM_LOAN_TOPAGE, &ours);
}

/* => inside */
static int coming_begin(struct uvm_view *vw, uint64_t first, uint64_t n)
{
	vw->vw_coming = uvm_zalloc(n * sizeof(*vw->vw_coming));
	vw->vw_from = first;
	vw->vw_n = n;
	return vw->vw_coming != NULL ? 0 : -ENOMEM;
}

/* => inside.  The writer is getting another page for this frame; the one it had is on loan. */
static void coming_broken(struct uvm_view *vw, uint64_t frame, struct uvm_page *old)
{
	const union uvm_loaned loan = {.page = old};
	union uvm_loaned ours;
	struct coming *co;

	if (vw->vw_coming == NULL || frame < vw->vw_from || frame - vw->vw_from >= vw->vw_n)
		return;
	co = &vw->vw_coming[frame - vw->vw_from];
	if (co->co_page != old || co->co_lent)
		return;
	uvm_loan_again(&loan, 1, UVM_LOAN_TOPAGE, &ours);
	co->co_lent = true;
}

/* The arena is not had. */
static int coming_map(struct uvm_view *vw)
{
	struct showing sh = {.sh_view = vw};
	int error = 0;

	for (uint64_t i = 0; error == 0 && i < vw->vw_n; i++)
		if (vw->vw_coming[i].co_page != NULL)
			error = gather(&sh, vw->vw_from + i, vw->vw_coming[i].co_page);
	return error == 0 ? show_gathered(&sh) : error;
}

/* => inside.  The view does not show an old frame any more. */
static void drop_old(struct uvm_view *vw, uint64_t frame)
{
	if (vw->vw_old[frame].page == NULL)
		return;
	uvm_unloan(&vw->vw_old[frame], 1, UVM_LOAN_TOPAGE);
	vw->vw_nold--;
}

/* => inside.  The view shows pg, which is on loan, though the arena has another. */
static void keep_old(struct uvm_view *vw, uint64_t frame, struct uvm_page *pg)
{
	const union uvm_loaned lent = {.page = pg};

	drop_old(vw, frame);
	uvm_loan_again(&lent, 1, UVM_LOAN_TOPAGE, &vw->vw_old[frame]);
	vw->vw_nold++;
}

/* => inside.  This frame is mapped, or error says that nobody knows. */
static void coming_enter(struct uvm_view *vw, uint64_t frame, struct coming *co, int error)
{
	union uvm_loaned ours = {.page = co->co_page};

	if (error == 0 && co->co_page != uvm_arena_page(vw->vw_arena, frame)) {
		KASSERT(co->co_lent);
		keep_old(vw, frame, co->co_page);
	} else if (error == 0) {
		drop_old(vw, frame);
	}
	if (co->co_lent)
		uvm_unloan(&ours, 1, UVM_LOAN_TOPAGE);
	uvm_page_unhold(co->co_page);
}

/* => inside */
static void coming_end(struct uvm_view *vw, int error)
{
	struct coming *coming = vw->vw_coming;

	vw->vw_coming = NULL;
	for (uint64_t i = 0; i < vw->vw_n; i++)
		if (coming[i].co_page != NULL)
			coming_enter(vw, vw->vw_from + i, &coming[i], error);
	uvm_free(coming);
	uvm_page_reap();
	if (error == 0)
		arena_call_stale(vw->vw_arena, vw);
}

/* => inside; the arena is let go meanwhile.  Map what coming_begin and coming_add have said. */
static int coming_show(struct uvm_view *vw)
{
	int error;

	uvm_arena_drop(vw->vw_arena);
	error = coming_map(vw);
	(void)uvm_arena_take(vw->vw_arena);
	coming_end(vw, error);
	return error;
}

/* => inside, as coming_show.  All of the arena, as it is. */
static int show_all(struct uvm_view *vw)
{
	uint64_t n = uvm_arena_frames(vw->vw_arena);
	int error = coming_begin(vw, 0, n);

	if (error != 0)
		return error;
	for (uint64_t i = 0; i < n; i++)
		coming_add(vw, i, uvm_arena_page(vw->vw_arena, i), false);
	return coming_show(vw);
}

static void view_free(struct uvm_view *vw)
{
	uvm_arena_rele(vw->vw_arena);
	uvm_free(vw->vw_old);
	uvm_free(vw);
}

static struct uvm_view *view_alloc(
    struct uvm_arena *ua, struct uvm_map *map, uint64_t gfn, unsigned flags)
{
	struct uvm_view *vw = uvm_zalloc(sizeof(*vw));

	if (vw == NULL)
		return NULL;
	vw->vw_old = uvm_zalloc(uvm_arena_frames(ua) * sizeof(*vw->vw_old));
	if (vw->vw_old == NULL) {
		uvm_free(vw);
		return NULL;
	}
	uvm_arena_ref(ua);
	vw->vw_arena = ua;
	vw->vw_map = map;
	vw->vw_gfn = gfn;
	vw->vw_flags = flags;
	return vw;
}

/* => inside.  From now on breaks and seals know of the view. */
static void join(struct uvm_arena *ua, struct uvm_view *vw)
{
	LIST_INSERT_HEAD(&ua->ua_views, vw, vw_all);
	if (vw->vw_flags & UVM_VIEW_OWNER)
		ua->ua_owner = vw;
	if ((vw->vw_flags & UVM_VIEW_WRITER) == 0)
		return;
	ua->ua_writer = vw;
	for (uint64_t i = 0; i < uvm_arena_frames(ua); i++) {
		struct uvm_page *pg = uvm_arena_page(ua, i);

		KASSERT(uvm_page_loans(pg) == 0 && !pg->pg_protected);
		pg->pg_gfn = vw->vw_gfn + i * arena_frame_pages(ua);
	}
}

int uvm_arena_show(struct uvm_arena *ua, struct uvm_map *map, uint64_t gfn, unsigned flags)
{
	uint64_t pages = arena_frame_pages(ua);
	struct uvm_entry *e;
	int error;

	KASSERT((flags & UVM_VIEW_WRITER) == 0 || (flags & UVM_VIEW_OWNER) != 0);
	if (gfn % pages != 0)
		return -EINVAL;
	error = uvm_map_enter_new(
	    map, gfn, uvm_arena_frames(ua) * pages, UVM_ENTRY_ARENA, UVM_ENTRY_VIEW, &e);
	if (error != 0)
		return error;
	e->me_view = view_alloc(ua, map, gfn, flags);
	if (e->me_view == NULL) {
		uvm_map_remove(map, e);
		return -ENOMEM;
	}
	(void)uvm_arena_take(ua);
	KASSERT((flags & UVM_VIEW_WRITER) == 0 || ua->ua_writer == NULL);
	join(ua, e->me_view);
	error = show_all(e->me_view);
	uvm_arena_drop(ua);
	if (error == 0) {
		uvm_map_entry_ready(map, e);
		return 0;
	}
	/* What a process that cannot be understood any more maps, stays until it is killed. */
	if (error != -ENOTRECOVERABLE)
		uvm_map_remove(map, e);
	return error;
}

int uvm_arena_hide(struct uvm_map *map, uint64_t gfn)
{
	struct pmap_extent ext = {.gfn = gfn, .kind = PMAP_NONE};
	struct uvm_entry *e;
	int error = uvm_map_claim(map, gfn, UVM_ENTRY_VIEW, &e);

	if (error != 0)
		return error == -EINVAL ? -ENOENT : error;
	ext.npages = e->me_end - e->me_start;
	error = uvm_map_show(map, &ext);
	if (error != 0 && error != -ESRCH)
		return error;
	uvm_map_remove(map, e);
	return 0;
}

void uvm_arena_entry_gone(struct uvm_entry *e)
{
	struct uvm_view *vw = e->me_view;
	struct uvm_arena *ua;

	if (vw == NULL)
		return;
	ua = vw->vw_arena;
	(void)uvm_arena_take(ua);
	LIST_REMOVE(vw, vw_all);
	for (uint64_t i = 0; vw->vw_nold > 0; i++)
		drop_old(vw, i);
	for (uint64_t i = 0; ua->ua_writer == vw && i < uvm_arena_frames(ua); i++) {
		struct uvm_page *pg = uvm_arena_page(ua, i);

		pg->pg_gfn = UVM_NOGFN;
		pg->pg_protected = false;
	}
	if (ua->ua_writer == vw)
		ua->ua_writer = NULL;
	if (ua->ua_owner == vw)
		ua->ua_owner = NULL;
	uvm_arena_drop(ua);
	e->me_view = NULL;
	view_free(vw);
}

/* => inside.  The view of map that has gfn, or NULL: it is gone, or going. */
static struct uvm_view *find_view(struct uvm_arena *ua, struct uvm_map *map, uint64_t gfn)
{
	uint64_t pages = uvm_arena_frames(ua) * arena_frame_pages(ua);
	struct uvm_view *vw;

	LIST_FOREACH (vw, &ua->ua_views, vw_all)
		if (vw->vw_map == map && gfn >= vw->vw_gfn && gfn - vw->vw_gfn < pages)
			return vw;
	return NULL;
}

/* => inside; the arena is let go meanwhile.  The writer gets a new frame; all others go on seeing the
 * old one. */
static int break_frame(struct uvm_arena *ua, uint64_t frame)
{
	struct uvm_page *old = uvm_arena_page(ua, frame), *new;
	struct showing sh = {.sh_view = ua->ua_writer};
	struct uvm_mapstats *ms = &ua->ua_writer->vw_map->vm_stats;
	struct uvm_view *vw;
	int error;

	uvm_lock(&ua->ua_object.uo_lock);
	new = uvm_loan_break_object(old);
	uvm_unlock(&ua->ua_object.uo_lock);
	if (new == NULL)
		return -ENOMEM;
	new->pg_gfn = old->pg_gfn;
	old->pg_gfn = UVM_NOGFN;
	old->pg_protected = false;
	arena_call_broken(ua, frame);
	LIST_FOREACH (vw, &ua->ua_views, vw_all) {
		coming_broken(vw, frame, old);
		if (vw == ua->ua_writer || vw->vw_old[frame].page != NULL)
			continue;
		keep_old(vw, frame, old);
		arena_call_stale(ua, vw);
	}
	ms->ms_broken[UVM_BREAK_WRITE] += arena_frame_pages(ua);
	ms->ms_copied += arena_frame_pages(ua);
	/* Only the writer's own thread gets here, and only its process maps the new frame. */
	uvm_arena_drop(ua);
	error = gather(&sh, frame, new);
	if (error == 0)
		error = show_gathered(&sh);
	(void)uvm_arena_take(ua);
	return error;
}

/* => inside.  The writer wrote to a protected frame. */
static int write_fault(struct uvm_arena *ua, uint64_t gfn)
{
	struct uvm_view *vw = ua->ua_writer;
	uint64_t frame = (gfn - vw->vw_gfn) / arena_frame_pages(ua);
	uint64_t n = uvm_arena_frames(ua) - frame, run = 0;
	struct uvm_page *pg = uvm_arena_page(ua, frame);

	if (uvm_page_loans(pg) > 0)
		arena_call_reap(ua);
	if (uvm_page_loans(pg) > 0)
		return break_frame(ua, frame);
	/* Frames after it that are alike will be written next. */
	while (run < n && run < THAW_AHEAD) {
		pg = uvm_arena_page(ua, frame + run);
		if (!pg->pg_protected || uvm_page_loans(pg) > 0)
			break;
		run++;
	}
	uvm_arena_unprotect(ua, frame, run);
	if (run == 0)
		vw->vw_map->vm_pmap->pm_ops->pmo_wake(vw->vw_map->vm_pmap, gfn);
	return 0;
}

int uvm_arena_fault(struct uvm_lookup *ul, uint64_t gfn, bool write)
{
	struct uvm_arena *ua = ul->ul_entry->me_view->vw_arena;
	struct uvm_map *map = ul->ul_map;
	struct uvm_view *vw;
	int error = 0;

	uvm_arena_ref(ua);
	uvm_map_unlock(ul);
	(void)uvm_arena_take(ua);
	vw = find_view(ua, map, gfn);
	if (vw == NULL)
		error = -EFAULT;
	else if (!write)
		map->vm_pmap->pm_ops->pmo_wake(map->vm_pmap, gfn);
	else if (vw != ua->ua_writer)
		error = -EACCES;
	else
		error = write_fault(ua, gfn);
	uvm_arena_drop(ua);
	uvm_arena_rele(ua);
	return error;
}

/* What a view shall show of a frame: as it was sealed, or as it is. */
static struct uvm_page *wanted(struct uvm_arena *ua, uint32_t seal, uint64_t frame)
{
	const struct seal *se;

	if (seal == UVM_NOSEAL)
		return uvm_arena_page(ua, frame);
	se = &ua->ua_seals[seal];
	return se->se_loans[frame - se->se_first].page;
}

static struct uvm_page *shown(struct uvm_view *vw, uint64_t frame)
{
	struct uvm_page *old = vw->vw_old[frame].page;

	return old != NULL ? old : uvm_arena_page(vw->vw_arena, frame);
}

/* => inside, range good; the arena is let go meanwhile */
static int refresh(struct uvm_view *vw, uint32_t seal, uint64_t first, uint64_t n)
{
	struct uvm_page *pg;
	int error = coming_begin(vw, first, n);

	if (error != 0)
		return error;
	for (uint64_t i = first; i < first + n; i++) {
		pg = wanted(vw->vw_arena, seal, i);
		if (shown(vw, i) != pg)
			coming_add(vw, i, pg, seal != UVM_NOSEAL);
	}
	return coming_show(vw);
}

/* => inside */
static bool range_good(const struct uvm_arena *ua, uint32_t seal, uint64_t first, uint64_t n)
{
	uint64_t from = 0, frames = uvm_arena_frames(ua);

	if (seal != UVM_NOSEAL) {
		if (seal >= ua->ua_nseals || !uvm_arena_sealed(ua, seal))
			return false;
		from = ua->ua_seals[seal].se_first;
		frames = ua->ua_seals[seal].se_n;
	}
	return n > 0 && first >= from && first - from <= frames && n <= frames - (first - from);
}

int uvm_arena_refresh(struct uvm_map *map, uint64_t gfn, uint32_t seal, uint64_t first, uint64_t n)
{
	struct uvm_arena *ua;
	struct uvm_lookup ul;
	struct uvm_view *vw;
	int error;

	if (uvm_map_lookup(map, gfn, &ul) != 0)
		return -ENOENT;
	if (ul.ul_entry->me_kind != UVM_ENTRY_ARENA || ul.ul_entry->me_start != gfn) {
		uvm_map_unlock(&ul);
		return -ENOENT;
	}
	ua = ul.ul_entry->me_view->vw_arena;
	uvm_arena_ref(ua);
	uvm_map_unlock(&ul);
	(void)uvm_arena_take(ua);
	vw = find_view(ua, map, gfn);
	if (vw == NULL)
		error = -ENOENT;
	else if (vw == ua->ua_writer || !range_good(ua, seal, first, n))
		error = -EINVAL;
	else
		error = refresh(vw, seal, first, n);
	uvm_arena_drop(ua);
	uvm_arena_rele(ua);
	return error;
}

uint64_t uvm_arena_claim(struct uvm_map *map, const struct uvm_entry *e)
{
	struct uvm_view *vw = e->me_view;
	struct uvm_arena *ua;
	struct uvm_page *pg;

	if (vw == NULL)
		return 0;
	ua = vw->vw_arena;
	for (uint64_t i = 0; i < uvm_arena_frames(ua); i++) {
		pg = uvm_ptab_get(&ua->ua_object.uo_pages, i);
		/* Without its owner, what he left belongs to those who look at it. */
		if (pg != NULL && (ua->ua_owner == vw || ua->ua_owner == NULL))
			pg->pg_guest = map;
		if (vw->vw_old[i].page != NULL)
			vw->vw_old[i].page->pg_guest = map;
	}
	return ua->ua_owner == vw ? 0 : e->me_end - e->me_start;
}

uint64_t uvm_arena_exposed(const struct uvm_entry *e)
{
	struct uvm_arena *ua;
	struct uvm_page *pg;
	uint64_t n = 0;

	if (e->me_view == NULL || e->me_view->vw_arena->ua_writer != e->me_view)
		return 0;
	ua = e->me_view->vw_arena;
	for (uint64_t i = 0; i < uvm_arena_frames(ua); i++) {
		pg = uvm_ptab_get(&ua->ua_object.uo_pages, i);
		n += pg != NULL && uvm_page_loans(pg) > 0 && !pg->pg_protected;
	}
	return n;
}
