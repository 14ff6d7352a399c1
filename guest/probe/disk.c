/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks, used as a frontend of Xen's block interface uses them: persistent=1, indirect=1, order=N say
 * how.  Whoever has run us may compare what the file holds with the hash that we print.
 */
#include "disk.h"

#define BATCH 16u /* requests under way at a time */
#define DIRECT_SECTORS (BLKIF_MAX_SEGMENTS_PER_REQUEST * FRONT_PAGE_SECTORS)
#define INDIRECT_SECTORS (FRONT_PAGES * FRONT_PAGE_SECTORS)

struct front front;
char *disk_image;
static uint64_t rng;

uint64_t disk_random(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

void disk_begin(int argc, char **argv)
{
	front.persistent = arg_u64(argc, argv, "persistent", 0) != 0;
	front.indirect = arg_u64(argc, argv, "indirect", 0) != 0;
	front.order = (unsigned int)arg_u64(argc, argv, "order", 0);
	rng = arg_u64(argc, argv, "seed", 1) * 2 + 1;
	front_connect(&front);
	disk_image = page_alloc(front.sectors * FRONT_SECTOR / PAGE_SIZE + 1);
	if (disk_image == NULL)
		fail(1, "no memory for %llu sectors", (unsigned long long)front.sectors);
}

unsigned int disk_most_sectors(void)
{
	return front.indirect ? INDIRECT_SECTORS : DIRECT_SECTORS;
}

static void fill(uint64_t sector, unsigned int sectors)
{
	uint64_t *word = (uint64_t *)(disk_image + sector * FRONT_SECTOR);

	for (unsigned int i = 0; i < sectors * FRONT_SECTOR / sizeof(*word); i++)
		word[i] = disk_random(UINT64_MAX);
}

/* One request that is under way. */
struct part {
	struct front_io *io;
	uint8_t operation;
	uint64_t sector;
	unsigned int sectors;
};

static void start(struct part *p, uint8_t operation, uint64_t sector, unsigned int sectors)
{
	*p = (struct part){front_get(&front), operation, sector, sectors};
	if (operation == BLKIF_OP_WRITE)
		memcpy(p->io->data, disk_image + sector * FRONT_SECTOR, sectors * FRONT_SECTOR);
	else
		memset(p->io->data, 0x5a, sectors * FRONT_SECTOR);
	front_start(&front, p->io, operation, sector, sectors);
}

static void finish(const struct part *p)
{
	size_t len = p->sectors * FRONT_SECTOR;

	expect(2, p->operation == BLKIF_OP_WRITE ? "write" : "read", front_wait(&front, p->io),
	    BLKIF_RSP_OKAY);
	if (p->operation == BLKIF_OP_READ &&
	    memcmp(p->io->data, disk_image + p->sector * FRONT_SECTOR, len) != 0)
		fail(3, "sector %llu and %u after it are not what was written",
		    (unsigned long long)p->sector, p->sectors - 1);
}

/* All of the disk, in pieces of any size. */
void disk_sweep(uint8_t operation)
{
	struct part parts[BATCH];
	uint64_t sector = 0;
	unsigned int n, len;

	while (sector < front.sectors) {
		for (n = 0; n < BATCH && sector < front.sectors; n++) {
			len = 1 + (unsigned int)disk_random(disk_most_sectors());
			if (len > front.sectors - sector)
				len = (unsigned int)(front.sectors - sector);
			start(&parts[n], operation, sector, len);
			sector += len;
		}
		for (unsigned int i = 0; i < n; i++)
			finish(&parts[i]);
	}
}

static void flush(void)
{
	struct front_io *io = front_get(&front);

	front_simple(&front, io, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
	expect(4, "flush", front_wait(&front, io), BLKIF_RSP_OKAY);
}

void disk_tell_hash(void)
{
	printf("probe: hash=%016llx\n",
	    (unsigned long long)xxh64(disk_image, front.sectors * FRONT_SECTOR));
}

void disk_write_all(void)
{
	for (uint64_t sector = 0; sector < front.sectors; sector++)
		fill(sector, 1);
	disk_sweep(BLKIF_OP_WRITE);
	flush();
}

/* Write all of it, and read it again. */
static void disk_io(int argc, char **argv)
{
	disk_begin(argc, argv);
	expect(5, "read-only", front.read_only, false);
	disk_write_all();
	disk_sweep(BLKIF_OP_READ);
	disk_tell_hash();
	front_close(&front);
}

/* The image is what is read; reading again gives the same. */
static void load_image(void)
{
	struct part p;

	for (uint64_t sector = 0; sector < front.sectors; sector += p.sectors) {
		unsigned int n = DIRECT_SECTORS;

		if (n > front.sectors - sector)
			n = (unsigned int)(front.sectors - sector);
		p = (struct part){front_get(&front), BLKIF_OP_READ, sector, n};
		front_start(&front, p.io, BLKIF_OP_READ, sector, n);
		expect(6, "read", front_wait(&front, p.io), BLKIF_RSP_OKAY);
		memcpy(disk_image + sector * FRONT_SECTOR, p.io->data, n * FRONT_SECTOR);
	}
}

static int try(uint8_t operation, uint64_t sector, unsigned int sectors)
{
	struct front_io *io = front_get(&front);

	if (operation == BLKIF_OP_READ || operation == BLKIF_OP_WRITE)
		front_start(&front, io, operation, sector, sectors);
	else
		front_simple(&front, io, operation, sector, sectors);
	return front_wait(&front, io);
}

/* A disk that we may only read. */
static void disk_read(int argc, char **argv)
{
	disk_begin(argc, argv);
	expect(7, "read-only", front.read_only, true);
	load_image();
	disk_sweep(BLKIF_OP_READ);
	expect(8, "write", try(BLKIF_OP_WRITE, 0, 8), BLKIF_RSP_ERROR);
	expect(9, "discard", try(BLKIF_OP_DISCARD, 0, 8), BLKIF_RSP_EOPNOTSUPP);
	expect(10, "flush", try(BLKIF_OP_FLUSH_DISKCACHE, 0, 0), BLKIF_RSP_OKAY);
	disk_sweep(BLKIF_OP_READ);
	disk_tell_hash();
	front_close(&front);
}

/* One place in each stripe: what is under way at a time does not overlap. */
static void random_batch(void)
{
	uint64_t stripe = front.sectors / BATCH, sector;
	struct part parts[BATCH];

	for (unsigned int i = 0; i < BATCH; i++) {
		unsigned int n = 1 + (unsigned int)disk_random(disk_most_sectors());
		uint8_t op = disk_random(3) == 0 ? BLKIF_OP_READ : BLKIF_OP_WRITE;

		if (n > stripe)
			n = (unsigned int)stripe;
		sector = i * stripe + disk_random(stripe - n + 1);
		if (op == BLKIF_OP_WRITE)
			fill(sector, n);
		start(&parts[i], op, sector, n);
	}
	for (unsigned int i = 0; i < BATCH; i++)
		finish(&parts[i]);
	if (disk_random(8) == 0)
		flush();
}

/* The host has seen enough: seldom asked, since the answer takes as long as some requests. */
static bool enough(uint64_t batches)
{
	return batches % 16 == 0 && front_told("enough");
}

/*
 * Random reads and writes for seconds=N, or until the host writes the node `enough`, whatever happens to
 * the backend meanwhile.
 */
static void disk_loop(int argc, char **argv)
{
	uint64_t end, batches = 0;

	disk_begin(argc, argv);
	disk_write_all();
	puts("probe: working");
	end = time_after(arg_u64(argc, argv, "seconds", 2) * SECOND);
	for (; time_ns() < end && !enough(batches); batches++)
		random_batch();
	disk_sweep(BLKIF_OP_READ);
	flush();
	printf("probe: batches=%llu\n", (unsigned long long)batches);
	disk_tell_hash();
	front_close(&front);
}

static void disk_discard(int argc, char **argv)
{
	uint64_t half;

	disk_begin(argc, argv);
	expect(11, "discards", front.discards, true);
	half = front.sectors / 2 / FRONT_PAGE_SECTORS * FRONT_PAGE_SECTORS;
	disk_write_all();
	expect(12, "discard", try(BLKIF_OP_DISCARD, 0, (unsigned int)half), BLKIF_RSP_OKAY);
	memset(disk_image, 0, half * FRONT_SECTOR);
	disk_sweep(BLKIF_OP_READ);
	expect(13, "nothing", try(BLKIF_OP_DISCARD, 0, 0), BLKIF_RSP_ERROR);
	expect(14, "beyond the end", try(BLKIF_OP_DISCARD, front.sectors, 1), BLKIF_RSP_ERROR);
	expect(15, "and around", try(BLKIF_OP_DISCARD, UINT64_MAX, 2), BLKIF_RSP_ERROR);
	disk_tell_hash();
	front_close(&front);
}

/* Again and again, each way. */
static void disk_close(int argc, char **argv)
{
	uint64_t rounds = arg_u64(argc, argv, "rounds", 8);

	disk_begin(argc, argv);
	disk_write_all();
	for (uint64_t i = 0; i < rounds; i++) {
		front_close(&front);
		front.persistent = i & 1;
		front.indirect = i & 2;
		front.order = (unsigned int)(i % 3);
		front_say(XenbusStateInitialising);
		front_connect(&front);
		disk_sweep(i % 3 == 0 ? BLKIF_OP_WRITE : BLKIF_OP_READ);
	}
	disk_tell_hash();
	front_close(&front);
}

const struct test tests_disk[] = {
    {"disk-io", disk_io},
    {"disk-read", disk_read},
    {"disk-loop", disk_loop},
    {"disk-discard", disk_discard},
    {"disk-close", disk_close},
    {"disk-bench", disk_bench},
    {"disk-keep", disk_keep},
    {"disk-bad", disk_bad},
    {"disk-lies", disk_lies},
    {"disk-wild", disk_wild},
};
const size_t nr_tests_disk = ARRAY_SIZE(tests_disk);
