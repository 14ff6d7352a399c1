/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/event.c hv/vmm/gmem.c hv/lib/sys.c */
/* Events that a VMM raises itself: which ports, in which pages, and whom they interrupt. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/vmm.h"
#include "xen/evtchn_raise.h"

#define PAGE 4096u
#define FIRST_PAGE (*(struct shared_info *)ram)
#define SECOND_PAGE (*(struct shared_info *)(ram + PAGE))

static _Alignas(PAGE) uint8_t ram[4 * PAGE];
static struct vmm vm;
static unsigned raised[2];

void upcall_raise(struct vcpu *v)
{
	raised[v->id]++;
}

void clock_show(struct vcpu *v, struct shared_info *si)
{
	(void)v;
	si->wc_sec = 1;
}

void clock_show_vcpu(struct vcpu *v, struct vcpu_time_info *to)
{
	to->tsc_timestamp = v->id + 100;
}

static void setup(void)
{
	memset(ram, 0, sizeof(ram));
	vm.cfg.vcpus = 2;
	vm.cfg.lapic = 1;
	vm.mem.ram = (struct gmem_area){.hva = ram, .size = sizeof(ram)};
	event_init(&vm);
	for (unsigned i = 0; i < 2; i++) {
		vm.vcpus[i].vm = &vm;
		vm.vcpus[i].id = i;
		vm.vcpus[i].wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

static bool send_to(uint32_t port)
{
	struct evtchn_send op = {.port = port};

	return event_asked(&vm, EVTCHNOP_send, &op);
}

static void close_port(uint32_t port)
{
	struct evtchn_close op = {.port = port};

	cr_assert(!event_asked(&vm, EVTCHNOP_close, &op), "the core closes it");
}

static void ipi(uint32_t port, uint32_t vcpu)
{
	struct evtchn_bind_ipi op = {.vcpu = vcpu, .port = port};

	event_answered(&vm, EVTCHNOP_bind_ipi, &op);
}

static void virq(uint32_t number, uint32_t port, uint32_t vcpu)
{
	struct evtchn_bind_virq op = {.virq = number, .vcpu = vcpu, .port = port};

	event_answered(&vm, EVTCHNOP_bind_virq, &op);
}

static bool woken(unsigned i)
{
	uint64_t n;

	return read(vm.vcpus[i].wake, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

TestSuite(event, .init = setup);

Test(event, ipi_goes_to_its_vcpu_without_the_core)
{
	event_shared_moved(&vm.vcpus[0], 0);
	cr_assert_eq(FIRST_PAGE.wc_sec, 1);
	cr_assert(!send_to(9), "not an IPI: the core's");
	ipi(9, 1);
	cr_assert(send_to(9));
	cr_assert(raised[0] == 0 && raised[1] == 1);
	cr_assert(FIRST_PAGE.vcpu_info[1].evtchn_upcall_pending);
	cr_assert(event_upcall_p(&vm.vcpus[1]) && !event_upcall_p(&vm.vcpus[0]));
	cr_assert(send_to(9));
	cr_assert_eq(raised[1], 1, "it is pending already");
	close_port(9);
	cr_assert(!send_to(9));
	/* What a guest makes up, or the core would never say. */
	ipi(EVTCHN_PORTS, 1);
	ipi(UINT32_MAX, 1);
	ipi(10, 2);
	cr_assert(!send_to(EVTCHN_PORTS) && !send_to(UINT32_MAX) && !send_to(10) && !send_to(0));
	close_port(UINT32_MAX);
}

Test(event, timer_raises_what_it_is_bound_to)
{
	event_timer(&vm.vcpus[1]);
	event_shared_moved(&vm.vcpus[0], 0);
	event_timer(&vm.vcpus[1]);
	cr_assert_eq(raised[1], 0);
	virq(VIRQ_DEBUG, 7, 1);
	virq(VIRQ_TIMER, 8, 1);
	event_timer(&vm.vcpus[0]);
	event_timer(&vm.vcpus[1]);
	cr_assert(raised[0] == 0 && raised[1] == 1);
	cr_assert_eq(FIRST_PAGE.evtchn_pending[0], evtchn_bit(8));
	cr_assert(!send_to(8), "nobody sends by a timer's port");
	FIRST_PAGE.evtchn_pending[0] = 0;
	close_port(8);
	event_timer(&vm.vcpus[1]);
	cr_assert_eq(FIRST_PAGE.evtchn_pending[0], 0);
}

Test(event, reset_forgets_all_ports)
{
	struct evtchn_reset op = {.dom = 5};

	vm.cfg.domid = 7;
	event_shared_moved(&vm.vcpus[0], 0);
	ipi(1, 0);
	ipi(EVTCHN_PORTS - 1, 1);
	virq(VIRQ_TIMER, 8, 1);
	cr_assert(!event_asked(&vm, EVTCHNOP_reset, &op));
	cr_assert(send_to(1) && send_to(EVTCHN_PORTS - 1), "the core refuses it");
	op.dom = DOMID_SELF;
	cr_assert(!event_asked(&vm, EVTCHNOP_reset, &op), "the core closes them");
	cr_assert(!send_to(1) && !send_to(EVTCHN_PORTS - 1));
	FIRST_PAGE.evtchn_pending[0] = 0;
	event_timer(&vm.vcpus[1]);
	cr_assert_eq(FIRST_PAGE.evtchn_pending[0], 0);
	ipi(1, 0);
	op.dom = 7;
	cr_assert(!event_asked(&vm, EVTCHNOP_reset, &op) && !send_to(1));
}

/*
 * Regression: a tool closes a guest's ports, the guest makes other ones, and what it sent by those went to itself.
 */
Test(event, port_that_is_something_else_now)
{
	struct evtchn_alloc_unbound unbound = {.port = 9};
	struct evtchn_bind_interdomain bound = {.local_port = 10};

	event_shared_moved(&vm.vcpus[0], 0);
	for (uint32_t port = 9; port < 12; port++)
		ipi(port, 1);
	event_answered(&vm, EVTCHNOP_alloc_unbound, &unbound);
	event_answered(&vm, EVTCHNOP_bind_interdomain, &bound);
	virq(VIRQ_TIMER, 11, 1);
	for (uint32_t port = 9; port < 12; port++)
		cr_assert(!send_to(port), "%u", port);
	virq(VIRQ_DEBUG, 11, 1);
	event_timer(&vm.vcpus[1]);
	cr_assert_eq(FIRST_PAGE.evtchn_pending[0], 0);
}

/* Who polls is woken by what interrupts nobody; who does not, is left alone. */
Test(event, masked_port_wakes_pollers)
{
	event_shared_moved(&vm.vcpus[0], 0);
	ipi(9, 1);
	FIRST_PAGE.evtchn_mask[0] = evtchn_bit(9);
	atomic_store(&vm.vcpus[0].polling, true);
	cr_assert(send_to(9));
	cr_assert(woken(0) && !woken(1));
	cr_assert_eq(raised[1], 0);
}

Test(event, registered_vcpu_info)
{
	struct vcpu_info *vi = (struct vcpu_info *)(ram + 2 * PAGE + 64);

	event_shared_moved(&vm.vcpus[0], 0);
	ipi(9, 1);
	event_info_moved(&vm.vcpus[1], 2 * PAGE + 64);
	/* What was raised in the old one meanwhile has to be looked for. */
	cr_assert_eq(raised[1], 1);
	cr_assert(vi->evtchn_upcall_pending && vi->evtchn_pending_sel == UINT64_MAX);
	cr_assert_eq(vi->time.tsc_timestamp, 101);
	vi->evtchn_upcall_pending = 0;
	vi->evtchn_pending_sel = 0;
	cr_assert(send_to(9));
	cr_assert_eq(raised[1], 2);
	cr_assert_eq(vi->evtchn_pending_sel, 1);
	cr_assert_eq(FIRST_PAGE.vcpu_info[1].evtchn_pending_sel, 0);
}

/* Some may have been raised in the old page when the core had left it already. */
Test(event, moved_page_loses_nothing)
{
	event_shared_moved(&vm.vcpus[0], 0);
	ipi(9, 1);
	virq(VIRQ_TIMER, 70, 0);
	event_shared_moved(&vm.vcpus[0], 1);
	cr_assert_eq(SECOND_PAGE.evtchn_pending[0], evtchn_bit(9));
	cr_assert_eq(SECOND_PAGE.evtchn_pending[1], evtchn_bit(70));
	cr_assert(raised[0] == 1 && raised[1] == 1);
	cr_assert_eq(SECOND_PAGE.wc_sec, 1);
	/* A page that the core would not have taken. */
	event_shared_moved(&vm.vcpus[0], 4);
	SECOND_PAGE.evtchn_pending[0] = 0;
	cr_assert(send_to(9));
	cr_assert_eq(SECOND_PAGE.evtchn_pending[0], evtchn_bit(9));
}

/* Guests without interrupts: all is the core's, and the page is left as it is. */
Test(event, without_lapic_the_core_does_all)
{
	vm.cfg.lapic = 0;
	event_shared_moved(&vm.vcpus[0], 0);
	cr_assert_eq(FIRST_PAGE.wc_sec, 0);
	ipi(9, 0);
	cr_assert(!send_to(9));
	cr_assert_eq(FIRST_PAGE.evtchn_pending[0], 0);
}
