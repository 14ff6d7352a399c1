/* SPDX-License-Identifier: BSD-2-Clause */
/* Every operation under failures: failnth.h says how, and what the scene is. */
#include "failnth.h"

static struct uvm_offer_terms terms = {.ot_kind = UVM_LOAN_TOPAGE};
static uint64_t id;

/* RAM, untouched RAM, an object's pages: 0 .. 11. */
static int lend(void)
{
	terms.ot_borrower = sc.b->map->vm_domid;
	return uvm_ledger_lend(sc.a->map, 0, 12, &terms, &id);
}

static void lend_done(void)
{
	LV_OK(uvm_ledger_borrow(sc.b->map, id, 0, 12, 20));
	LV_OK(guest_fill(sc.a, 0, 1));
	LV_OK(guest_fill(sc.a, 2, 1));
	LV_OK(guest_fill(sc.a, 9, 1));
	cr_assert(
	    guest_holds(sc.b, 20, 100) && guest_holds(sc.b, 22, 0) && guest_holds(sc.b, 29, 501));
}

LvTest(uvm_failures, lend_to_page)
{
	terms.ot_kind = UVM_LOAN_TOPAGE;
	fail_each(&(struct operation){.run = lend, .done = lend_done}, 8);
}

LvTest(uvm_failures, lend_to_anon)
{
	terms.ot_kind = UVM_LOAN_TOANON;
	fail_each(&(struct operation){.run = lend, .done = lend_done}, 8);
}

static int borrow(void)
{
	return uvm_ledger_borrow(sc.b->map, id, 0, 12, 20);
}

static void borrow_done(void)
{
	cr_assert(
	    guest_holds(sc.b, 20, 100) && guest_holds(sc.b, 22, 0) && guest_holds(sc.b, 29, 501));
	LV_OK(uvm_ledger_return(sc.b->map, 20));
}

/* unchanged counts what the ledger has: the offer of this test is made by the host. */
static struct test_object *other;

static void offer_object(void)
{
	union uvm_loaned l;

	other = test_object_create(12, 600);
	LV_OK(uvm_loan_object(&other->to_object, 2, 1, UVM_LOAN_TOPAGE, &l));
	uvm_unloan(&l, 1, UVM_LOAN_TOPAGE);
}

/* Offer and borrow in one: whatever fails, the offer is taken back. */
static int lend_object_and_borrow(void)
{
	uint64_t windows;
	int error;

	terms.ot_borrower = sc.b->map->vm_domid;
	error = uvm_ledger_lend_object(&other->to_object, 0, 12, 12 * UVM_PAGE_SIZE, &terms, &id);
	if (error != 0)
		return error;
	error = borrow();
	LV_OK(uvm_ledger_recall(UVM_DOMID_HOST, id, &windows));
	return error;
}

static void object_borrowed(void)
{
	for (unsigned i = 0; i < 12; i++)
		cr_assert(guest_holds(sc.b, 20 + i, 600 + i));
	LV_OK(uvm_ledger_return(sc.b->map, 20));
	uvm_object_rele(&other->to_object);
}

static const struct operation borrowing_of_object = {
    .run = lend_object_and_borrow, .done = object_borrowed, .before = offer_object};

LvTest(uvm_failures, borrow_of_object_to_page)
{
	terms.ot_kind = UVM_LOAN_TOPAGE;
	fail_each(&borrowing_of_object, 10);
}

LvTest(uvm_failures, borrow_of_object_to_anon)
{
	terms.ot_kind = UVM_LOAN_TOANON;
	fail_each(&borrowing_of_object, 20);
}

static int lend_and_borrow(void)
{
	uint64_t windows;
	int error = lend();

	if (error != 0)
		return error;
	error = borrow();
	LV_OK(uvm_ledger_recall(sc.a->map->vm_domid, id, &windows));
	return error;
}

static const struct operation borrowing = {.run = lend_and_borrow, .done = borrow_done};

LvTest(uvm_failures, borrow_to_page)
{
	terms.ot_kind = UVM_LOAN_TOPAGE;
	fail_each(&borrowing, 12);
}

LvTest(uvm_failures, borrow_to_anon)
{
	terms.ot_kind = UVM_LOAN_TOANON;
	fail_each(&borrowing, 12);
}

static int lender_writes(void)
{
	int error = soft_write(sc.a->map, 5, 0, "x", 1);

	return error != 0 ? error : soft_write(sc.a->map, 6, 0, "x", 1);
}

/* The first of the two writes may have gone through: make it what unchanged wants to see. */
static int lender_writes_the_same(void)
{
	int error = guest_fill(sc.a, 5, 105);

	return error != 0 ? error : guest_fill(sc.a, 6, 106);
}

static void lender_wrote(void)
{
	LV_OK(lender_writes());
	cr_assert(!guest_holds(sc.a, 5, 105) && !guest_holds(sc.a, 6, 106));
	cr_assert(guest_holds(sc.b, 16, 105) && guest_holds(sc.b, 17, 106));
	cr_assert_eq(sc.a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 2);
}

LvTest(uvm_failures, break_by_lender)
{
	fail_each(
	    &(struct operation){
		.run = lender_writes_the_same, .done = lender_wrote, .may_lose = 'a'},
	    6);
}

static int crowded_lender_writes(void)
{
	sc.a->pmap->sp_pmap.pm_crowded = true;
	return lender_writes_the_same();
}

/* The neighbours are lent, untouched, wired ... : each has its frame or is as it was. */
static void crowded_lender_wrote(void)
{
	LV_OK(lender_writes());
	cr_assert(guest_holds(sc.b, 16, 105) && guest_holds(sc.b, 17, 106));
	cr_assert_geq(sc.a->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 2);
}

LvTest(uvm_failures, break_by_lender_whose_mappings_run_short)
{
	fail_each(
	    &(struct operation){
		.run = crowded_lender_writes, .done = crowded_lender_wrote, .may_lose = 'a'},
	    6);
}

static int borrower_writes(void)
{
	return guest_fill(sc.b, 17, 1);
}

static void borrower_wrote(void)
{
	cr_assert(guest_holds(sc.b, 17, 1) && guest_holds(sc.a, 6, 106));
}

LvTest(uvm_failures, break_by_borrower)
{
	fail_each(
	    &(struct operation){.run = borrower_writes, .done = borrower_wrote, .may_lose = 'b'},
	    3);
}

static int give_back(void)
{
	return uvm_ledger_return(sc.b->map, 16);
}

static void given_back(void)
{
	LV_FAILS(uvm_ledger_return(sc.b->map, 16), ENOENT);
}

LvTest(uvm_failures, return_of_a_window)
{
	fail_each(&(struct operation){.run = give_back, .done = given_back, .may_lose = 'b'}, 1);
}

static int give_back_cow(void)
{
	return uvm_ledger_return(sc.b->map, 17);
}

static void given_back_cow(void)
{
	LV_FAILS(uvm_ledger_return(sc.b->map, 17), ENOENT);
	cr_assert(guest_holds(sc.a, 6, 106));
}

LvTest(uvm_failures, return_of_a_cow_window)
{
	fail_each(
	    &(struct operation){.run = give_back_cow, .done = given_back_cow, .may_lose = 'b'}, 1);
}

static int recall(void)
{
	uint64_t windows;

	return uvm_ledger_recall(sc.a->map->vm_domid, sc.page_id, &windows);
}

static void recalled(void)
{
	cr_assert(guest_holds(sc.b, 16, 105));
}

/* Nothing in it can fail. */
LvTest(uvm_failures, recall)
{
	fail_each(&(struct operation){.run = recall, .done = recalled}, 0);
}

static struct uvm_hostloan *hl;

static int host_borrow(void)
{
	return uvm_ledger_host_borrow(sc.host_id, &hl);
}

static void host_borrowed(void)
{
	LV_OK(guest_fill(sc.a, 6, 1));
	uvm_hostloan_return(hl);
}

LvTest(uvm_failures, host_borrow)
{
	fail_each(&(struct operation){.run = host_borrow, .done = host_borrowed}, 2);
}

/* Regression: learning a page failed after it had been unmapped, and its old bytes came back. */
static int discard(void)
{
	return uvm_map_discard(sc.a->map, 0, 7);
}

static void discarded(void)
{
	for (unsigned i = 0; i < 7; i++)
		cr_assert(guest_holds(sc.a, i, 0));
	cr_assert(guest_holds(sc.b, 16, 105) && guest_holds(sc.b, 17, 106));
}

LvTest(uvm_failures, discard)
{
	fail_each(&(struct operation){.run = discard, .done = discarded, .may_lose = 'a'}, 3);
}

static struct uvm_page *wired;

static int wire(void)
{
	return uvm_map_wire(sc.a->map, 6, &wired);
}

static void wired_now(void)
{
	cr_assert(guest_holds(sc.a, 6, 106) && guest_holds(sc.b, 17, 106));
	uvm_map_unwire(sc.a->map, wired);
}

LvTest(uvm_failures, wire_of_a_lent_page)
{
	fail_each(&(struct operation){.run = wire, .done = wired_now, .may_lose = 'a'}, 3);
}

static int wire_untouched(void)
{
	return uvm_map_wire(sc.a->map, 2, &wired);
}

static void wired_untouched(void)
{
	cr_assert(page_holds(uvm_page_kva(wired), 0));
	uvm_map_unwire(sc.a->map, wired);
}

LvTest(uvm_failures, wire_of_a_page_never_touched)
{
	fail_each(
	    &(struct operation){.run = wire_untouched, .done = wired_untouched, .may_lose = 'a'},
	    3);
}

static int object_read(void)
{
	uint8_t byte;

	return soft_read(sc.a->map, 9, 0, &byte, 1);
}

static void object_was_read(void)
{
	cr_assert(guest_holds(sc.a, 9, 501));
	LV_OK(guest_fill(sc.a, 9, 1));
}

LvTest(uvm_failures, read_of_an_object_s_page)
{
	fail_each(
	    &(struct operation){.run = object_read, .done = object_was_read, .may_lose = 'a'}, 5);
}

static union uvm_loaned object_loan;

static void lend_object_page(void)
{
	other = test_object_create(2, 600);
}

static int object_write(void)
{
	uint64_t nbroken = 0;
	int error = uvm_loan_object(&other->to_object, 0, 1, UVM_LOAN_TOANON, &object_loan);

	if (error != 0)
		return error;
	error = uvm_object_write(&other->to_object, 0, 0, "x", 1, &nbroken);
	cr_assert(page_holds(uvm_page_kva(object_loan.anon->an_page), 600));
	uvm_unloan(&object_loan, 1, UVM_LOAN_TOANON);
	return error;
}

static void object_written(void)
{
	cr_assert_eq(*(char *)uvm_page_kva(lv_object_page(other, 0)), 'x');
	uvm_object_rele(&other->to_object);
}

LvTest(uvm_failures, write_to_a_lent_page_of_an_object)
{
	fail_each(
	    &(struct operation){
		.run = object_write, .done = object_written, .before = lend_object_page},
	    5);
}

static int learn(void)
{
	return uvm_map_learn(sc.a->map);
}

static void learned(void)
{
	cr_assert_not_null(lv_anon(sc.a, 0));
	cr_assert(guest_holds(sc.a, 0, 100));
}

LvTest(uvm_failures, learn)
{
	fail_each(&(struct operation){.run = learn, .done = learned}, 6);
}

static struct guest third;

static int create(void)
{
	return guest_create(&third, 700, 4, 4);
}

static void created(void)
{
	LV_OK(guest_fill(&third, 3, 1));
	guest_destroy(&third);
}

LvTest(uvm_failures, create_a_guest)
{
	fail_each(&(struct operation){.run = create, .done = created}, 4);
}

static int enter_object(void)
{
	return uvm_map_enter_object(sc.a->map, 30, 2, &sc.to->to_object, 4);
}

static void entered_object(void)
{
	cr_assert(guest_holds(sc.a, 31, 505));
}

LvTest(uvm_failures, enter_an_object)
{
	fail_each(&(struct operation){.run = enter_object, .done = entered_object}, 3);
}

/* The zero frame: made again under failures, with nothing else alive. */
LvTest(uvm_failures, init)
{
	unsigned nth = 0;
	int error;

	uvm_world_leave();
	uvm_loan_fini();
	do {
		error = fail_nth_allocation(uvm_loan_init, ++nth);
		cr_assert(error == 0 || error == -ENOMEM);
	} while (error != 0);
	cr_assert_geq(nth, 4);
	uvm_world_enter();
}
