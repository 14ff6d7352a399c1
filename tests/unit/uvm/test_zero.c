/* SPDX-License-Identifier: BSD-2-Clause */
/* seed: uvm_loanzero, ulz_put, uvm_loan_init: one shared zero frame, never freed, never paged out
 */
#include "lvtest.h"

LvTest(uvm_zero, untouched_pages_of_everybody_lend_one_frame)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	union uvm_loaned l[8];

	LV_OK(uvm_loan(a->map, 0, 4, UVM_LOAN_TOPAGE, l));
	LV_OK(uvm_loan(b->map, 2, 4, UVM_LOAN_TOPAGE, l + 4));
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(l[i].page, uvm_zero_page());
	cr_assert_eq(uvm_zero_loans(), 8);
	cr_assert_eq(a->store->ss_store.st_ops->so_blocks(&a->store->ss_store), 0);
	uvm_unloan(l, 8, UVM_LOAN_TOPAGE);
	cr_assert_eq(uvm_zero_loans(), 0);
}

LvTest(uvm_zero, loans_to_anon_share_one_anon)
{
	struct guest *a = lv_guest(8, 8);
	union uvm_loaned l[4];

	LV_OK(uvm_loan(a->map, 0, 4, UVM_LOAN_TOANON, l));
	for (unsigned i = 0; i < 4; i++)
		cr_assert(l[i].anon == l[0].anon && l[i].anon->an_page == uvm_zero_page());
	cr_assert_eq(uvm_zero_loans(), 4);
	uvm_unloan(l, 4, UVM_LOAN_TOANON);
	cr_assert_eq(uvm_zero_loans(), 0);
	cr_assert_null(uvm_zero_page()->pg_anon);
}

LvTest(uvm_zero, borrower_reads_zeroes_and_writes_to_its_own_frame)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id = lv_lend(a, 0, 8, UVM_LOAN_TOANON, 2);

	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 8));
	for (unsigned i = 0; i < 8; i++)
		cr_assert(guest_holds(b, 8 + i, 0));
	cr_assert_eq(b->pmap->sp_ptes[8].kind, PMAP_ZERO);
	LV_OK(guest_fill(b, 10, 5));
	cr_assert(guest_holds(b, 10, 5) && guest_holds(b, 11, 0));
	cr_assert_eq(b->map->vm_stats.ms_copied, 0, "zeroes are not copied");
	lv_check();
}

LvTest(uvm_zero, lender_that_writes_later_leaves_the_borrower_zeroes)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);

	for (unsigned kind = UVM_LOAN_TOPAGE; kind <= UVM_LOAN_TOANON; kind++) {
		uint64_t id = lv_lend(a, 4, 2, kind, 2);

		LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 8));
		LV_OK(guest_fill(a, 4, 3));
		cr_assert(guest_holds(b, 8, 0) && guest_holds(a, 4, 3));
		LV_OK(uvm_ledger_return(b->map, 8));
		LV_OK(uvm_map_discard(a->map, 4, 1));
	}
	cr_assert_eq(a->map->vm_stats.ms_copied, 0);
}

/* seed: ulz_put: a flush frees nothing */
LvTest(uvm_zero, flush_and_pageout_do_not_free_the_frame)
{
	struct uvm_object *zero = uvm_zero_page()->pg_object;
	struct guest *a = lv_guest(8, 8);
	union uvm_loaned l[2];
	uint64_t nbroken = 0;

	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &l[0]));
	LV_OK(uvm_loan(a->map, 1, 1, UVM_LOAN_TOANON, &l[1]));
	LV_OK(uvm_object_flush(zero, 0, 1, UVM_FLUSH_CLEAN | UVM_FLUSH_FREE, &nbroken));
	cr_assert_eq(nbroken, 0);
	lv_deactivate(uvm_zero_page());
	cr_assert(!uvm_loan_pageout(zero, 0));
	cr_assert_eq(uvm_zero_page()->pg_object, zero);
	cr_assert_eq(uvm_zero_loans(), 2);
	uvm_unloan(&l[0], 1, UVM_LOAN_TOPAGE);
	uvm_unloan(&l[1], 1, UVM_LOAN_TOANON);
	LV_OK(uvm_object_flush(zero, 0, 1, UVM_FLUSH_FREE, &nbroken));
	cr_assert_eq(uvm_zero_page()->pg_object, zero);
	cr_assert(page_holds(uvm_page_kva(uvm_zero_page()), 0));
}

LvTest(uvm_zero, last_return_after_all_lenders_have_gone_keeps_the_frame)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id = lv_lend(a, 0, 8, UVM_LOAN_TOPAGE, 2);
	struct uvm_account ac;

	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 8));
	lv_account(&ac);
	cr_assert_eq(ac.ac_zero_loans, 16);
	cr_assert_eq(ac.ac_kernel_pages, 0);
	lv_kill(a);
	cr_assert(guest_holds(b, 8, 0));
	LV_OK(uvm_ledger_return(b->map, 8));
	cr_assert_eq(uvm_zero_loans(), 0);
}

LvTest(uvm_zero, mixed_range_lends_each_page_as_it_is)
{
	struct guest *a = lv_guest(8, 8), *b = lv_guest(8, 8);
	uint64_t id;

	LV_OK(guest_fill(a, 2, 5));
	LV_OK(guest_fill(a, 3, 6));
	id = lv_lend(a, 0, 8, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 8, 8));
	for (unsigned i = 0; i < 8; i++)
		cr_assert(guest_holds(b, 8 + i, i == 2 ? 5 : i == 3 ? 6 : 0));
	cr_assert_eq(b->pmap->sp_enters, 1, "three runs, one call");
}

LvDeath(uvm_zero_death, fini_with_loans_outstanding, "uvm_zero_loans() == 0")
{
	union uvm_loaned l;

	LV_OK(uvm_loan(lv_guest(1, 1)->map, 0, 1, UVM_LOAN_TOPAGE, &l));
	uvm_loan_fini();
}
