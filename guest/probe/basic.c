/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting, ending and crashing; time, memory and events inside one guest. */
#include "probe.h"
#include "start.h"
#include "../lib/start.h"

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

static void hello(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("hello: argument %d is '%s'\n", i, argv[i]);
}

/* Write bytes=N to the console. */
static void talk(int argc, char **argv)
{
	static char text[1U << 16];
	uint64_t left = arg_need(argc, argv, "bytes");

	memset(text, '.', sizeof(text));
	while (left > 0) {
		size_t n = left < sizeof(text) ? left : sizeof(text);

		expect(1, "write", hypercall_console_io(CONSOLEIO_write, n, text), 0);
		left -= n;
	}
}

static void exit_with(int argc, char **argv)
{
	exit((int)arg_need(argc, argv, "status"));
}

static void shutdown_with(int argc, char **argv)
{
	console_flush();
	shutdown((unsigned int)arg_need(argc, argv, "reason"));
}

static void crash_ud(int argc, char **argv)
{
	(void)argc, (void)argv;
	__asm__ volatile("ud2");
}

static void crash_gp(int argc, char **argv)
{
	(void)argc, (void)argv;
	__asm__ volatile("hlt");
	fail(99, "hlt at CPL 3 did nothing");
}

static void crash_null(int argc, char **argv)
{
	volatile uint32_t *nowhere;

	(void)argc, (void)argv;
	__asm__("mov $16, %0" : "=r"(nowhere));
	fail(99, "address 16 holds %u", *nowhere);
}

static void crash_high(int argc, char **argv)
{
	(void)argc, (void)argv;
	fail(99, "read %u", *(volatile uint32_t *)0xdead00000000UL);
}

static void crash_stack(int argc, char **argv)
{
	(void)argc, (void)argv;
	__asm__ volatile("1: push %rax; jmp 1b");
}

/* Without an IDT an exception can't be delivered, nor the double fault that follows. */
static void triple_fault(int argc, char **argv)
{
	(void)argc, (void)argv;
	memset(lombard_idt, 0, NR_VECTORS * sizeof(lombard_idt[0]));
	__asm__ volatile("ud2");
}

static void spin(int argc, char **argv)
{
	(void)argc, (void)argv;
	puts("probe: spinning");
	for (;;)
		__asm__ volatile("pause");
}

/* Works all the time, and says how far it has come, about fifty times a second. */
static void count(int argc, char **argv)
{
	volatile uint64_t n = 0;
	uint64_t next = 0;

	(void)argc, (void)argv;
	for (;;) {
		n++;
		if (n % 1024 != 0 || time_ns() < next)
			continue;
		printf("probe: count %llu\n", (unsigned long long)n);
		next = time_ns() + SECOND / 50;
	}
}

static void sleep(int argc, char **argv)
{
	uint64_t ns = arg_need(argc, argv, "ms") * 1000000;
	uint64_t start = time_ns(), slept;

	puts("probe: sleeping");
	time_sleep(ns);
	slept = time_ns() - start;
	printf("probe: slept %llu us\n", (unsigned long long)slept / 1000);
	if (slept < ns)
		fail(1, "woke too early");
}

static void poll_timeout(int argc, char **argv)
{
	uint64_t start, waited;
	uint32_t port;

	(void)argc, (void)argv;
	expect(1, "event_alloc", event_alloc(DOMID_SELF, &port), 0);
	start = time_ns();
	expect(2, "event_wait", event_wait(&port, 1, start + SECOND / 20, NULL), -XEN_ETIME);
	waited = time_ns() - start;
	if (waited < SECOND / 20)
		fail(3, "waited %llu ns only", (unsigned long long)waited);
	if (waited > 5 * SECOND)
		fail(4, "waited %llu ns", (unsigned long long)waited);
	expect(5, "a deadline long past", event_wait(&port, 1, 1, NULL), -XEN_ETIME);
}

static void event_loopback(int argc, char **argv)
{
	uint32_t a, b, which;

	(void)argc, (void)argv;
	expect(1, "event_alloc", event_alloc(DOMID_SELF, &a), 0);
	expect(2, "event_bind", event_bind(DOMID_SELF, a, &b), 0);
	event_take(b);
	expect(3, "a pending before anybody sent", event_take(a), false);
	expect(4, "send on b", event_send(b), 0);
	expect(5, "wait", event_wait((uint32_t[]){b, a}, 2, time_after(PATIENCE), &which), 0);
	expect(6, "the port that was raised", which, a);
	expect(7, "send on a", event_send(a), 0);
	expect(8, "send on a again", event_send(a), 0);
	expect(9, "wait", event_wait(&b, 1, time_after(PATIENCE), NULL), 0);
	expect(10, "b pending twice", event_take(b), false);
	expect(11, "close b", event_close(b), 0);
	expect(12, "close a", event_close(a), 0);
	expect(13, "send on a closed port", event_send(a), -XEN_EINVAL);
	expect(14, "close a closed port", event_close(a), -XEN_EINVAL);
}

/* All of free memory, in pieces, writable, distinct and back again. */
static void memory(int argc, char **argv)
{
	uint64_t **first = NULL, **p;
	uint64_t pieces = 0, n;

	(void)argc, (void)argv;
	while ((p = page_alloc(16)) != NULL) {
		if (!mem_all(p, 0, PAGE_SIZE))
			fail(1, "the page at %p is not zero", (void *)p);
		p[0] = (uint64_t *)first;
		p[511] = (uint64_t *)pieces++;
		first = p;
	}
	printf("probe: %llu pieces of 64 KiB\n", (unsigned long long)pieces);
	for (n = pieces; first != NULL; first = p) {
		if ((uint64_t)first[511] != --n)
			fail(2, "the piece at %p was overwritten", (void *)first);
		p = (uint64_t **)first[0];
		page_free(first, 16);
	}
	expect(3, "pieces found again", (int64_t)n, 0);
	p = page_alloc((pieces - 1) * 16);
	if (p == NULL || !mem_all(p, 0, (pieces - 1) * 16 * PAGE_SIZE))
		fail(4, "freed memory is in pieces or not zero: %p", (void *)p);
}

static int64_t hvm_op(unsigned int cmd, domid_t domid, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param arg = {.domid = domid, .index = index, .value = *value};
	int64_t err = hypercall(__HYPERVISOR_hvm_op, cmd, (uint64_t)&arg, 0, 0, 0);

	*value = arg.value;
	return err;
}

/* Wait until a tool has set a parameter of ours; what is not ours to do is refused. */
#define BALLOON 40 /* pages: more than are done without a break */

/* What balloons do: pages are given back, and are zeroes when they are taken again. */
static void balloon(int argc, char **argv)
{
	static xen_pfn_t gfns[BALLOON];
	struct xen_memory_reservation r = {.domid = DOMID_SELF, .nr_extents = BALLOON};
	char *p = page_alloc(BALLOON);

	(void)argc, (void)argv;
	memset(p, 1, BALLOON * PAGE_SIZE);
	for (unsigned int i = 0; i < BALLOON; i++)
		gfns[i] = (uint64_t)p / PAGE_SIZE + BALLOON - 1 - i;
	set_xen_guest_handle(r.extent_start, gfns);
	expect(
	    1, "populate what is there", hypercall_memory_op(XENMEM_populate_physmap, &r), BALLOON);
	if (!mem_all(p, 1, BALLOON * PAGE_SIZE))
		fail(2, "it was changed");
	expect(3, "decrease", hypercall_memory_op(XENMEM_decrease_reservation, &r), BALLOON);
	expect(4, "populate", hypercall_memory_op(XENMEM_populate_physmap, &r), BALLOON);
	if (!mem_all(p, 0, BALLOON * PAGE_SIZE))
		fail(5, "what was given back is not zero");
	/* Up to the first that can't be done. */
	gfns[35] = 0x100000;
	expect(6, "the window area", hypercall_memory_op(XENMEM_populate_physmap, &r), 35);
	expect(7, "the window area", hypercall_memory_op(XENMEM_decrease_reservation, &r), 35);
	gfns[1] = ~0UL;
	expect(8, "no address", hypercall_memory_op(XENMEM_decrease_reservation, &r), 1);
	gfns[0] = (uint64_t)p / PAGE_SIZE;
	memset(p, 1, BALLOON * PAGE_SIZE);
	r.extent_order = 3;
	r.nr_extents = 1;
	expect(9, "8 pages", hypercall_memory_op(XENMEM_decrease_reservation, &r), 1);
	if (!mem_all(p, 0, 8 * PAGE_SIZE) || !mem_all(p + 8 * PAGE_SIZE, 1, PAGE_SIZE))
		fail(10, "not just 8 pages were given back");
	r.extent_order = 10;
	expect(11, "too large an extent", hypercall_memory_op(XENMEM_decrease_reservation, &r), 0);
	r.extent_order = 0;
	r.domid = 0;
	expect(12, "another domain", hypercall_memory_op(XENMEM_decrease_reservation, &r), 0);
	r.domid = DOMID_SELF;
	set_xen_guest_handle(r.extent_start, (void *)~15ULL);
	expect(13, "a wild pointer", hypercall_memory_op(XENMEM_decrease_reservation, &r), 0);
	expect(14, "a wild structure",
	    hypercall_memory_op(XENMEM_decrease_reservation, (void *)~15ULL), 0);
}

static void hvm_param(int argc, char **argv)
{
	uint32_t index = (uint32_t)arg_need(argc, argv, "index");
	uint64_t want = arg_need(argc, argv, "value"), value = 0, end = time_after(PATIENCE);

	expect(1, "set", hvm_op(HVMOP_set_param, DOMID_SELF, index, &want), -XEN_EPERM);
	expect(2, "another's", hvm_op(HVMOP_get_param, 30000, index, &value), -XEN_EPERM);
	expect(3, "secret", hvm_op(HVMOP_get_param, DOMID_SELF, HVM_PARAM_IDENT_PT, &value),
	    -XEN_EPERM);
	expect(4, "no such", hvm_op(HVMOP_get_param, DOMID_SELF, 4711, &value), -XEN_EINVAL);
	expect(
	    5, "no such operation", hvm_op(HVMOP_altp2m, DOMID_SELF, index, &value), -XEN_ENOSYS);
	puts("probe: waiting for a parameter");
	while (value != want && time_ns() < end) {
		expect(6, "get", hvm_op(HVMOP_get_param, DOMID_SELF, index, &value), 0);
		time_sleep(SECOND / 100);
	}
	expect(7, "the parameter", (int64_t)value, (int64_t)want);
}

#define SPECIAL 0xfc000000UL
#define SPECIAL_END 0xff000000UL

/* The special area is memory: zeroes at first, kept, lent and written again as any other. */
static void special(int argc, char **argv)
{
	uint64_t *p = (uint64_t *)SPECIAL, words = (SPECIAL_END - SPECIAL) / sizeof(*p), id;

	(void)argc, (void)argv;
	expect(1, "map it", mem_map(SPECIAL, SPECIAL_END), 0);
	for (uint64_t i = 0; i < words; i += 64 * PAGE_SIZE / sizeof(*p)) {
		if (p[i] != 0)
			fail(2, "0x%llx at %p", (unsigned long long)p[i], (void *)&p[i]);
		p[i] = i + 1;
	}
	p[words - 1] = 7;
	expect(3, "lend", loan_lend(p, 65, LOAN_DOMID_ANY, LOAN_TO_PAGE, 1, &id), 0);
	p[0] = 100;
	p[64 * PAGE_SIZE / sizeof(*p)]++;
	expect(4, "recall", loan_recall(id, NULL), 0);
	expect(5, "the first word", (int64_t)p[0], 100);
	for (uint64_t i = 128 * PAGE_SIZE / sizeof(*p); i < words; i += 64 * PAGE_SIZE / sizeof(*p))
		expect(6, "a word", (int64_t)p[i], (int64_t)i + 1);
	expect(7, "the last word", (int64_t)p[words - 1], 7);
	puts("probe: special area is memory");
	if (arg_u64(argc, argv, "stay", 0) != 0)
		time_sleep(100 * SECOND);
}

/* There is nothing around it. */
static void beyond_special(int argc, char **argv)
{
	uint64_t at = arg_need(argc, argv, "at");

	expect(1, "map it", mem_map(at, at + PAGE_SIZE), 0);
	fail(99, "read %u", *(volatile uint32_t *)at);
}

const struct test tests_basic[] = {
    {"hello", hello},
    {"talk", talk},
    {"exit", exit_with},
    {"shutdown", shutdown_with},
    {"crash", crash_ud},
    {"crash-gp", crash_gp},
    {"crash-null", crash_null},
    {"crash-high", crash_high},
    {"crash-stack", crash_stack},
    {"triple-fault", triple_fault},
    {"spin", spin},
    {"count", count},
    {"sleep", sleep},
    {"poll-timeout", poll_timeout},
    {"event-loopback", event_loopback},
    {"memory", memory},
    {"balloon", balloon},
    {"special", special},
    {"beyond-special", beyond_special},
    {"hvm-param", hvm_param},
};
const size_t nr_tests_basic = ARRAY_SIZE(tests_basic);
