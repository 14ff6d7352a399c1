/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

/* Drop a loan to anon by hand; true: its page is an orphan now. */
static bool drop(struct uvm_anon *an)
{
	bool orphaned = uvm_anon_rele(an, uvm_anon_lock(an));

	uvm_page_reap();
	return orphaned;
}

LvTest(uvm_anon, last_reference_frees_the_page)
{
	struct soft_store *ss = soft_store_create(4, 1, 9);
	struct uvm_anon *an = uvm_anon_alloc();
	struct uvm_object *uo;

	uvm_anon_set_page(an, uvm_page_alloc(&ss->ss_store, 1, 0));
	uo = uvm_anon_lock(an);
	cr_assert_null(uo);
	uvm_anon_ref(an);
	uvm_anon_unlock(an, uo);
	cr_assert(!drop(an));
	cr_assert_eq(ss->ss_store.st_nframes, 1);
	cr_assert(!drop(an));
	cr_assert_eq(ss->ss_store.st_nframes, 0);
	uvm_store_rele(&ss->ss_store);
}

LvTest(uvm_anon, unused_anon_can_be_freed)
{
	uvm_anon_free_unused(uvm_anon_alloc());
}

/* seed: uvm_unloananon: owner gone: orphan */
LvTest(uvm_anon, last_reference_with_the_page_on_loan_makes_an_orphan)
{
	struct guest *a = lv_guest(4, 4), *b = lv_guest(4, 4);
	union uvm_loaned an, pg;

	LV_OK(guest_fill(a, 0, 5));
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOANON, &an));
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &pg));
	LV_OK(uvm_map_discard(a->map, 0, 1));
	cr_assert(drop(an.anon));
	cr_assert_null(pg.page->pg_anon);
	cr_assert_eq(uvm_page_loans(pg.page), 1);
	cr_assert(page_holds(uvm_page_kva(pg.page), 5));
	uvm_unloan(&pg, 1, UVM_LOAN_TOPAGE);
	cr_assert_eq(a->store->ss_store.st_nframes, 0);
	(void)b;
}

LvTest(uvm_anon, lock_of_a_borrowed_page_locks_its_object_too)
{
	struct test_object *to = test_object_create(2, 1);
	struct uvm_object *uo;
	union uvm_loaned loan;

	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &loan));
	uo = uvm_anon_lock(loan.anon);
	cr_assert_eq(uo, &to->to_object);
	cr_assert(uvm_lock_held(&uo->uo_lock) && uvm_lock_held(&loan.anon->an_lock));
	uvm_anon_unlock(loan.anon, uo);
	cr_assert(!uvm_lock_held(&uo->uo_lock));
	uvm_unloan(&loan, 1, UVM_LOAN_TOANON);
	uvm_object_rele(&to->to_object);
}

/* seed: uvm_anon_lockloanpg, adoption: the anon takes the page of an object that is gone */
LvTest(uvm_anon, lock_adopts_the_page_of_an_object_that_is_gone)
{
	struct test_object *to = test_object_create(2, 1);
	union uvm_loaned loan;
	struct uvm_page *pg;
	uint64_t nbroken = 0;

	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOANON, &loan));
	pg = loan.anon->an_page;
	LV_OK(uvm_object_flush(&to->to_object, 0, 2, UVM_FLUSH_FREE, &nbroken));
	cr_assert_eq(nbroken, 1);
	cr_assert(pg->pg_object == NULL && pg->pg_anon == loan.anon && !pg->pg_anon_owns);
	cr_assert_eq(uvm_page_loans(pg), 1);
	cr_assert_null(uvm_anon_lock(loan.anon));
	cr_assert(pg->pg_anon_owns, "adopted");
	cr_assert_eq(uvm_page_loans(pg), 0, "its loan became ownership");
	uvm_anon_unlock(loan.anon, NULL);
	uvm_unloan(&loan, 1, UVM_LOAN_TOANON);
	uvm_object_rele(&to->to_object);
}

LvDeath(uvm_anon_death, page_set_twice, "an->an_page == NULL")
{
	struct soft_store *ss = soft_store_create(4, 1, 9);
	struct uvm_anon *an = uvm_anon_alloc();

	uvm_anon_set_page(an, uvm_page_alloc(&ss->ss_store, 1, 0));
	uvm_anon_set_page(an, uvm_page_alloc(&ss->ss_store, 2, 0));
}

LvDeath(uvm_anon_death, used_anon_freed_as_unused, "an->an_page == NULL")
{
	struct soft_store *ss = soft_store_create(4, 1, 9);
	struct uvm_anon *an = uvm_anon_alloc();

	uvm_anon_set_page(an, uvm_page_alloc(&ss->ss_store, 1, 0));
	uvm_anon_free_unused(an);
}

#ifdef LOMBARD_DEBUG
LvDeath(uvm_anon_death, ref_without_the_lock, "uvm_lock_held(&an->an_lock)")
{
	uvm_anon_ref(uvm_anon_alloc());
}
#endif
