/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counter: reads a lent file, lends what it found, and then does its worst.
 *
 * Somebody lends this guest a host file.  It borrows the file piece by piece, counts lines, words
 * and bytes in place as `LC_ALL=C wc` does, and fills a table of words.  It lends the table to
 * whoever wants it, and some pages that were never touched, and waits until the checker has
 * looked at the table once.  Then it overwrites every page of it: the checker and everybody else
 * must go on seeing the table as it was lent.
 *
 * With a go-tag somebody else says when: it begins to overwrite when it is offered a loan with that
 * tag, and goes on, round after round, until the offer is withdrawn.
 *
 * Arguments: file-tag=N table-tag=N zero-tag=N checker=DOMID [go-tag=N] [chunk=1024]
 * The table's tag is table-tag << 32 | event port for the checker.
 */
#include <lombard-guest.h>

#include "count.h"

#define SECOND 1000000000ULL
#define PATIENCE (120 * SECOND) /* how long the host or the checker may take for a step */
#define ZERO_PAGES 64
#define TABLE_PAGES (TABLE_ENTRIES * sizeof(struct word) / PAGE_SIZE)

static void check(int err, const char *what)
{
	if (err != 0)
		die("counter: %s: error %d", what, err);
}

static void count_chunk(
    struct tally *tally, const struct loan_query *file, uint32_t first, uint32_t pages)
{
	uint64_t left = file->bytes - first * PAGE_SIZE;
	uint64_t len = left < pages * PAGE_SIZE ? left : pages * PAGE_SIZE;
	void *window;

	check(loan_borrow(file->id, first, pages, &window), "can't borrow from the file");
	tally_add(tally, window, len);
	check(loan_return(window), "can't return a window");
}

static void count_file(uint64_t tag, uint32_t chunk, struct word *table)
{
	struct loan_query file;
	struct tally tally;
	uint32_t pages;

	check(loan_wait(tag, ~0ULL, LOAN_TO_PAGE, time_after(PATIENCE), &file), "no file was lent");
	tally_start(&tally, table);
	for (uint32_t first = 0; first < file.nr_pages; first += pages) {
		pages = file.nr_pages - first < chunk ? file.nr_pages - first : chunk;
		count_chunk(&tally, &file, first, pages);
	}
	tally_finish(&tally);
	printf("counter: lines=%llu words=%llu bytes=%llu\n", (unsigned long long)tally.lines,
	    (unsigned long long)tally.words, (unsigned long long)tally.bytes);
}

static uint64_t lend_zero(uint64_t tag)
{
	void *pages = page_alloc_untouched(ZERO_PAGES);
	uint64_t id;

	if (pages == NULL)
		die("counter: no memory for the zero pages");
	check(loan_lend(pages, ZERO_PAGES, LOAN_DOMID_ANY, LOAN_TO_PAGE, tag, &id),
	    "can't lend the zero pages");
	printf("counter: lent zero id=%llu\n", (unsigned long long)id);
	return id;
}

static uint64_t lend_table(const struct word *table, uint64_t tag, uint32_t port)
{
	uint64_t id;

	printf("counter: table xxh64=%016llx pages=%u\n",
	    (unsigned long long)xxh64(table, TABLE_PAGES * PAGE_SIZE), (unsigned int)TABLE_PAGES);
	check(loan_lend(table, TABLE_PAGES, LOAN_DOMID_ANY, LOAN_TO_PAGE, tag << 32 | port, &id),
	    "can't lend the table");
	printf("counter: lent table id=%llu gfn=%llu pages=%u\n", (unsigned long long)id,
	    (unsigned long long)table / PAGE_SIZE, (unsigned int)TABLE_PAGES);
	return id;
}

static void wait_checker(uint32_t port, const char *what)
{
	check(event_wait(&port, 1, time_after(PATIENCE), NULL), what);
}

/* Write other bytes into every page of the table than the round before. */
static void overwrite(struct word *table, unsigned int round)
{
	for (size_t page = 0; page < TABLE_PAGES; page++)
		memset((char *)table + page * PAGE_SIZE, (int)(round + page), PAGE_SIZE);
}

static void overwrite_once(struct word *table)
{
	uint64_t start = time_ns();

	overwrite(table, 1);
	printf("counter: overwrote pages=%u ms=%llu\n", (unsigned int)TABLE_PAGES,
	    (unsigned long long)(time_ns() - start) / 1000000);
}

/* Between the two edges of the offer. */
static void overwrite_when_told(struct word *table, uint64_t tag)
{
	struct loan_query go;
	unsigned int round = 1;
	int err;

	check(loan_wait(tag, ~0ULL, 0, time_after(PATIENCE), &go), "nobody said when to overwrite");
	overwrite_once(table);
	while ((err = loan_query(go.id, &go)) == 0)
		overwrite(table, ++round);
	if (err != -XEN_ENOENT)
		check(err, "can't look at the offer");
	printf("counter: that were %u rounds\n", round);
}

int main(int argc, char **argv)
{
	uint64_t file_tag = arg_need(argc, argv, "file-tag");
	uint64_t table_tag = arg_need(argc, argv, "table-tag");
	uint64_t zero_tag = arg_need(argc, argv, "zero-tag");
	uint16_t checker = (uint16_t)arg_need(argc, argv, "checker");
	uint64_t go_tag = arg_u64(argc, argv, "go-tag", 0);
	uint32_t chunk = (uint32_t)arg_u64(argc, argv, "chunk", 1024);
	struct word *table = page_alloc(TABLE_PAGES);
	uint64_t table_id, zero_id;
	uint32_t port;

	if (table == NULL)
		die("counter: no memory for the table");
	if (chunk == 0)
		die("counter: chunk=0 would never get through the file");
	count_file(file_tag, chunk, table);
	check(event_alloc(checker, &port), "can't make an event port for the checker");
	zero_id = lend_zero(zero_tag);
	table_id = lend_table(table, table_tag, port);
	wait_checker(port, "the checker did not hash the table");
	if (go_tag != 0)
		overwrite_when_told(table, go_tag);
	else
		overwrite_once(table);
	check(event_send(port), "can't signal the checker");
	wait_checker(port, "the checker did not finish");
	check(loan_recall(table_id, NULL), "can't recall the table");
	check(loan_recall(zero_id, NULL), "can't recall the zero pages");
	return 0;
}
