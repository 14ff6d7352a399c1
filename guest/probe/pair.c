/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests that need a partner: a lender and a borrower, or the host; and the benchmark of lending. */
#include "probe.h"

#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))
#define MAX_ROUNDS 8192U

static uint64_t deadline_of(int argc, char **argv)
{
	uint64_t seconds = arg_u64(argc, argv, "seconds", 0);

	return seconds == 0 ? TIME_FOREVER : time_after(seconds * SECOND);
}

static bool passed(uint64_t deadline)
{
	return deadline != TIME_FOREVER && time_ns() >= deadline;
}

/* The pattern that lend-wait lends and borrow-verify knows: no two words are equal. */
static uint64_t pattern(uint64_t word)
{
	return (word + 1) * 0x9e3779b97f4a7c15ULL;
}

/* The read maps the page for reading, so that the write is one that the mapping does not allow. */
static void read_and_write(volatile uint64_t *p, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++) {
		uint64_t word = p[i * WORDS_PER_PAGE];

		p[i * WORDS_PER_PAGE] = ~word;
	}
}

/*
 * Pages to lend.  With high=1 they lie above 4 GiB: all that is free below is taken first, untouched, so
 * that it costs no memory.
 */
static void *alloc(int argc, char **argv, uint32_t pages)
{
	char *p;

	for (size_t run = 1U << 20; run > 0 && arg_u64(argc, argv, "high", 0) != 0; run /= 2) {
		do
			p = page_alloc_untouched(run);
		while (p != NULL && (uint64_t)p < LOMBARD_HIGH_GFN * PAGE_SIZE);
		if (p != NULL)
			page_free(p, run);
	}
	return page_alloc(pages);
}

/*
 * Lend pages=N with a pattern and tag=N to=DOMID (else anyone); then wait, or with write=1 write
 * into all of them over and over, for seconds=S (0: for ever); then recall.  With pause=S wait
 * before the first write, and let each page's first write come right behind a read.
 */
static void lend_wait(int argc, char **argv)
{
	uint32_t pages = (uint32_t)arg_u64(argc, argv, "pages", 16);
	uint16_t to = (uint16_t)arg_u64(argc, argv, "to", LOAN_DOMID_ANY);
	uint16_t kind = (uint16_t)arg_u64(argc, argv, "kind", LOAN_TO_PAGE);
	bool writing = arg_u64(argc, argv, "write", 0) != 0;
	uint64_t deadline = deadline_of(argc, argv), id, rounds = 0;
	uint64_t pause = arg_u64(argc, argv, "pause", 0);
	uint64_t *p = alloc(argc, argv, pages);

	if (p == NULL)
		fail(1, "no memory for %u pages", pages);
	for (uint64_t i = 0; i < pages * WORDS_PER_PAGE; i++)
		p[i] = pattern(i);
	expect(2, "lend", loan_lend(p, pages, to, kind, arg_need(argc, argv, "tag"), &id), 0);
	printf("probe: lent id=%llu gfn=%llu pages=%u\n", (unsigned long long)id,
	    (unsigned long long)p / PAGE_SIZE, pages);
	time_sleep(pause * SECOND);
	if (writing && pause != 0)
		read_and_write(p, pages);
	while (!passed(deadline)) {
		if (writing)
			memset(p, (int)++rounds, pages * PAGE_SIZE);
		else
			time_sleep(SECOND / 10);
	}
	if (writing && !mem_all(p, (unsigned char)rounds, pages * PAGE_SIZE))
		fail(3, "our own pages do not hold what we wrote last");
	expect(4, "recall", loan_recall(id, NULL), 0);
	printf("probe: %llu rounds\n", (unsigned long long)rounds);
}

/*
 * Lend pages=N with a pattern and tag=N to anyone; when somebody has borrowed them, discard them:
 * they are zero, and the borrower keeps the pattern.  After seconds=S recall the loan.
 */
static void lend_discard(int argc, char **argv)
{
	uint32_t pages = (uint32_t)arg_u64(argc, argv, "pages", 16);
	uint64_t *p = alloc(argc, argv, pages), patience = time_after(PATIENCE), id;
	struct loan_query loan = {0};

	if (p == NULL)
		fail(1, "no memory for %u pages", pages);
	for (uint64_t i = 0; i < pages * WORDS_PER_PAGE; i++)
		p[i] = pattern(i);
	expect(2, "lend",
	    loan_lend(p, pages, LOAN_DOMID_ANY, LOAN_TO_PAGE, arg_need(argc, argv, "tag"), &id), 0);
	while (loan.windows == 0 && !passed(patience))
		expect(3, "query", loan_query(id, &loan), 0);
	expect(4, "discard", loan_discard(p, pages), 0);
	if (!mem_all(p, 0, pages * PAGE_SIZE))
		fail(5, "discarded pages are not zero");
	memset(p, 0xee, pages * PAGE_SIZE);
	printf("probe: discarded pages=%u windows=%u\n", pages, loan.windows);
	time_sleep(arg_u64(argc, argv, "seconds", 1) * SECOND);
	if (!mem_all(p, 0xee, pages * PAGE_SIZE))
		fail(6, "our own pages do not hold what we wrote last");
	expect(7, "recall", loan_recall(id, NULL), 0);
}

/*
 * Lend pages=N, of which every second one was written to, and write to those again: the worst there
 * is for the host's mappings of this memory.
 */
static void lend_scattered(int argc, char **argv)
{
	uint32_t pages = (uint32_t)arg_need(argc, argv, "pages");
	uint64_t *p = page_alloc_untouched(pages), id;

	if (p == NULL)
		fail(1, "no memory for %u pages", pages);
	for (uint64_t i = 0; i < pages; i += 2)
		p[i * WORDS_PER_PAGE] = pattern(i);
	expect(2, "lend", loan_lend(p, pages, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
	for (uint64_t i = 0; i < pages; i += 2)
		p[i * WORDS_PER_PAGE + 1] = ~pattern(i);
	for (uint64_t i = 0; i < pages; i++) {
		const uint64_t *page = p + i * WORDS_PER_PAGE;

		if (page[0] != (i % 2 == 0 ? pattern(i) : 0) ||
		    page[1] != (i % 2 == 0 ? ~pattern(i) : 0))
			fail(3, "page %llu does not hold what we wrote", (unsigned long long)i);
	}
	expect(4, "recall", loan_recall(id, NULL), 0);
}

static void verify(const uint64_t *window, uint32_t pages)
{
	for (uint64_t i = 0; i < pages * WORDS_PER_PAGE; i++)
		if (window[i] != pattern(i))
			fail(3, "page %llu word %llu is 0x%llx, was lent as 0x%llx",
			    (unsigned long long)(i / WORDS_PER_PAGE),
			    (unsigned long long)(i % WORDS_PER_PAGE), (unsigned long long)window[i],
			    (unsigned long long)pattern(i));
}

/* Borrow lend-wait's offer with tag=N and verify the pattern for seconds=S (0: for ever). */
static void borrow_verify(int argc, char **argv)
{
	uint64_t deadline, rounds = 0;
	struct loan_query offer;
	void *window;

	expect(1, "wait for the offer",
	    loan_wait(arg_need(argc, argv, "tag"), ~0ULL, 0, time_after(PATIENCE), &offer), 0);
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	printf("probe: borrowed id=%llu pages=%u\n", (unsigned long long)offer.id, offer.nr_pages);
	deadline = deadline_of(argc, argv);
	do {
		verify(window, offer.nr_pages);
		rounds++;
	} while (!passed(deadline));
	expect(4, "return", loan_return(window), 0);
	printf("probe: verified %llu times\n", (unsigned long long)rounds);
}

/* Write into a read-only window (tag=N): the guest has to be stopped there. */
static void write_window(int argc, char **argv)
{
	struct loan_query offer;
	void *window;

	expect(1, "wait for the offer",
	    loan_wait(
		arg_need(argc, argv, "tag"), ~0ULL, LOAN_TO_PAGE, time_after(PATIENCE), &offer),
	    0);
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	puts("probe: writing into a read-only window");
	*(volatile char *)window = 1;
	fail(99, "the write into a read-only window went through");
}

/* Read a window page that is not borrowed any more (tag=N): the guest has to be stopped there. */
static void touch_window(int argc, char **argv)
{
	struct loan_query offer;
	void *window;

	expect(1, "wait for the offer",
	    loan_wait(arg_need(argc, argv, "tag"), ~0ULL, 0, time_after(PATIENCE), &offer), 0);
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	printf("probe: the first byte is 0x%02x\n", *(volatile unsigned char *)window);
	expect(3, "return", loan_return(window), 0);
	puts("probe: reading a window that was returned");
	fail(99, "a returned window reads 0x%02x", *(volatile unsigned char *)window);
}

static void sort(uint64_t *v, size_t n)
{
	for (size_t gap = n / 2; gap > 0; gap /= 2)
		for (size_t i = gap; i < n; i++)
			for (size_t j = i; j >= gap && v[j] < v[j - gap]; j -= gap) {
				uint64_t swap = v[j];

				v[j] = v[j - gap];
				v[j - gap] = swap;
			}
}

/* Lend and recall pages=N, rounds=R times; write=1 also writes into each page in between. */
static void bench_lend(int argc, char **argv)
{
	static uint64_t ns[MAX_ROUNDS];
	uint32_t pages = (uint32_t)arg_u64(argc, argv, "pages", 16);
	uint64_t rounds = arg_u64(argc, argv, "rounds", 1001);
	bool writing = arg_u64(argc, argv, "write", 0) != 0;
	char *p = page_alloc(pages);

	if (p == NULL || rounds == 0 || rounds > MAX_ROUNDS)
		fail(1, "no memory for %u pages, or not 1..%u rounds", pages, MAX_ROUNDS);
	memset(p, 1, pages * PAGE_SIZE);
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t start = time_ns(), id;

		expect(2, "lend", loan_lend(p, pages, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
		for (uint32_t page = 0; writing && page < pages; page++)
			p[page * PAGE_SIZE]++;
		expect(3, "recall", loan_recall(id, NULL), 0);
		ns[i] = time_ns() - start;
	}
	sort(ns, rounds);
	printf("probe: %u pages: median %llu ns, best %llu, worst %llu, %llu rounds\n", pages,
	    (unsigned long long)ns[rounds / 2], (unsigned long long)ns[0],
	    (unsigned long long)ns[rounds - 1], (unsigned long long)rounds);
}

const struct test tests_pair[] = {
    {"lend-wait", lend_wait},
    {"lend-discard", lend_discard},
    {"lend-scattered", lend_scattered},
    {"borrow-verify", borrow_verify},
    {"write-window", write_window},
    {"touch-window", touch_window},
    {"bench-lend", bench_lend},
};
const size_t nr_tests_pair = ARRAY_SIZE(tests_pair);
