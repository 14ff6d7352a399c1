/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_hostmap.h"
#include "uvm/uvm_share.h"

static uint64_t nominate(struct guest *g, uint64_t gfn)
{
	uint64_t handle = 0;

	LV_OK(uvm_share_nominate(g->map, gfn, &handle));
	cr_assert_neq(handle, 0);
	return handle;
}

/* Two pages that hold the same, and are one frame afterwards. */
static void share(struct guest *s, uint64_t sgfn, struct guest *c, uint64_t cgfn)
{
	LV_OK(uvm_share_pages(s->map, sgfn, nominate(s, sgfn), c->map, cgfn, nominate(c, cgfn)));
}

static void fill(struct guest *g, uint64_t gfn, uint64_t n, uint64_t tag)
{
	for (uint64_t i = 0; i < n; i++)
		LV_OK(guest_fill(g, gfn + i, tag + i));
}

static void counts(uint64_t frames, uint64_t saved)
{
	uint64_t f, s;

	uvm_share_counts(&f, &s);
	cr_assert_eq(f, frames, "%ju frames shared, not %ju", (uintmax_t)f, (uintmax_t)frames);
	cr_assert_eq(s, saved, "%ju frames saved, not %ju", (uintmax_t)s, (uintmax_t)saved);
}

static uint64_t total(void)
{
	struct uvm_account ac;

	lv_account(&ac);
	return uvm_frames_total(&ac.ac_all);
}

LvTest(uvm_share, shared_pages_are_one_frame_that_nobody_can_write)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 7);
	cr_assert_eq(total(), 2);
	share(a, 2, b, 5);
	cr_assert_eq(lv_page(a, 2), lv_page(b, 5));
	cr_assert(guest_holds(a, 2, 7) && guest_holds(b, 5, 7));
	cr_assert_eq(total(), 1);
	counts(1, 1);
	cr_assert_eq(uvm_share_refs(a->map, 2), 2);
	cr_assert_eq(uvm_share_refs(b->map, 5), 2);
	cr_assert_eq(a->map->vm_shared, 1);
	cr_assert_eq(lv_frames(a).fr_lent, 1);
	cr_assert_eq(lv_frames(b).fr_borrowed, 1);
}

static void write_breaks(struct guest *writer, uint64_t gfn, struct guest *other, uint64_t ogfn)
{
	fill(writer, gfn, 1, 9);
	cr_assert(guest_holds(writer, gfn, 9) && guest_holds(other, ogfn, 7));
	counts(1, 0);
	cr_assert_eq(writer->map->vm_shared, 0);
	cr_assert_eq(other->map->vm_shared, 1);
	cr_assert_eq(writer->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 1);
	cr_assert_eq(total(), 2);
	lv_check();
	/* The other one is alone: it writes where it is, or into a frame of its own. */
	fill(other, ogfn, 1, 11);
	cr_assert(guest_holds(writer, gfn, 9) && guest_holds(other, ogfn, 11));
	counts(0, 0);
	cr_assert_eq(total(), 2);
	cr_assert_eq(lv_page(other, ogfn)->pg_store, &other->store->ss_store);
}

LvTest(uvm_share, write_of_the_client_breaks)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 7);
	share(a, 2, b, 5);
	write_breaks(b, 5, a, 2);
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

LvTest(uvm_share, write_of_the_source_breaks)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 7);
	share(a, 2, b, 5);
	write_breaks(a, 2, b, 5);
	cr_assert_eq(b->map->vm_stats.ms_copied, 1, "its frame lay in the other's store");
}

LvTest(uvm_share, nominated_page_keeps_its_handle_until_it_is_written)
{
	struct guest *a = lv_guest(8, 8);
	uint64_t handle;

	fill(a, 2, 1, 7);
	handle = nominate(a, 2);
	cr_assert_eq(nominate(a, 2), handle);
	cr_assert(guest_holds(a, 2, 7));
	cr_assert_eq(nominate(a, 2), handle);
	counts(1, 0);
	fill(a, 2, 1, 8);
	counts(0, 0);
	cr_assert_eq(a->map->vm_stats.ms_copied, 0, "nobody shared it");
	cr_assert_neq(nominate(a, 2), handle);
}

/* A loan that ends makes the lender's pages writable again: not those with a handle. */
LvTest(uvm_share, nominated_page_stays_protected_when_loans_end)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t handle, id, windows;

	fill(a, 2, 3, 7);
	for (enum uvm_loan_kind kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 2, 3, kind, 2);
		handle = nominate(a, 3);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 3, 8));
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_OK(uvm_ledger_recall(1, id, &windows));
		lv_check();
		cr_assert_eq(nominate(a, 3), handle);
		/* Nor when a neighbour's write un-protects ahead. */
		fill(a, 2, 1, 7);
		cr_assert_eq(nominate(a, 3), handle);
	}
	cr_assert_eq(lv_page(a, 3)->pg_protected, true);
	cr_assert_eq(lv_page(a, 4)->pg_protected, false);
}

LvTest(uvm_share, handles_of_others_or_of_the_past_are_refused)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t ha, hb;

	fill(a, 2, 2, 7);
	fill(b, 5, 1, 7);
	ha = nominate(a, 2);
	hb = nominate(b, 5);
	LV_FAILS(uvm_share_pages(a->map, 2, hb, b->map, 5, hb), ESTALE);
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 5, ha), ENOENT);
	LV_FAILS(uvm_share_pages(a->map, 3, 0, b->map, 5, hb), ESTALE);
	LV_FAILS(uvm_share_pages(a->map, 4, 0, b->map, 5, hb), ESTALE);
	LV_FAILS(uvm_share_pages(a->map, 8, ha, b->map, 5, hb), ESTALE);
	LV_FAILS(uvm_share_pages(a->map, UINT64_MAX, ha, b->map, 5, hb), ESTALE);
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 6, 0), ENOENT);
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 8, hb), ENOENT);
	counts(2, 0);
	fill(b, 5, 1, 7);
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 5, hb), ENOENT);
	hb = nominate(b, 5);
	fill(a, 2, 1, 7);
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 5, hb), ESTALE);
	counts(1, 0);
	lv_check();
}

LvTest(uvm_share, what_is_no_page_of_ram_or_wired_is_not_nominated)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t handle, id, windows;
	struct uvm_page *pg;

	fill(a, 2, 2, 7);
	for (enum uvm_loan_kind kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 2, 1, kind, 2);
		LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 8));
		LV_FAILS(uvm_share_nominate(b->map, 8, &handle), EINVAL);
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_OK(uvm_ledger_recall(1, id, &windows));
	}
	LV_FAILS(uvm_share_nominate(a->map, 8, &handle), EINVAL);
	LV_FAILS(uvm_share_nominate(a->map, UINT64_MAX, &handle), EINVAL);
	LV_OK(uvm_map_wire(a->map, 3, &pg));
	LV_FAILS(uvm_share_nominate(a->map, 3, &handle), EBUSY);
	uvm_map_unwire(a->map, pg);
	(void)nominate(a, 3);
}

/* Wiring writes, as far as sharing is concerned. */
LvTest(uvm_share, wiring_breaks)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_page *pg;
	uint64_t handle;

	fill(a, 2, 2, 7);
	fill(b, 5, 1, 7);
	share(a, 2, b, 5);
	LV_OK(uvm_map_wire(b->map, 5, &pg));
	counts(1, 0);
	LV_FAILS(uvm_share_nominate(b->map, 5, &handle), EBUSY);
	(void)nominate(a, 3);
	counts(2, 0);
	uvm_map_unwire(b->map, pg);
	LV_OK(uvm_map_wire(a->map, 3, &pg));
	counts(1, 0);
	uvm_map_unwire(a->map, pg);
}

/* A program that looks at a page does not end its handle. */
LvTest(uvm_share, looking_breaks_nothing)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	struct uvm_hostmap *hm = uvm_hostmap_create(b->map, 2);
	struct uvm_page *pg, *nominated;

	fill(a, 2, 1, 7);
	fill(b, 5, 2, 7);
	share(a, 2, b, 5);
	(void)nominate(b, 6);
	LV_OK(uvm_hostmap_add(hm, 0, 5, false, &pg));
	LV_OK(uvm_hostmap_add(hm, 1, 6, false, &nominated));
	counts(2, 1);
	cr_assert_eq(pg, lv_page(a, 2));
	fill(a, 2, 1, 9);
	fill(b, 5, 2, 9);
	cr_assert(page_holds(uvm_page_kva(pg), 7) && page_holds(uvm_page_kva(nominated), 8));
	counts(0, 0);
	lv_check();
	uvm_hostmap_destroy(hm);
}

LvTest(uvm_share, untouched_page_gets_a_frame)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	cr_assert_eq(uvm_share_untouched(a->map, 4), 1);
	share(a, 4, b, 4);
	cr_assert_eq(uvm_share_untouched(a->map, 4), 0);
	cr_assert_eq(uvm_share_untouched(a->map, 8), -EINVAL);
	cr_assert(guest_holds(a, 4, 0) && guest_holds(b, 4, 0));
	cr_assert_eq(total(), 1);
	fill(a, 4, 1, 3);
	cr_assert(guest_holds(a, 4, 3) && guest_holds(b, 4, 0));
}

LvTest(uvm_share, page_with_itself_is_shared_already)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t handle;

	fill(a, 2, 2, 7);
	handle = nominate(a, 2);
	LV_OK(uvm_share_pages(a->map, 2, handle, a->map, 2, handle));
	counts(1, 0);
	fill(b, 2, 1, 7);
	share(a, 2, b, 2);
	LV_OK(uvm_share_pages(a->map, 2, handle, b->map, 2, handle));
	LV_OK(uvm_share_pages(b->map, 2, handle, a->map, 2, 12345));
	counts(1, 1);
}

/* Two pages of one guest, then many of several. */
LvTest(uvm_share, frame_is_shared_by_many)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8), *c = lv_guest(8, 8);

	fill(a, 2, 1, 7);
	fill(a, 3, 1, 7);
	share(a, 2, a, 3);
	cr_assert_eq(lv_page(a, 2), lv_page(a, 3));
	share(a, 3, b, 0);
	share(b, 0, c, 0);
	share(b, 0, c, 1);
	counts(1, 4);
	cr_assert_eq(a->map->vm_shared, 2);
	cr_assert_eq(uvm_share_refs(c->map, 1), 5);
	lv_check();
	fill(a, 2, 1, 1);
	fill(b, 0, 1, 2);
	lv_check();
	counts(1, 2);
	cr_assert(guest_holds(a, 3, 7) && guest_holds(c, 0, 7) && guest_holds(c, 1, 7));
	lv_kill(a);
	cr_assert_eq(uvm_share_refs(c->map, 1), 2);
	cr_assert(guest_holds(c, 0, 7) && guest_holds(c, 1, 7));
	LV_OK(uvm_map_discard(c->map, 0, 1));
	counts(1, 0);
	cr_assert(guest_holds(c, 0, 0) && guest_holds(c, 1, 7));
	lv_kill(c);
	counts(0, 0);
}

LvTest(uvm_share, shared_page_is_lent_and_copied_on_write)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8), *c = lv_guest(8, 8);
	uint64_t id, windows;

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 7);
	share(a, 2, b, 5);
	for (enum uvm_loan_kind kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(b, 5, 1, kind, 3);
		LV_OK(uvm_ledger_borrow(c->map, id, 0, 1, 8));
		fill(b, 5, 1, 9);
		cr_assert(guest_holds(c, 8, 7) && guest_holds(a, 2, 7));
		lv_check();
		if (kind == UVM_LOAN_TOANON)
			fill(c, 8, 1, 4);
		LV_OK(uvm_ledger_return(c->map, 8));
		LV_OK(uvm_ledger_recall(2, id, &windows));
		counts(1, 0);
		fill(b, 5, 1, 7);
		share(a, 2, b, 5);
	}
}

/* What the client had lent stays as it was, and so does what it had promised. */
LvTest(uvm_share, frame_of_the_client_lives_on_with_its_borrowers)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8), *c = lv_guest(8, 8);
	uint64_t id, windows;

	for (enum uvm_loan_kind kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		fill(a, 2, 1, 7);
		fill(b, 5, 1, 6);
		id = lv_lend(b, 5, 1, kind, 3);
		LV_OK(uvm_ledger_borrow(c->map, id, 0, 1, 8));
		share(a, 2, b, 5);
		cr_assert(guest_holds(b, 5, 7) && guest_holds(c, 8, 6));
		lv_check();
		LV_OK(uvm_ledger_return(c->map, 8));
		LV_OK(uvm_ledger_recall(2, id, &windows));
	}
}

LvTest(uvm_share, add_fills_a_hole)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t handle;

	fill(a, 2, 1, 7);
	fill(b, 5, 2, 6);
	handle = nominate(a, 2);
	LV_FAILS(uvm_share_add(a->map, 2, handle, b->map, 5), ENOENT);
	LV_FAILS(uvm_share_add(a->map, 2, handle, b->map, 8), ENOENT);
	LV_FAILS(uvm_share_add(a->map, 2, handle + 1, b->map, 3), ESTALE);
	LV_OK(uvm_share_add(a->map, 2, handle, b->map, 3));
	LV_OK(uvm_map_discard(b->map, 6, 1));
	LV_OK(uvm_share_add(a->map, 2, handle, b->map, 6));
	cr_assert(guest_holds(b, 3, 7) && guest_holds(b, 6, 7) && guest_holds(b, 5, 6));
	counts(1, 2);
	lv_check();
	fill(b, 6, 1, 8);
	fill(a, 2, 1, 9);
	cr_assert(guest_holds(b, 3, 7) && guest_holds(b, 6, 8));
}

static struct guest *toucher;

/* The client, which runs, touches the hole while it is being filled. */
static int touch_hole(void)
{
	struct uvm_store *st = &toucher->store->ss_store;

	if (toucher->pmap->sp_ptes[3].kind == PMAP_OWN)
		page_fill(st->st_ops->so_kva(st, 3), 9);
	return 0;
}

LvTest(uvm_share, add_does_not_lose_what_is_touched_meanwhile)
{
	struct guest *a = lv_guest(8, 8), *b = toucher = lv_guest(8, 8);

	fill(a, 2, 1, 7);
	b->pmap->sp_fail = touch_hole;
	LV_FAILS(uvm_share_add(a->map, 2, nominate(a, 2), b->map, 3), ENOENT);
	b->pmap->sp_fail = NULL;
	cr_assert(guest_holds(b, 3, 9));
	fill(b, 3, 1, 10);
	counts(1, 0);
}

/* The source writes while the client maps its page: the client gets the bytes of the handle. */
static struct guest *writer;

static int write_source(void)
{
	uvm_world_enter();
	LV_OK(guest_fill(writer, 2, 9));
	uvm_world_leave();
	return 0;
}

LvTest(uvm_share, source_that_writes_meanwhile_changes_nothing)
{
	struct guest *a = writer = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t ha, hb;

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 7);
	ha = nominate(a, 2);
	hb = nominate(b, 5);
	b->pmap->sp_fail = write_source;
	LV_OK(uvm_share_pages(a->map, 2, ha, b->map, 5, hb));
	b->pmap->sp_fail = NULL;
	cr_assert(guest_holds(a, 2, 9) && guest_holds(b, 5, 7));
	counts(1, 0);
	cr_assert_eq(uvm_share_refs(b->map, 5), 1);
	cr_assert_eq(uvm_share_refs(a->map, 2), -EINVAL);
}

LvTest(uvm_share, client_that_is_gone_changes_nothing)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t ha, hb;

	fill(a, 2, 1, 7);
	fill(b, 5, 1, 6);
	ha = nominate(a, 2);
	hb = nominate(b, 5);
	b->pmap->sp_gone = true;
	LV_FAILS(uvm_share_pages(a->map, 2, ha, b->map, 5, hb), ESRCH);
	LV_FAILS(uvm_share_add(a->map, 2, ha, b->map, 3), ESRCH);
	b->pmap->sp_gone = false;
	counts(2, 0);
	cr_assert_eq(nominate(b, 5), hb);
	cr_assert(guest_holds(b, 5, 6) && guest_holds(b, 3, 0));
}
