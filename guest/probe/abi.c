/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls with wild pointers and unknown numbers. */
#include <lombard/chan.h>

#include "probe.h"

/* Calls whose argument is a pointer to a structure of at least 8 bytes, or to one of them. */
static const struct call {
	const char *name;
	uint64_t nr;
	uint64_t cmd;
} calls[] = {
    {"loan_op lend", LOMBARD_HYPERCALL_loan_op, LOANOP_lend},
    {"loan_op borrow", LOMBARD_HYPERCALL_loan_op, LOANOP_borrow},
    {"loan_op return", LOMBARD_HYPERCALL_loan_op, LOANOP_return},
    {"loan_op recall", LOMBARD_HYPERCALL_loan_op, LOANOP_recall},
    {"loan_op query", LOMBARD_HYPERCALL_loan_op, LOANOP_query},
    {"loan_op next", LOMBARD_HYPERCALL_loan_op, LOANOP_next},
    {"loan_op discard", LOMBARD_HYPERCALL_loan_op, LOANOP_discard},
    {"loan_op tie", LOMBARD_HYPERCALL_loan_op, LOANOP_tie},
    {"chan_op create", LOMBARD_HYPERCALL_chan_op, CHANOP_create},
    {"chan_op connect", LOMBARD_HYPERCALL_chan_op, CHANOP_connect},
    {"chan_op accept", LOMBARD_HYPERCALL_chan_op, CHANOP_accept},
    {"chan_op query", LOMBARD_HYPERCALL_chan_op, CHANOP_query},
    {"chan_op seal", LOMBARD_HYPERCALL_chan_op, CHANOP_seal},
    {"chan_op reap", LOMBARD_HYPERCALL_chan_op, CHANOP_reap},
    {"chan_op close", LOMBARD_HYPERCALL_chan_op, CHANOP_close},
    {"chan_op notify", LOMBARD_HYPERCALL_chan_op, CHANOP_notify},
    {"chan_op drop", LOMBARD_HYPERCALL_chan_op, CHANOP_drop},
    {"chan_op refresh", LOMBARD_HYPERCALL_chan_op, CHANOP_refresh},
    {"event_channel_op alloc_unbound", __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound},
    {"event_channel_op bind_virq", __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq},
    {"sched_op poll", __HYPERVISOR_sched_op, SCHEDOP_poll},
    {"memory_op add_to_physmap", __HYPERVISOR_memory_op, XENMEM_add_to_physmap},
    {"grant_table_op query_size", __HYPERVISOR_grant_table_op, GNTTABOP_query_size},
};

/* The last bytes of RAM: a structure that starts there ends where nothing is mapped. */
static uint64_t straddling(void)
{
	struct loan_info info;

	expect(97, "loan_info", loan_info(&info), 0);
	return ram_end(&info) * PAGE_SIZE - 2;
}

static void expect_fault(int n, const struct call *call, uint64_t pointer)
{
	int64_t got = hypercall(call->nr, call->cmd, pointer, 1, 0, 0);

	if (got != -XEN_EFAULT)
		fail(n, "%s with pointer 0x%llx: got %lld", call->name, (unsigned long long)pointer,
		    (long long)got);
}

static void wild_pointers(int argc, char **argv)
{
	const uint64_t wild[] = {
	    0,			    /* page 0 is not mapped */
	    0x100000 - 2,	    /* into the guard page below the stack */
	    0x100000,		    /* the guard page */
	    0xe8000000,		    /* neither RAM nor window */
	    straddling(),	    /* from RAM into nothing */
	    0x00007ffffffffff0,	    /* the end of the lower half */
	    0x8000000000000000,	    /* not canonical */
	    0x0000800000000000 - 4, /* into what is not canonical */
	    0xffffffff80000000,	    /* where kernels live */
	    ~0ULL - 3,		    /* around the end of the address space */
	};

	(void)argc, (void)argv;
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
			expect_fault((int)c + 1, &calls[c], wild[i]);
		expect(60 + (int)i, "console_io write",
		    hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 16, wild[i], 0, 0),
		    -XEN_EFAULT);
	}
}

/* A good structure that holds a wild pointer. */
static void wild_ports(int argc, char **argv)
{
	static const uint64_t wild[] = {0, 0x100000 - 2, 0x8000000000000000, ~0ULL - 3};

	(void)argc, (void)argv;
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		struct sched_poll arg = {.nr_ports = 2, .timeout = 1};

		set_xen_guest_handle(arg.ports, (uint32_t *)wild[i]);
		expect((int)i + 1, "poll", hypercall_sched_op(SCHEDOP_poll, &arg), -XEN_EFAULT);
	}
}

static const struct {
	const char *name;
	uint64_t nr;
	uint64_t cmd;
	int want;
} unknown[] = {
    {"hypercall 47", 47, 0, -XEN_ENOSYS},
    {"hypercall 63", 63, 0, -XEN_ENOSYS},
    {"hypercall 4095", 4095, 0, -XEN_ENOSYS},
    {"hypercall 2^32 - 1", 0xffffffff, 0, -XEN_ENOSYS},
    {"loan_op 99", LOMBARD_HYPERCALL_loan_op, 99, -XEN_ENOSYS},
    {"loan_op -1", LOMBARD_HYPERCALL_loan_op, ~0ULL, -XEN_ENOSYS},
    {"chan_op 99", LOMBARD_HYPERCALL_chan_op, 99, -XEN_ENOSYS},
    {"guest_op 99", LOMBARD_HYPERCALL_guest_op, 99, -XEN_ENOSYS},
    {"event_channel_op 99", __HYPERVISOR_event_channel_op, 99, -XEN_ENOSYS},
    {"sched_op 99", __HYPERVISOR_sched_op, 99, -XEN_ENOSYS},
    {"memory_op 63", __HYPERVISOR_memory_op, 63, -XEN_ENOSYS},
    {"console_io 99", __HYPERVISOR_console_io, 99, -XEN_ENOSYS},
};

static void unknown_calls(int argc, char **argv)
{
	static uint64_t arg[64];

	(void)argc, (void)argv;
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		expect((int)i + 1, unknown[i].name,
		    hypercall(unknown[i].nr, unknown[i].cmd, (uint64_t)arg, 0, 0, 0),
		    unknown[i].want);
}

/* The structure's first byte on one page and the rest on the next: both mapped, so it works. */
static void across_pages(int argc, char **argv)
{
	char *pages = page_alloc(2);
	struct loan_info info, *across = (struct loan_info *)(void *)(pages + PAGE_SIZE - 1);

	(void)argc, (void)argv;
	expect(1, "loan_info", loan_info(&info), 0);
	memset(across, 0xff, sizeof(*across));
	expect(2, "loan_info across pages", hypercall_loan_op(LOANOP_info, across), 0);
	expect(3, "the same answer", memcmp(across, &info, sizeof(info)), 0);
	expect(4, "the byte before", pages[PAGE_SIZE - 2], 0);
	expect(5, "the ABI's version", info.abi_version, LOMBARD_ABI_VERSION);
}

const struct test tests_abi[] = {
    {"wild-pointers", wild_pointers},
    {"wild-ports", wild_ports},
    {"unknown-calls", unknown_calls},
    {"across-pages", across_pages},
};
const size_t nr_tests_abi = ARRAY_SIZE(tests_abi);
