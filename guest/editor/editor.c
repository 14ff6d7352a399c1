/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * editor: changes its own copy of a lent file without anybody noticing.
 *
 * Somebody lends this guest a host file copy-on-write.  It borrows the same pages twice, writes
 * into some pages of the first window, and looks at both: the first shows the changes and nothing
 * else new, the second is as it was.  Then it checks the counter's never-touched pages like the
 * checker does.
 *
 * Arguments: file-tag=N zero-tag=N [pages=4096] [every=16]
 */
#include <lombard-guest.h>

#define SECOND 1000000000ULL
#define PATIENCE (300 * SECOND)

static void check(int err, const char *what)
{
	if (err != 0)
		die("editor: %s: error %d", what, err);
}

static void *borrow(const struct loan_query *loan, uint32_t pages)
{
	void *window;

	check(loan_borrow(loan->id, 0, pages, &window), "can't borrow");
	return window;
}

/* Flip the first byte of every every-th page; returns the number of pages changed. */
static unsigned int change(unsigned char *window, uint32_t pages, uint32_t every)
{
	unsigned int changed = 0;

	for (uint32_t page = 0; page < pages; page += every) {
		window[page * PAGE_SIZE] ^= 0xff;
		changed++;
	}
	return changed;
}

/* The two windows differ in the flipped bytes only. */
static void compare(
    const unsigned char *edited, const unsigned char *loan, uint32_t pages, uint32_t every)
{
	for (uint32_t page = 0; page < pages; page++) {
		const unsigned char *a = edited + page * PAGE_SIZE;
		const unsigned char *b = loan + page * PAGE_SIZE;
		unsigned char flip = page % every == 0 ? 0xff : 0;

		if (a[0] != (b[0] ^ flip))
			die("editor: page %u: its first byte is 0x%02x, the loan's 0x%02x", page,
			    a[0], b[0]);
		if (memcmp(a + 1, b + 1, PAGE_SIZE - 1) != 0)
			die("editor: page %u changed where nobody wrote", page);
	}
}

static void edit(const struct loan_query *file, uint32_t pages, uint32_t every)
{
	unsigned char *edited = borrow(file, pages);
	unsigned char *loan = borrow(file, pages);
	uint64_t before = xxh64(loan, pages * PAGE_SIZE);
	unsigned int changed = change(edited, pages, every);

	compare(edited, loan, pages, every);
	if (xxh64(loan, pages * PAGE_SIZE) != before)
		die("editor: writing into one window changed the other");
	printf("editor: changed %u of %u pages, loan unharmed\n", changed, pages);
	check(loan_return(edited), "can't return the edited window");
	check(loan_return(loan), "can't return the other window");
}

static void check_zero(uint64_t tag)
{
	struct loan_query loan;
	unsigned char *window;

	check(loan_wait(tag, ~0ULL, 0, time_after(PATIENCE), &loan), "no zero pages were lent");
	window = borrow(&loan, loan.nr_pages);
	if (!mem_all(window, 0, loan.nr_pages * PAGE_SIZE))
		die("editor: the zero pages are not all zero");
	printf("editor: zero pages=%u ok\n", loan.nr_pages);
	check(loan_return(window), "can't return the zero pages");
}

int main(int argc, char **argv)
{
	uint64_t file_tag = arg_need(argc, argv, "file-tag");
	uint64_t zero_tag = arg_need(argc, argv, "zero-tag");
	uint64_t pages = arg_u64(argc, argv, "pages", 4096);
	uint32_t every = (uint32_t)arg_u64(argc, argv, "every", 16);
	struct loan_query file;

	if (every == 0)
		die("editor: every=0 would change no page");
	check(loan_wait(file_tag, ~0ULL, LOAN_TO_ANON, time_after(PATIENCE), &file),
	    "no file was lent copy-on-write");
	edit(&file, pages < file.nr_pages ? (uint32_t)pages : file.nr_pages, every);
	check_zero(zero_tag);
	return 0;
}
