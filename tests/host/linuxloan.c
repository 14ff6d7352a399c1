/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a Linux guest: lends and borrows, by the library that any program could use.  Says what it sees on
 * standard output; exit status 0: all was as it should be.
 *
 *   linuxloan self              what needs no partner
 *   linuxloan restricted        privcmd is the kernel's alone: the library says so
 *   linuxloan lend TAG PAGES    lends a pattern to everybody; when somebody has borrowed it, writes to all of
 *                               it, and says so by an offer with the next tag; waits until it is returned
 *   linuxloan borrow TAG [MS]   the other side: the pattern stays as it was, until the lender says that it
 *                               has written, or for so long
 *   linuxloan write TAG         borrows what is lent to anon, and writes to it
 *   linuxloan killed TAG        a child borrows, and is killed: its window is returned
 *
 * The pattern is that of guest/probe: lend-wait and borrow-verify can be the other side.
 */
#include <errno.h>
#include <inttypes.h>
#include <lombard-loan.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))
#define PATIENCE (300 * UINT64_C(1000000000))
#define HUGE 512u

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *fmt, ...)
{
	va_list ap;

	printf("linuxloan: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void expect(const char *what, int got, int want)
{
	if (got != want)
		wrong("%s: %d, not %d", what, got, want);
}

static uint64_t deadline(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec + PATIENCE;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static uint64_t pattern(uint64_t word)
{
	return (word + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(uint64_t *p, uint32_t pages)
{
	for (uint64_t i = 0; i < pages * WORDS; i++)
		p[i] = pattern(i);
}

static void verify(const uint64_t *p, uint32_t pages, const char *what)
{
	for (uint64_t i = 0; i < pages * WORDS; i++)
		if (p[i] != pattern(i))
			wrong("%s: word %" PRIu64 " is 0x%" PRIx64, what, i, p[i]);
}

static bool all(const void *p, uint32_t pages, int c)
{
	const unsigned char *byte = p;

	for (size_t i = 0; i < pages * (size_t)PAGE; i++)
		if (byte[i] != (unsigned char)c)
			return false;
	return true;
}

static void *alloc(uint32_t pages)
{
	void *p;

	expect("loan_alloc", loan_alloc(pages, &p), 0);
	return p;
}

static uint64_t lend(const void *p, uint32_t pages, uint16_t kind, uint64_t tag)
{
	uint64_t id;

	expect("loan_lend", loan_lend(p, pages, LOAN_DOMID_ANY, kind, tag, &id), 0);
	return id;
}

/* Wait until somebody has borrowed the offer, or has returned it. */
static void await_windows(uint64_t id, bool some)
{
	uint64_t end = deadline();
	struct loan_query loan;

	do {
		if (deadline() > end + PATIENCE)
			wrong("nobody borrows, or returns");
		pause_ms(5);
		expect("loan_query", loan_query(id, &loan), 0);
	} while ((loan.windows != 0) != some);
}

static void *borrow(uint64_t tag, uint16_t kind, struct loan_query *loan)
{
	void *window;

	expect("loan_wait", loan_wait(tag, UINT64_MAX, kind, deadline(), loan), 0);
	expect("loan_borrow", loan_borrow(loan->id, 0, loan->nr_pages, &window), 0);
	return window;
}

static void lend_and_write(uint64_t tag, uint32_t pages)
{
	uint64_t *p = alloc(pages), id, told;
	void *sign = alloc(1);

	fill(p, pages);
	id = lend(p, pages, LOAN_TO_PAGE, tag);
	await_windows(id, true);
	memset(p, 0xee, pages * (size_t)PAGE);
	told = lend(sign, 1, LOAN_TO_PAGE, tag + 1);
	await_windows(id, false);
	if (!all(p, pages, 0xee))
		wrong("our own pages do not hold what we wrote last");
	expect("loan_recall", loan_recall(id, NULL), 0);
	expect("loan_recall", loan_recall(told, NULL), 0);
	expect("loan_free", loan_free(p), 0);
	printf("linuxloan: lent %u pages\n", pages);
}

static void borrow_and_look(uint64_t tag, long ms)
{
	struct loan_query loan, sign;
	uint64_t *window = borrow(tag, LOAN_TO_PAGE, &loan);

	verify(window, loan.nr_pages, "borrowed");
	if (ms != 0)
		pause_ms(ms);
	else
		expect("loan_wait", loan_wait(tag + 1, UINT64_MAX, 0, deadline(), &sign), 0);
	verify(window, loan.nr_pages, "after the lender's writes");
	expect("loan_return", loan_return(window), 0);
	expect("the same again", loan_return(window), -EINVAL);
	printf("linuxloan: borrowed %u pages of domain %u\n", loan.nr_pages, loan.lender);
}

/* A private copy, and what is lent on from it. */
static void borrow_and_write(uint64_t tag)
{
	struct loan_query loan;
	uint64_t *window = borrow(tag, LOAN_TO_ANON, &loan), id;

	verify(window, loan.nr_pages, "borrowed");
	memset(window, 0x55, PAGE);
	if (!all(window, 1, 0x55))
		wrong("the window does not hold what we wrote");
	id = lend(window, 1, LOAN_TO_PAGE, tag + 1);
	expect("loan_recall", loan_recall(id, NULL), 0);
	expect("loan_return", loan_return(window), 0);
	printf("linuxloan: wrote to a page of %u\n", loan.nr_pages);
}

/* A child does it, says which loan it was, and waits to be killed. */
static void kill_child(uint64_t (*act)(uint64_t arg), uint64_t arg, uint64_t *id)
{
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) != 0)
		wrong("pipe");
	pid = fork();
	if (pid < 0)
		wrong("fork");
	if (pid == 0) {
		*id = act(arg);
		if (write(ends[1], id, sizeof(*id)) != (ssize_t)sizeof(*id))
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ends[0], id, sizeof(*id)) != (ssize_t)sizeof(*id))
		wrong("the child says nothing");
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		wrong("the child ended by itself");
}

static uint64_t lend_one(uint64_t tag)
{
	return lend(alloc(1), 1, LOAN_TO_PAGE, tag);
}

static uint64_t borrow_all(uint64_t tag)
{
	struct loan_query loan;

	(void)borrow(tag, 0, &loan);
	return loan.id;
}

static void killed_borrower(uint64_t tag)
{
	struct loan_query loan;
	uint64_t id;

	kill_child(borrow_all, tag, &id);
	expect("loan_query", loan_query(id, &loan), 0);
	if (loan.windows != 0)
		wrong("%u windows are left of a child that was killed", loan.windows);
	puts("linuxloan: nothing is left of the child");
}

static void misuse(void)
{
	struct loan_info info;
	uint64_t *p = alloc(2), id;
	void *window;

	expect("loan_info", loan_info(&info), 0);
	if (info.domid == 0 || info.window_pages == 0)
		wrong("loan_info: domain %u, %" PRIu64 " pages", info.domid, info.window_pages);
	expect("lend other memory", loan_lend(&info, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id),
	    -EINVAL);
	expect("lend beyond the end", loan_lend(p, HUGE + 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id),
	    -EINVAL);
	expect("lend to ourselves", loan_lend(p, 1, info.domid, LOAN_TO_PAGE, 0, &id), -EINVAL);
	expect("lend to nobody", loan_lend(p, 1, 32000, LOAN_TO_PAGE, 0, &id), -ESRCH);
	expect("lend in some way", loan_lend(p, 1, LOAN_DOMID_ANY, 3, 0, &id), -EINVAL);
	id = lend(p, 1, LOAN_TO_PAGE, 0);
	expect("borrow our own", loan_borrow(id, 0, 1, &window), -EPERM);
	expect("loan_recall", loan_recall(id, NULL), 0);
	expect("recall again", loan_recall(id, NULL), -ENOENT);
	expect("borrow what is not there", loan_borrow(id, 0, 1, &window), -ENOENT);
	expect("free a part", loan_free(p + WORDS), -EINVAL);
	expect("loan_free", loan_free(p), 0);
	expect(
	    "lend what is freed", loan_lend(p, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), -EINVAL);
	expect("all the memory there is", loan_alloc(1 << 20, (void **)&p), -ENOMEM);
}

/* More than one huge page; discarded, they are zeroes. */
static void large(void)
{
	uint32_t pages = 3 * HUGE;
	uint64_t *p = alloc(pages), id;

	if (!all(p, pages, 0))
		wrong("new memory is not zero");
	fill(p, pages);
	id = lend(p, pages, LOAN_TO_ANON, 0);
	memset(p, 0x11, PAGE);
	expect("loan_discard", loan_discard(p + 2 * HUGE * WORDS, HUGE), 0);
	if (!all(p, 1, 0x11) || !all(p + 2 * HUGE * WORDS, HUGE, 0))
		wrong("lent pages can't be written to, or discarded");
	expect("loan_recall", loan_recall(id, NULL), 0);
	expect("loan_free", loan_free(p), 0);
}

static void self(void)
{
	struct loan_query loan;
	uint64_t id;

	/* Before this process has anything of its own. */
	kill_child(lend_one, 0, &id);
	expect("what a killed child lent", loan_query(id, &loan), -ENOENT);
	misuse();
	large();
	expect("an offer that does not come", loan_wait(1, UINT64_MAX, 0, 0, &loan), -ETIME);
}

static void restricted(void)
{
	struct loan_info info;

	expect("loan_info", loan_info(&info), -EPERM);
	puts("linuxloan: privcmd is not for us");
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(what, "self") == 0)
		self();
	else if (argc == 2 && strcmp(what, "restricted") == 0)
		restricted();
	else if (argc == 4 && strcmp(what, "lend") == 0)
		lend_and_write(number(argv[2]), (uint32_t)number(argv[3]));
	else if ((argc == 3 || argc == 4) && strcmp(what, "borrow") == 0)
		borrow_and_look(number(argv[2]), argc == 4 ? (long)number(argv[3]) : 0);
	else if (argc == 3 && strcmp(what, "write") == 0)
		borrow_and_write(number(argv[2]));
	else if (argc == 3 && strcmp(what, "killed") == 0)
		killed_borrower(number(argv[2]));
	else
		wrong(
		    "usage: linuxloan self | restricted | lend TAG PAGES | borrow TAG [MS] | write "
		    "TAG | killed TAG");
	printf("linuxloan: %s: ok\n", what);
	return 0;
}
