/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(filter-out hv/core/main.c hv/lib/sys.c,$(lombardd_SRCS)) hv/pmap/pmap_soft.c */
/* pkgs: $(lombardd_PKGS) */
/*
 * A client's operations on loans, with every allocation failing once: nothing is left of a request
 * that failed, nor of a client that has gone.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "core/session.h"
#include "lib/sys.h"
#include "pmap/pmap_soft.h"
#include "uvm/uvm_alloc.h"

#define PAGES 16u

/* In the place of hv/lib/sys.c: the one that is to fail, counted down; 0: none. */
static unsigned fail_in;

bool sys_fails(void)
{
	if (fail_in == 0 || --fail_in > 0)
		return false;
	errno = ENOMEM;
	return true;
}

static struct session client;
static struct guest *owner;

/* A guest that nobody runs, with memory on a software pmap. */
static void begin(void)
{
	const struct uvm_maprange range = {.mr_npages = PAGES};
	struct soft_store *ss = soft_store_create(PAGES, 2, 1);
	struct soft_pmap *sp = soft_pmap_create(PAGES);
	struct failure f;

	uvm_fault_hook = sys_fails;
	owner = calloc(1, sizeof(*owner));
	cr_assert(ss != NULL && sp != NULL && owner != NULL && uvm_loan_init() == 0);
	atomic_init(&owner->g_refs, 1);
	pthread_mutex_init(&owner->g_mutex, NULL);
	cr_assert_eq(guest_enlist(owner, "owner", &f), 0);
	uvm_world_enter();
	owner->g_map = uvm_map_create(&sp->sp_pmap, &ss->ss_store, owner->g_domid, &range, 1);
	cr_assert(owner->g_map != NULL);
	cr_assert_eq(uvm_map_enter_ram(owner->g_map, 0, PAGES), 0);
	uvm_world_leave();
	LIST_INIT(&client.s_loans);
}

/* One request of the client, of which the nth allocation fails (0: none).  Returns its error. */
static int ask(session_op *op, json_t *request, unsigned nth)
{
	struct failure f = {.text = ""};
	json_t *fields;
	int error = 0;

	fail_in = nth;
	fields = op(&client, request, &error, &f);
	cr_assert(fields != NULL || (error < 0 && f.text[0] != '\0'));
	fail_in = 0;
	json_decref(fields);
	return error;
}

static json_t *lend(json_int_t gfn, json_int_t pages)
{
	return json_pack(
	    "{s:s, s:i, s:I, s:I}", "from", "owner", "to", 0, "gfn", gfn, "pages", pages);
}

/* Bug: without memory to note whose it is, a loan to the host was made and belonged to nobody. */
Test(op_lend, loan_to_host_without_memory_leaves_nothing)
{
	json_t *request;
	unsigned nth = 0;
	int error;

	begin();
	request = lend(2, 4);
	do {
		error = ask(op_lend, request, ++nth);
		cr_assert(error == 0 || error == -ENOMEM);
		cr_assert_eq(uvm_ledger_count(), error == 0 ? 1 : 0);
		cr_assert_eq(LIST_EMPTY(&client.s_loans), error != 0);
		/* The client hangs up. */
		session_end_loans(&client);
		cr_assert_eq(uvm_ledger_count(), 0, "allocation %u failed: its loan stays", nth);
	} while (error != 0);
	cr_assert(nth > 2);
	json_decref(request);
}

Test(op_map, hold_without_memory_leaves_nothing)
{
	const struct uvm_offer_terms terms = {
	    .ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	json_t *request;
	uint64_t id;
	unsigned nth = 0;
	int error;

	begin();
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(owner->g_map, 0, 4, &terms, &id), 0);
	uvm_world_leave();
	request = json_pack("{s:I, s:i, s:i}", "id", (json_int_t)id, "first", 0, "pages", 4);
	do {
		error = ask(op_map, request, ++nth);
		cr_assert(error == 0 || error == -ENOMEM);
		cr_assert_eq(LIST_EMPTY(&client.s_loans), error != 0);
		cr_assert_eq(uvm_ledger_count(), error == 0 ? 2 : 1);
	} while (error != 0);
	cr_assert(nth > 1);
	session_end_loans(&client);
	cr_assert_eq(uvm_ledger_count(), 1);
	json_decref(request);
}
