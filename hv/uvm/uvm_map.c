/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_map.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena.h"
#include "uvm/uvm_share.h"
#include "uvm/uvm_tree.h"

struct uvm_maplist uvm_maps = LIST_HEAD_INITIALIZER(uvm_maps);

static int entry_cmp(const struct uvm_entry *a, const struct uvm_entry *b)
{
	return a->me_start < b->me_start ? -1 : a->me_start > b->me_start;
}

RB_GENERATE_STATIC(uvm_entrytree, uvm_entry, me_tree, entry_cmp)

struct uvm_map *uvm_map_create(struct pmap *pm, struct uvm_store *store, uint32_t domid,
    const struct uvm_maprange *ranges, unsigned nranges)
{
	struct uvm_map *map = uvm_zalloc(sizeof(*map));

	KASSERT(nranges <= UVM_MAP_MAXRANGES);
	if (map == NULL)
		return NULL;
	uvm_lock_init(&map->vm_lock, UVM_RANK_MAP);
	RB_INIT(&map->vm_entries);
	atomic_init(&map->vm_refs, 1);
	map->vm_pmap = pm;
	map->vm_domid = domid;
	map->vm_nranges = nranges;
	for (unsigned i = 0; i < nranges; i++)
		map->vm_ranges[i] = ranges[i];
	map->vm_store = store;
	uvm_store_ref(store);
	uvm_lock(&uvm_stores_lock);
	LIST_INSERT_HEAD(&uvm_maps, map, vm_all);
	uvm_unlock(&uvm_stores_lock);
	return map;
}

void uvm_map_ref(struct uvm_map *map)
{
	atomic_fetch_add(&map->vm_refs, 1);
}

void uvm_map_rele(struct uvm_map *map)
{
	uint32_t refs = atomic_load(&map->vm_refs);
	bool last;

	while (refs > 1)
		if (atomic_compare_exchange_weak(&map->vm_refs, &refs, refs - 1))
			return;
	/* With the list locked, so that the auditor takes no reference to a map without any. */
	uvm_lock(&uvm_stores_lock);
	last = atomic_fetch_sub(&map->vm_refs, 1) == 1;
	if (last)
		LIST_REMOVE(map, vm_all);
	uvm_unlock(&uvm_stores_lock);
	if (!last)
		return;
	KASSERT(map->vm_dead && RB_EMPTY(&map->vm_entries));
	uvm_store_rele(map->vm_store);
	uvm_free(map);
}

uint64_t uvm_map_size(const struct uvm_map *map)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < map->vm_nranges; i++)
		n += map->vm_ranges[i].mr_npages;
	return n;
}

bool uvm_map_inside(const struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	for (unsigned i = 0; i < map->vm_nranges; i++) {
		const struct uvm_maprange *mr = &map->vm_ranges[i];

		if (gfn >= mr->mr_gfn && gfn - mr->mr_gfn < mr->mr_npages)
			return n > 0 && n <= mr->mr_npages - (gfn - mr->mr_gfn);
	}
	return false;
}

uint64_t uvm_map_home(const struct uvm_map *map, uint64_t gfn)
{
	for (unsigned i = 0; i < map->vm_nranges; i++) {
		const struct uvm_maprange *mr = &map->vm_ranges[i];

		if (gfn >= mr->mr_gfn && gfn - mr->mr_gfn < mr->mr_npages)
			return mr->mr_home + (gfn - mr->mr_gfn);
	}
	uvm_panic(__FILE__, __LINE__, "gfn outside the map");
}

int uvm_map_show(struct uvm_map *map, const struct pmap_extent *ext)
{
	size_t done;
	int error;

	uvm_world_leave();
	error = map->vm_pmap->pm_ops->pmo_enter(map->vm_pmap, ext, 1, &done);
	uvm_world_enter();
	return error == 0 || error == -ESRCH ? error : -ENOTRECOVERABLE;
}

/* => map locked.  The entry that holds gfn, or the first one after it. */
static struct uvm_entry *entry_at_or_after(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry key = {.me_start = gfn}, *e, *prev;

	e = RB_NFIND(uvm_entrytree, &map->vm_entries, &key);
	prev = e != NULL ? RB_PREV(uvm_entrytree, &map->vm_entries, e)
			 : RB_MAX(uvm_entrytree, &map->vm_entries);
	return prev != NULL && prev->me_end > gfn ? prev : e;
}

static void entry_free(struct uvm_entry *e)
{
	if (e->me_amap != NULL)
		uvm_amap_free(e->me_amap);
	if (e->me_object != NULL)
		uvm_object_rele(e->me_object);
	if (e->me_origin != NULL)
		uvm_map_rele(e->me_origin);
	uvm_free(e->me_loans);
	uvm_free(e);
}

static struct uvm_entry *entry_alloc(
    uint64_t gfn, uint64_t n, enum uvm_entry_kind kind, unsigned flags)
{
	struct uvm_entry *e = uvm_zalloc(sizeof(*e));
	bool complete = true;

	if (e == NULL)
		return NULL;
	e->me_start = gfn;
	e->me_end = gfn + n;
	e->me_kind = kind;
	e->me_flags = flags;
	if (kind == UVM_ENTRY_WINDOW) {
		e->me_loans = uvm_zalloc(n * sizeof(*e->me_loans));
		complete = e->me_loans != NULL;
	} else if (kind == UVM_ENTRY_MEMORY) {
		e->me_amap = uvm_amap_alloc(n);
		complete = e->me_amap != NULL;
	}
	if (!complete) {
		uvm_free(e);
		e = NULL;
	}
	return e;
}

int uvm_map_enter_new(struct uvm_map *map, uint64_t gfn, uint64_t n, enum uvm_entry_kind kind,
    unsigned flags, struct uvm_entry **ep)
{
	struct uvm_entry *e, *next;
	int error = 0;

	if (!uvm_map_inside(map, gfn, n))
		return -EINVAL;
	e = entry_alloc(gfn, n, kind, flags);
	if (e == NULL)
		return -ENOMEM;
	e->me_flags |= UVM_ENTRY_BUSY;
	uvm_lock(&map->vm_lock);
	next = entry_at_or_after(map, gfn);
	if (map->vm_dead)
		error = -ESRCH;
	else if (next != NULL && next->me_start < gfn + n)
		error = -EEXIST;
	else
		RB_INSERT(uvm_entrytree, &map->vm_entries, e);
	uvm_unlock(&map->vm_lock);
	if (error != 0) {
		entry_free(e);
		return error;
	}
	*ep = e;
	return 0;
}

void uvm_map_entry_ready(struct uvm_map *map, struct uvm_entry *e)
{
	uvm_lock(&map->vm_lock);
	KASSERT(e->me_flags & UVM_ENTRY_BUSY);
	e->me_flags &= ~UVM_ENTRY_BUSY;
	uvm_unlock(&map->vm_lock);
}

int uvm_map_enter_ram(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	struct uvm_entry *e;
	int error = uvm_map_enter_new(map, gfn, n, UVM_ENTRY_MEMORY, UVM_ENTRY_RAM, &e);

	if (error == 0)
		uvm_map_entry_ready(map, e);
	return error;
}

int uvm_map_enter_object(
    struct uvm_map *map, uint64_t gfn, uint64_t n, struct uvm_object *uo, uint64_t off)
{
	struct uvm_entry *e;
	int error;

	if (off > uo->uo_npages || n > uo->uo_npages - off)
		return -EINVAL;
	error = uvm_map_enter_new(map, gfn, n, UVM_ENTRY_MEMORY, 0, &e);
	if (error != 0)
		return error;
	uvm_object_ref(uo);
	e->me_object = uo;
	e->me_offset = off;
	uvm_map_entry_ready(map, e);
	return 0;
}

/* => the amap's entry is busy, so that slots can only stop being busy: faults do not find it. */
static void await_slots(struct uvm_amap *am)
{
	uvm_lock(&am->am_lock);
	while (am->am_nbusy > 0) {
		uvm_amap_wait(am);
		uvm_lock(&am->am_lock);
	}
	uvm_unlock(&am->am_lock);
}

int uvm_map_claim(struct uvm_map *map, uint64_t gfn, unsigned flag, struct uvm_entry **ep)
{
	struct uvm_entry *e;
	int error = 0;

	uvm_lock(&map->vm_lock);
	e = entry_at_or_after(map, gfn);
	if (e == NULL || e->me_start != gfn)
		error = -ENOENT;
	else if (!(e->me_flags & flag))
		error = -EINVAL;
	else if ((e->me_flags & UVM_ENTRY_BUSY) || e->me_nwired > 0)
		error = -EBUSY;
	else
		e->me_flags |= UVM_ENTRY_BUSY;
	uvm_unlock(&map->vm_lock);
	/* What somebody maps there this moment must not come after what the caller maps. */
	if (error == 0 && e->me_amap != NULL)
		await_slots(e->me_amap);
	*ep = e;
	return error;
}

bool uvm_map_drop_anon(struct uvm_map *map, struct uvm_entry *e, uint64_t i)
{
	struct uvm_anon *an = uvm_amap_lookup(e->me_amap, i);
	struct uvm_object *uo;
	bool shared;

	KASSERT(uvm_lock_held(&map->vm_lock) && !uvm_amap_busy(e->me_amap, i));
	uvm_amap_replace(e->me_amap, i, NULL);
	uo = uvm_anon_lock(an);
	if (e->me_flags & UVM_ENTRY_RAM)
		uvm_share_leave(map, an);
	/* Wherever the page goes on living, this guest does not map it as its own any more. */
	if (an->an_page->pg_store == map->vm_store && an->an_page->pg_gfn == e->me_start + i)
		an->an_page->pg_gfn = UVM_NOGFN;
	shared = uvm_anon_refs(an) > 1 && an->an_page->pg_anon_owns;
	return uvm_anon_rele(an, uo) || shared;
}

/* => entry busy.  Let go of every anon of an entry. */
static void empty_amap(struct uvm_map *map, struct uvm_entry *e)
{
	struct uvm_amap *am = e->me_amap;
	uint64_t i = 0, broken = 0;

	await_slots(am);
	uvm_lock(&map->vm_lock);
	uvm_lock(&am->am_lock);
	while (uvm_ptab_next(&am->am_slots, &i) != NULL)
		broken += uvm_map_drop_anon(map, e, i);
	uvm_unlock(&am->am_lock);
	uvm_unlock(&map->vm_lock);
	/* A borrower that returns breaks nothing. */
	if (!(e->me_flags & UVM_ENTRY_BORROWED))
		map->vm_stats.ms_broken[UVM_BREAK_FREE] += broken;
}

void uvm_map_remove(struct uvm_map *map, struct uvm_entry *e)
{
	uint64_t n = e->me_end - e->me_start;

	KASSERT(e->me_flags & UVM_ENTRY_BUSY);
	if (e->me_kind == UVM_ENTRY_WINDOW)
		uvm_unloan(e->me_loans, n, UVM_LOAN_TOPAGE);
	else if (e->me_kind == UVM_ENTRY_ARENA)
		uvm_arena_entry_gone(e);
	else if (e->me_kind == UVM_ENTRY_MEMORY)
		empty_amap(map, e);
	/* Anons of a borrow that failed before they reached the amap. */
	if (e->me_kind == UVM_ENTRY_MEMORY && e->me_loans != NULL)
		uvm_unloan(e->me_loans, n, UVM_LOAN_TOANON);
	if (e->me_origin != NULL)
		uvm_map_thaw(e->me_origin, e->me_origin_gfn, n);
	uvm_lock(&map->vm_lock);
	RB_REMOVE(uvm_entrytree, &map->vm_entries, e);
	uvm_unlock(&map->vm_lock);
	entry_free(e);
	uvm_page_reap();
}

void uvm_map_retire(struct uvm_map *map)
{
	uvm_lock(&map->vm_lock);
	map->vm_dead = true;
	uvm_unlock(&map->vm_lock);
}

void uvm_map_destroy(struct uvm_map *map)
{
	struct uvm_entry *e;

	uvm_map_retire(map);
	for (;;) {
		uvm_lock(&map->vm_lock);
		e = RB_MIN(uvm_entrytree, &map->vm_entries);
		if (e != NULL)
			e->me_flags |= UVM_ENTRY_BUSY;
		uvm_unlock(&map->vm_lock);
		if (e == NULL)
			break;
		uvm_map_remove(map, e);
	}
	uvm_store_trim(map->vm_store);
	uvm_map_rele(map);
}

struct uvm_entry *uvm_map_entry_of(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry *e = entry_at_or_after(map, gfn);

	return e != NULL && e->me_start <= gfn ? e : NULL;
}

int uvm_map_lookup(struct uvm_map *map, uint64_t gfn, struct uvm_lookup *ul)
{
	struct uvm_entry *e;

	uvm_lock(&map->vm_lock);
	e = map->vm_dead ? NULL : entry_at_or_after(map, gfn);
	if (e == NULL || e->me_start > gfn || (e->me_flags & UVM_ENTRY_BUSY)) {
		uvm_unlock(&map->vm_lock);
		return -EFAULT;
	}
	if (e->me_amap != NULL)
		uvm_lock(&e->me_amap->am_lock);
	ul->ul_map = map;
	ul->ul_entry = e;
	return 0;
}

uint64_t uvm_map_next_start(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_entry key = {.me_start = gfn + 1}, *e;
	uint64_t start = UINT64_MAX;

	uvm_lock(&map->vm_lock);
	e = map->vm_dead ? NULL : RB_NFIND(uvm_entrytree, &map->vm_entries, &key);
	if (e != NULL)
		start = e->me_start;
	uvm_unlock(&map->vm_lock);
	return start;
}

/* The last place in the hole [from, end). */
static bool room_in(uint64_t from, uint64_t end, uint64_t n, uint64_t align, uint64_t *gfn)
{
	if (from >= end || n > end - from)
		return false;
	*gfn = (end - n) / align * align;
	return *gfn >= from;
}

int uvm_map_find_room(
    struct uvm_map *map, uint64_t from, uint64_t end, uint64_t n, uint64_t align, uint64_t *gfn)
{
	struct uvm_entry *e;
	bool found;

	if (n == 0)
		return -EINVAL;
	uvm_lock(&map->vm_lock);
	e = RB_MAX(uvm_entrytree, &map->vm_entries);
	for (;;) {
		while (e != NULL && e->me_start >= end)
			e = RB_PREV(uvm_entrytree, &map->vm_entries, e);
		found = room_in(
		    e != NULL && e->me_end > from ? e->me_end : from, end, n, align, gfn);
		if (found || e == NULL || e->me_start <= from)
			break;
		end = e->me_start;
	}
	uvm_unlock(&map->vm_lock);
	return found ? 0 : -ENOSPC;
}

/* => map locked, RAM.  Is, or was, any of it in use? */
static bool touched(struct uvm_map *map, struct uvm_entry *e)
{
	uint64_t home = uvm_map_home(map, e->me_start), i = 0, first, len = 0;
	bool yes;

	uvm_lock(&e->me_amap->am_lock);
	yes = uvm_ptab_next(&e->me_amap->am_slots, &i) != NULL;
	uvm_unlock(&e->me_amap->am_lock);
	return yes || (map->vm_store->st_ops->so_resident(
			   map->vm_store, home, e->me_end - e->me_start, &first, &len) == 0 &&
			  len > 0);
}

uint64_t uvm_map_last_ram(struct uvm_map *map)
{
	struct uvm_entry *e;
	uint64_t last = 0;

	uvm_lock(&map->vm_lock);
	RB_FOREACH (e, uvm_entrytree, &map->vm_entries)
		if ((e->me_flags & UVM_ENTRY_RAM) && (e->me_start == 0 || touched(map, e)))
			last = e->me_end - 1;
	uvm_unlock(&map->vm_lock);
	return last;
}

void uvm_map_unlock(struct uvm_lookup *ul)
{
	if (ul->ul_entry->me_amap != NULL)
		uvm_unlock(&ul->ul_entry->me_amap->am_lock);
	uvm_unlock(&ul->ul_map->vm_lock);
}

struct uvm_entry *uvm_map_next_entry(struct uvm_map *map, struct uvm_entry *e)
{
	return e == NULL ? RB_MIN(uvm_entrytree, &map->vm_entries)
			 : RB_NEXT(uvm_entrytree, &map->vm_entries, e);
}
