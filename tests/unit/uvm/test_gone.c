/* SPDX-License-Identifier: BSD-2-Clause */
/* seed: uvm_unloan from any side, owner gone: guests and the host go in every order. */
#include "lvtest.h"

#define NPARTIES 4u /* lender, borrower, a borrower of the borrower, host */

struct scene {
	struct guest *g[3];
	struct uvm_hostloan *hl;
	enum uvm_loan_kind kind;
};

/* g[0] lends 4 pages to g[1], who lends them on to g[2] and the host; one page of each is broken.
 */
static void set(struct scene *s, enum uvm_loan_kind kind)
{
	uint64_t id;

	s->kind = kind;
	for (unsigned i = 0; i < 3; i++)
		s->g[i] = lv_guest(8, 8);
	for (unsigned i = 0; i < 3; i++)
		LV_OK(guest_fill(s->g[0], i, 100 + i)); /* the fourth is zero */
	id = lv_lend(s->g[0], 0, 4, kind, s->g[1]->map->vm_domid);
	LV_OK(uvm_ledger_borrow(s->g[1]->map, id, 0, 4, 8));
	LV_OK(guest_fill(s->g[0], 1, 201));
	id = lv_lend(s->g[1], 8, 4, kind, UVM_DOMID_ANY);
	LV_OK(uvm_ledger_borrow(s->g[2]->map, id, 0, 4, 8));
	LV_OK(uvm_ledger_host_borrow(id, &s->hl));
}

/* Whoever is still there has the bytes that he was lent. */
static void look(struct scene *s)
{
	static const uint64_t tags[4] = {100, 101, 102, 0};
	struct pmap_extent ext;
	uint64_t upto;

	for (unsigned p = 1; p < 3; p++)
		for (unsigned i = 0; s->g[p] != NULL && i < 4; i++)
			cr_assert(guest_holds(s->g[p], 8 + i, tags[i]));
	if (s->g[0] != NULL)
		cr_assert(guest_holds(s->g[0], 0, 100) && guest_holds(s->g[0], 1, 201));
	for (unsigned i = 0; s->hl != NULL && i < 4; i++) {
		cr_assert_eq(uvm_hostloan_extents(s->hl, i, 1, &ext, 1, &upto), 1);
		cr_assert(
		    ext.kind == PMAP_ZERO
			? tags[i] == 0
			: page_holds(ext.store->st_ops->so_kva(ext.store, ext.index), tags[i]));
	}
	lv_check();
}

static void go(struct scene *s, unsigned party)
{
	if (party == 3) {
		uvm_hostloan_return(s->hl);
		s->hl = NULL;
	} else {
		lv_kill(s->g[party]);
		s->g[party] = NULL;
	}
}

/* The n-th order of four. */
static void nth_order(unsigned n, unsigned order[NPARTIES])
{
	unsigned left[NPARTIES] = {0, 1, 2, 3};

	for (unsigned k = NPARTIES; k > 0; n /= k, k--) {
		order[NPARTIES - k] = left[n % k];
		left[n % k] = left[k - 1];
	}
}

static void every_order(enum uvm_loan_kind kind)
{
	unsigned order[NPARTIES];
	struct scene s;

	for (unsigned n = 0; n < 24; n++) {
		set(&s, kind);
		nth_order(n, order);
		look(&s);
		for (unsigned i = 0; i < NPARTIES; i++) {
			go(&s, order[i]);
			look(&s);
		}
		cr_assert_eq(world_leftovers(), 0);
	}
}

LvTest(uvm_gone, parties_to_page_go_in_every_order)
{
	every_order(UVM_LOAN_TOPAGE);
}

LvTest(uvm_gone, parties_to_anon_go_in_every_order)
{
	every_order(UVM_LOAN_TOANON);
}

LvTest(uvm_gone, orphans_are_counted_for_the_departed)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	struct uvm_account ac;
	uint64_t id;

	for (unsigned i = 0; i < 4; i++)
		LV_OK(guest_fill(a, i, 1));
	id = lv_lend(a, 0, 2, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 4));
	lv_kill(a);
	lv_account(&ac);
	cr_assert_eq(ac.ac_departed.fr_orphaned, 2);
	cr_assert_eq(ac.ac_kernel_pages, 2, "what nobody borrowed is free");
	cr_assert_eq(lv_frames(b).fr_borrowed, 2);
	LV_OK(uvm_ledger_return(b->map, 4));
	lv_account(&ac);
	cr_assert_eq(ac.ac_kernel_pages, 0);
}

/* What the kernel could not give back when the guest went. */
LvTest(uvm_gone, account_gives_back_memory_that_the_departed_left)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	struct uvm_store *st = &a->store->ss_store;
	struct uvm_account ac;
	uint64_t id;

	LV_OK(guest_fill(a, 0, 1));
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 4));
	lv_kill(a);
	(void)st->st_ops->so_kva(st, 2);
	cr_assert_eq(st->st_ops->so_blocks(st), 2);
	lv_account(&ac);
	cr_assert(ac.ac_equal);
	cr_assert_eq(ac.ac_kernel_pages, 1);
	cr_assert(guest_holds(b, 4, 1));
}

LvTest(uvm_gone, pmap_of_the_gone_guest_is_left_alone)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	uint64_t id, calls;

	LV_OK(guest_fill(a, 0, 1));
	LV_OK(guest_fill(b, 0, 1));
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 4));
	id = lv_lend(b, 0, 1, UVM_LOAN_TOPAGE, 1);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 1, 4));
	(void)lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	calls = a->pmap->sp_enters + a->pmap->sp_protects + a->pmap->sp_unprotects;
	uvm_ledger_guest_gone(a->map);
	cr_assert_eq(calls, a->pmap->sp_enters + a->pmap->sp_protects + a->pmap->sp_unprotects);
	soft_pmap_destroy(a->pmap);
	uvm_store_rele(&a->store->ss_store);
	a->map = NULL;
	cr_assert(guest_holds(b, 4, 1));
}

/* Its process died in the middle of things: nothing can be mapped, but everything can be ended. */
LvTest(uvm_gone, guest_whose_process_died_first_is_taken_down)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	uint64_t id;

	LV_OK(guest_fill(a, 0, 7));
	id = lv_lend(a, 0, 2, UVM_LOAN_TOANON, 2);
	b->pmap->sp_gone = true;
	LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 2, 4), ESRCH);
	lv_check();
	b->pmap->sp_gone = false;
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 4));
	b->pmap->sp_gone = true;
	LV_OK(uvm_ledger_return(b->map, 4));
	lv_kill(b);
	cr_assert(guest_holds(a, 0, 7));
}

static int fail_always(void)
{
	return -EIO;
}

/* What the guest's process did half it cannot undo: the borrow says so, the guest must be killed.
 */
LvTest(uvm_gone, borrow_that_cannot_be_undone_leaves_a_guest_to_kill)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	uint64_t id;

	LV_OK(guest_fill(a, 0, 7));
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		id = lv_lend(a, 0, 2, kind, UVM_DOMID_ANY);
		b->pmap->sp_fail = fail_always;
		LV_FAILS(uvm_ledger_borrow(b->map, id, 0, 2, 4), ENOTRECOVERABLE);
		lv_check();
		lv_kill(b);
		lv_check();
		b = lv_guest(4, 4);
	}
	cr_assert(guest_holds(a, 0, 7));
}

/* Nobody knows what b still maps: it must be killed, and until then the loan goes on. */
LvTest(uvm_gone, return_that_cannot_unmap_loses_the_borrower)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	uint64_t id;

	LV_OK(guest_fill(a, 0, 7));
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 1, 4));
	b->pmap->sp_fail = fail_always;
	LV_FAILS(uvm_ledger_return(b->map, 4), ENOTRECOVERABLE);
	b->pmap->sp_fail = NULL;
	LV_FAILS(uvm_ledger_return(b->map, 4), EBUSY);
	lv_check();
	lv_kill(b);
	cr_assert(guest_holds(a, 0, 7));
}

/* An object's last user goes while its pages are lent. */
LvTest(uvm_gone, object_goes_with_its_last_entry_and_the_lent_page_stays)
{
	struct test_object *to = test_object_create(4, 50);
	struct guest *a = lv_guest(4, 8), *b = lv_guest(4, 8);
	bool gone = false;
	uint64_t id;

	to->to_gone = &gone;
	LV_OK(uvm_map_enter_object(a->map, 4, 4, &to->to_object, 0));
	id = lv_lend(a, 4, 4, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 4, 4));
	uvm_object_rele(&to->to_object);
	cr_assert(!gone);
	lv_kill(a);
	cr_assert(gone);
	for (unsigned i = 0; i < 4; i++)
		cr_assert(guest_holds(b, 4 + i, 50 + i));
	LV_OK(guest_fill(b, 5, 1));
	lv_check();
}

/* Domids come round again: an offer is for the guest that it was made to. */
LvTest(uvm_gone, offer_to_a_guest_that_is_gone_is_nobody_s)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4), next;
	struct uvm_offer_info info;
	uint64_t id;

	LV_OK(guest_fill(a, 0, 7));
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2);
	lv_kill(b);
	LV_OK(guest_create(&next, 2, 4, 4));
	LV_FAILS(uvm_ledger_borrow(next.map, id, 0, 1, 4), EPERM);
	LV_FAILS(uvm_ledger_next(2, 0, &info), ENOENT);
	LV_OK(uvm_ledger_query(1, id, &info));
	cr_assert_eq(info.oi_borrower, UVM_DOMID_NOBODY);
	guest_destroy(&next);
}

/* Bug: what the host had lent to a guest stayed on offer to nobody when that was gone, until somebody looked. */
LvTest(uvm_gone, host_s_offers_to_the_gone_guest_end)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	struct test_object *to = test_object_create(4, 100);
	struct uvm_offer_terms terms = {
	    .ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE, .ot_by_host = true};
	struct uvm_offer_info info;
	uint64_t file, pages, any, windows;

	LV_OK(guest_fill(a, 0, 7));
	LV_OK(uvm_ledger_lend_object(&to->to_object, 0, 4, 4 * UVM_PAGE_SIZE, &terms, &file));
	LV_OK(uvm_ledger_lend(a->map, 0, 1, &terms, &pages));
	terms.ot_borrower = UVM_DOMID_ANY;
	LV_OK(uvm_ledger_lend_object(&to->to_object, 0, 4, 4 * UVM_PAGE_SIZE, &terms, &any));
	LV_OK(uvm_ledger_borrow(b->map, file, 0, 2, 4));
	cr_assert_eq(lv_frames(a).fr_lent, 1);
	lv_kill(b);
	LV_FAILS(uvm_ledger_query(UVM_DOMID_HOST, file, &info), ENOENT);
	LV_FAILS(uvm_ledger_query(UVM_DOMID_HOST, pages, &info), ENOENT);
	LV_OK(uvm_ledger_query(UVM_DOMID_HOST, any, &info));
	cr_assert_eq(lv_frames(a).fr_lent, 0);
	LV_OK(uvm_ledger_recall(UVM_DOMID_HOST, any, &windows));
	uvm_object_rele(&to->to_object);
}
