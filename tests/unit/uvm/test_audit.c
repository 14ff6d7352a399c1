/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <string.h>

static struct guest *a, *b;

/* Something of everything. */
static struct uvm_page *scene(void)
{
	struct uvm_page *pg;
	uint64_t id;

	a = lv_guest(16, 16);
	b = lv_guest(16, 16);
	for (unsigned i = 0; i < 8; i++)
		LV_OK(guest_fill(a, i, 100 + i));
	id = lv_lend(a, 0, 3, UVM_LOAN_TOPAGE, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 3, 16));
	LV_OK(guest_fill(a, 0, 1)); /* 1 orphan */
	id = lv_lend(a, 3, 2, UVM_LOAN_TOANON, 2);
	LV_OK(uvm_ledger_borrow(b->map, id, 0, 2, 20));
	LV_OK(uvm_map_wire(a->map, 7, &pg));
	return pg;
}

/* design.md, invariant 3: each frame is in exactly one state, and the sums are the kernel's */
LvTest(uvm_audit, frames_are_counted_by_state_and_guest)
{
	struct uvm_page *pg = scene();
	struct uvm_frames fa = lv_frames(a), fb = lv_frames(b);
	struct uvm_account ac;

	cr_assert_eq(fa.fr_owned, 3, "0 (new), 5, 6");
	cr_assert_eq(fa.fr_lent, 4, "1, 2, 3, 4");
	cr_assert_eq(fa.fr_orphaned, 1, "the old 0");
	cr_assert_eq(fa.fr_wired, 1);
	cr_assert_eq(fa.fr_borrowed, 0);
	cr_assert_eq(fb.fr_borrowed, 5);
	cr_assert_eq(uvm_frames_total(&fb), 0);
	lv_account(&ac);
	cr_assert(ac.ac_equal && ac.ac_nfindings == 0);
	cr_assert_eq(ac.ac_kernel_pages, 9);
	cr_assert_eq(uvm_frames_total(&ac.ac_all), 9);
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, object_s_frames_are_the_host_s)
{
	struct test_object *to = test_object_create(4, 1);
	uint64_t id = lv_lend_object(to, 0, 3, UVM_LOAN_TOPAGE), windows;
	struct uvm_account ac;

	a = lv_guest(4, 4);
	LV_OK(uvm_ledger_borrow(a->map, id, 0, 2, 4));
	lv_account(&ac);
	cr_assert_eq(ac.ac_host.fr_lent, 2);
	LV_OK(uvm_ledger_return(a->map, 4));
	lv_account(&ac);
	cr_assert_eq(ac.ac_host.fr_owned, 2);
	LV_OK(uvm_ledger_recall(0, id, &windows));
	uvm_object_rele(&to->to_object);
}

/* Break a rule behind the core's back: the auditor has to say which. */
static void expect_finding(const char *words)
{
	struct uvm_account ac;

	lv_account(&ac);
	cr_assert_geq(ac.ac_nfindings, 1);
	for (unsigned i = 0; i < ac.ac_nfindings && i < 8; i++)
		if (strstr(ac.ac_findings[i], words) != NULL)
			return;
	cr_assert_fail("found something else: %s", ac.ac_findings[0]);
}

LvTest(uvm_audit, writable_page_on_loan_is_found)
{
	struct uvm_page *pg = scene();

	lv_page(a, 1)->pg_protected = false;
	expect_finding("domain 1: gfn 0x1 is on loan and writable");
	lv_page(a, 1)->pg_protected = true;
	lv_page(a, 3)->pg_protected = false;
	expect_finding("gfn 0x3 is on loan and writable");
	lv_page(a, 3)->pg_protected = true;
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, wrong_loan_count_is_found)
{
	struct uvm_page *pg = scene();

	for (int by = -1; by <= 1; by += 2) {
		atomic_fetch_add(&lv_page(a, 1)->pg_loans, (uint32_t)by);
		expect_finding("loans counted, 2 found");
		atomic_fetch_sub(&lv_page(a, 1)->pg_loans, (uint32_t)by);
	}
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, wrong_reference_count_is_found)
{
	struct uvm_page *pg = scene();

	atomic_fetch_add(&lv_anon(a, 3)->an_refs, 1);
	expect_finding("its anon has 4 references, 3 found");
	atomic_fetch_sub(&lv_anon(a, 3)->an_refs, 1);
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, wired_page_on_loan_is_found)
{
	struct uvm_page *pg = scene();

	lv_page(a, 1)->pg_wired++;
	expect_finding("wired and on loan");
	lv_page(a, 1)->pg_wired--;
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, page_of_another_anon_is_found)
{
	struct uvm_page *pg = scene(), *five;
	struct uvm_anon *an;

	LV_OK(uvm_map_learn(a->map));
	five = lv_page(a, 5);
	an = five->pg_anon;
	five->pg_anon = lv_anon(a, 6);
	expect_finding("gfn 0x5 belongs to another anon");
	five->pg_anon = an;
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, memory_that_no_frame_describes_makes_the_sums_differ)
{
	struct uvm_page *pg = scene();
	struct uvm_store *st = &a->store->ss_store;
	struct uvm_account ac;

	(void)st->st_ops->so_kva(st, st->st_bank_pages + 9);
	lv_account(&ac);
	cr_assert(!ac.ac_equal);
	cr_assert_eq(ac.ac_kernel_pages, uvm_frames_total(&ac.ac_all) + 1);
	LV_OK(st->st_ops->so_punch(st, st->st_bank_pages + 9, 1));
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, more_findings_than_fit_are_counted)
{
	struct uvm_page *pg = scene();
	struct uvm_account ac;

	LV_OK(uvm_map_learn(a->map));
	for (unsigned i = 0; i < 8; i++)
		atomic_fetch_add(&lv_anon(a, i)->an_refs, 7);
	atomic_fetch_add(&lv_page(a, 1)->pg_loans, 5);
	atomic_fetch_add(&lv_page(a, 2)->pg_loans, 5);
	lv_account(&ac);
	cr_assert_gt(ac.ac_nfindings, sizeof(ac.ac_findings) / sizeof(ac.ac_findings[0]));
	for (unsigned i = 0; i < 8; i++)
		atomic_fetch_sub(&lv_anon(a, i)->an_refs, 7);
	atomic_fetch_sub(&lv_page(a, 1)->pg_loans, 5);
	atomic_fetch_sub(&lv_page(a, 2)->pg_loans, 5);
	uvm_map_unwire(a->map, pg);
}

LvTest(uvm_audit, account_is_the_same_twice)
{
	struct uvm_page *pg = scene();
	struct uvm_account first, second;

	lv_account(&first);
	lv_account(&second);
	cr_assert_eq(memcmp(&first.ac_all, &second.ac_all, sizeof(first.ac_all)), 0);
	cr_assert_eq(first.ac_kernel_pages, second.ac_kernel_pages);
	uvm_map_unwire(a->map, pg);
}

/* The software translation's own check has to notice as well: the model relies on it. */
LvTest(uvm_audit, soft_pmap_check_notices_a_writable_page_on_loan)
{
	struct uvm_page *pg = scene();

	for (unsigned gfn = 1; gfn <= 3; gfn += 2) {
		a->pmap->sp_ptes[gfn].writable = true;
		cr_assert_eq(soft_pmap_check(a->pmap, a->map), 1);
		a->pmap->sp_ptes[gfn].writable = false;
	}
	b->pmap->sp_ptes[20].index += 8;
	cr_assert_eq(soft_pmap_check(b->pmap, b->map), 1, "maps a frame that is gone");
	b->pmap->sp_ptes[20].index -= 8;
	cr_assert_eq(soft_pmap_check(b->pmap, b->map), 0);
	uvm_map_unwire(a->map, pg);
}
