/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz: a guest that is out to do harm.
 *
 * It makes hypercalls of every number and command, by chance: what they are given is mostly nearly
 * right, so that ports are bound, grants mapped, loans made and channels connected with whoever is
 * there, and sometimes anything at all; structures lie across pages, in memory that others can write, in
 * its table of grants, in windows, behind odd page tables, nowhere.  In between it rewrites its grants while they are used,
 * sends storms of events, and writes nonsense wherever it can be read.
 *
 * It does not do what would end it, until its time is over: then it says how it is going to end, and
 * ends that way.  Others that fuzz, and victims, are found by their loans (victim/tag.h).
 *
 * With a second vCPU, that one makes hypercalls at the same time, and writes to what is read for the first.
 *
 * Arguments: seed=N ms=N [a=DOMID b=DOMID c=DOMID: guests to try] [vcpus=2: use a second vCPU]
 * The same seed makes the same choices as long as others do the same.
 *
 * Every second it prints what it has counted: for each operation how often it was done, how often
 * refused with which error number (eN) or status (sN), and what has to be seen of it (both, fails, works).
 */
#include "fuzz.h"

#define PER_ACT 8u   /* operations for each act */
#define PER_LOOK 64u /* operations for each look at the clock */

static void *need(size_t pages)
{
	void *p = page_alloc(pages);

	if (p == NULL)
		die("fuzz: no memory");
	return p;
}

static void show_frames(void)
{
	struct xen_add_to_physmap op = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table};

	for (unsigned i = 0; i < FRAMES; i++) {
		op.idx = i;
		op.gpfn = field.info.window_gfn + i;
		if (hypercall_memory_op(XENMEM_add_to_physmap, &op) != 0)
			die("fuzz: no table of grants");
		field.frame[i] = (struct grant_entry_v1 *)(op.gpfn * PAGE_SIZE);
	}
}

static void find_rings(void)
{
	void *ring;

	if (hvm_ring(HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN, &ring, &field.store_port) == 0)
		field.store = ring;
	if (hvm_ring(HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN, &ring, &field.console_port) ==
	    0)
		field.console = ring;
	printf("fuzz: rings: store %s, console %s\n", field.store != NULL ? "yes" : "no",
	    field.console != NULL ? "yes" : "no");
}

static void set_up(void)
{
	uint64_t from;

	if (loan_info(&field.info) != 0)
		die("fuzz: no loan_info");
	from = field.info.window_gfn;
	if (field.info.window_pages < SPOT_PAGES + AREAS * AREA_PAGES)
		die("fuzz: the window area is too small");
	if (mem_map(from * PAGE_SIZE, (from + SPOT_PAGES + AREAS * AREA_PAGES) * PAGE_SIZE) != 0)
		die("fuzz: no memory for page tables");
	field.private = need(PRIVATE_PAGES);
	field.public = need(PUBLIC_PAGES);
	field.clean = need(CLEAN_PAGES);
	if (event_init() != 0)
		die("fuzz: no events");
	show_frames();
	find_rings();
	twist();
	op_init();
}

static void know(int argc, char **argv, const char *key)
{
	uint64_t domid = arg_u64(argc, argv, key, 0);

	if (domid != 0)
		(void)hoard_add(OTHERS, domid, 0, NULL);
}

static void work(uint64_t until)
{
	uint64_t now = time_ns(), print = now + SECOND;

	for (unsigned n = 1; now < until; n++) {
		op_do();
		if (n % PER_ACT == 0)
			act();
		if (n % PER_LOOK != 0)
			continue;
		now = time_ns();
		if (now < print)
			continue;
		op_print();
		second_print();
		print = now + SECOND;
	}
	op_print();
	second_print();
}

int main(int argc, char **argv)
{
	uint64_t seed = arg_need(argc, argv, "seed");
	uint64_t until = time_after(arg_need(argc, argv, "ms") * 1000000);

	rnd_seed(seed);
	printf("fuzz: seed %llu\n", (unsigned long long)seed);
	set_up();
	(void)hoard_add(OTHERS, field.info.domid, 0, NULL); /* ourselves */
	know(argc, argv, "a");
	know(argc, argv, "b");
	know(argc, argv, "c");
	if (arg_u64(argc, argv, "vcpus", 1) > 1)
		second_begin(seed);
	work(until);
	last_act();
}
