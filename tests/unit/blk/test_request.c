/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/blk/request.c */
/* Requests for a disk as a guest may write them: sound ones are understood, others refused. */
#include "request.h"

#include <criterion/criterion.h>

#define SECTORS 1000u

static const struct blk_limits limits = {.sectors = SECTORS, .discards = true};
static const struct blk_limits read_only = {
    .sectors = SECTORS, .read_only = true, .discards = true};
static const struct blk_limits plain = {.sectors = SECTORS};

static struct blk_request rq;

/* A read of two pages, and a half. */
static union blk_entry three(uint8_t operation)
{
	union blk_entry e = {.rw = {.operation = operation,
				 .nr_segments = 3,
				 .id = 0x123456789abcdef0,
				 .sector_number = 40,
				 .seg = {{100, 0, 7}, {101, 0, 7}, {102, 2, 5}}}};

	return e;
}

static int parse(const union blk_entry *e, const struct blk_limits *l)
{
	memset(&rq, 0xee, sizeof(rq));
	return request_parse(e, l, &rq);
}

Test(request, read)
{
	union blk_entry e = three(BLKIF_OP_READ);

	cr_assert_eq(parse(&e, &read_only), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.id, 0x123456789abcdef0);
	cr_assert_eq(rq.operation, BLKIF_OP_READ);
	cr_assert_eq(rq.kind, BLK_READ);
	cr_assert_eq(rq.offset, 40 * 512);
	cr_assert_eq(rq.length, 20 * 512);
	cr_assert_eq(rq.nindirect, 0);
	cr_assert_eq(rq.nsegments, 3);
	cr_assert_eq(rq.segments[2].ref, 102);
	cr_assert_eq(rq.segments[2].offset, 2 * 512);
	cr_assert_eq(rq.segments[2].length, 4 * 512);
}

Test(request, write)
{
	union blk_entry e = three(BLKIF_OP_WRITE);

	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.kind, BLK_WRITE);
	cr_assert_eq(parse(&e, &read_only), BLKIF_RSP_ERROR);
	cr_assert_eq(rq.id, 0x123456789abcdef0);
	cr_assert_eq(rq.operation, BLKIF_OP_WRITE);
}

Test(request, segments)
{
	union blk_entry e = three(BLKIF_OP_READ);

	e.rw.nr_segments = 0;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.nr_segments = 12;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.nr_segments = 255;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.nr_segments = 11;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	e.rw.seg[10].first_sect = 1;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR, "first > last");
	e.rw.seg[10].last_sect = 8;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR, "beyond the page");
	e.rw.seg[10].last_sect = 255;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.seg[10].last_sect = 1;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	/* Those that are not meant are not looked at. */
	e.rw.nr_segments = 1;
	e.rw.seg[1].first_sect = 200;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.nsegments, 1);
}

Test(request, range)
{
	union blk_entry e = three(BLKIF_OP_READ); /* 20 sectors */

	e.rw.sector_number = SECTORS - 20;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	e.rw.sector_number = SECTORS - 19;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.sector_number = SECTORS;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.sector_number = UINT64_MAX;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.rw.sector_number = UINT64_MAX - 19;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	/* Which would be byte 0. */
	e.rw.sector_number = UINT64_MAX / 512 + 1;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
}

Test(request, operations)
{
	union blk_entry e = three(BLKIF_OP_READ);

	for (unsigned op = 0; op < 256; op++) {
		int want = BLKIF_RSP_EOPNOTSUPP;

		/* An indirect one by name only: indirect_op is 3, the number of segments. */
		if (op == BLKIF_OP_READ || op == BLKIF_OP_WRITE)
			want = BLKIF_RSP_OKAY;
		else if (op == BLKIF_OP_FLUSH_DISKCACHE || op == BLKIF_OP_DISCARD)
			want = BLKIF_RSP_ERROR;
		e.rw.operation = (uint8_t)op;
		cr_assert_eq(parse(&e, &limits), want, "operation %u", op);
		cr_assert_eq(rq.id, 0x123456789abcdef0);
		cr_assert_eq(rq.operation, op == BLKIF_OP_INDIRECT ? 3 : op);
	}
}

Test(request, flush)
{
	union blk_entry e = {.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE, .id = 5}};

	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.kind, BLK_FLUSH);
	cr_assert_eq(rq.length, 0);
	cr_assert_eq(rq.nsegments, 0);
	cr_assert_eq(parse(&e, &read_only), BLKIF_RSP_OKAY);
	/* Where it lies means nothing. */
	e.rw.sector_number = UINT64_MAX;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	e.rw.nr_segments = 1;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
}

Test(request, discard)
{
	union blk_entry e = {.discard = {.operation = BLKIF_OP_DISCARD,
				 .id = 6,
				 .sector_number = 8,
				 .nr_sectors = SECTORS - 8}};

	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.kind, BLK_DISCARD);
	cr_assert_eq(rq.offset, 8 * 512);
	cr_assert_eq(rq.length, (SECTORS - 8) * 512);
	cr_assert_eq(parse(&e, &read_only), BLKIF_RSP_ERROR);
	cr_assert_eq(parse(&e, &plain), BLKIF_RSP_EOPNOTSUPP);
	e.discard.flag = BLKIF_DISCARD_SECURE;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	e.discard.nr_sectors++;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.discard.nr_sectors = UINT64_MAX - 7;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e.discard.nr_sectors = 0;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
}

static union blk_entry indirect(uint8_t op, uint16_t segments)
{
	union blk_entry e = {.indirect = {.operation = BLKIF_OP_INDIRECT,
				 .indirect_op = op,
				 .nr_segments = segments,
				 .id = 7,
				 .sector_number = 1,
				 .indirect_grefs = {77, 78}}};

	return e;
}

Test(request, indirect)
{
	struct blkif_request_segment listed[BLK_MAX_SEGMENTS];
	union blk_entry e = indirect(BLKIF_OP_WRITE, 100);

	for (unsigned i = 0; i < BLK_MAX_SEGMENTS; i++)
		listed[i] = (struct blkif_request_segment){1000 + i, 0, 7};
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.operation, BLKIF_OP_WRITE);
	cr_assert_eq(rq.kind, BLK_WRITE);
	cr_assert_eq(rq.nindirect, 1);
	cr_assert_eq(rq.nlisted, 100);
	cr_assert_eq(rq.indirect[0], 77);
	cr_assert_eq(rq.nsegments, 0);
	cr_assert_eq(request_add(&rq, listed, 60, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(request_add(&rq, listed + 60, 40, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(rq.nsegments, 100);
	cr_assert_eq(rq.segments[99].ref, 1099);
	cr_assert_eq(rq.length, 800 * 512);
	cr_assert_eq(request_add(&rq, listed, 1, &limits), BLKIF_RSP_ERROR, "more than were said");
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	listed[99].last_sect = 8;
	cr_assert_eq(request_add(&rq, listed, 100, &limits), BLKIF_RSP_ERROR);
	/* More than the disk has. */
	e = indirect(BLKIF_OP_READ, 126);
	listed[99].last_sect = 7;
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	cr_assert_eq(request_add(&rq, listed, 126, &limits), BLKIF_RSP_ERROR);
}

Test(request, indirect_bounds)
{
	union blk_entry e = indirect(BLKIF_OP_READ, 0);

	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e = indirect(BLKIF_OP_READ, BLK_MAX_SEGMENTS);
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_OKAY);
	e = indirect(BLKIF_OP_READ, BLK_MAX_SEGMENTS + 1);
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e = indirect(BLKIF_OP_READ, UINT16_MAX);
	cr_assert_eq(parse(&e, &limits), BLKIF_RSP_ERROR);
	e = indirect(BLKIF_OP_WRITE, 1);
	cr_assert_eq(parse(&e, &read_only), BLKIF_RSP_ERROR);
	for (unsigned op = 2; op < 256; op++) {
		e = indirect((uint8_t)op, 1);
		cr_assert_eq(parse(&e, &limits), BLKIF_RSP_EOPNOTSUPP);
		cr_assert_eq(rq.operation, op);
	}
}
