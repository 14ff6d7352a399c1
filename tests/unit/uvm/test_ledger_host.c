/* SPDX-License-Identifier: BSD-2-Clause */
/* Host programs that borrow from guests. */
#include "lvtest.h"

static struct guest *a; /* domid 1; its pages hold tags 100 and up */

static void lender(void)
{
	a = lv_guest(8, 16);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 100 + i));
}

/* seed: A->K: the host borrows from a running guest and reads a stable picture of it */
LvTest(uvm_ledger, host_loan_shows_the_bytes_that_were_lent)
{
	struct uvm_hostloan *hl;
	struct pmap_extent ext[4];
	uint64_t id, upto, windows;

	lender();
	id = lv_lend(a, 0, 8, UVM_LOAN_TOPAGE, UVM_DOMID_HOST);
	LV_OK(uvm_ledger_host_borrow(id, &hl));
	LV_OK(uvm_ledger_recall(1, id, &windows));
	cr_assert_eq(windows, 1);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 1));
	cr_assert_eq(uvm_hostloan_extents(hl, 0, 8, ext, 4, &upto), 1);
	cr_assert(ext[0].gfn == 0 && ext[0].npages == 8 && upto == 8 && ext[0].kind == PMAP_LENT);
	for (unsigned i = 0; i < 8; i++)
		cr_assert(page_holds(
		    ext[0].store->st_ops->so_kva(ext[0].store, ext[0].index + i), 100 + i));
	cr_assert_eq(uvm_hostloan_extents(hl, 5, 2, ext, 4, &upto), 1);
	cr_assert(ext[0].gfn == 5 && ext[0].npages == 2 && upto == 7);
	uvm_hostloan_return(hl);
	cr_assert_eq(uvm_ledger_count(), 0);
}

LvTest(uvm_ledger, host_loan_of_scattered_pages_takes_several_calls)
{
	struct uvm_hostloan *hl;
	struct pmap_extent ext[2];
	uint64_t id, upto, page = 0, seen = 0;
	unsigned calls = 0, n;

	lender();
	LV_OK(uvm_map_discard(a->map, 3, 1));
	LV_OK(uvm_map_discard(a->map, 5, 1));
	id = lv_lend(a, 0, 8, UVM_LOAN_TOANON, UVM_DOMID_HOST);
	LV_OK(uvm_ledger_host_borrow(id, &hl));
	for (; page < 8; page = upto, calls++) {
		n = uvm_hostloan_extents(hl, page, 8 - page, ext, 2, &upto);
		for (unsigned i = 0; i < n; i++) {
			cr_assert_eq(ext[i].gfn, seen);
			cr_assert_eq(ext[i].kind == PMAP_ZERO, seen == 3 || seen == 5);
			seen += ext[i].npages;
		}
	}
	cr_assert(calls == 3 && seen == 8, "five runs, two at a time");
	uvm_hostloan_return(hl);
}

LvTest(uvm_ledger, host_borrows_only_what_it_may)
{
	struct uvm_hostloan *hl = NULL;
	uint64_t id;

	lender();
	LV_FAILS(uvm_ledger_host_borrow(1000, &hl), ENOENT);
	LV_FAILS(uvm_ledger_host_borrow(lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, 2), &hl), EPERM);
	cr_assert_null(hl);
	id = lv_lend(a, 0, 1, UVM_LOAN_TOPAGE, UVM_DOMID_ANY);
	LV_OK(uvm_ledger_host_borrow(id, &hl));
	uvm_hostloan_return(hl);
}

LvTest(uvm_ledger, host_may_look_at_the_file_that_it_lends)
{
	struct test_object *to = test_object_create(2, 50);
	uint64_t id = lv_lend_object(to, 0, 2, UVM_LOAN_TOPAGE), upto, windows, nbroken = 0;
	struct uvm_hostloan *hl;
	struct pmap_extent ext;

	LV_OK(uvm_ledger_host_borrow(id, &hl));
	LV_OK(uvm_object_write(&to->to_object, 1, 0, "x", 1, &nbroken));
	cr_assert_eq(nbroken, 1);
	cr_assert_eq(uvm_hostloan_extents(hl, 1, 1, &ext, 1, &upto), 1);
	cr_assert(page_holds(ext.store->st_ops->so_kva(ext.store, ext.index), 51));
	uvm_hostloan_return(hl);
	LV_OK(uvm_ledger_recall(UVM_DOMID_HOST, id, &windows));
	uvm_object_rele(&to->to_object);
}

LvDeath(uvm_ledger_death, extents_beyond_the_loan, "n <= of->of_npages - first")
{
	struct uvm_hostloan *hl;
	struct pmap_extent ext;
	uint64_t upto;

	lender();
	LV_OK(uvm_ledger_host_borrow(lv_lend(a, 0, 2, UVM_LOAN_TOPAGE, UVM_DOMID_ANY), &hl));
	(void)uvm_hostloan_extents(hl, 1, 2, &ext, 1, &upto);
}
