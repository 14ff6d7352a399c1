/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processors, with local APICs: `probe smp vcpus=N [apics=STEP] [end=WHAT]`.  Small guests need neither;
 * this is what other systems need.
 */
#include "smp.h"

#include "../lib/start.h"

#define VECTOR 0x40
#define START_PAGE 0x8000UL
#define BREAKPOINT 3
#define GATE0 0x8e00U /* interrupt gate; DPL 0 */
#define GATE3 0xee00U /* DPL 3 */

#define ICR_TO(vcpu) ((uint64_t)((vcpu)*step) << 32)
#define ICR_INIT 0x4500UL
#define ICR_STARTUP (0x4600UL | START_PAGE >> 12)
#define ICR_FIXED (0x4000UL | VECTOR)

/* smp0.S */
extern char smp_start[], smp_start_end[], smp_trap[], smp_interrupt[];
void smp_enable(void), smp_command(uint64_t command);
void smp_call(void), smp_triple(void), smp_poweroff(void), smp_spin(void), smp_halt(void);

/* What smp0.S looks at. */
struct gate smp_idt[256] __attribute__((aligned(16)));
uint64_t smp_stack;
void (*volatile smp_work)(void);
volatile uint64_t smp_interrupts[SMP_MAX_VCPUS];
volatile uint32_t smp_apic, smp_vcpu, smp_running, smp_done, smp_wrong, smp_domid;

static uint32_t step = 1; /* from one vCPU's APIC to the next one's */
static char stacks[SMP_MAX_VCPUS][4096] __attribute__((aligned(16)));

static struct gate gate_to(const char *code, unsigned int type)
{
	uint64_t at = (uint64_t)code;

	return (struct gate){
	    .offset_low = (uint16_t)at,
	    .selector = SEL_CODE0,
	    .type = (uint16_t)type,
	    .offset_mid = (uint16_t)(at >> 16),
	    .offset_high = (uint32_t)(at >> 32),
	};
}

/* At CPL 0. */
static void call0(void (*fn)(void), uint64_t arg)
{
	__asm__ volatile("int3"
			 : "+D"(fn), "+S"(arg)
			 :
			 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void command(uint64_t what)
{
	call0((void (*)(void))smp_command, what);
}

static void await(int check, const char *what, volatile uint32_t *counter, uint32_t want)
{
	uint64_t end = time_after(PATIENCE);

	while (*counter < want)
		if (time_ns() > end)
			fail(check, "%s: %u, and not %u", what, *counter, want);
}

static void install(void)
{
	memcpy(smp_idt, lombard_idt, NR_VECTORS * sizeof(smp_idt[0]));
	for (unsigned int i = NR_VECTORS; i < ARRAY_SIZE(smp_idt); i++)
		smp_idt[i] = gate_to(smp_interrupt, GATE0);
	smp_idt[BREAKPOINT] = lombard_idt[BREAKPOINT] = gate_to(smp_trap, GATE3);
	memcpy((void *)START_PAGE, smp_start, (size_t)(smp_start_end - smp_start));
	call0(smp_enable, 0);
}

/* One after the other: they share the variables. */
static void start_others(uint32_t vcpus)
{
	for (uint32_t i = 1; i < vcpus; i++) {
		smp_stack = (uint64_t)stacks[i] + sizeof(stacks[i]);
		command(ICR_TO(i) | ICR_INIT);
		command(ICR_TO(i) | ICR_STARTUP);
		await(1, "processors that run", &smp_running, i);
		expect(2, "its APIC", smp_apic, i * step);
		expect(3, "its vCPU", smp_vcpu, i);
	}
}

void smp_begin(uint32_t vcpus)
{
	install();
	start_others(vcpus);
}

static void tell_others(uint32_t vcpus, void (*work)(void))
{
	smp_work = work;
	for (uint32_t i = 1; i < vcpus; i++)
		command(ICR_TO(i) | ICR_FIXED);
}

/* Interrupts wake the others, and us at CPL 3. */
static void interrupts(uint32_t vcpus)
{
	uint64_t end = time_after(PATIENCE);

	tell_others(vcpus, NULL);
	command(ICR_TO(0) | ICR_FIXED);
	for (uint32_t i = 0; i < vcpus; i++)
		while (smp_interrupts[i * step] == 0)
			if (time_ns() > end)
				fail(4, "vCPU %u was not interrupted", i);
}

static void hypercalls(uint32_t vcpus)
{
	struct loan_info info;

	expect(5, "loan_info", loan_info(&info), 0);
	smp_domid = info.domid;
	tell_others(vcpus, smp_call);
	for (int i = 0; i < 1000; i++) {
		expect(6, "loan_info", loan_info(&info), 0);
		expect(7, "domid", info.domid, smp_domid);
	}
	await(8, "processors that made their hypercalls", &smp_done, vcpus - 1);
	expect(9, "wrong answers", smp_wrong, 0);
}

/* One after the other, for good.  Nothing ends before the last of them, which is this one. */
static void halt(uint32_t vcpus)
{
	tell_others(vcpus, smp_halt);
	time_sleep(3 * SECOND);
	printf("probe: the last one halts\n");
	call0(smp_halt, 0);
}

static void wait_for_end(void)
{
	for (;;)
		time_sleep(SECOND);
}

static void smp(int argc, char **argv)
{
	uint32_t vcpus = (uint32_t)arg_u64(argc, argv, "vcpus", 2);
	const char *end = arg_find(argc, argv, "end");

	step = (uint32_t)arg_u64(argc, argv, "apics", 1);
	if (vcpus == 0 || vcpus > SMP_MAX_VCPUS || step == 0 || step > SMP_MAX_VCPUS / vcpus)
		fail(98, "vcpus=%u apics=%u", vcpus, step);
	smp_begin(vcpus);
	interrupts(vcpus);
	hypercalls(vcpus);
	printf("probe: %u processors run\n", vcpus);
	if (end == NULL)
		return;
	if (strcmp(end, "triple") == 0)
		tell_others(vcpus, smp_triple);
	else if (strcmp(end, "poweroff") == 0)
		tell_others(vcpus, smp_poweroff);
	else if (strcmp(end, "spin") == 0)
		tell_others(vcpus, smp_spin);
	else if (strcmp(end, "halt") == 0)
		halt(vcpus);
	else
		fail(98, "end=%s", end);
	wait_for_end();
}

const struct test tests_smp[] = {{"smp", smp}};
const size_t nr_tests_smp = ARRAY_SIZE(tests_smp);
