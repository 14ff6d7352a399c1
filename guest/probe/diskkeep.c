/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk whose pages are kept where they were read to, as a page cache keeps them: the page itself is
 * granted, and nothing is copied here.  scatter=1: no two pages of the disk lie one behind the other.
 */
#include "disk.h"

#define BATCH 8u /* requests under way at a time */

static bool scatter;
static size_t npages;

/* Page i of the disk. */
static char *place(size_t i)
{
	return disk_image + (scatter ? npages - 1 - i : i) * PAGE_SIZE;
}

/* The data of one request under way, which lies elsewhere than usual. */
struct part {
	struct front_io *io;
	char *usual;
};

static unsigned int most_pages(void)
{
	if (scatter)
		return 1;
	return front.indirect ? FRONT_PAGES : BLKIF_MAX_SEGMENTS_PER_REQUEST;
}

static struct part start(size_t page, unsigned int pages)
{
	struct part p = {.io = front_get(&front)};

	p.usual = p.io->data;
	p.io->data = place(page);
	front_start(&front, p.io, BLKIF_OP_READ, (uint64_t)page * FRONT_PAGE_SECTORS,
	    pages * FRONT_PAGE_SECTORS);
	return p;
}

static void finish(const struct part *p)
{
	expect(60, "read", front_wait(&front, p->io), BLKIF_RSP_OKAY);
	p->io->data = p->usual;
}

/* Read pages [first, end), each to its place. */
static void keep(size_t first, size_t end)
{
	struct part parts[BATCH];
	unsigned int n, k;

	while (first < end) {
		for (n = 0; n < BATCH && first < end; n++, first += k) {
			k = end - first < most_pages() ? (unsigned int)(end - first) : most_pages();
			parts[n] = start(first, k);
		}
		for (unsigned int i = 0; i < n; i++)
			finish(&parts[i]);
	}
}

/* What is kept of pages [first, end), compared with what the disk holds now. */
static void verify(size_t first, size_t end)
{
	for (; first < end; first++) {
		struct front_io *io = front_get(&front);

		memset(io->data, 0x5a, PAGE_SIZE);
		front_start(&front, io, BLKIF_OP_READ, (uint64_t)first * FRONT_PAGE_SECTORS,
		    FRONT_PAGE_SECTORS);
		expect(61, "read", front_wait(&front, io), BLKIF_RSP_OKAY);
		if (memcmp(io->data, place(first), PAGE_SIZE) != 0)
			fail(62, "page %llu is not what the disk holds", (unsigned long long)first);
	}
}

/* Every step-th page is changed: it alone changes; and read again, it is what it was. */
static void scribble(size_t step)
{
	for (size_t i = 0; i < npages; i += step)
		memset(place(i) + 8 * (i % 500), 0xe7, 8);
	for (size_t i = 0; i < npages; i += step) {
		if (i + 1 < npages && step > 1)
			verify(i + 1, i + 2);
		expect(63, "what was written", place(i)[8 * (i % 500)], (char)0xe7);
		keep(i, i + 1);
	}
	verify(0, npages);
}

static void hold(uint64_t seconds)
{
	uint64_t end = time_after(seconds * SECOND);

	puts("probe: holding");
	while (time_ns() < end)
		time_sleep(SECOND / 50);
}

void disk_keep(int argc, char **argv)
{
	uint64_t begun, us, step = arg_u64(argc, argv, "write", 0);

	scatter = arg_u64(argc, argv, "scatter", 0) != 0;
	disk_begin(argc, argv);
	expect(64, "read-only", front.read_only, true);
	expect(65, "persistent grants", front_number("feature-persistent", 0),
	    arg_u64(argc, argv, "shared", 0) == 0);
	npages = front.sectors / FRONT_PAGE_SECTORS;
	for (uint64_t i = 0; i < arg_u64(argc, argv, "rounds", 1); i++) {
		begun = time_ns();
		keep(0, npages);
		us = (time_ns() - begun) / 1000;
		printf("probe: kept=%llu us=%llu\n", (unsigned long long)npages,
		    (unsigned long long)us);
	}
	if (step != 0)
		scribble(step);
	if (!scatter)
		disk_tell_hash();
	hold(arg_u64(argc, argv, "seconds", 0));
	front_close(&front);
}
