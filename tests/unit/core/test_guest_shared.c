/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/core/guest_shared.c hv/pmap/pmap_soft.c hv/xen/evtchn.c hv/xen/evtchn_host.c hv/lib/sys.c $(UVM_SRCS) */
/*
 * Where guests want their events: pages that can't be, pages on loan, and what is left at the end.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/guest.h"
#include "pmap/pmap_soft.h"
#include "uvm/uvm_audit.h"
#include "xen/evtchn_raise.h"

#define RAM 8u
#define INFO sizeof(struct vcpu_info)

static struct soft_pmap *pmap;

static void begin(struct guest *g)
{
	const struct uvm_maprange range = {.mr_gfn = 0, .mr_npages = RAM};
	struct soft_store *ss = soft_store_create(RAM, 4, 1);

	pmap = soft_pmap_create(RAM);
	cr_assert(ss != NULL && pmap != NULL);
	cr_assert_eq(uvm_loan_init(), 0);
	memset(g, 0, sizeof(*g));
	pthread_mutex_init(&g->g_mutex, NULL);
	g->g_domid = 1;
	g->g_vcpus = 2;
	g->g_ram_pages = RAM;
	g->g_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_eq(evtchn_domain_add(&g->g_events, 1, g->g_event, g->g_vcpus), 0);
	uvm_world_enter();
	g->g_map = uvm_map_create(&pmap->sp_pmap, &ss->ss_store, 1, &range, 1);
	cr_assert(g->g_map != NULL);
	cr_assert_eq(uvm_map_enter_ram(g->g_map, 0, RAM), 0);
	soft_pmap_map_ram(pmap, &ss->ss_store, 0, 0, RAM);
	uvm_store_rele(&ss->ss_store);
	uvm_world_leave();
}

/* Frames that are wired; all is in order. */
static uint64_t wired(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	cr_assert(ac.ac_equal);
	return ac.ac_all.fr_wired;
}

/* As guest_end.c does it. */
static void end(struct guest *g)
{
	evtchn_set_shared(&g->g_events, NULL);
	evtchn_domain_remove(&g->g_events);
	uvm_world_enter();
	guest_unplace(g);
	uvm_world_leave();
	cr_assert_eq(wired(), 0);
	uvm_world_enter();
	pmap->sp_gone = true;
	uvm_ledger_guest_gone(g->g_map);
	uvm_world_leave();
	soft_pmap_destroy(pmap);
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
	close(g->g_event);
}

static void peek(struct guest *g, uint64_t gfn, size_t at, void *buf, size_t len)
{
	uvm_world_enter();
	cr_assert_eq(soft_read(g->g_map, gfn, at, buf, len), 0);
	uvm_world_leave();
}

static uint32_t ipi(struct guest *g, uint32_t vcpu)
{
	struct evtchn_bind_ipi op = {.vcpu = vcpu};

	cr_assert_eq(evtchn_op(&g->g_events, EVTCHNOP_bind_ipi, &op, sizeof(op)), 0);
	return op.port;
}

static void send_to(struct guest *g, uint32_t port)
{
	struct evtchn_send op = {.port = port};

	cr_assert_eq(evtchn_op(&g->g_events, EVTCHNOP_send, &op, sizeof(op)), 0);
}

Test(guest_shared, vcpu_info_is_written_where_it_is_registered)
{
	static struct guest g;
	struct vcpu_info vi;
	uint64_t pending;
	uint32_t port;

	begin(&g);
	cr_assert_eq(guest_place_shared_info(&g, 3), 0);
	cr_assert_eq(guest_place_vcpu_info(&g, 1, 5, (uint32_t)(UVM_PAGE_SIZE - INFO)), 0);
	cr_assert_eq(wired(), 2);
	peek(&g, 5, UVM_PAGE_SIZE - INFO, &vi, INFO);
	cr_assert_eq(vi.evtchn_upcall_pending, 1);
	cr_assert_eq(vi.evtchn_pending_sel, UINT64_MAX);
	uvm_world_enter();
	memset(&vi, 0, INFO);
	cr_assert_eq(soft_write(g.g_map, 5, UVM_PAGE_SIZE - INFO, &vi, INFO), 0);
	uvm_world_leave();
	port = ipi(&g, 1);
	send_to(&g, port);
	peek(&g, 5, UVM_PAGE_SIZE - INFO, &vi, INFO);
	cr_assert_eq(vi.evtchn_upcall_pending, 1);
	cr_assert_eq(vi.evtchn_pending_sel, 1);
	peek(&g, 3, offsetof(struct shared_info, evtchn_pending), &pending, sizeof(pending));
	cr_assert_eq(pending, evtchn_bit(port));
	/* The shared info page moves, vcpu_info stays. */
	cr_assert_eq(guest_place_shared_info(&g, 4), 0);
	cr_assert_eq(wired(), 2);
	peek(&g, 4, offsetof(struct shared_info, evtchn_pending), &pending, sizeof(pending));
	cr_assert_eq(pending, evtchn_bit(port));
	end(&g);
}

Test(guest_shared, places_that_cannot_be)
{
	static struct guest g;

	begin(&g);
	cr_assert_eq(guest_place_shared_info(&g, RAM), -EINVAL);
	cr_assert_eq(guest_place_shared_info(&g, UINT64_MAX), -EINVAL);
	cr_assert_eq(guest_place_vcpu_info(&g, 2, 1, 0), -ENOENT);
	cr_assert_eq(guest_place_vcpu_info(&g, UINT32_MAX, 1, 0), -ENOENT);
	cr_assert_eq(guest_place_vcpu_info(&g, 0, RAM, 0), -EINVAL);
	cr_assert_eq(guest_place_vcpu_info(&g, 0, UINT64_MAX, 0), -EINVAL);
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 1, 4), -EINVAL, "not aligned");
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 1, (uint32_t)(UVM_PAGE_SIZE - INFO + 8)), -EINVAL,
	    "goes into the next page");
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 1, UINT32_MAX - 7), -EINVAL);
	cr_assert_eq(wired(), 0);
	end(&g);
}

/* Twice for one vCPU is refused, and what it tried to take is let go; two may share a page. */
Test(guest_shared, vcpu_info_registers_once)
{
	static struct guest g;

	begin(&g);
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 1, 0), 0, "without a shared info page");
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 1, 0), -EINVAL);
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 2, 0), -EINVAL);
	cr_assert_eq(wired(), 1);
	cr_assert_eq(guest_place_vcpu_info(&g, 1, 1, INFO), 0);
	cr_assert_eq(guest_place_shared_info(&g, 1), 0);
	cr_assert_eq(wired(), 1);
	end(&g);
}

/* The loan breaks: the borrowers keep what was there, and never see an event. */
Test(guest_shared, vcpu_info_in_page_on_loan)
{
	static struct guest g;
	const struct uvm_offer_terms terms = {
	    .ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id, windows, word = 4711;
	struct vcpu_info vi;

	begin(&g);
	uvm_world_enter();
	cr_assert_eq(soft_write(g.g_map, 6, 0, &word, sizeof(word)), 0);
	cr_assert_eq(uvm_ledger_lend(g.g_map, 6, 1, &terms, &id), 0);
	uvm_world_leave();
	cr_assert_eq(guest_place_vcpu_info(&g, 0, 6, 0), 0);
	peek(&g, 6, 0, &vi, INFO);
	cr_assert_eq(vi.evtchn_upcall_pending, 1);
	cr_assert_eq(wired(), 1);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_recall(1, id, &windows), 0);
	cr_assert_eq(uvm_ledger_lend(g.g_map, 6, 1, &terms, &id), -EBUSY);
	cr_assert_eq(uvm_map_discard(g.g_map, 6, 1), -EBUSY);
	uvm_world_leave();
	end(&g);
}
