/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/pmap/pmap_soft.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c $(UVM_SRCS) */
/* What a store that is a memfd says of its memory, and what it costs to ask. */
#include <criterion/criterion.h>
#include <time.h>

#include "pmap/store_memfd.h"

#define PAGES 8192u /* 32 MiB */
#define NSEC_PER_SEC UINT64_C(1000000000)
#define ALLOWED (NSEC_PER_SEC / 2)

static struct uvm_store *store_new(void)
{
	struct memfd_store *ms;
	struct failure f;

	cr_assert_eq(memfd_store_create("test", PAGES, 2, 1, &ms, &f), 0);
	return &ms->ms_store;
}

static void touch(struct uvm_store *st, uint64_t index, uint64_t n)
{
	for (; n > 0; index++, n--)
		*(volatile uint8_t *)st->st_ops->so_kva(st, index) = 1;
}

/* The whole run, however it is told. */
static void check_run(struct uvm_store *st, uint64_t from, uint64_t n, uint64_t first, uint64_t len)
{
	uint64_t at, got, sum = 0;

	while (sum < len) {
		cr_assert_eq(st->st_ops->so_resident(st, from, n, &at, &got), 0);
		cr_assert(at == first + sum && got > 0 && got <= len - sum,
		    "from %lu: %lu at %lu, not %lu at %lu", from, got, at, len - sum, first + sum);
		sum += got;
		n -= at + got - from;
		from = at + got;
	}
	cr_assert_eq(st->st_ops->so_resident(st, from, n, &at, &got), 0);
	cr_assert(got == 0 || at > first + len, "from %lu: %lu more at %lu", from, got, at);
}

Test(memfd, runs_begin_and_end_where_memory_does)
{
	struct uvm_store *st = store_new();

	check_run(st, 0, PAGES, 0, 0);
	touch(st, 3, 1);
	touch(st, 10, 2000);
	check_run(st, 0, PAGES, 3, 1);
	check_run(st, 4, PAGES - 4, 10, 2000);
	check_run(st, 10, 1, 10, 1);
	check_run(st, 600, 100, 600, 100);
	check_run(st, 2000, PAGES - 2000, 2000, 10);
	cr_assert_eq(st->st_ops->so_punch(st, 700, 1), 0);
	check_run(st, 600, 200, 600, 100);
	check_run(st, 700, 50, 701, 49);
	uvm_store_rele(st);
}

static uint64_t processor_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/*
 * Regression: to say of one page that it is there took a look at all behind it.  The first loan of a guest's
 * gigabyte took five seconds, and the end of a guest whose 256 MiB others had borrowed, minutes.
 */
Test(memfd, one_page_costs_one_look)
{
	struct uvm_store *st = store_new();
	uint64_t begin, first, len, took;

	touch(st, 0, PAGES);
	begin = processor_ns();
	for (uint64_t i = 0; i < PAGES; i++)
		cr_assert(
		    st->st_ops->so_resident(st, i, 1, &first, &len) == 0 && first == i && len == 1);
	took = processor_ns() - begin;
	cr_assert(took < ALLOWED, "%lu ms for %u pages", took / 1000000, PAGES);
	uvm_store_rele(st);
}
