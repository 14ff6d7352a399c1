/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast a disk is, for a frontend that does nothing else: requests of one size, one behind the other
 * on the disk and around it, up to `depth` of them under way.  Data stays in the pages that were granted
 * for it.  The host knows what its own reads and writes take.
 */
#include "disk.h"

struct load {
	uint8_t operation;
	unsigned int sectors, depth;
	uint64_t next; /* sector */
	/* Under way, in the order in which they were started. */
	struct front_io *ios[FRONT_MAX_IOS];
	uint64_t started, ended;
};

static void top_up(struct load *l)
{
	for (; l->started - l->ended < l->depth; l->started++) {
		struct front_io *io = front_get(&front);

		if (l->next + l->sectors > front.sectors)
			l->next = 0;
		front_queue(&front, io, l->operation, l->next, l->sectors);
		l->ios[l->started % FRONT_MAX_IOS] = io;
		l->next += l->sectors;
	}
	front_publish(&front);
}

/* The first of them, and whatever else is done by then. */
static void reap(struct load *l)
{
	do
		expect(16, "its status", front_wait(&front, l->ios[l->ended++ % FRONT_MAX_IOS]),
		    BLKIF_RSP_OKAY);
	while (l->ended < l->started && l->ios[l->ended % FRONT_MAX_IOS]->done);
}

static void drain(struct load *l)
{
	while (l->ended < l->started)
		reap(l);
}

/* Each io once: what is kept mapped is mapped then. */
static void warm_up(struct load *l)
{
	unsigned int depth = l->depth;

	l->depth = FRONT_MAX_IOS;
	top_up(l);
	drain(l);
	l->depth = depth;
	l->started = l->ended = 0;
}

static void measure(struct load *l, uint64_t ns)
{
	uint64_t begun = time_ns(), sent = front.sent, slept = front.slept;

	while (time_ns() < begun + ns) {
		top_up(l);
		reap(l);
	}
	drain(l);
	printf("probe: bytes=%llu us=%llu requests=%llu sent=%llu slept=%llu\n",
	    (unsigned long long)l->ended * l->sectors * FRONT_SECTOR,
	    (unsigned long long)((time_ns() - begun) / 1000), (unsigned long long)l->ended,
	    (unsigned long long)(front.sent - sent), (unsigned long long)(front.slept - slept));
}

/* write=0|1, kib= of a request, depth=, ms= */
void disk_bench(int argc, char **argv)
{
	struct load l = {
	    .operation = arg_u64(argc, argv, "write", 0) ? BLKIF_OP_WRITE : BLKIF_OP_READ,
	    .sectors = (unsigned int)arg_u64(argc, argv, "kib", 4) * 1024 / FRONT_SECTOR,
	    .depth = (unsigned int)arg_u64(argc, argv, "depth", 1),
	};

	disk_begin(argc, argv);
	expect(17, "a load that can be",
	    l.sectors > 0 && l.sectors <= disk_most_sectors() && l.depth > 0 &&
		l.depth <= FRONT_MAX_IOS && front.sectors >= l.sectors,
	    true);
	warm_up(&l);
	measure(&l, arg_u64(argc, argv, "ms", 200) * (SECOND / 1000));
	front_close(&front);
}
