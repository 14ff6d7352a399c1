/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe: the test guest.  `probe TEST [key=value ...]` runs one test of what the hypervisor owes
 * a guest, prints `probe: TEST: ok` and exits 0.  A check that fails is named on the console, and
 * its number (1..99) is the exit status; 98 is an unknown test, 99 a guest that should have been
 * stopped.  `probe list` prints the names.
 */
#include "probe.h"

static const struct {
	const struct test *tests;
	const size_t *nr;
} groups[] = {
    {tests_basic, &nr_tests_basic},
    {tests_abi, &nr_tests_abi},
    {tests_loan, &nr_tests_loan},
    {tests_store, &nr_tests_store},
    {tests_pair, &nr_tests_pair},
    {tests_bench, &nr_tests_bench},
    {tests_window, &nr_tests_window},
    {tests_chan, &nr_tests_chan},
    {tests_benchchan, &nr_tests_benchchan},
    {tests_grant, &nr_tests_grant},
    {tests_share, &nr_tests_share},
    {tests_xenstore, &nr_tests_xenstore},
    {tests_console, &nr_tests_console},
    {tests_smp, &nr_tests_smp},
    {tests_upcall, &nr_tests_upcall},
    {tests_disk, &nr_tests_disk},
};

static const char *running = "?";

void fail(int n, const char *fmt, ...)
{
	va_list ap;

	printf("probe: %s: check %d failed: ", running, n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(n);
}

void expect(int n, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		fail(n, "%s: got %lld, want %lld", what, (long long)got, (long long)want);
}

static const struct test *find(const char *name)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
		for (size_t i = 0; i < *groups[g].nr; i++)
			if (strcmp(groups[g].tests[i].name, name) == 0)
				return &groups[g].tests[i];
	return NULL;
}

static void list(void)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
		for (size_t i = 0; i < *groups[g].nr; i++)
			puts(groups[g].tests[i].name);
}

int main(int argc, char **argv)
{
	const struct test *test;

	if (argc < 2)
		die("usage: probe TEST [key=value ...] | probe list");
	if (strcmp(argv[1], "list") == 0) {
		list();
		return 0;
	}
	test = find(argv[1]);
	if (test == NULL)
		fail(98, "there is no test %s", argv[1]);
	running = test->name;
	test->run(argc, argv);
	printf("probe: %s: ok\n", running);
	return 0;
}
