/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of borrowers that need a partner: private copies, zeroes, and offers that come and go. */
#include "probe.h"

#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))

static uint64_t deadline_of(int argc, char **argv)
{
	return time_after(arg_u64(argc, argv, "seconds", 1) * SECOND);
}

static void find_offer(int argc, char **argv, uint16_t kind, struct loan_query *offer)
{
	expect(1, "wait for the offer",
	    loan_wait(arg_need(argc, argv, "tag"), ~0ULL, kind, time_after(PATIENCE), offer), 0);
}

/*
 * Borrow a copy-on-write loan (tag=N) twice and write into all of the first window: it holds what
 * was written, and the second window what was lent.
 */
static void borrow_write(int argc, char **argv)
{
	struct loan_query offer;
	void *mine, *other;
	uint64_t hash;
	size_t len;

	find_offer(argc, argv, LOAN_TO_ANON, &offer);
	len = offer.nr_pages * PAGE_SIZE;
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &mine), 0);
	expect(3, "borrow again", loan_borrow(offer.id, 0, offer.nr_pages, &other), 0);
	hash = xxh64(other, len);
	if (xxh64(mine, len) != hash)
		fail(4, "two windows on one loan differ");
	memset(mine, 0xa5, len);
	if (!mem_all(mine, 0xa5, len))
		fail(5, "the window does not hold what was written");
	if (xxh64(other, len) != hash)
		fail(6, "a write into one window is seen in the other");
	expect(7, "return", loan_return(mine), 0);
	if (xxh64(other, len) != hash)
		fail(8, "returning one window changed the other");
	expect(9, "return the other", loan_return(other), 0);
	printf("probe: wrote pages=%u\n", offer.nr_pages);
}

/* Borrow an offer (tag=N) of pages that nobody ever touched; hold them for seconds=S. */
static void borrow_zero(int argc, char **argv)
{
	struct loan_query offer;
	void *window;

	find_offer(argc, argv, 0, &offer);
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	if (!mem_all(window, 0, offer.nr_pages * PAGE_SIZE))
		fail(3, "the pages are not zero");
	printf("probe: zero pages=%u\n", offer.nr_pages);
	time_sleep(arg_u64(argc, argv, "seconds", 1) * SECOND);
	if (!mem_all(window, 0, offer.nr_pages * PAGE_SIZE))
		fail(4, "the pages are not zero any more");
	expect(5, "return", loan_return(window), 0);
}

/* Borrow an offer (tag=N) and say where it lies and what is in it; hold it for seconds=S. */
static void borrow_hold(int argc, char **argv)
{
	struct loan_query offer;
	void *window;
	size_t len;

	find_offer(argc, argv, 0, &offer);
	expect(2, "borrow", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	len = offer.nr_pages * PAGE_SIZE;
	printf("probe: window gfn=%llu pages=%u bytes=%llu xxh64=%016llx\n",
	    (unsigned long long)window / PAGE_SIZE, offer.nr_pages, (unsigned long long)offer.bytes,
	    (unsigned long long)xxh64(window, len));
	time_sleep(arg_u64(argc, argv, "seconds", 1) * SECOND);
	expect(3, "return", loan_return(window), 0);
}

/* All words of one generation of lend-loop's pages; no two generations share a word. */
static uint64_t word_of(uint64_t generation, uint64_t word)
{
	return (generation << 32 | word) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint64_t *p, uint32_t pages, uint64_t generation)
{
	p[0] = generation;
	for (uint64_t i = 1; i < pages * WORDS_PER_PAGE; i++)
		p[i] = word_of(generation, i);
}

/* Lend pages=N (tag=N kind=K), overwrite them while they are lent, recall, and again: seconds=S. */
static void lend_loop(int argc, char **argv)
{
	uint32_t pages = (uint32_t)arg_u64(argc, argv, "pages", 8);
	uint16_t kind = (uint16_t)arg_u64(argc, argv, "kind", LOAN_TO_PAGE);
	uint64_t tag = arg_need(argc, argv, "tag"), generation = 1, id;
	uint64_t deadline = deadline_of(argc, argv);
	uint64_t *p = page_alloc(pages);

	if (p == NULL)
		fail(1, "no memory for %u pages", pages);
	puts("probe: lending");
	fill(p, pages, generation);
	while (time_ns() < deadline) {
		expect(2, "lend", loan_lend(p, pages, LOAN_DOMID_ANY, kind, tag, &id), 0);
		fill(p, pages, ++generation);
		expect(3, "recall", loan_recall(id, NULL), 0);
	}
	printf("probe: lent %llu times\n", (unsigned long long)generation - 1);
}

/* A borrowed window has to be of one generation, from its first word to its last. */
static void check_generation(const uint64_t *window, uint32_t pages)
{
	uint64_t generation = window[0];

	for (uint64_t i = 1; i < pages * WORDS_PER_PAGE; i++)
		if (window[i] != word_of(generation, i))
			fail(3, "word %llu of generation %llu is 0x%llx", (unsigned long long)i,
			    (unsigned long long)generation, (unsigned long long)window[i]);
}

/* Borrow whatever lend-loop offers (tag=N), check it, return it, and again: seconds=S. */
static void borrow_loop(int argc, char **argv)
{
	uint64_t tag = arg_need(argc, argv, "tag"), rounds = 0;
	uint64_t deadline = deadline_of(argc, argv);
	struct loan_query offer;
	void *window;
	int err;

	puts("probe: borrowing");
	while (time_ns() < deadline) {
		err = loan_wait(tag, ~0ULL, 0, deadline, &offer);
		if (err == -XEN_ETIME)
			break;
		expect(1, "wait for an offer", err, 0);
		err = loan_borrow(offer.id, 0, offer.nr_pages, &window);
		if (err == -XEN_ENOENT) /* recalled meanwhile */
			continue;
		expect(2, "borrow", err, 0);
		check_generation(window, offer.nr_pages);
		check_generation(window, offer.nr_pages);
		expect(4, "return", loan_return(window), 0);
		rounds++;
	}
	printf("probe: borrowed %llu times\n", (unsigned long long)rounds);
}

const struct test tests_window[] = {
    {"borrow-write", borrow_write},
    {"borrow-zero", borrow_zero},
    {"borrow-hold", borrow_hold},
    {"lend-loop", lend_loop},
    {"borrow-loop", borrow_loop},
};
const size_t nr_tests_window = ARRAY_SIZE(tests_window);
