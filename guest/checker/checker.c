/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checker: borrows a table from the counter and watches that it never changes.
 *
 * It hashes the borrowed pages, tells the counter so, and goes on hashing while the counter
 * overwrites its side.  Every hash must be the first one.  Then it looks at the pages that the
 * counter lent without ever having touched them: all must be zero.
 *
 * Arguments: table-tag=N zero-tag=N
 * The table's tag is table-tag << 32 | the counter's event port.
 */
#include <lombard-guest.h>

#define SECOND 1000000000ULL
#define PATIENCE (300 * SECOND) /* the counter may have a long file to read first */
#define MIN_HASHES 20

static void check(int err, const char *what)
{
	if (err != 0)
		die("checker: %s: error %d", what, err);
}

/* Hash again and compare. */
static void hash_again(
    const struct loan_query *loan, const void *table, uint64_t first, unsigned int *hashed)
{
	uint64_t hash = xxh64(table, loan->nr_pages * PAGE_SIZE);

	++*hashed;
	if (hash != first)
		die("checker: the table changed: hash %u is %016llx, was %016llx", *hashed,
		    (unsigned long long)hash, (unsigned long long)first);
}

static void watch_table(const struct loan_query *loan, const void *table, uint32_t port)
{
	uint64_t deadline = time_after(PATIENCE);
	uint64_t first = xxh64(table, loan->nr_pages * PAGE_SIZE);
	unsigned int hashed = 1;
	bool done = false;

	/* A port that was just bound is pending: that is not the counter's signal yet. */
	event_take(port);
	check(event_send(port), "can't signal the counter");
	while (!done || hashed < MIN_HASHES) {
		hash_again(loan, table, first, &hashed);
		done = done || event_take(port);
		if (time_ns() > deadline)
			die("checker: the counter never said that it is done");
	}
	hash_again(loan, table, first, &hashed);
	printf("checker: table xxh64=%016llx hashed=%u times\n", (unsigned long long)first, hashed);
}

static void check_zero(uint64_t tag)
{
	struct loan_query loan;
	void *window;

	check(loan_wait(tag, ~0ULL, 0, time_after(PATIENCE), &loan), "no zero pages were lent");
	check(loan_borrow(loan.id, 0, loan.nr_pages, &window), "can't borrow the zero pages");
	if (!mem_all(window, 0, loan.nr_pages * PAGE_SIZE))
		die("checker: the zero pages are not all zero");
	printf("checker: zero pages=%u ok\n", loan.nr_pages);
	check(loan_return(window), "can't return the zero pages");
}

int main(int argc, char **argv)
{
	uint64_t table_tag = arg_need(argc, argv, "table-tag");
	uint64_t zero_tag = arg_need(argc, argv, "zero-tag");
	struct loan_query loan;
	uint32_t port;
	void *table;

	check(loan_wait(table_tag << 32, ~0ULL << 32, 0, time_after(PATIENCE), &loan),
	    "no table was lent");
	check(loan_borrow(loan.id, 0, loan.nr_pages, &table), "can't borrow the table");
	check(event_bind(loan.lender, (uint32_t)loan.tag, &port), "can't bind the counter's port");
	watch_table(&loan, table, port);
	check_zero(zero_tag);
	check(loan_return(table), "can't return the table");
	check(event_send(port), "can't send the final signal");
	return 0;
}
