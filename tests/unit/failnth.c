/* SPDX-License-Identifier: BSD-2-Clause */
#include "failnth.h"

#include "uvm/uvm_alloc.h"

#ifndef LOMBARD_FAULTS
#error "needs a build with -DLOMBARD_FAULTS"
#endif

struct scene sc;

static struct {
	unsigned at, calls;
	bool armed, on_and_on, fired;
} failing;

static bool this_one_fails(bool allocation)
{
	bool fails;

	if (!failing.armed)
		return false;
	failing.calls++;
	fails = failing.calls == failing.at ||
		(failing.on_and_on && allocation && failing.calls > failing.at);
	failing.fired |= fails;
	return fails;
}

static bool fail_alloc(void)
{
	return this_one_fails(true);
}

static int fail_pmap(void)
{
	return this_one_fails(false) ? -EIO : 0;
}

static void scene(void)
{
	sc.a = lv_guest(8, 32);
	sc.b = lv_guest(8, 32);
	sc.to = test_object_create(8, 500);
	LV_OK(uvm_map_enter_object(sc.a->map, 8, 4, &sc.to->to_object, 0));
	LV_OK(guest_fill(sc.a, 0, 100));
	LV_OK(guest_fill(sc.a, 1, 101));
	LV_OK(guest_fill(sc.a, 4, 104));
	LV_OK(guest_fill(sc.a, 5, 105));
	LV_OK(guest_fill(sc.a, 6, 106));
	LV_OK(guest_fill(sc.b, 0, 300));
	sc.page_id = lv_lend(sc.a, 5, 1, UVM_LOAN_TOPAGE, sc.b->map->vm_domid);
	sc.anon_id = lv_lend(sc.a, 6, 1, UVM_LOAN_TOANON, sc.b->map->vm_domid);
	sc.host_id = lv_lend(sc.a, 6, 2, UVM_LOAN_TOPAGE, UVM_DOMID_HOST);
	LV_OK(uvm_ledger_borrow(sc.b->map, sc.page_id, 0, 1, 16));
	LV_OK(uvm_ledger_borrow(sc.b->map, sc.anon_id, 0, 1, 17));
	sc.a->pmap->sp_fail = fail_pmap;
	sc.b->pmap->sp_fail = fail_pmap;
}

static void unchanged(void)
{
	lv_check();
	cr_assert(
	    guest_holds(sc.a, 0, 100) && guest_holds(sc.a, 1, 101) && guest_holds(sc.a, 4, 104));
	cr_assert(guest_holds(sc.a, 5, 105) && guest_holds(sc.a, 6, 106));
	cr_assert(
	    guest_holds(sc.b, 16, 105) && guest_holds(sc.b, 17, 106) && guest_holds(sc.b, 0, 300));
	cr_assert_eq(uvm_ledger_count(), 5);
}

static void scene_ends(void)
{
	lv_kill(sc.a);
	lv_kill(sc.b);
	uvm_object_rele(&sc.to->to_object);
	cr_assert_eq(world_leftovers(), 0);
}

static int run_failing(int (*run)(void), unsigned nth, bool on_and_on)
{
	int error;

	failing.at = nth;
	failing.calls = 0;
	failing.fired = false;
	failing.on_and_on = on_and_on;
	failing.armed = true;
	error = run();
	failing.armed = false;
	return error;
}

/* One guest cannot go on; the other does. */
static void lose(char which)
{
	lv_check();
	lv_kill(which == 'a' ? sc.a : sc.b);
	lv_check();
	if (which == 'a')
		cr_assert(guest_holds(sc.b, 16, 105) && guest_holds(sc.b, 17, 106));
	else
		cr_assert(guest_holds(sc.a, 5, 105) && guest_holds(sc.a, 6, 106));
	lv_kill(which == 'a' ? sc.b : sc.a);
	uvm_object_rele(&sc.to->to_object);
	cr_assert_eq(world_leftovers(), 0);
}

/* Returns true when nothing failed any more. */
static bool one_try(const struct operation *op, unsigned nth, bool on_and_on)
{
	int error;

	scene();
	if (op->before != NULL)
		op->before();
	error = run_failing(op->run, nth, on_and_on);
	if (error == -ENOTRECOVERABLE && op->may_lose != 0) {
		lose(op->may_lose);
		return false;
	}
	if (error != 0) {
		cr_assert(failing.fired, "error %d of itself", error);
		cr_assert(error == -ENOMEM || error == -EIO, "error %d", error);
		unchanged();
		LV_OK(op->run());
	}
	lv_check();
	op->done();
	lv_check();
	scene_ends();
	return !failing.fired;
}

void fail_each(const struct operation *op, unsigned at_least)
{
	uvm_fault_hook = fail_alloc;
	for (unsigned on_and_on = 0; on_and_on < 2; on_and_on++) {
		unsigned nth = 1;

		while (!one_try(op, nth, on_and_on == 1)) {
			nth++;
			cr_assert_lt(nth, 1000);
		}
		cr_assert_geq(nth - 1, at_least, "only %u calls", nth - 1);
	}
	uvm_fault_hook = NULL;
}

int fail_nth_allocation(int (*run)(void), unsigned nth)
{
	int error;

	uvm_fault_hook = fail_alloc;
	error = run_failing(run, nth, false);
	uvm_fault_hook = NULL;
	return error;
}
