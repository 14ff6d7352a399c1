/* SPDX-License-Identifier: BSD-2-Clause */
#include "request.h"

/* => the sectors are there; offset and length are set */
static int set_range(struct blk_request *rq, uint64_t nsectors, const struct blk_limits *limits)
{
	if (nsectors == 0 || rq->first > limits->sectors || nsectors > limits->sectors - rq->first)
		return BLKIF_RSP_ERROR;
	rq->offset = rq->first * BLK_SECTOR;
	rq->length = nsectors * BLK_SECTOR;
	return BLKIF_RSP_OKAY;
}

int request_add(struct blk_request *rq, const struct blkif_request_segment *listed, unsigned n,
    const struct blk_limits *limits)
{
	uint64_t nsectors = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned first = listed[i].first_sect, last = listed[i].last_sect;

		if (first > last || last >= BLK_PAGE_SECTORS || rq->nsegments == rq->nlisted)
			return BLKIF_RSP_ERROR;
		rq->segments[rq->nsegments++] = (struct blk_segment){
		    listed[i].gref, first * BLK_SECTOR, (last - first + 1) * BLK_SECTOR};
	}
	if (rq->nsegments < rq->nlisted)
		return BLKIF_RSP_OKAY;
	for (unsigned i = 0; i < rq->nsegments; i++)
		nsectors += rq->segments[i].length / BLK_SECTOR;
	return set_range(rq, nsectors, limits);
}

static int kind_of(uint8_t operation, const struct blk_limits *limits, enum blk_kind *kind)
{
	*kind = operation == BLKIF_OP_WRITE ? BLK_WRITE : BLK_READ;
	if (operation != BLKIF_OP_READ && operation != BLKIF_OP_WRITE)
		return BLKIF_RSP_EOPNOTSUPP;
	return *kind == BLK_WRITE && limits->read_only ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;
}

static int parse_direct(
    const struct blkif_request *e, const struct blk_limits *limits, struct blk_request *rq)
{
	int status = kind_of(e->operation, limits, &rq->kind);

	if (status != BLKIF_RSP_OKAY)
		return status;
	if (e->nr_segments == 0 || e->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
		return BLKIF_RSP_ERROR;
	rq->first = e->sector_number;
	rq->nlisted = e->nr_segments;
	return request_add(rq, e->seg, e->nr_segments, limits);
}

static int parse_indirect(
    const struct blkif_request_indirect *e, const struct blk_limits *limits, struct blk_request *rq)
{
	int status;

	/* Frontends compare the operation of the response with that which they wanted. */
	rq->operation = e->indirect_op;
	status = kind_of(e->indirect_op, limits, &rq->kind);
	if (status != BLKIF_RSP_OKAY)
		return status;
	if (e->nr_segments == 0 || e->nr_segments > BLK_MAX_SEGMENTS)
		return BLKIF_RSP_ERROR;
	rq->first = e->sector_number;
	rq->nlisted = e->nr_segments;
	rq->nindirect = (rq->nlisted + BLK_LISTED_PER_PAGE - 1) / BLK_LISTED_PER_PAGE;
	memcpy(rq->indirect, e->indirect_grefs, sizeof(rq->indirect));
	return BLKIF_RSP_OKAY;
}

/* Secure or not: that it could be was never said, and then the flag means nothing. */
static int parse_discard(
    const struct blkif_request_discard *e, const struct blk_limits *limits, struct blk_request *rq)
{
	rq->kind = BLK_DISCARD;
	if (!limits->discards)
		return BLKIF_RSP_EOPNOTSUPP;
	if (limits->read_only)
		return BLKIF_RSP_ERROR;
	rq->first = e->sector_number;
	return set_range(rq, e->nr_sectors, limits);
}

/* One with data would be a write, too; no frontend sends that where barriers are not offered. */
static int parse_flush(const struct blkif_request *e, struct blk_request *rq)
{
	rq->kind = BLK_FLUSH;
	return e->nr_segments == 0 ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
}

int request_parse(const union blk_entry *e, const struct blk_limits *limits, struct blk_request *rq)
{
	rq->id = e->rw.id;
	rq->operation = e->rw.operation;
	rq->offset = rq->length = 0;
	rq->nsegments = rq->nlisted = rq->nindirect = 0;
	switch (e->rw.operation) {
	case BLKIF_OP_INDIRECT:
		return parse_indirect(&e->indirect, limits, rq);
	case BLKIF_OP_DISCARD:
		return parse_discard(&e->discard, limits, rq);
	case BLKIF_OP_FLUSH_DISKCACHE:
		return parse_flush(&e->rw, rq);
	default:
		return parse_direct(&e->rw, limits, rq);
	}
}
