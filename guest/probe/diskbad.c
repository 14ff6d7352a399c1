/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frontends that do not keep to the rules: each wrong request is answered with an error, a ring whose
 * indices lie is stopped, and the disk holds what it held.
 */
#include "disk.h"

union request {
	struct blkif_request rw;
	struct blkif_request_indirect in;
};

/* What no backend may take: a request to read sector 0 into one page, and what is done to it. */
struct bad {
	const char *what;
	bool indirect;
	void (*spoil)(union request *e);
	int status; /* what is answered */
};

static void no_segments(union request *e)
{
	e->rw.nr_segments = 0;
}

static void many_segments(union request *e)
{
	e->rw.nr_segments = BLKIF_MAX_SEGMENTS_PER_REQUEST + 1;
}

static void first_after_last(union request *e)
{
	e->rw.seg[0].first_sect = 3;
	e->rw.seg[0].last_sect = 2;
}

static void last_beyond_page(union request *e)
{
	e->rw.seg[0].last_sect = FRONT_PAGE_SECTORS;
}

static void at_the_end(union request *e)
{
	e->rw.sector_number = front.sectors;
}

static void across_the_end(union request *e)
{
	e->rw.sector_number = front.sectors - FRONT_PAGE_SECTORS + 1;
}

static void around(union request *e)
{
	e->rw.sector_number = UINT64_MAX - 3;
}

static void unknown(union request *e)
{
	e->rw.operation = 77;
}

static void barrier(union request *e)
{
	e->rw.operation = BLKIF_OP_WRITE_BARRIER;
}

static void flush_with_data(union request *e)
{
	e->rw.operation = BLKIF_OP_FLUSH_DISKCACHE;
}

static void no_such_ref(union request *e)
{
	e->rw.seg[0].gref = 4000;
}

static void wild_ref(union request *e)
{
	e->rw.seg[0].gref = 0xdeadbeef;
}

static void one_wild_ref(union request *e)
{
	e->rw.nr_segments = 2;
	e->rw.seg[1] = (struct blkif_request_segment){.gref = 0xfffffff0, .last_sect = 7};
}

static void indirect_indirect(union request *e)
{
	e->in.indirect_op = BLKIF_OP_INDIRECT;
}

static void indirect_flush(union request *e)
{
	e->in.indirect_op = BLKIF_OP_FLUSH_DISKCACHE;
}

static void indirect_none(union request *e)
{
	e->in.nr_segments = 0;
}

static void indirect_many(union request *e)
{
	e->in.nr_segments = 257;
}

static void indirect_most(union request *e)
{
	e->in.nr_segments = UINT16_MAX;
}

static void indirect_wild(union request *e)
{
	e->in.indirect_grefs[0] = 0x12345678;
}

/* The page of segments is full of anything. */
static void indirect_garbage(union request *e)
{
	e->in.nr_segments = 200;
}

static const struct bad bads[] = {
    {"no segments", false, no_segments, BLKIF_RSP_ERROR},
    {"too many segments", false, many_segments, BLKIF_RSP_ERROR},
    {"first after last", false, first_after_last, BLKIF_RSP_ERROR},
    {"last beyond the page", false, last_beyond_page, BLKIF_RSP_ERROR},
    {"at the end", false, at_the_end, BLKIF_RSP_ERROR},
    {"across the end", false, across_the_end, BLKIF_RSP_ERROR},
    {"around", false, around, BLKIF_RSP_ERROR},
    {"unknown", false, unknown, BLKIF_RSP_EOPNOTSUPP},
    {"barrier", false, barrier, BLKIF_RSP_EOPNOTSUPP},
    {"flush with data", false, flush_with_data, BLKIF_RSP_ERROR},
    {"no such reference", false, no_such_ref, BLKIF_RSP_ERROR},
    {"wild reference", false, wild_ref, BLKIF_RSP_ERROR},
    {"one wild reference", false, one_wild_ref, BLKIF_RSP_ERROR},
    {"indirect indirect", true, indirect_indirect, BLKIF_RSP_EOPNOTSUPP},
    {"indirect flush", true, indirect_flush, BLKIF_RSP_EOPNOTSUPP},
    {"indirect, no segments", true, indirect_none, BLKIF_RSP_ERROR},
    {"indirect, too many", true, indirect_many, BLKIF_RSP_ERROR},
    {"indirect, as many as can be said", true, indirect_most, BLKIF_RSP_ERROR},
    {"indirect, wild reference", true, indirect_wild, BLKIF_RSP_ERROR},
    {"indirect, garbage", true, indirect_garbage, BLKIF_RSP_ERROR},
};

/* Its data page is granted by refs[0], its page of segments by listed_ref. */
static union request sound(const struct front_io *io, bool indirect)
{
	union request e = {0};

	if (indirect) {
		e.in = (struct blkif_request_indirect){.operation = BLKIF_OP_INDIRECT,
		    .indirect_op = BLKIF_OP_READ,
		    .nr_segments = 1,
		    .id = (uint64_t)(io - front.ios),
		    .indirect_grefs = {io->listed_ref}};
	} else {
		e.rw = (struct blkif_request){
		    .operation = BLKIF_OP_READ, .nr_segments = 1, .id = (uint64_t)(io - front.ios)};
		e.rw.seg[0] = (struct blkif_request_segment){
		    .gref = io->refs[0], .last_sect = FRONT_PAGE_SECTORS - 1};
	}
	return e;
}

/* An io with one page, granted for one request, or for good anyway. */
static struct front_io *get_one(bool writable)
{
	struct front_io *io = front_get(&front);

	memset(io->listed, 0xa5, PAGE_SIZE);
	if (front.persistent)
		return io;
	expect(20, "grant", grant_page(io->data, 0, writable, &io->refs[0]), 0);
	expect(20, "grant", grant_page(io->listed, 0, false, &io->listed_ref), 0);
	io->npages = 1;
	return io;
}

static int put_through(struct front_io *io, const union request *e, uint8_t operation)
{
	front_raw(&front, io, e, operation);
	front_publish(&front);
	return front_wait(&front, io);
}

static int try_bad(const struct bad *b)
{
	struct front_io *io = get_one(true);
	union request e = sound(io, b->indirect);

	b->spoil(&e);
	return put_through(io, &e, b->indirect ? e.in.indirect_op : e.rw.operation);
}

/* Nobody reads into a page that was granted for reading; but a write may come from there. */
static void try_readonly_page(void)
{
	struct front_io *io = get_one(false);
	union request e = sound(io, false);

	expect(21, "into a read-only page", put_through(io, &e, BLKIF_OP_READ), BLKIF_RSP_ERROR);
	io = get_one(false);
	memcpy(io->data, disk_image, PAGE_SIZE);
	e = sound(io, false);
	e.rw.operation = BLKIF_OP_WRITE;
	expect(22, "from one", put_through(io, &e, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
}

void disk_bad(int argc, char **argv)
{
	disk_begin(argc, argv);
	disk_write_all();
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		expect(30 + (int)i, bads[i].what, try_bad(&bads[i]), bads[i].status);
		disk_sweep(BLKIF_OP_READ);
	}
	if (!front.persistent)
		try_readonly_page();
	disk_sweep(BLKIF_OP_READ);
	disk_tell_hash();
	front_close(&front);
}

/* => after front_close */
static void connect_again(void)
{
	front_say(XenbusStateInitialising);
	front_connect(&front);
}

/* No response comes any more, to nothing; a new ring is as good as ever. */
static void lie(RING_IDX req_prod)
{
	struct front_io *io = get_one(true);
	union request e = sound(io, false);
	RING_IDX rsp_prod = front.shared->rsp_prod;

	front_raw(&front, io, &e, BLKIF_OP_READ);
	__atomic_store_n(&front.shared->req_prod, req_prod, __ATOMIC_SEQ_CST);
	(void)event_send(front.port);
	time_sleep(SECOND / 4);
	__atomic_store_n(&front.shared->req_prod, front.req_prod, __ATOMIC_SEQ_CST);
	(void)event_send(front.port);
	time_sleep(SECOND / 4);
	expect(23, "responses", front.shared->rsp_prod, rsp_prod);
	io->busy = false;
	front_close(&front);
	connect_again();
	disk_sweep(BLKIF_OP_READ);
}

void disk_lies(int argc, char **argv)
{
	disk_begin(argc, argv);
	disk_write_all();
	lie(front.req_prod + front.size + 1);
	lie(front.req_prod + 0x80000000u);
	lie(front.req_prod - 1);
	lie(front.req_prod - front.size - 7);
	/* A ring that is wrong from the start is not taken at all. */
	front_close(&front);
	front_say(XenbusStateInitialising);
	front_await(XenbusStateInitWait);
	front_offer(&front, 1000);
	front_await(XenbusStateClosing);
	front_forget(&front);
	connect_again();
	disk_sweep(BLKIF_OP_READ);
	disk_tell_hash();
	front_close(&front);
}

/* Some of it may look like a request; none may be a write. */
static void garbage(union request *e)
{
	uint64_t *word = (uint64_t *)e;

	for (size_t i = 0; i < sizeof(*e) / sizeof(*word); i++)
		word[i] = disk_random(UINT64_MAX);
	e->rw.operation = (uint8_t)disk_random(16);
	if (e->rw.operation == BLKIF_OP_WRITE || e->rw.operation == BLKIF_OP_DISCARD)
		e->rw.operation = BLKIF_OP_READ;
	if (e->rw.operation == BLKIF_OP_INDIRECT)
		e->in.indirect_op = (uint8_t)(disk_random(2) * 7);
	if (disk_random(2))
		e->rw.sector_number = disk_random(2 * front.sectors);
	if (disk_random(2))
		e->rw.nr_segments = (uint8_t)disk_random(14);
	for (unsigned int i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST && disk_random(8); i++)
		e->rw.seg[i] = (struct blkif_request_segment){
		    .gref = front.ios[disk_random(FRONT_MAX_IOS)].refs[disk_random(FRONT_PAGES)],
		    .first_sect = (uint8_t)disk_random(8),
		    .last_sect = (uint8_t)disk_random(9)};
}

/* For a while: anything in the ring, and now and then an index that lies. */
static void go_wild(uint64_t end)
{
	RING_IDX prod = front.req_prod;

	for (uint64_t i = 0; time_ns() < end; i++) {
		for (unsigned int k = 0; k < front.size; k++)
			garbage((union request *)&front.shared->ring[k]);
		prod = front.shared->rsp_prod + (RING_IDX)disk_random(front.size + 1);
		if (disk_random(200) == 0)
			prod = (RING_IDX)disk_random(UINT32_MAX);
		__atomic_store_n(&front.shared->req_prod, prod, __ATOMIC_SEQ_CST);
		(void)event_send(front.port);
		if (disk_random(4) == 0)
			front.shared->req_event = (RING_IDX)disk_random(UINT32_MAX);
	}
}

void disk_wild(int argc, char **argv)
{
	uint64_t end = time_after(arg_u64(argc, argv, "seconds", 5) * SECOND), rounds = 0;

	disk_begin(argc, argv);
	disk_write_all();
	for (; time_ns() < end; rounds++) {
		go_wild(time_after(SECOND / 5));
		front_close(&front);
		connect_again();
		disk_sweep(BLKIF_OP_READ);
	}
	printf("probe: rounds=%llu\n", (unsigned long long)rounds);
	disk_tell_hash();
	front_close(&front);
}
