/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second vCPU, if there is one: makes hypercalls while the first does, and writes to what the
 * hypervisor reads for that one.  It keeps its hands off what the first knows of: it has ports, windows and
 * loans of its own, each for a moment.
 */
#include "fuzz.h"

#define SECOND_PAGE 0x8000UL
#define BREAKPOINT 3
#define GATE3 0xee00U /* interrupt gate; DPL 3 */
#define ICR_INIT 0x4500UL
#define ICR_STARTUP (0x4600UL | SECOND_PAGE >> 12)
#define OWN_SPOTS 256u

extern char second_start[], second_start_end[], second_command[];
extern char second_tss[], second_gdt_tss[];
void second_main(void) __attribute__((noreturn));

bool second_p;

static volatile uint32_t running;
static volatile uint64_t calls, good;
static uint64_t state;

/* Not the first one's. */
static uint32_t chance(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) * n >> 32);
}

static bool call(uint64_t nr, uint64_t a1, uint64_t a2, uint64_t a3)
{
	int64_t ret = hypercall(nr, a1, a2, a3, 0, 0);

	calls++;
	good += ret >= 0;
	return ret >= 0;
}

static uint64_t a_public_gfn(void)
{
	return (uint64_t)field.public / PAGE_SIZE + chance(PUBLIC_PAGES);
}

static uint64_t own_spot(void)
{
	return field.info.window_gfn + SPOT_PAGES + AREAS * AREA_PAGES + chance(OWN_SPOTS);
}

/* ---- calls ---- */

static void events(void)
{
	struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
	struct evtchn_bind_ipi ipi = {.vcpu = chance(3)};
	struct evtchn_bind_vcpu vcpu = {.port = 1 + chance(64), .vcpu = chance(3)};
	uint32_t port = 1 + chance(64);

	switch (chance(4)) {
	case 0:
		if (call(
			__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)&alloc, 0))
			(void)call(__HYPERVISOR_event_channel_op, EVTCHNOP_close,
			    (uint64_t)&alloc.port, 0);
		break;
	case 1:
		if (!call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)&ipi, 0))
			break;
		(void)call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (uint64_t)&ipi.port, 0);
		(void)call(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)&ipi.port, 0);
		break;
	case 2:
		(void)call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, (uint64_t)&vcpu, 0);
		break;
	default:
		(void)call(__HYPERVISOR_event_channel_op,
		    chance(2) ? EVTCHNOP_send : EVTCHNOP_unmask, (uint64_t)&port, 0);
		break;
	}
}

static void grants(void)
{
	struct gnttab_map_grant_ref map = {.host_addr = own_spot() * PAGE_SIZE,
	    .flags = GNTMAP_host_map,
	    .ref = 8 + chance(64),
	    .dom = field.info.domid};
	struct gnttab_unmap_grant_ref unmap = {.host_addr = map.host_addr};
	struct gnttab_copy copy = {.flags = GNTCOPY_source_gref, .len = (uint16_t)chance(4097)};

	if (chance(2)) {
		copy.source.u.ref = map.ref;
		copy.source.domid = field.info.domid;
		copy.dest.u.gmfn = a_public_gfn();
		copy.dest.domid = DOMID_SELF;
		(void)call(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uint64_t)&copy, 1);
		return;
	}
	if (!call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)&map, 1) ||
	    map.status != GNTST_okay)
		return;
	*(volatile uint32_t *)(map.host_addr + chance(1024) * 4) = chance(100);
	unmap.handle = map.handle;
	(void)call(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&unmap, 1);
}

static void loans(void)
{
	struct loan_lend lend = {.gfn = a_public_gfn(),
	    .nr_pages = 1,
	    .domid = LOAN_DOMID_ANY,
	    .kind = (uint16_t)(1 + chance(2))};
	struct loan_query next = {0};
	struct loan_borrow borrow = {.gfn = own_spot(), .nr_pages = 1};
	struct loan_return back = {.gfn = borrow.gfn};
	struct loan_recall recall;

	if (chance(2)) {
		if (!call(LOMBARD_HYPERCALL_loan_op, LOANOP_lend, (uint64_t)&lend, 0))
			return;
		recall.id = lend.id;
		(void)call(LOMBARD_HYPERCALL_loan_op, LOANOP_recall, (uint64_t)&recall, 0);
		return;
	}
	if (!call(LOMBARD_HYPERCALL_loan_op, LOANOP_next, (uint64_t)&next, 0))
		return;
	borrow.id = next.id;
	if (call(LOMBARD_HYPERCALL_loan_op, LOANOP_borrow, (uint64_t)&borrow, 0))
		(void)call(LOMBARD_HYPERCALL_loan_op, LOANOP_return, (uint64_t)&back, 0);
}

static void clocks(void)
{
	struct vcpu_set_singleshot_timer timer = {
	    .timeout_abs_ns = time_ns() + chance(200000), .flags = chance(2)};

	(void)call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 1, (uint64_t)&timer);
	(void)call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, chance(3), 0);
	(void)call(__HYPERVISOR_set_timer_op, time_ns() + chance(100000), 0, 0);
}

/* ---- memory ---- */

/* Structures of the first lie in public pages, its grants in the table; all may be under way. */
static void rewrite(void)
{
	volatile uint32_t *p = (volatile uint32_t *)field.public;
	volatile struct grant_entry_v1 *e = &field.frame[0][8 + chance(64)];

	for (unsigned n = 0; n < 512; n++) {
		p[chance(2048)] = chance(4) ? chance(64) : ~0U - chance(64);
		if (n % 32 == 0)
			e = &field.frame[0][8 + chance(64)];
		e->flags = chance(2)   ? GTF_permit_access
			   : chance(2) ? 0
				       : GTF_permit_access | GTF_readonly;
		e->frame = (uint32_t)a_public_gfn();
	}
}

void second_main(void)
{
	running = 1;
	for (;;) {
		switch (chance(5)) {
		case 0:
			events();
			break;
		case 1:
			grants();
			break;
		case 2:
			loans();
			break;
		case 3:
			clocks();
			break;
		default:
			rewrite();
			break;
		}
	}
}

/* ---- from the first ---- */

static void install(void)
{
	uint64_t at = (uint64_t)second_command;

	lombard_idt[BREAKPOINT] = (struct gate){
	    .offset_low = (uint16_t)at,
	    .selector = SEL_CODE0,
	    .type = GATE3,
	    .offset_mid = (uint16_t)(at >> 16),
	    .offset_high = (uint32_t)(at >> 32),
	};
	/* The address in the descriptor of the task state, in pieces. */
	at = (uint64_t)second_tss;
	memcpy(second_gdt_tss + 2, &at, 3);
	second_gdt_tss[7] = (char)(at >> 24);
	memcpy((void *)SECOND_PAGE, second_start, (size_t)(second_start_end - second_start));
}

static void command(uint64_t what)
{
	what |= 1UL << 32; /* to vCPU 1 */
	__asm__ volatile("int3" : : "D"(what) : "rax", "rcx", "rdx", "memory", "cc");
}

void second_begin(uint64_t seed)
{
	uint64_t deadline = time_after(20 * SECOND);
	uint64_t from = (field.info.window_gfn + SPOT_PAGES + AREAS * AREA_PAGES) * PAGE_SIZE;

	state = seed | 1;
	if (mem_map(from, from + OWN_SPOTS * PAGE_SIZE) != 0)
		die("fuzz: no memory for page tables");
	install();
	second_p = true;
	command(ICR_INIT);
	command(ICR_STARTUP);
	while (running == 0)
		if (time_ns() > deadline)
			die("fuzz: the second vCPU does not start");
	puts("fuzz: the second vCPU runs");
}

void second_print(void)
{
	static uint64_t last_calls, last_good;
	uint64_t c = calls, g = good;

	if (second_p)
		printf("fuzz: second calls=%llu good=%llu\n", (unsigned long long)(c - last_calls),
		    (unsigned long long)(g - last_good));
	last_calls = c;
	last_good = g;
}
