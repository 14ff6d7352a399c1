/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_REQUEST_H
#define LOMBARD_BLK_REQUEST_H
/*
 * What a guest asks for, checked: nothing here looks at memory that the guest can change.
 */
#include <stdbool.h>

#include "blkif.h"

enum blk_kind { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD };

/* What the guest may do with its disk. */
struct blk_limits {
	uint64_t sectors;
	bool read_only, discards;
};

/* A part of a granted page. */
struct blk_segment {
	uint32_t ref, offset, length; /* bytes, within the page */
};

struct blk_request {
	uint64_t id;	   /* the guest's number of it */
	uint8_t operation; /* as the response has to name it */
	enum blk_kind kind;
	uint64_t first;		 /* sector */
	uint64_t offset, length; /* bytes on the disk; 0 of BLK_FLUSH */
	unsigned nsegments;	 /* of BLK_READ, BLK_WRITE */
	struct blk_segment segments[BLK_MAX_SEGMENTS];
	/* Of an indirect one: its segments stand in these pages. */
	unsigned nindirect, nlisted; /* pages, segments */
	uint32_t indirect[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
};

#define BLK_LISTED_PER_PAGE (BLK_PAGE / (unsigned)sizeof(struct blkif_request_segment))

/*
 * request_parse: from a private copy of a ring's entry.
 * => 0; or BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP: what to answer; id and operation are set anyway
 * => nindirect != 0: there are no segments yet, see request_add
 *
 * request_add: segments from a private copy of (a part of) an indirect page.  The rest is checked, and
 * length set, when the last of nlisted has come.
 * => as above
 */
int request_parse(
    const union blk_entry *e, const struct blk_limits *limits, struct blk_request *rq);
int request_add(struct blk_request *rq, const struct blkif_request_segment *listed, unsigned n,
    const struct blk_limits *limits);

#endif
