/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that does what the host asks of it, by words in a page of its memory. */
#include "pages.h"
#include "probe.h"

#define WORDS (PAGE_SIZE / sizeof(uint64_t))

static uint64_t *page_of(uint64_t *pages, uint32_t npages, uint64_t i)
{
	if (i >= npages)
		fail(2, "there is no page %llu", (unsigned long long)i);
	return pages + i * WORDS;
}

static uint64_t do_work(uint64_t *pages, uint32_t npages, const struct pages_mailbox *mb)
{
	volatile uint64_t *page = page_of(pages, npages, mb->page);
	struct loan_discard discard = {.gfn = (uint64_t)page / PAGE_SIZE, .nr_pages = 1};

	switch (mb->op) {
	case PAGES_WRITE:
		page[mb->word % WORDS] = mb->value;
		return page[mb->word % WORDS];
	case PAGES_SUM:
		return pages_sum((const uint64_t *)page);
	case PAGES_DISCARD:
		return (uint64_t)hypercall_loan_op(LOANOP_discard, &discard);
	default:
		return 0;
	}
}

/*
 * pages=N pages with contents that fill=T says, and as many after them that are never touched; then
 * serve the mailbox until it says that this is the end.
 */
static void serve_pages(int argc, char **argv)
{
	uint32_t n = (uint32_t)arg_u64(argc, argv, "pages", 16);
	uint64_t fill = arg_u64(argc, argv, "fill", 1);
	uint64_t *pages = page_alloc(2 * n);
	struct pages_mailbox *mb = page_alloc(1);

	if (pages == NULL || mb == NULL)
		fail(1, "no memory for %u pages", n);
	memset(mb, 0, sizeof(*mb));
	for (uint64_t i = 0; i < n * WORDS; i++)
		pages[i] = pages_word(fill, i);
	printf("probe: pages gfn=%llu pages=%u mailbox=%llu\n",
	    (unsigned long long)pages / PAGE_SIZE, n, (unsigned long long)mb / PAGE_SIZE);
	do {
		while (__atomic_load_n(&mb->request, __ATOMIC_ACQUIRE) == mb->done)
			time_sleep(SECOND / 1000);
		mb->result = do_work(pages, 2 * n, mb);
		__atomic_store_n(&mb->done, mb->request, __ATOMIC_RELEASE);
	} while (mb->op != PAGES_END);
}

const struct test tests_share[] = {
    {"serve-pages", serve_pages},
};
const size_t nr_tests_share = ARRAY_SIZE(tests_share);
