/* SPDX-License-Identifier: BSD-2-Clause */
/* The window area: where what others lend or share is mapped. */
#include "lombard-guest.h"
#include "start.h"

static struct run_list windows_free;
static struct run_list windows_out; /* one run for each window, never merged */
static bool windows_known;

static int windows_init(void)
{
	struct loan_info info;
	int err;

	if (windows_known)
		return 0;
	err = loan_info(&info);
	if (err == 0 && info.window_pages != 0)
		err = run_put(&windows_free, info.window_gfn, info.window_pages);
	windows_known = err == 0;
	return err;
}

/*
 * By taking so much that an aligned run must be in it, and giving back what lies around that run.
 * A part that can't be given back, for want of a node, is lost; the rest goes on.
 */
static bool take_aligned(uint32_t pages, uint32_t align, uint64_t *gfn)
{
	uint64_t first, skip;

	if (!run_take(&windows_free, (uint64_t)pages + align - 1, &first))
		return false;
	*gfn = (first + align - 1) / align * align;
	skip = *gfn - first;
	if (skip != 0)
		run_put(&windows_free, first, skip);
	if (skip != align - 1)
		run_put(&windows_free, *gfn + pages, align - 1 - skip);
	return true;
}

int window_take(uint32_t pages, uint32_t align, uint64_t *gfn)
{
	const uint64_t large = PAGE_2M - 1;
	int err = windows_init();

	if (err != 0)
		return err;
	if (pages == 0)
		return -XEN_EINVAL;
	if (!take_aligned(pages, align, gfn))
		return -XEN_ENOSPC;
	/* By whole 2 MiB pages: a neighbour's tables are never split, and unborrowed is unborrowed.
	 */
	err = mem_map(*gfn * PAGE_SIZE & ~large, ((*gfn + pages) * PAGE_SIZE + large) & ~large);
	if (err == 0)
		err = run_put_alone(&windows_out, *gfn, pages);
	if (err != 0)
		run_put(&windows_free, *gfn, pages);
	return err;
}

int window_give(uint64_t gfn)
{
	uint64_t pages;

	if (!run_find_take(&windows_out, gfn, &pages))
		return -XEN_ENOENT;
	return run_put(&windows_free, gfn, pages);
}
