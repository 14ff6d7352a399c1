/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending an object's pages (uvm_loan.c): by offset, through a map, with a pager that takes its
 * time. */
#include "lvtest.h"

#include <string.h>

static struct test_object *to;
static struct guest *a;

static uint8_t *loan_bytes(const union uvm_loaned *l, enum uvm_loan_kind kind)
{
	return uvm_page_kva(kind == UVM_LOAN_TOANON ? l->anon->an_page : l->page);
}

/* seed: uvm_loanuobjpages: O->K by offset, in chunks */
LvTest(uvm_loan_object, range_longer_than_a_cluster_is_lent)
{
	static union uvm_loaned l[200];

	to = test_object_create(220, 1);
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_OK(uvm_loan_object(&to->to_object, 10, 200, kind, l));
		for (unsigned i = 0; i < 200; i++)
			cr_assert(page_holds(loan_bytes(&l[i], kind), 11 + i));
		uvm_unloan(l, 200, kind);
	}
	cr_assert_eq(to->to_gets, 4, "200 pages in clusters of 64, once");
	uvm_object_rele(&to->to_object);
}

static int fail_third(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)off;
	(void)n;
	return obj->to_gets == 3 ? -EIO : 0;
}

/* seed: uvm_loanuobjpages backs out when a chunk fails */
LvTest(uvm_loan_object, failure_in_the_middle_undoes_everything)
{
	static union uvm_loaned l[200];

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		to = test_object_create(200, 1);
		to->to_on_get = fail_third;
		LV_FAILS(uvm_loan_object(&to->to_object, 0, 200, kind, l), EIO);
		for (unsigned i = 0; i < 200; i++) {
			struct uvm_page *pg = lv_object_page(to, i);

			cr_assert_null(l[i].page);
			cr_assert(pg == NULL || (uvm_page_loans(pg) == 0 && pg->pg_anon == NULL));
		}
		lv_check();
		LV_OK(uvm_loan_object(&to->to_object, 0, 200, kind, l));
		uvm_unloan(l, 200, kind);
		uvm_object_rele(&to->to_object);
	}
}

LvTest(uvm_loan_object, bad_ranges_are_refused)
{
	union uvm_loaned l[4];

	to = test_object_create(4, 1);
	LV_FAILS(uvm_loan_object(&to->to_object, 0, 0, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan_object(&to->to_object, 4, 1, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan_object(&to->to_object, 2, 3, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan_object(&to->to_object, UINT64_MAX, 2, UVM_LOAN_TOPAGE, l), EINVAL);
	LV_FAILS(uvm_loan_object(&to->to_object, 1, UINT64_MAX, UVM_LOAN_TOPAGE, l), EINVAL);
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_loanpage: a second loan to anon reuses the page's anon */
LvTest(uvm_loan_object, second_loan_to_anon_reuses_the_anon)
{
	union uvm_loaned l[3];

	to = test_object_create(1, 1);
	for (unsigned i = 0; i < 3; i++)
		LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &l[i]));
	cr_assert(l[0].anon == l[1].anon && l[1].anon == l[2].anon);
	cr_assert_eq(uvm_anon_refs(l[0].anon), 3);
	cr_assert_eq(uvm_page_loans(l[0].anon->an_page), 1, "one loan stands for all references");
	uvm_unloan(l, 2, UVM_LOAN_TOANON);
	cr_assert_eq(uvm_page_loans(l[2].anon->an_page), 1);
	uvm_unloan(&l[2], 1, UVM_LOAN_TOANON);
	cr_assert_null(lv_object_page(to, 0)->pg_anon);
	cr_assert_eq(uvm_page_loans(lv_object_page(to, 0)), 0);
	uvm_object_rele(&to->to_object);
}

/* seed: a page lent to an anon and to the kernel at the same time */
LvTest(uvm_loan_object, page_can_be_lent_both_ways_and_come_back_in_any_order)
{
	union uvm_loaned k, an;

	to = test_object_create(1, 1);
	for (unsigned first = 0; first < 2; first++) {
		LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &k));
		LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &an));
		cr_assert_eq(uvm_page_loans(k.page), 2);
		if (first == 0)
			uvm_unloan(&k, 1, UVM_LOAN_TOPAGE);
		uvm_unloan(&an, 1, UVM_LOAN_TOANON);
		uvm_unloan(&k, 1, UVM_LOAN_TOPAGE);
		cr_assert_eq(uvm_page_loans(lv_object_page(to, 0)), 0);
	}
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_loanuobj, uvm_loanpage: wired -> refused */
LvTest(uvm_loan_object, wired_page_refuses_both_kinds)
{
	union uvm_loaned l[2];
	struct uvm_page *pg;

	to = test_object_create(2, 1);
	LV_OK(uvm_loan_object(&to->to_object, 0, 2, UVM_LOAN_TOPAGE, l));
	uvm_unloan(l, 2, UVM_LOAN_TOPAGE);
	pg = lv_object_page(to, 1);
	pg->pg_wired++;
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_FAILS(uvm_loan_object(&to->to_object, 0, 2, kind, l), EBUSY);
		cr_assert_eq(uvm_page_loans(lv_object_page(to, 0)), 0);
		lv_check();
	}
	pg->pg_wired--;
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_loanbreak: the object gets a new frame, the borrowers keep the old one */
LvTest(uvm_loan_object, write_breaks_the_loan_once)
{
	union uvm_loaned k, an;
	uint64_t nbroken = 0;
	struct uvm_page *old;

	to = test_object_create(1, 7);
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &k));
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &an));
	old = k.page;
	for (unsigned i = 0; i < 3; i++)
		LV_OK(uvm_object_write(&to->to_object, 0, i, &"abc"[i], 1, &nbroken));
	cr_assert_eq(nbroken, 1);
	cr_assert_neq(lv_object_page(to, 0), old);
	cr_assert_eq(memcmp(uvm_page_kva(lv_object_page(to, 0)), "abc", 3), 0);
	cr_assert(page_holds(uvm_page_kva(old), 7));
	cr_assert_eq(old->pg_anon, an.anon, "the anon keeps the old page and adopts it");
	uvm_unloan(&k, 1, UVM_LOAN_TOPAGE);
	cr_assert(old->pg_anon_owns && uvm_page_loans(old) == 0);
	uvm_unloan(&an, 1, UVM_LOAN_TOANON);
	cr_assert_eq(to->to_store->ss_store.st_nframes, 1);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_loan_object, write_of_a_page_not_on_loan_breaks_nothing)
{
	uint64_t nbroken = 0;

	to = test_object_create(1, 7);
	LV_OK(uvm_object_write(&to->to_object, 0, UVM_PAGE_SIZE - 1, "x", 1, &nbroken));
	LV_OK(uvm_object_write(&to->to_object, 0, UVM_PAGE_SIZE, "x", 0, &nbroken));
	cr_assert_eq(nbroken, 0);
	cr_assert_eq(to->to_gets, 1);
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_unloanpage: adoption by the anon when the object drops the page, with another loan outstanding */
LvTest(uvm_loan_object, last_page_loan_of_a_flushed_page_lets_the_anon_adopt_it)
{
	union uvm_loaned k, an;
	struct uvm_page *pg;

	to = test_object_create(1, 7);
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &k));
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &an));
	pg = k.page;
	uvm_object_rele(&to->to_object); /* the whole object goes */
	cr_assert_eq(uvm_page_loans(pg), 2);
	uvm_unloan(&k, 1, UVM_LOAN_TOPAGE);
	cr_assert(pg->pg_anon_owns, "adopted on the way");
	cr_assert_eq(uvm_page_loans(pg), 0);
	cr_assert(page_holds(uvm_page_kva(pg), 7));
	uvm_unloan(&an, 1, UVM_LOAN_TOANON);
}

/* seed: broken by page-out of a clean, inactive O->A page */
LvTest(uvm_loan_object, pageout_takes_clean_inactive_pages_lent_to_anons_only)
{
	union uvm_loaned an, k;
	uint64_t nbroken = 0;
	struct uvm_page *pg;

	to = test_object_create(2, 7);
	cr_assert(!uvm_loan_pageout(&to->to_object, 0), "not resident");
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &k));
	pg = k.page;
	lv_deactivate(pg);
	cr_assert(!uvm_loan_pageout(&to->to_object, 0), "lent to page: stays");
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &an));
	cr_assert(!uvm_loan_pageout(&to->to_object, 0), "a new loan makes it active");
	LV_OK(uvm_object_write(&to->to_object, 1, 0, "x", 1, &nbroken));
	lv_deactivate(pg);
	pg->pg_wired++;
	cr_assert(!uvm_loan_pageout(&to->to_object, 0), "wired");
	pg->pg_wired--;
	pg->pg_flags |= UVM_PG_DIRTY;
	cr_assert(!uvm_loan_pageout(&to->to_object, 0), "dirty");
	pg->pg_flags &= (uint8_t)~UVM_PG_DIRTY;
	cr_assert(uvm_loan_pageout(&to->to_object, 0));
	cr_assert_null(lv_object_page(to, 0));
	cr_assert(page_holds(loan_bytes(&an, UVM_LOAN_TOANON), 7));
	uvm_unloan(&k, 1, UVM_LOAN_TOPAGE);
	uvm_unloan(&an, 1, UVM_LOAN_TOANON);
	cr_assert(!uvm_loan_pageout(&to->to_object, 1), "not lent at all");
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_loan_object, paged_out_page_is_read_again_and_lent_anew)
{
	union uvm_loaned l[2];

	to = test_object_create(1, 7);
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &l[0]));
	lv_deactivate(l[0].anon->an_page);
	cr_assert(uvm_loan_pageout(&to->to_object, 0));
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &l[1]));
	cr_assert_neq(l[0].anon, l[1].anon);
	cr_assert_eq(to->to_gets, 2);
	uvm_unloan(l, 2, UVM_LOAN_TOANON);
	uvm_object_rele(&to->to_object);
}

/*
 * seed: uvm_loanuobj: the pager works with everything unlocked; meanwhile the map changes, and
 * everything is looked up again.  The hook does the change once.
 */
static uint64_t object_gfn;

static void lend_object_area(void)
{
	a = lv_guest(4, 12);
	to = test_object_create(4, 50);
	for (unsigned i = 0; i < 4; i++)
		LV_OK(guest_fill(a, i, 100 + i));
	LV_OK(uvm_map_enter_object(a->map, 4, 4, &to->to_object, 0));
	object_gfn = 4;
}

static int write_meanwhile(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)off;
	(void)n;
	obj->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(guest_fill(a, 1, 901), 0); /* lent already by this very call */
	uvm_world_leave();
	return 0;
}

LvTest(uvm_loan_object, guest_that_writes_while_the_pager_works_breaks_what_is_lent)
{
	union uvm_loaned l[8];

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		lend_object_area();
		to->to_on_get = write_meanwhile;
		LV_OK(uvm_loan(a->map, 0, 8, kind, l));
		cr_assert(page_holds(loan_bytes(&l[1], kind), 101));
		cr_assert(page_holds(loan_bytes(&l[4], kind), 50));
		cr_assert(guest_holds(a, 1, 901));
		uvm_unloan(l, 8, kind);
		uvm_object_rele(&to->to_object);
		lv_kill(a);
	}
}

static int discard_meanwhile(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)off;
	(void)n;
	obj->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(uvm_map_discard(a->map, 0, 4), 0);
	uvm_world_leave();
	return 0;
}

LvTest(uvm_loan_object, discard_while_the_pager_works_makes_orphans)
{
	union uvm_loaned l[8];

	lend_object_area();
	to->to_on_get = discard_meanwhile;
	LV_OK(uvm_loan(a->map, 0, 8, UVM_LOAN_TOPAGE, l));
	for (unsigned i = 0; i < 4; i++) {
		cr_assert(page_holds(loan_bytes(&l[i], UVM_LOAN_TOPAGE), 100 + i));
		cr_assert(l[i].page->pg_anon == NULL && l[i].page->pg_object == NULL);
	}
	uvm_unloan(l, 8, UVM_LOAN_TOPAGE);
	uvm_object_rele(&to->to_object);
}

/* The page that the pager fetches gets an anon above it: that is what must be lent. */
static int touch_meanwhile(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)off;
	(void)n;
	obj->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(guest_fill(a, object_gfn + 3, 902), 0);
	uvm_world_leave();
	return 0;
}

LvTest(uvm_loan_object, anon_made_while_the_pager_works_is_what_is_lent)
{
	union uvm_loaned l[4];
	struct uvm_page *pg;

	lend_object_area();
	/* Page 3 is there, so that the hook's own fault does not wait for this very read. */
	LV_OK(uvm_loan_object(&to->to_object, 3, 1, UVM_LOAN_TOPAGE, l));
	uvm_unloan(l, 1, UVM_LOAN_TOPAGE);
	to->to_on_get = touch_meanwhile;
	LV_OK(uvm_loan(a->map, object_gfn, 4, UVM_LOAN_TOPAGE, l));
	pg = l[3].page;
	cr_assert(page_holds(uvm_page_kva(pg), 902));
	cr_assert_eq(pg->pg_store, &a->store->ss_store);
	uvm_unloan(l, 4, UVM_LOAN_TOPAGE);
	uvm_object_rele(&to->to_object);
}

static int free_meanwhile(struct test_object *obj, uint64_t off, unsigned n)
{
	uint64_t nbroken = 0;

	(void)off;
	(void)n;
	obj->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(uvm_object_flush(&obj->to_object, 3, 1, UVM_FLUSH_FREE, &nbroken), 0);
	cr_assert_eq(nbroken, 0);
	uvm_world_leave();
	return 0;
}

LvTest(uvm_loan_object, page_freed_while_the_pager_works_is_read_again)
{
	union uvm_loaned l[4];

	lend_object_area();
	LV_OK(uvm_loan_object(&to->to_object, 3, 1, UVM_LOAN_TOPAGE, l));
	uvm_unloan(l, 1, UVM_LOAN_TOPAGE);
	to->to_on_get = free_meanwhile;
	LV_OK(uvm_loan(a->map, object_gfn, 4, UVM_LOAN_TOPAGE, l));
	cr_assert_eq(to->to_gets, 3);
	cr_assert(page_holds(loan_bytes(&l[3], UVM_LOAN_TOPAGE), 53));
	uvm_unloan(l, 4, UVM_LOAN_TOPAGE);
	uvm_object_rele(&to->to_object);
}

/* The window that is being lent from goes, and with it the last reference to the object. */
static int remove_meanwhile(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)off;
	(void)n;
	obj->to_on_get = NULL;
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_return(a->map, 8), 0);
	uvm_world_leave();
	return 0;
}

LvTest(uvm_loan_object, window_removed_while_the_pager_works_makes_a_hole)
{
	struct guest *b;
	union uvm_loaned l[9];
	uint64_t id;

	lend_object_area();
	b = lv_guest(4, 4);
	id = lv_lend(b, 0, 1, UVM_LOAN_TOANON, a->map->vm_domid);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 1, 8));
	to->to_on_get = remove_meanwhile;
	LV_FAILS(uvm_loan(a->map, 0, 9, UVM_LOAN_TOPAGE, l), EFAULT);
	lv_check();
	cr_assert_eq(uvm_page_loans(lv_page(a, 0)), 0);
	cr_assert(guest_holds(a, 0, 100) && guest_holds(a, 4, 50));
	uvm_object_rele(&to->to_object);
}

static int fail_get(struct test_object *obj, uint64_t off, unsigned n)
{
	(void)obj;
	(void)off;
	(void)n;
	return -EIO;
}

LvTest(uvm_loan_object, pager_s_error_in_a_map_undoes_the_call)
{
	union uvm_loaned l[8];

	lend_object_area();
	to->to_on_get = fail_get;
	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		LV_FAILS(uvm_loan(a->map, 0, 8, kind, l), EIO);
		lv_check();
		cr_assert(!lv_page(a, 0)->pg_protected);
	}
	to->to_on_get = NULL;
	LV_OK(uvm_loan(a->map, 0, 8, UVM_LOAN_TOPAGE, l));
	uvm_unloan(l, 8, UVM_LOAN_TOPAGE);
	uvm_object_rele(&to->to_object);
}

LvDeath(uvm_loan_object_death, break_of_a_page_not_on_loan, "uvm_page_loans(pg) > 0")
{
	union uvm_loaned l;

	to = test_object_create(1, 1);
	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &l));
	uvm_unloan(&l, 1, UVM_LOAN_TOPAGE);
	uvm_lock(&to->to_object.uo_lock);
	(void)uvm_loan_break_object(uvm_object_lookup(&to->to_object, 0));
}

LvDeath(uvm_loan_object_death, write_over_the_end_of_the_page, "len <= UVM_PAGE_SIZE - within")
{
	uint64_t nbroken = 0;

	to = test_object_create(1, 1);
	(void)uvm_object_write(&to->to_object, 0, UVM_PAGE_SIZE - 1, "xy", 2, &nbroken);
}
