/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest that `make bench` measures: it does what the mailbox says, and sleeps in between. */
#include "probe.h"
#include <xen/version.h>
#include "serve.h"

static struct serve_mailbox *box;
static volatile char *arena;
static uint32_t arena_pages;

static void touch(uint32_t first, uint32_t pages)
{
	for (uint32_t i = first; i < first + pages; i++)
		arena[i * PAGE_SIZE]++;
}

static uint64_t timed_touch(void)
{
	uint64_t start = time_ns();

	touch(box->first, box->pages);
	return time_ns() - start;
}

static void *place(void)
{
	return (char *)arena + box->first * PAGE_SIZE;
}

static int serve_lend(void)
{
	uint64_t start, exited, informed, id = 0;
	struct loan_info info;
	int err;

	box->times[0] = timed_touch();
	start = time_ns();
	hypercall(__HYPERVISOR_xen_version, XENVER_pagesize, 0, 0, 0, 0);
	exited = time_ns();
	err = loan_info(&info);
	informed = time_ns();
	if (err == 0)
		err = loan_lend(place(), box->pages, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id);
	if (err == 0)
		err = loan_recall(id, NULL);
	box->times[3] = time_ns() - informed;
	box->times[2] = informed - exited;
	box->times[1] = exited - start;
	return err;
}

static int serve_break(void)
{
	uint64_t id, start;
	int err;

	if (box->pages > SERVE_MAX_TIMES)
		return -XEN_EINVAL;
	touch(box->first, box->pages);
	err = loan_lend(place(), box->pages, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id);
	if (err != 0)
		return err;
	for (uint32_t i = 0; i < box->pages; i++) {
		start = time_ns();
		touch(box->first + i, 1);
		box->times[i] = time_ns() - start;
	}
	return loan_recall(id, NULL);
}

static int serve_one(void)
{
	if (box->first > arena_pages || box->pages > arena_pages - box->first)
		return -XEN_ERANGE;
	switch (box->op) {
	case SERVE_TOUCH:
		box->times[0] = timed_touch();
		return 0;
	case SERVE_LEND:
		return serve_lend();
	case SERVE_BREAK:
		return serve_break();
	default:
		return -XEN_ENOSYS;
	}
}

/* Serve for ever, with an arena of pages=N that was never touched.  The bench stops the guest. */
static void bench_serve(int argc, char **argv)
{
	uint32_t wake, raise;
	uint64_t request;

	arena_pages = (uint32_t)arg_need(argc, argv, "pages");
	box = page_alloc(1);
	arena = page_alloc_untouched(arena_pages);
	if (box == NULL || arena == NULL)
		fail(1, "no memory for %u pages", arena_pages);
	box->done = 0;
	expect(2, "event_alloc", event_alloc(DOMID_SELF, &wake), 0);
	expect(3, "event_bind", event_bind(DOMID_SELF, wake, &raise), 0);
	printf(SERVE_LINE "\n", (unsigned long long)box / PAGE_SIZE,
	    (unsigned long long)arena / PAGE_SIZE, raise);
	for (;;) {
		expect(4, "event_wait", event_wait(&wake, 1, TIME_FOREVER, NULL), 0);
		request = __atomic_load_n(&box->request, __ATOMIC_ACQUIRE);
		if (request == box->done)
			continue;
		box->error = serve_one();
		__atomic_store_n(&box->done, request, __ATOMIC_RELEASE);
	}
}

const struct test tests_bench[] = {
    {"bench-serve", bench_serve},
};
const size_t nr_tests_bench = ARRAY_SIZE(tests_bench);
