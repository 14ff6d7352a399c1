/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/blk/vbd.c host-tools/blk/request.c host-tools/blk/ring.c host-tools/blk/grants.c host-tools/blk/io.c host-tools/blk/disk.c host-tools/blk/say.c hv/lib/failure.c tests/unit/blk/fake_xen.c */
/* pkgs: liburing */
/*
 * A whole backend but for its xenstore, with a real file behind it, and a frontend that is made up here.
 */
#include "fake_xen.h"
#include "vbd.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECTORS 64u
#define DATA FAKE_RING_PAGES /* the first page that is no ring's */
#define NDATA (FAKE_PAGES - DATA)
#define RING_ENTRIES 32u

static struct vbd v;
static struct disk disk;
static char path[] = "/tmp/test_vbd.XXXXXX";
static uint8_t model[SECTORS * BLK_SECTOR]; /* what the disk must hold */
static struct blkif_sring *shared;
static uint32_t rsp_cons;

static bool no_uring(void)
{
	struct io_uring u;
	int error = io_uring_queue_init(4, &u, 0);

	if (error == 0)
		io_uring_queue_exit(&u);
	return error != 0;
}

static void connect_front(bool persistent)
{
	struct vbd_front front = {
	    .npages = 1, .refs = {FAKE_REF}, .port = 3, .persistent = persistent};
	struct failure f;

	shared = fake_page(0);
	memset(shared, 0, BLK_PAGE);
	shared->req_event = shared->rsp_event = 1;
	rsp_cons = 0;
	cr_assert_eq(vbd_connect(&v, &front, &f), 0);
}

static bool share; /* the next disk is to be lent */

static void open_all(bool read_only, bool persistent)
{
	struct failure f;
	int fd;

	if (no_uring())
		cr_skip_test("no io_uring here");
	fake_open();
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	for (unsigned i = 0; i < sizeof(model); i++)
		model[i] = (uint8_t)(i * 7 + i / 512);
	cr_assert_eq(write(fd, model, sizeof(model)), sizeof(model));
	close(fd);
	cr_assert_eq(disk_open(&disk, path, read_only, &f), 0, "%s", f.text);
	unlink(path);
	cr_assert_eq(disk.limits.sectors, SECTORS);
	disk.share = share;
	cr_assert_eq(vbd_open(&v, &disk, 1, &f), 0, "%s", f.text);
	connect_front(persistent);
}

static void put(const void *request)
{
	memcpy(
	    &shared->ring[shared->req_prod & (RING_ENTRIES - 1)], request, sizeof(union blk_entry));
	__atomic_fetch_add(&shared->req_prod, 1, __ATOMIC_SEQ_CST);
}

/* Until everything is answered. */
static void settle(void)
{
	const struct timespec pause = {.tv_nsec = 20000};

	while (vbd_serve(&v) || v.under_way > 0)
		nanosleep(&pause, NULL);
	(void)vbd_serve(&v);
}

static int status_of(uint64_t id, uint8_t operation)
{
	const struct blkif_response *rsp;

	cr_assert_neq(shared->rsp_prod, rsp_cons, "no response");
	rsp = &shared->ring[rsp_cons++ & (RING_ENTRIES - 1)].rsp;
	cr_assert_eq(rsp->id, id);
	cr_assert_eq(rsp->operation, operation);
	return rsp->status;
}

/* One page of the disk, or back. */
static union blk_entry one(uint8_t operation, uint64_t id, uint64_t sector, unsigned page)
{
	union blk_entry e = {.rw = {.operation = operation,
				 .nr_segments = 1,
				 .id = id,
				 .sector_number = sector,
				 .seg = {{FAKE_REF + page, 0, 7}}}};

	return e;
}

static int through(const union blk_entry *e)
{
	uint8_t op = e->rw.operation == BLKIF_OP_INDIRECT ? e->indirect.indirect_op
							  : e->rw.operation;

	put(e);
	settle();
	return status_of(e->rw.id, op);
}

static void check_disk(void)
{
	uint8_t now[sizeof(model)];

	cr_assert_eq(pread(disk.fd, now, sizeof(now), 0), sizeof(now));
	cr_assert_arr_eq(now, model, sizeof(model));
}

Test(vbd, read_write)
{
	union blk_entry e;

	for (unsigned persistent = 0; persistent < 2; persistent++) {
		if (persistent == 0)
			open_all(false, false);
		else
			connect_front(true);
		e = one(BLKIF_OP_READ, 1, 8, DATA);
		cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
		cr_assert_arr_eq((uint8_t *)fake_page(DATA), model + 8 * 512, 4096);
		memset(fake_page(DATA + 1), 0xab, 4096);
		memset(model + 16 * 512, 0xab, 4096);
		e = one(BLKIF_OP_WRITE, 2, 16, DATA + 1);
		cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
		e = (union blk_entry){.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE, .id = 3}};
		cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
		check_disk();
		/* The ring, and what is kept. */
		cr_assert_eq(fake.mapped, persistent ? 3 : 1);
		vbd_disconnect(&v);
		cr_assert_eq(fake.mapped, 0);
		cr_assert(!fake.bound);
	}
}

/* A page that is granted for reading is written from; nobody reads into it. */
Test(vbd, read_only_page)
{
	union blk_entry e = one(BLKIF_OP_READ, 1, 0, DATA);

	open_all(false, false);
	fake.read_only[DATA] = true;
	cr_assert_eq(through(&e), BLKIF_RSP_ERROR);
	e.rw.operation = BLKIF_OP_WRITE;
	memset(model, 0, 4096);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	check_disk();
}

Test(vbd, read_only_disk)
{
	union blk_entry e = one(BLKIF_OP_WRITE, 1, 0, DATA);

	open_all(true, false);
	cr_assert_eq(through(&e), BLKIF_RSP_ERROR);
	e.rw.operation = BLKIF_OP_READ;
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	e = (union blk_entry){.discard = {.operation = BLKIF_OP_DISCARD, .id = 2, .nr_sectors = 8}};
	cr_assert_eq(through(&e), BLKIF_RSP_EOPNOTSUPP);
	check_disk();
}

/* The file has become shorter behind our back. */
Test(vbd, short_file)
{
	union blk_entry e = one(BLKIF_OP_READ, 1, 8, DATA);

	open_all(false, false);
	cr_assert_eq(ftruncate(disk.fd, 12 * 512), 0);
	cr_assert_eq(through(&e), BLKIF_RSP_ERROR);
	e.rw.sector_number = 4;
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
}

/* Six segments from a sector on, the third of which is only a part of its page. */
static union blk_entry mixed(uint64_t sector)
{
	union blk_entry e = {
	    .rw = {.operation = BLKIF_OP_READ, .nr_segments = 6, .id = 1, .sector_number = sector}};

	for (unsigned i = 0; i < 6; i++)
		e.rw.seg[i] = (struct blkif_request_segment){
		    .gref = FAKE_REF + DATA + i, .first_sect = 0, .last_sect = i == 2 ? 3 : 7};
	return e;
}

static void check_mixed(uint64_t sector)
{
	const uint8_t *at = model + sector * 512;

	for (unsigned i = 0; i < 6; i++) {
		size_t len = i == 2 ? 2048 : 4096;

		cr_assert_arr_eq((uint8_t *)fake_page(DATA + i), at, len, "segment %u", i);
		at += len;
	}
	memset(fake_page(DATA), 0x11, 6 * 4096);
}

/* Whole pages are lent; the others, and those that can't be, are read in between. */
Test(vbd, shared_disk)
{
	union blk_entry e = mixed(0);

	share = true;
	/* Nothing stays mapped of a frontend that would like that. */
	open_all(true, true);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	cr_assert_eq(fake.filled, 2, "from the half page on all lie across the file's pages");
	check_mixed(0);
	e = mixed(4);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	cr_assert_eq(fake.filled, 5);
	check_mixed(4);
	fake.unwilling[DATA] = fake.unwilling[DATA + 4] = true;
	e = mixed(0);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	check_mixed(0);
	e = mixed(4);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	check_mixed(4);
	cr_assert_eq(fake.filled, 8);
	fake.stale = true;
	e = mixed(0);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
	check_mixed(0);
	cr_assert_eq(fake.filled, 8);
	cr_assert_eq(fake.mapped, 1);
	vbd_disconnect(&v);
	cr_assert_eq(fake.mapped, 0);
}

/* All of it lent: no I/O at all, and the answers in order. */
Test(vbd, shared_disk_in_order)
{
	union blk_entry e;

	share = true;
	open_all(true, false);
	fake.unwilling[DATA + 1] = true;
	for (unsigned i = 0; i < 6; i++) {
		e = one(BLKIF_OP_READ, i, i * 8, DATA + i);
		put(&e);
	}
	settle();
	for (unsigned i = 0; i < 6; i++) {
		cr_assert_eq(status_of(i, BLKIF_OP_READ), BLKIF_RSP_OKAY);
		cr_assert_arr_eq((uint8_t *)fake_page(DATA + i), model + i * 4096, 4096);
	}
	cr_assert_eq(fake.filled, 5);
	fake.read_only[DATA] = true;
	e = one(BLKIF_OP_READ, 1, 0, DATA);
	cr_assert_eq(through(&e), BLKIF_RSP_ERROR);
}

/* Responses in the order of the requests, whatever takes how long. */
Test(vbd, order)
{
	union blk_entry e;

	open_all(false, true);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < RING_ENTRIES; i++) {
			e = i % 3 == 1
				? (union blk_entry){.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE,
							.id = i}}
				: one(i % 5 == 0 ? BLKIF_OP_WRITE : BLKIF_OP_READ, i, i % 56,
				      DATA + i);
			put(&e);
		}
		settle();
		for (unsigned i = 0; i < RING_ENTRIES; i++) {
			uint8_t op = i % 3 == 1	  ? BLKIF_OP_FLUSH_DISKCACHE
				     : i % 5 == 0 ? BLKIF_OP_WRITE
						  : BLKIF_OP_READ;

			cr_assert_eq(status_of(i, op), BLKIF_RSP_OKAY);
		}
	}
}

/* A frontend that looks for its responses is sent an event for the first of them only. */
Test(vbd, told_of_the_first)
{
	union blk_entry e;

	open_all(false, true);
	fake.notified = 0;
	for (unsigned i = 0; i < 20; i++) {
		e = one(BLKIF_OP_READ, i, 0, DATA);
		put(&e);
	}
	settle();
	cr_assert_eq(fake.notified, 1);
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(status_of(i, BLKIF_OP_READ), BLKIF_RSP_OKAY);
}

/* While requests are looked for, nobody need tell of them; before it sleeps, it says so. */
Test(vbd, rest)
{
	union blk_entry e = one(BLKIF_OP_READ, 1, 0, DATA);

	open_all(false, true);
	cr_assert(!vbd_work(&v));
	cr_assert(!vbd_rest(&v));
	cr_assert_eq(shared->req_event, 1);
	put(&e);
	fake.told = true;
	cr_assert(vbd_event(&v));
	cr_assert(vbd_work(&v));
	settle();
	cr_assert_eq(status_of(1, BLKIF_OP_READ), BLKIF_RSP_OKAY);
	cr_assert_eq(shared->req_event, 1, "it wants to be told");
	cr_assert_eq(fake.unmasked, 0, "it has not slept");
	/* One comes just before. */
	put(&e);
	cr_assert(vbd_rest(&v));
	settle();
	cr_assert_eq(status_of(1, BLKIF_OP_READ), BLKIF_RSP_OKAY);
	cr_assert(!vbd_rest(&v));
	cr_assert_eq(shared->req_event, 3);
	cr_assert_eq(fake.unmasked, 1);
	/* Nothing was told since. */
	cr_assert(!vbd_rest(&v));
	cr_assert_eq(fake.unmasked, 1);
}

/* Where it was killed does not matter: what had no response is done, and answered once. */
Test(vbd, successor)
{
	union blk_entry e;
	struct failure f;
	const struct vbd_front front = {.npages = 1, .refs = {FAKE_REF}, .port = 3};

	open_all(false, false);
	for (unsigned i = 0; i < 10; i++) {
		memset(fake_page(DATA + i), (int)i, 4096);
		e = one(BLKIF_OP_WRITE, i, i % 8 * 8, DATA + i);
		put(&e);
	}
	/* Killed before it did anything at all; that its port is free is noticed later. */
	fake.busy = 3;
	memset(&v, 0, sizeof(v));
	cr_assert_eq(vbd_open(&v, &disk, 1, &f), 0);
	v.patience_ms = 1000;
	fake.notified = 0;
	cr_assert_eq(vbd_connect(&v, &front, &f), 0);
	cr_assert_eq(fake.notified, 1);
	settle();
	for (unsigned i = 0; i < 10; i++) {
		memset(model + i % 8 * 4096, (int)i, 4096);
		cr_assert_eq(status_of(i, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
	}
}

Test(vbd, lies)
{
	union blk_entry e = one(BLKIF_OP_READ, 1, 0, DATA);

	open_all(false, false);
	put(&e);
	shared->req_prod = 1000;
	settle();
	cr_assert(v.stopped);
	shared->req_prod = 1;
	settle();
	cr_assert_eq(shared->rsp_prod, 0);
	vbd_disconnect(&v);
	cr_assert_eq(fake.mapped, 0);
	connect_front(false);
	cr_assert_eq(through(&e), BLKIF_RSP_OKAY);
}

Test(vbd, connect_fails)
{
	struct vbd_front front = {.npages = 1, .refs = {FAKE_REF + FAKE_PAGES}, .port = 3};
	struct failure f;

	open_all(false, false);
	vbd_disconnect(&v);
	cr_assert_neq(vbd_connect(&v, &front, &f), 0);
	cr_assert(!fake.bound);
	front.refs[0] = FAKE_REF;
	front.port = 4;
	cr_assert_neq(vbd_connect(&v, &front, &f), 0);
	front.port = 3;
	shared->req_prod = 77;
	cr_assert_neq(vbd_connect(&v, &front, &f), 0);
	cr_assert(!fake.bound);
	cr_assert_eq(fake.mapped, 0);
	shared->req_prod = 0;
	cr_assert_eq(vbd_connect(&v, &front, &f), 0);
}

/* The io_uring does what it is for, on this file, and nothing else. */
Test(vbd, uring_is_restricted)
{
	struct io_uring_sqe *sqe;
	uint64_t tag;
	int result;

	open_all(false, false);
	sqe = io_uring_get_sqe(&v.io.uring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	cr_assert_eq(io_submit(&v.io), 0);
	cr_assert(io_done(&v.io, true, &tag, &result));
	cr_assert_eq(result, -EACCES);
	/* Another descriptor of ours. */
	sqe = io_uring_get_sqe(&v.io.uring);
	io_uring_prep_fsync(sqe, disk.fd, 0);
	cr_assert_eq(io_submit(&v.io), 0);
	cr_assert(io_done(&v.io, true, &tag, &result));
	cr_assert_eq(result, -EACCES);
}

/* ---- anything in the ring ---- */

static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static uint64_t some_sector(void)
{
	switch (random_below(4)) {
	case 0:
		return random_below(UINT64_MAX);
	case 1:
		return UINT64_MAX - random_below(32);
	default:
		return random_below(SECTORS + 8);
	}
}

static struct blkif_request_segment some_segment(void)
{
	return (struct blkif_request_segment){
	    .gref = random_below(16) == 0 ? (uint32_t)random_below(UINT32_MAX)
					  : FAKE_REF + DATA + (uint32_t)random_below(NDATA),
	    .first_sect = (uint8_t)random_below(random_below(32) == 0 ? 256 : 5),
	    .last_sect = (uint8_t)(3 + random_below(random_below(32) == 0 ? 250 : 6))};
}

static union blk_entry some_entry(void)
{
	static const uint8_t ops[] = {0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 200};
	union blk_entry e;
	uint8_t *byte = (uint8_t *)&e;

	for (size_t i = 0; i < sizeof(e); i++)
		byte[i] = (uint8_t)random_below(256);
	e.rw.operation = ops[random_below(sizeof(ops))];
	if (random_below(16) == 0)
		return e;
	e.rw.sector_number = some_sector();
	if (e.rw.operation == BLKIF_OP_INDIRECT) {
		e.indirect.indirect_op = (uint8_t)random_below(4);
		e.indirect.nr_segments = (uint16_t)random_below(random_below(8) == 0 ? 65536 : 40);
		e.indirect.indirect_grefs[0] = some_segment().gref;
		return e;
	}
	if (e.rw.operation == BLKIF_OP_DISCARD) {
		e.discard.nr_sectors = some_sector();
		return e;
	}
	e.rw.nr_segments = (uint8_t)random_below(14);
	for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		e.rw.seg[i] = some_segment();
	return e;
}

/* What a list of segments may do to the disk, by other words than the backend's.  => allowed */
static bool sound_list(
    const struct blkif_request_segment *seg, unsigned n, uint8_t op, uint64_t sector)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		if (seg[i].gref < FAKE_REF || seg[i].gref >= FAKE_REF + FAKE_PAGES ||
		    seg[i].first_sect > seg[i].last_sect || seg[i].last_sect > 7)
			return false;
		if (fake.read_only[seg[i].gref - FAKE_REF] &&
		    (op == BLKIF_OP_READ || v.grants.persistent))
			return false;
		sum += seg[i].last_sect - seg[i].first_sect + 1u;
	}
	return sector < SECTORS && sum <= SECTORS && sector + sum <= SECTORS;
}

static void do_list(const struct blkif_request_segment *seg, unsigned n, uint64_t sector,
    uint8_t (*pages)[4096], bool writes)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned len = (seg[i].last_sect - seg[i].first_sect + 1u) * 512;
		uint8_t *in = pages[seg[i].gref - FAKE_REF] + seg[i].first_sect * 512;

		if (writes)
			memcpy(model + sector * 512, in, len);
		else
			memcpy(in, model + sector * 512, len);
		sector += len / 512;
	}
}

static uint8_t before[FAKE_PAGES][4096];

/* => what is to be answered; model, and `before` as the guest's pages, are as after it */
static int predict(const union blk_entry *e)
{
	struct blkif_request_segment listed[BLK_MAX_SEGMENTS];
	const struct blkif_request_segment *seg = e->rw.seg;
	uint8_t op = e->rw.operation;
	unsigned n = e->rw.nr_segments;
	uint32_t page;

	if (op == BLKIF_OP_FLUSH_DISKCACHE)
		return n == 0 ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
	if (op == BLKIF_OP_DISCARD) {
		if (e->discard.nr_sectors == 0 || e->discard.nr_sectors > SECTORS ||
		    e->discard.sector_number > SECTORS - e->discard.nr_sectors)
			return BLKIF_RSP_ERROR;
		memset(model + e->discard.sector_number * 512, 0, e->discard.nr_sectors * 512);
		return BLKIF_RSP_OKAY;
	}
	if (op == BLKIF_OP_INDIRECT) {
		op = e->indirect.indirect_op;
		n = e->indirect.nr_segments;
		page = e->indirect.indirect_grefs[0] - FAKE_REF;
		if (op > BLKIF_OP_WRITE)
			return BLKIF_RSP_EOPNOTSUPP;
		if (n == 0 || n > BLK_MAX_SEGMENTS || page >= FAKE_PAGES ||
		    (fake.read_only[page] && v.grants.persistent))
			return BLKIF_RSP_ERROR;
		memcpy(listed, before[page], n * sizeof(listed[0]));
		seg = listed;
	} else if (op > BLKIF_OP_WRITE) {
		return BLKIF_RSP_EOPNOTSUPP;
	} else if (n == 0 || n > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
		return BLKIF_RSP_ERROR;
	}
	if (!sound_list(seg, n, op, e->rw.sector_number))
		return BLKIF_RSP_ERROR;
	do_list(seg, n, e->rw.sector_number, before, op == BLKIF_OP_WRITE);
	return BLKIF_RSP_OKAY;
}

/* Segments that may be sound, in a page that an indirect request may name. */
static void fill_listed(void)
{
	struct blkif_request_segment *seg = fake_page(DATA + (unsigned)random_below(NDATA));

	for (unsigned i = 0; i < BLK_LISTED_PER_PAGE; i++)
		seg[i] = some_segment();
}

static void check_pages(void)
{
	for (unsigned i = DATA; i < FAKE_PAGES; i++)
		cr_assert_arr_eq((uint8_t *)fake_page(i), before[i], 4096);
}

static void fuzz_round(unsigned long i)
{
	union blk_entry e = some_entry();
	int want;

	if (random_below(4) == 0)
		fill_listed();
	memcpy(before, fake.pages, sizeof(before));
	want = predict(&e);
	cr_assert_eq(through(&e), want, "round %lu", i);
	check_pages();
	if (i % 16 == 0)
		check_disk();
}

/* BLK_SEED, BLK_ROUNDS: to have the same again, or more of it. */
Test(vbd, fuzz, .timeout = 3600)
{
	const char *text = getenv("BLK_SEED"), *count = getenv("BLK_ROUNDS");
	unsigned long rounds = count != NULL ? strtoul(count, NULL, 10) : 20000;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)now.tv_nsec;
	printf("BLK_SEED=%ju\n", (uintmax_t)seed);
	fflush(stdout);
	seed = seed * 2 + 1;
	open_all(false, false);
	for (unsigned i = DATA; i < FAKE_PAGES; i++)
		fake.read_only[i] = i % 8 == 0;
	for (unsigned long i = 0; i < rounds; i++) {
		if (i % 1000 == 999) {
			vbd_disconnect(&v);
			cr_assert_eq(fake.mapped, 0);
			connect_front(random_below(2));
		}
		fuzz_round(i);
	}
	check_disk();
}
