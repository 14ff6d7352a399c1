/* SPDX-License-Identifier: BSD-2-Clause */
/* loan_op with input it has to refuse.  The expected errors stand in the tables only. */
#include "probe.h"

#define NO_SUCH_LOAN 0x7fffffffffffffffULL
#define NO_SUCH_DOMID 0x7000

static struct loan_info me;
static uint64_t own_gfn; /* two pages of our own */

static void prepare(void)
{
	char *pages = page_alloc(2);

	expect(97, "loan_info", loan_info(&me), 0);
	if (pages == NULL)
		fail(97, "no memory");
	memset(pages, 1, 2 * PAGE_SIZE);
	own_gfn = (uint64_t)pages / PAGE_SIZE;
}

struct lend_case {
	const char *name;
	struct loan_lend arg;
	int want;
};

static void try_lend(const struct lend_case *cases, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct loan_lend arg = cases[i].arg;

		expect(
		    (int)i + 1, cases[i].name, hypercall_loan_op(LOANOP_lend, &arg), cases[i].want);
		expect(50, "id of a failed lend", (int64_t)arg.id, 0);
	}
}

static void bad_lend(int argc, char **argv)
{
	(void)argc, (void)argv;
	prepare();
	/* gfn, pages, domid, kind, tag, id */
	const struct lend_case cases[] = {
	    {"no pages", {own_gfn, 0, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0}, -XEN_EINVAL},
	    {"too many pages", {0, LOAN_MAX_PAGES + 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0},
		-XEN_EINVAL},
	    {"2^32 - 1 pages", {0, ~0U, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0}, -XEN_EINVAL},
	    {"a page behind RAM", {ram_end(&me), 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0},
		-XEN_EFAULT},
	    {"over the end of RAM", {ram_end(&me) - 1, 2, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0},
		-XEN_EFAULT},
	    {"gfn 2^64 - 1 and 2 pages", {~0ULL, 2, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0},
		-XEN_EINVAL},
	    {"gfn 2^52", {1ULL << 52, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0}, -XEN_EFAULT},
	    {"a window page that was not borrowed",
		{me.window_gfn, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0}, -XEN_EFAULT},
	    {"kind 0", {own_gfn, 1, LOAN_DOMID_ANY, 0, 0, 0}, -XEN_EINVAL},
	    {"kind 3", {own_gfn, 1, LOAN_DOMID_ANY, 3, 0, 0}, -XEN_EINVAL},
	    {"an unknown domid", {own_gfn, 1, NO_SUCH_DOMID, LOAN_TO_PAGE, 0, 0}, -XEN_ESRCH},
	    {"to myself", {own_gfn, 1, me.domid, LOAN_TO_PAGE, 0, 0}, -XEN_EINVAL},
	};
	try_lend(cases, ARRAY_SIZE(cases));
}

struct op_case {
	const char *name;
	unsigned int cmd;
	union {
		struct loan_borrow borrow;
		struct loan_return back;
		struct loan_recall recall;
		struct loan_query query;
	} arg;
	int want;
};

static void try_ops(int first, const struct op_case *cases, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct op_case op = cases[i];

		expect(first + (int)i, op.name, hypercall_loan_op(op.cmd, &op.arg), op.want);
	}
}

/* An offer of our own, and loans that do not exist, or not any more. */
static void bad_id(int argc, char **argv)
{
	uint64_t id;

	(void)argc, (void)argv;
	prepare();
	expect(1, "lend",
	    loan_lend((void *)(own_gfn * PAGE_SIZE), 2, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
	const struct op_case own[] = {
	    {"borrow an offer of our own", LOANOP_borrow, {.borrow = {id, me.window_gfn, 0, 1}},
		-XEN_EPERM},
	    {"query an offer of our own", LOANOP_query, {.query = {.id = id}}, 0},
	    {"recall an offer of our own", LOANOP_recall, {.recall = {id}}, 0},
	};
	try_ops(2, own, ARRAY_SIZE(own));
	const struct op_case cases[] = {
	    {"borrow an unknown loan", LOANOP_borrow,
		{.borrow = {NO_SUCH_LOAN, me.window_gfn, 0, 1}}, -XEN_ENOENT},
	    {"borrow loan 0", LOANOP_borrow, {.borrow = {0, me.window_gfn, 0, 1}}, -XEN_ENOENT},
	    {"recall an unknown loan", LOANOP_recall, {.recall = {NO_SUCH_LOAN}}, -XEN_ENOENT},
	    {"recall a loan again", LOANOP_recall, {.recall = {id}}, -XEN_ENOENT},
	    {"borrow a recalled loan", LOANOP_borrow, {.borrow = {id, me.window_gfn, 0, 1}},
		-XEN_ENOENT},
	    {"query an unknown loan", LOANOP_query, {.query = {.id = NO_SUCH_LOAN}}, -XEN_ENOENT},
	    {"next after all", LOANOP_next, {.query = {.id = ~0ULL}}, -XEN_ENOENT},
	    {"return what is no window", LOANOP_return, {.back = {me.window_gfn}}, -XEN_ENOENT},
	    {"return a page of RAM", LOANOP_return, {.back = {own_gfn}}, -XEN_ENOENT},
	    {"return all of RAM", LOANOP_return, {.back = {0}}, -XEN_EINVAL},
	    {"return gfn 2^64 - 1", LOANOP_return, {.back = {~0ULL}}, -XEN_ENOENT},
	};
	try_ops(5, cases, ARRAY_SIZE(cases));
}

/* Wrong things to do with a good offer: somebody lent us something with this tag. */
static void bad_borrow(int argc, char **argv)
{
	struct loan_query offer;
	uint64_t end, used;
	void *window;

	prepare();
	expect(1, "wait for the offer",
	    loan_wait(arg_need(argc, argv, "tag"), ~0ULL, 0, time_after(PATIENCE), &offer), 0);
	expect(2, "borrow it", loan_borrow(offer.id, 0, offer.nr_pages, &window), 0);
	used = (uint64_t)window / PAGE_SIZE;
	end = me.window_gfn + me.window_pages;
	const uint64_t id = offer.id, place = end - 1;
	const uint32_t all = offer.nr_pages;
	/* id, gfn, first, pages; `place` is a free page of the window area, its last */
	const struct op_case cases[] = {
	    {"no pages", LOANOP_borrow, {.borrow = {id, place, 0, 0}}, -XEN_ERANGE},
	    {"2^32 - 1 pages", LOANOP_borrow, {.borrow = {id, place, 0, ~0U}}, -XEN_EINVAL},
	    {"behind the loan", LOANOP_borrow, {.borrow = {id, place, all, 1}}, -XEN_ERANGE},
	    {"over the loan's end", LOANOP_borrow, {.borrow = {id, end - 2, all - 1, 2}},
		-XEN_ERANGE},
	    {"first + pages overflows", LOANOP_borrow, {.borrow = {id, end - 2, ~0U, 2}},
		-XEN_ERANGE},
	    {"into RAM", LOANOP_borrow, {.borrow = {id, own_gfn, 0, 1}}, -XEN_EINVAL},
	    {"below the window area", LOANOP_borrow, {.borrow = {id, me.window_gfn - 1, 0, 1}},
		-XEN_EINVAL},
	    {"behind the window area", LOANOP_borrow, {.borrow = {id, end, 0, 1}}, -XEN_EINVAL},
	    {"at gfn 2^64 - 2", LOANOP_borrow, {.borrow = {id, ~1ULL, 0, 1}}, -XEN_EINVAL},
	    {"anywhere", LOANOP_borrow, {.borrow = {id, LOAN_ANYWHERE, 0, 1}}, 0},
	    {"return the one at the area's end", LOANOP_return, {.back = {place}}, 0},
	    {"over another window", LOANOP_borrow, {.borrow = {id, used, 0, 1}}, -XEN_EEXIST},
	    {"recall a stranger's loan", LOANOP_recall, {.recall = {id}}, -XEN_EPERM},
	    {"return, the first time", LOANOP_return, {.back = {used}}, 0},
	    {"return, the second time", LOANOP_return, {.back = {used}}, -XEN_ENOENT},
	};
	try_ops(3, cases, ARRAY_SIZE(cases));
}

struct discard_case {
	const char *name;
	struct loan_discard arg;
	int want;
};

/* Our own shared info page: wired from then on. */
static void wire(uint64_t gfn)
{
	struct xen_add_to_physmap arg = {
	    .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = gfn};

	expect(
	    1, "place the shared info page", hypercall_memory_op(XENMEM_add_to_physmap, &arg), 0);
}

/* What can't be discarded, and that nothing of it is: a wired page is the second of two. */
static void bad_discard(int argc, char **argv)
{
	struct loan_lend lend;

	(void)argc, (void)argv;
	prepare();
	memset((void *)((own_gfn + 1) * PAGE_SIZE), 0, PAGE_SIZE);
	wire(own_gfn + 1);
	/* gfn, pages, pad */
	const struct discard_case cases[] = {
	    {"no pages", {own_gfn, 0, 0}, -XEN_EINVAL},
	    {"padding", {own_gfn, 1, 1}, -XEN_EINVAL},
	    {"a page behind RAM", {ram_end(&me), 1, 0}, -XEN_EINVAL},
	    {"over the end of RAM", {ram_end(&me) - 1, 2, 0}, -XEN_EINVAL},
	    {"2^32 - 1 pages", {own_gfn, ~0U, 0}, -XEN_EINVAL},
	    {"gfn 2^64 - 1 and 2 pages", {~0ULL, 2, 0}, -XEN_EINVAL},
	    {"a window page", {me.window_gfn, 1, 0}, -XEN_EINVAL},
	    {"a wired page", {own_gfn + 1, 1, 0}, -XEN_EBUSY},
	    {"a page and a wired page", {own_gfn, 2, 0}, -XEN_EBUSY},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct loan_discard arg = cases[i].arg;

		expect((int)i + 2, cases[i].name, hypercall_loan_op(LOANOP_discard, &arg),
		    cases[i].want);
	}
	if (!mem_all((void *)(own_gfn * PAGE_SIZE), 1, PAGE_SIZE))
		fail(20, "a refused discard changed a page");
	lend = (struct loan_lend){own_gfn, 2, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0};
	expect(21, "lend a wired page", hypercall_loan_op(LOANOP_lend, &lend), -XEN_EBUSY);
}

/* Four pages, 1 and 2 of them on loan, all discarded: zeroes to us, and as good as new. */
static void discard_once(unsigned char *p, bool read_first)
{
	uint64_t id;

	memset(p, 0x77, 4 * PAGE_SIZE);
	expect(2, "lend", loan_lend(p + PAGE_SIZE, 2, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
	expect(3, "discard", loan_discard(p, 4), 0);
	expect(4, "discard what is not there", loan_discard(p + PAGE_SIZE, 2), 0);
	if (read_first && !mem_all(p, 0, 4 * PAGE_SIZE))
		fail(5, "discarded pages are not zero");
	for (int page = 0; page < 4; page++)
		p[page * PAGE_SIZE + 5] = 9;
	for (int page = 0; page < 4; page++) {
		const unsigned char *q = p + page * PAGE_SIZE;

		if (!mem_all(q, 0, 5) || q[5] != 9 || !mem_all(q + 6, 0, PAGE_SIZE - 6))
			fail(6, "page %d does not hold what was written, and zeroes", page);
	}
	expect(7, "recall", loan_recall(id, NULL), 0);
	if (p[5] != 9 || p[PAGE_SIZE + 5] != 9)
		fail(8, "the recall changed a page");
}

static void discard(int argc, char **argv)
{
	unsigned char *p = page_alloc(4);

	(void)argc, (void)argv;
	if (p == NULL)
		fail(97, "no memory");
	expect(1, "discard half a page", loan_discard(p + 1, 1), -XEN_EINVAL);
	discard_once(p, true);
	discard_once(p, false);
}

/* Offer again and again, until there is no room: it has to be there for `want` offers. */
static void offer_until_full(int n, void *pages, uint32_t nr, uint64_t want, uint64_t *first)
{
	uint64_t id = 0, made = 0;
	int error;

	while ((error = loan_lend(pages, nr, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id)) == 0)
		if (made++ == 0)
			*first = id;
	expect(n, "lend when all is on offer", error, -XEN_ENOSPC);
	expect(n + 1, "offers that could be made", (int64_t)made, (int64_t)want);
}

/* All that a guest may have on offer: first in pages, then in offers, which stay.  Then wait. */
static void offer_limits(int argc, char **argv)
{
	const uint32_t nr = 1U << 15;
	const uint64_t big = LOAN_MAX_OFFERED_PAGES / nr;
	void *pages = page_alloc_untouched(nr);
	uint64_t first = 0, id;

	(void)argc, (void)argv;
	if (pages == NULL)
		fail(1, "no memory for %u pages", nr);
	offer_until_full(2, pages, nr, big, &first);
	expect(4, "lend one page", loan_lend(pages, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id),
	    -XEN_ENOSPC);
	for (uint64_t i = 0; i < big; i++)
		expect(5, "recall", loan_recall(first + i, NULL), 0);
	offer_until_full(6, pages, 1, LOAN_MAX_OFFERS, &first);
	expect(8, "recall one", loan_recall(first, NULL), 0);
	expect(9, "lend again", loan_lend(pages, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
	printf("probe: limits first=%llu last=%llu\n", (unsigned long long)first + 1,
	    (unsigned long long)id);
	for (;;)
		time_sleep(SECOND);
}

const struct test tests_loan[] = {
    {"bad-discard", bad_discard},
    {"discard", discard},
    {"bad-lend", bad_lend},
    {"bad-id", bad_id},
    {"bad-borrow", bad_borrow},
    {"offer-limits", offer_limits},
};
const size_t nr_tests_loan = ARRAY_SIZE(tests_loan);
