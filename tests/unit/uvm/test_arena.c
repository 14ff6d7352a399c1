/* SPDX-License-Identifier: BSD-2-Clause */
/* Arenas, seals and views (uvm_arena.c, uvm_view.c). */
#include "failnth.h"
#include "uvm/uvm_arena_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSEALS 4u
#define AT 16u /* gfn of every view */

static struct guest *w, *r;
static struct uvm_arena *ua;
static struct soft_store *store;
static unsigned reaps, end_at_reap;
static uint64_t stale_of[64]; /* by domid, as long as there are not more */

static void on_reap(void *arg)
{
	(void)arg;
	reaps++;
	for (unsigned i = 0; i < NSEALS; i++)
		if ((end_at_reap & 1u << i) && uvm_arena_sealed(ua, i))
			uvm_arena_unseal(ua, i);
}

static void on_stale(void *arg, struct uvm_map *map, uint64_t gfn, uint64_t frames)
{
	cr_assert(arg == &reaps && gfn >= AT);
	stale_of[map->vm_domid % 64] = frames;
}

static const struct uvm_arena_ops ops = {.ao_reap = on_reap, .ao_stale = on_stale};

static int create(uint32_t frame_pages, uint64_t nframes)
{
	int error;

	store = soft_store_create_frames(frame_pages, nframes, 3, 1);
	if (store == NULL)
		return -ENOMEM;
	error = uvm_arena_create(&store->ss_store, nframes, NSEALS, &ops, &reaps, &ua);
	if (error != 0)
		uvm_store_rele(&store->ss_store);
	return error;
}

/* A writer and a reader of an arena of nframes. */
static void scene_of(uint32_t frame_pages, uint64_t nframes)
{
	reaps = end_at_reap = 0;
	w = lv_guest(AT, 64);
	r = lv_guest(AT, 64);
	LV_OK(create(frame_pages, nframes));
	LV_OK(uvm_arena_show(ua, w->map, AT, UVM_VIEW_WRITER | UVM_VIEW_OWNER));
	LV_OK(uvm_arena_show(ua, r->map, AT, 0));
}

/* Our reference; the guests' views go with them. */
static void forget(void)
{
	uvm_arena_rele(ua);
}

LvTest(uvm_arena, reader_sees_what_the_writer_writes)
{
	scene_of(1, 4);
	cr_assert(guest_holds(r, AT + 3, 0));
	LV_OK(guest_fill(w, AT + 1, 7));
	LV_OK(guest_fill(w, AT + 3, 8));
	cr_assert(guest_holds(r, AT + 1, 7) && guest_holds(r, AT + 3, 8));
	cr_assert(page_holds(uvm_arena_kva(ua, 1), 7));
	cr_assert_eq(lv_frames(w).fr_owned, 4);
	cr_assert_eq(lv_frames(r).fr_borrowed, 4);
	forget();
}

LvTest(uvm_arena, reader_that_writes_is_refused)
{
	scene_of(1, 4);
	LV_FAILS(guest_fill(r, AT + 1, 7), EACCES);
	cr_assert(guest_holds(w, AT + 1, 0));
	forget();
}

LvTest(uvm_arena, early_write_breaks_the_seal_for_the_writer_only)
{
	scene_of(1, 4);
	LV_OK(guest_fill(w, AT + 1, 7));
	LV_OK(guest_fill(w, AT + 2, 8));
	LV_OK(uvm_arena_seal(ua, 0, 1, 2));
	lv_check();
	cr_assert_eq(lv_frames(w).fr_lent, 2);
	LV_OK(guest_fill(w, AT + 1, 9));
	cr_assert(
	    guest_holds(w, AT + 1, 9) && guest_holds(r, AT + 1, 7) && guest_holds(r, AT + 2, 8));
	cr_assert_eq(stale_of[r->map->vm_domid], 1);
	cr_assert_eq(w->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 1);
	cr_assert_eq(w->map->vm_stats.ms_copied, 1);
	cr_assert_eq(lv_frames(r).fr_orphaned, 1);
	lv_check();
	/* The end of the seal does not change what the reader sees; a refresh does. */
	uvm_arena_unseal(ua, 0);
	lv_check();
	cr_assert(guest_holds(r, AT + 1, 7));
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(r, AT + 1, 9) && guest_holds(r, AT + 2, 8));
	cr_assert_eq(stale_of[r->map->vm_domid], 0);
	cr_assert_eq(lv_frames(r).fr_orphaned, 0);
	forget();
}

LvTest(uvm_arena, refresh_of_a_seal_shows_what_was_sealed)
{
	scene_of(1, 2);
	LV_OK(guest_fill(w, AT, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 1));
	LV_OK(guest_fill(w, AT, 2));
	uvm_arena_unseal(ua, 0);
	/* The reader still has 1.  The next message is 2, and broken before the reader looks. */
	LV_OK(uvm_arena_seal(ua, 1, 0, 1));
	LV_OK(guest_fill(w, AT, 3));
	cr_assert(guest_holds(r, AT, 1));
	LV_OK(uvm_arena_refresh(r->map, AT, 1, 0, 1));
	cr_assert(guest_holds(r, AT, 2));
	cr_assert_eq(stale_of[r->map->vm_domid], 1);
	lv_check();
	LV_OK(uvm_arena_refresh(r->map, AT, 1, 0, 1));
	cr_assert(guest_holds(r, AT, 2), "nothing to do");
	uvm_arena_unseal(ua, 1);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 1));
	cr_assert(guest_holds(r, AT, 3));
	forget();
}

LvTest(uvm_arena, write_after_the_end_of_a_seal_costs_no_copy)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	uvm_arena_unseal(ua, 0);
	LV_OK(guest_fill(w, AT + 1, 5));
	cr_assert_eq(w->map->vm_stats.ms_copied, 0);
	cr_assert_eq(w->pmap->sp_unprotects, 1);
	/* Frames after it were un-protected with it. */
	LV_OK(guest_fill(w, AT + 3, 5));
	cr_assert_eq(w->pmap->sp_unprotects, 1);
	cr_assert(guest_holds(r, AT + 1, 5));
	forget();
}

LvTest(uvm_arena, writer_about_to_break_asks_what_was_released)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 2));
	LV_OK(uvm_arena_seal(ua, 1, 2, 2));
	end_at_reap = 1;
	LV_OK(guest_fill(w, AT, 5));
	LV_OK(guest_fill(w, AT + 2, 6));
	cr_assert_eq(w->map->vm_stats.ms_copied, 1, "only the one that was not released");
	cr_assert(guest_holds(r, AT, 5) && guest_holds(r, AT + 2, 0));
	cr_assert_eq(reaps, 2);
	forget();
}

LvTest(uvm_arena, sealing_again_costs_no_protection)
{
	uint64_t protects;

	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	protects = w->pmap->sp_protects;
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_seal(ua, 0, 0, 3));
	uvm_arena_thaw(ua);
	cr_assert_eq(w->pmap->sp_protects, protects);
	lv_check();
	/* The frame that the second seal left out is writable again. */
	LV_OK(guest_fill(w, AT + 3, 5));
	cr_assert_eq(w->map->vm_stats.ms_faults, 0);
	forget();
}

LvTest(uvm_arena, thaw_makes_frames_writable)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 2));
	LV_OK(uvm_arena_seal(ua, 1, 2, 2));
	uvm_arena_unseal(ua, 0);
	uvm_arena_thaw(ua);
	LV_OK(guest_fill(w, AT + 1, 5));
	cr_assert_eq(w->map->vm_stats.ms_faults, 0);
	LV_OK(guest_fill(w, AT + 2, 5));
	cr_assert_eq(w->map->vm_stats.ms_copied, 1);
	forget();
}

LvTest(uvm_arena, bad_seals_are_refused)
{
	scene_of(1, 4);
	LV_FAILS(uvm_arena_seal(ua, 0, 0, 0), EINVAL);
	LV_FAILS(uvm_arena_seal(ua, 0, 4, 1), EINVAL);
	LV_FAILS(uvm_arena_seal(ua, 0, 5, 1), EINVAL);
	LV_FAILS(uvm_arena_seal(ua, 0, 1, 4), EINVAL);
	LV_FAILS(uvm_arena_seal(ua, 0, 1, UINT64_MAX), EINVAL);
	LV_OK(uvm_arena_seal(ua, 0, 1, 2));
	LV_FAILS(uvm_arena_seal(ua, 0, 3, 1), EBUSY);
	LV_FAILS(uvm_arena_seal(ua, 1, 2, 2), EBUSY);
	LV_OK(uvm_arena_seal(ua, 1, 3, 1));
	end_at_reap = 1;
	LV_OK(uvm_arena_seal(ua, 2, 0, 3));
	cr_assert(!uvm_arena_sealed(ua, 0) && uvm_arena_sealed(ua, 2));
	forget();
}

LvTest(uvm_arena, bad_refreshes_are_refused)
{
	scene_of(1, 4);
	LV_FAILS(uvm_arena_refresh(r->map, AT + 1, UVM_NOSEAL, 0, 1), ENOENT);
	LV_FAILS(uvm_arena_refresh(r->map, 0, UVM_NOSEAL, 0, 1), ENOENT);
	LV_FAILS(uvm_arena_refresh(r->map, AT + 32, UVM_NOSEAL, 0, 1), ENOENT);
	LV_FAILS(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 0), EINVAL);
	LV_FAILS(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 3, 2), EINVAL);
	LV_FAILS(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, UINT64_MAX, 2), EINVAL);
	LV_FAILS(uvm_arena_refresh(r->map, AT, 0, 0, 1), EINVAL);
	LV_FAILS(uvm_arena_refresh(r->map, AT, NSEALS, 0, 1), EINVAL);
	LV_OK(uvm_arena_seal(ua, 0, 1, 2));
	LV_FAILS(uvm_arena_refresh(r->map, AT, 0, 0, 1), EINVAL);
	LV_FAILS(uvm_arena_refresh(r->map, AT, 0, 2, 2), EINVAL);
	LV_FAILS(uvm_arena_refresh(w->map, AT, UVM_NOSEAL, 0, 1), EINVAL);
	LV_OK(uvm_arena_refresh(r->map, AT, 0, 2, 1));
	forget();
}

LvTest(uvm_arena, arena_is_no_memory_to_lend_wire_return_or_discard)
{
	struct uvm_offer_terms terms = {.ot_kind = UVM_LOAN_TOPAGE, .ot_borrower = UVM_DOMID_ANY};
	struct uvm_page *pg;
	uint64_t id;

	scene_of(1, 4);
	LV_FAILS(uvm_ledger_lend(w->map, AT, 1, &terms, &id), EINVAL);
	LV_FAILS(uvm_ledger_lend(r->map, AT, 1, &terms, &id), EINVAL);
	LV_FAILS(uvm_map_wire(w->map, AT, &pg), EINVAL);
	LV_FAILS(uvm_map_discard(w->map, AT, 1), EINVAL);
	LV_FAILS(uvm_ledger_return(r->map, AT), EINVAL);
	LV_FAILS(uvm_arena_hide(r->map, 0), ENOENT);
	LV_FAILS(uvm_arena_hide(r->map, AT + 1), ENOENT);
	LV_FAILS(uvm_arena_show(ua, r->map, AT + 2, 0), EEXIST);
	LV_FAILS(uvm_arena_show(ua, r->map, 4096, 0), EINVAL);
	forget();
}

LvTest(uvm_arena, hidden_view_is_gone)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_hide(r->map, AT));
	cr_assert_neq(soft_read(r->map, AT, 0, &(char){0}, 1), 0);
	LV_OK(uvm_arena_show(ua, r->map, AT + 8, 0));
	cr_assert(guest_holds(r, AT + 8, 0));
	LV_OK(uvm_arena_hide(w->map, AT));
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	cr_assert_eq(lv_frames(r).fr_lent, 4, "what has no owner belongs to who looks at it");
	forget();
}

LvTest(uvm_arena, writer_dies_and_the_reader_keeps_what_it_saw)
{
	scene_of(1, 4);
	LV_OK(guest_fill(w, AT, 1));
	LV_OK(guest_fill(w, AT + 1, 2));
	LV_OK(uvm_arena_seal(ua, 0, 0, 1));
	LV_OK(guest_fill(w, AT, 3));
	lv_kill(w);
	lv_check();
	cr_assert(guest_holds(r, AT, 1) && guest_holds(r, AT + 1, 2));
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(r, AT, 3));
	forget();
	lv_check();
	cr_assert(guest_holds(r, AT, 3));
}

LvTest(uvm_arena, reader_dies_with_old_frames)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	LV_OK(guest_fill(w, AT + 2, 3));
	lv_kill(r);
	lv_check();
	uvm_arena_unseal(ua, 0);
	cr_assert_eq(store->ss_store.st_nframes, 4);
	forget();
}

LvTest(uvm_arena, last_reference_ends_seals)
{
	scene_of(1, 4);
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	LV_OK(guest_fill(w, AT + 2, 3));
	lv_kill(w);
	lv_kill(r);
	forget();
}

LvTest(uvm_arena, hostage_is_bounded_by_the_arena)
{
	scene_of(1, 4);
	for (unsigned i = 1; i < 50; i++) {
		LV_OK(uvm_arena_seal(ua, i % NSEALS, 0, 4));
		for (unsigned f = 0; f < 4; f++)
			LV_OK(guest_fill(w, AT + f, 10 * i + f));
		uvm_arena_unseal(ua, i % NSEALS);
		cr_assert_leq(store->ss_store.st_nframes, 12);
	}
	cr_assert(guest_holds(r, AT, 0) && guest_holds(w, AT, 490));
	cr_assert_eq(lv_frames(r).fr_orphaned, 4, "who keeps old frames has them in his account");
	forget();
}

LvTest(uvm_arena, each_view_is_refreshed_by_itself)
{
	struct guest *third;

	scene_of(1, 4);
	third = lv_guest(AT, 64);
	LV_OK(uvm_arena_show(ua, third->map, AT, 0));
	LV_OK(uvm_arena_seal(ua, 0, 0, 1));
	LV_OK(guest_fill(w, AT, 3));
	cr_assert(stale_of[2] == 1 && stale_of[3] == 1);
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 1));
	cr_assert(stale_of[2] == 0 && stale_of[3] == 1);
	cr_assert(guest_holds(r, AT, 3) && guest_holds(third, AT, 0));
	lv_check();
	lv_kill(r);
	lv_check();
	forget();
}

LvTest(uvm_arena, frames_of_several_pages)
{
	scene_of(4, 3);
	LV_FAILS(uvm_arena_show(ua, r->map, AT + 33, 0), EINVAL);
	for (unsigned i = 0; i < 12; i++)
		LV_OK(guest_fill(w, AT + i, 100 + i));
	LV_OK(uvm_arena_seal(ua, 0, 1, 2));
	lv_check();
	LV_OK(guest_fill(w, AT + 5, 7));
	for (unsigned i = 0; i < 12; i++) {
		cr_assert(guest_holds(r, AT + i, 100 + i));
		cr_assert(guest_holds(w, AT + i, i == 5 ? 7 : 100 + i));
	}
	cr_assert_eq(w->map->vm_stats.ms_copied, 4);
	cr_assert_eq(lv_frames(w).fr_owned, 8);
	cr_assert_eq(lv_frames(w).fr_lent, 4);
	cr_assert_eq(lv_frames(r).fr_orphaned, 4);
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 1, 1));
	cr_assert(guest_holds(r, AT + 5, 7) && guest_holds(r, AT + 6, 106));
	forget();
}

LvTest(uvm_arena, full_store_refuses_the_break)
{
	struct uvm_page *taken[4];

	scene_of(1, 2);
	/* The store has no place left: somebody else took them. */
	for (unsigned i = 0; i < 4; i++)
		taken[i] = uvm_page_alloc(&store->ss_store, 0, 0);
	LV_OK(guest_fill(w, AT, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 2));
	LV_FAILS(guest_fill(w, AT, 2), ENOMEM);
	for (unsigned i = 0; i < 4; i++)
		uvm_page_free_unused(taken[i]);
	uvm_page_reap();
	cr_assert(guest_holds(w, AT, 1) && guest_holds(r, AT, 1));
	lv_check();
	LV_OK(guest_fill(w, AT, 2));
	cr_assert(guest_holds(w, AT, 2) && guest_holds(r, AT, 1));
	forget();
}

/*
 * While a view's process maps, nobody has the arena: others go on, whatever that process does.  The
 * hook runs inside pmo_enter, outside the world.
 */
static void (*meanwhile)(void);

static int run_meanwhile(void)
{
	void (*fn)(void) = meanwhile;

	cr_assert_eq(ua->ua_holder, 0, "who maps has the arena");
	meanwhile = NULL;
	if (fn != NULL) {
		uvm_world_enter();
		fn();
		uvm_world_leave();
	}
	return 0;
}

static void writes_early(void)
{
	LV_OK(guest_fill(w, AT + 1, 50));
}

/* Sealed, broken, and released: all between the choice of the frame and its mapping. */
static void seals_and_breaks(void)
{
	LV_OK(uvm_arena_seal(ua, 2, 1, 1));
	LV_OK(guest_fill(w, AT + 1, 50));
	uvm_arena_unseal(ua, 2);
}

LvTest(uvm_arena, break_while_a_view_is_refreshed)
{
	scene_of(1, 4);
	LV_OK(guest_fill(w, AT + 1, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	LV_OK(guest_fill(w, AT + 1, 2));
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_seal(ua, 1, 0, 4));
	r->pmap->sp_fail = run_meanwhile;
	meanwhile = writes_early;
	LV_OK(uvm_arena_refresh(r->map, AT, 1, 0, 4));
	cr_assert_null(meanwhile);
	cr_assert(guest_holds(r, AT + 1, 2) && guest_holds(w, AT + 1, 50));
	cr_assert_eq(stale_of[r->map->vm_domid], 1);
	lv_check();
	uvm_arena_unseal(ua, 1);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(r, AT + 1, 50));
	cr_assert_eq(stale_of[r->map->vm_domid], 0);
	forget();
}

LvTest(uvm_arena, seal_that_comes_and_goes_while_a_view_is_refreshed)
{
	scene_of(1, 4);
	LV_OK(guest_fill(w, AT + 1, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	LV_OK(guest_fill(w, AT + 1, 2));
	uvm_arena_unseal(ua, 0);
	r->pmap->sp_fail = run_meanwhile;
	meanwhile = seals_and_breaks;
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(r, AT + 1, 2) && guest_holds(w, AT + 1, 50));
	cr_assert_eq(stale_of[r->map->vm_domid], 1);
	lv_check();
	forget();
}

LvTest(uvm_arena, break_while_a_view_is_shown_first)
{
	struct guest *third;

	scene_of(1, 4);
	LV_OK(guest_fill(w, AT + 1, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	third = lv_guest(AT, 64);
	third->pmap->sp_fail = run_meanwhile;
	meanwhile = writes_early;
	LV_OK(uvm_arena_show(ua, third->map, AT, 0));
	cr_assert(guest_holds(third, AT + 1, 1) && guest_holds(w, AT + 1, 50));
	cr_assert_eq(stale_of[third->map->vm_domid], 1);
	lv_check();
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_refresh(third->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(third, AT + 1, 50));
	forget();
}

static void reader_goes_on(void)
{
	uvm_arena_unseal(ua, 0);
	LV_OK(uvm_arena_refresh(r->map, AT, UVM_NOSEAL, 0, 4));
	cr_assert(guest_holds(r, AT + 1, 1));
}

LvTest(uvm_arena, reader_goes_on_while_the_writer_breaks)
{
	scene_of(1, 4);
	LV_OK(guest_fill(w, AT + 1, 1));
	LV_OK(uvm_arena_seal(ua, 0, 0, 4));
	w->pmap->sp_fail = run_meanwhile;
	meanwhile = reader_goes_on;
	LV_OK(guest_fill(w, AT + 1, 2));
	cr_assert_null(meanwhile);
	cr_assert(guest_holds(w, AT + 1, 2) && guest_holds(r, AT + 1, 2));
	cr_assert_eq(stale_of[r->map->vm_domid], 0);
	forget();
}

/*
 * Everything at random beside a model: what the writer sees, what the reader sees, what is sealed.
 * LV_SEED repeats a run.
 */
#define FRAMES 6u
#define STEPS 20000u

static struct {
	uint64_t now[FRAMES], seen[FRAMES]; /* tags: the writer's, the reader's */
	bool old[FRAMES];		    /* the reader sees a frame that is not the arena's */
	struct {
		bool used;
		unsigned first, n;
		uint64_t tags[FRAMES];
		bool broken[FRAMES];
	} seals[NSEALS];
} m;

static bool model_sealed(unsigned frame)
{
	for (unsigned i = 0; i < NSEALS; i++)
		if (m.seals[i].used && frame >= m.seals[i].first &&
		    frame < m.seals[i].first + m.seals[i].n &&
		    !m.seals[i].broken[frame - m.seals[i].first])
			return true;
	return false;
}

static void model_write(unsigned frame, uint64_t tag)
{
	bool breaks = model_sealed(frame);

	LV_OK(guest_fill(w, AT + frame, tag));
	m.now[frame] = tag;
	if (breaks)
		m.old[frame] = true;
	else if (!m.old[frame])
		m.seen[frame] = tag;
	for (unsigned i = 0; breaks && i < NSEALS; i++)
		if (m.seals[i].used && frame >= m.seals[i].first &&
		    frame < m.seals[i].first + m.seals[i].n)
			m.seals[i].broken[frame - m.seals[i].first] = true;
}

static void model_seal(unsigned seal, unsigned first, unsigned n)
{
	bool busy = m.seals[seal].used;
	int error = uvm_arena_seal(ua, seal, first, n);

	for (unsigned i = 0; i < n; i++)
		busy |= model_sealed(first + i);
	cr_assert_eq(error, busy ? -EBUSY : 0);
	if (busy)
		return;
	memset(&m.seals[seal], 0, sizeof(m.seals[seal]));
	m.seals[seal].used = true;
	m.seals[seal].first = first;
	m.seals[seal].n = n;
	for (unsigned i = 0; i < n; i++)
		m.seals[seal].tags[i] = m.now[first + i];
}

static void model_refresh(unsigned seal)
{
	unsigned first = m.seals[seal].used ? m.seals[seal].first : 0;
	unsigned n = m.seals[seal].used ? m.seals[seal].n : FRAMES;
	bool sealed = m.seals[seal].used;

	LV_OK(uvm_arena_refresh(r->map, AT, sealed ? seal : UVM_NOSEAL, first, n));
	for (unsigned i = 0; i < n; i++) {
		m.seen[first + i] = sealed ? m.seals[seal].tags[i] : m.now[first + i];
		m.old[first + i] = sealed && m.seals[seal].broken[i];
	}
}

static void model_compare(void)
{
	uint64_t old = 0;

	for (unsigned i = 0; i < FRAMES; i++) {
		cr_assert(guest_holds(w, AT + i, m.now[i]));
		cr_assert(guest_holds(r, AT + i, m.seen[i]));
		old += m.old[i];
	}
	cr_assert_eq(stale_of[2], old);
}

LvTest(uvm_arena, random_operations_agree_with_a_model)
{
	const char *text = getenv("LV_SEED");
	unsigned seed = text != NULL ? (unsigned)atoi(text) : 20261122, first;

	fprintf(stderr, "LV_SEED=%u\n", seed);
	srandom(seed);
	stale_of[2] = 0;
	w = lv_guest(AT, 64);
	r = lv_guest(AT, 64);
	store = soft_store_create_frames(1, FRAMES, 8, 1);
	LV_OK(uvm_arena_create(&store->ss_store, FRAMES, NSEALS, &ops, &reaps, &ua));
	LV_OK(uvm_arena_show(ua, w->map, AT, UVM_VIEW_WRITER | UVM_VIEW_OWNER));
	LV_OK(uvm_arena_show(ua, r->map, AT, 0));
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned seal = (unsigned)random() % NSEALS;

		first = (unsigned)random() % FRAMES;
		switch (random() % 8) {
		case 0:
		case 1:
		case 2:
			model_write(first, (uint64_t)step + 1);
			break;
		case 3:
		case 4:
			model_seal(seal, first, 1 + (unsigned)random() % (FRAMES - first));
			break;
		case 5:
			if (m.seals[seal].used)
				uvm_arena_unseal(ua, seal);
			m.seals[seal].used = false;
			break;
		case 6:
			model_refresh(seal);
			break;
		default:
			uvm_arena_thaw(ua);
		}
		model_compare();
		if (step % 100 == 0)
			lv_check();
	}
	forget();
}

/* ---- every allocation and pmap call fails once: on guest a, who writes, or b, who reads ---- */

#define THERE 20u

static int create_and_show(void)
{
	int error = create(1, 4);

	if (error != 0)
		return error;
	error = uvm_arena_show(ua, sc.a->map, THERE, UVM_VIEW_WRITER | UVM_VIEW_OWNER);
	uvm_arena_rele(ua);
	return error;
}

static void written(void)
{
	LV_OK(guest_fill(sc.a, THERE + 1, 9));
}

LvTest(uvm_arena_failures, show_to_the_writer)
{
	fail_each(&(struct operation){.run = create_and_show, .done = written, .may_lose = 'a'}, 8);
}

static int show_to_b(void)
{
	return uvm_arena_show(ua, sc.b->map, THERE, 0);
}

static void one_view(void)
{
	LV_OK(create_and_show());
	LV_OK(guest_fill(sc.a, THERE + 1, 1));
}

static void seen(void)
{
	cr_assert(guest_holds(sc.b, THERE + 1, 1));
}

LvTest(uvm_arena_failures, show_to_a_reader)
{
	fail_each(
	    &(struct operation){
		.run = show_to_b, .done = seen, .before = one_view, .may_lose = 'b'},
	    4);
}

static void two_views(void)
{
	one_view();
	LV_OK(show_to_b());
}

static int seal_all(void)
{
	return uvm_arena_seal(ua, 0, 0, 4);
}

static int early_write(void)
{
	return guest_fill(sc.a, THERE + 1, 2);
}

static void kept(void)
{
	LV_OK(early_write());
	cr_assert(guest_holds(sc.b, THERE + 1, 1) && guest_holds(sc.a, THERE + 1, 2));
}

LvTest(uvm_arena_failures, seal)
{
	fail_each(&(struct operation){.run = seal_all, .done = kept, .before = two_views}, 2);
}

static void sealed_views(void)
{
	two_views();
	LV_OK(seal_all());
}

LvTest(uvm_arena_failures, early_write)
{
	fail_each(
	    &(struct operation){
		.run = early_write, .done = kept, .before = sealed_views, .may_lose = 'a'},
	    2);
}

static void broken_views(void)
{
	sealed_views();
	LV_OK(early_write());
	uvm_arena_unseal(ua, 0);
}

static int refresh_b(void)
{
	return uvm_arena_refresh(sc.b->map, THERE, UVM_NOSEAL, 0, 4);
}

static void fresh(void)
{
	cr_assert(guest_holds(sc.b, THERE + 1, 2));
}

LvTest(uvm_arena_failures, refresh)
{
	fail_each(
	    &(struct operation){
		.run = refresh_b, .done = fresh, .before = broken_views, .may_lose = 'b'},
	    1);
}

static int hide_b(void)
{
	return uvm_arena_hide(sc.b->map, THERE);
}

static void hidden(void)
{
	cr_assert_neq(soft_read(sc.b->map, THERE, 0, &(char){0}, 1), 0);
}

LvTest(uvm_arena_failures, hide)
{
	fail_each(
	    &(struct operation){
		.run = hide_b, .done = hidden, .before = broken_views, .may_lose = 'b'},
	    1);
}
