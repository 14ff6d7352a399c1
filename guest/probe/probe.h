/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_H
#define LOMBARD_PROBE_H
/* What the files of the test guest share. */
#include <lombard-guest.h>

#define SECOND 1000000000ULL
#define PATIENCE (60 * SECOND) /* how long an offer or an event may take to come */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A test returns if all is well; else it ends in fail(). */
struct test {
	const char *name;
	void (*run)(int argc, char **argv);
};

extern const struct test tests_basic[], tests_abi[], tests_loan[], tests_store[], tests_pair[],
    tests_window[], tests_bench[], tests_chan[], tests_benchchan[], tests_share[], tests_grant[],
    tests_xenstore[], tests_smp[], tests_upcall[], tests_disk[], tests_console[];
extern const size_t nr_tests_basic, nr_tests_abi, nr_tests_loan, nr_tests_store, nr_tests_pair,
    nr_tests_window, nr_tests_bench, nr_tests_chan, nr_tests_benchchan, nr_tests_share,
    nr_tests_grant, nr_tests_xenstore, nr_tests_smp, nr_tests_upcall, nr_tests_disk,
    nr_tests_console;

/* fail: report check number n (1..99) of the running test and exit with that status. */
void fail(int n, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* ram_end: the gfn behind our RAM. */
static inline uint64_t ram_end(const struct loan_info *me)
{
	return me->ram_pages <= LOMBARD_LOW_PAGES
		   ? me->ram_pages
		   : LOMBARD_HIGH_GFN + me->ram_pages - LOMBARD_LOW_PAGES;
}

/* expect: a call's result has to be this one. */
void expect(int n, const char *what, int64_t got, int64_t want);

#endif
