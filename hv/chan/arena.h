/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CHAN_ARENA_H
#define HV_CHAN_ARENA_H
/*
 * Buffers in an arena (or in the pool that messages are copied to).  Three sorts:
 *
 *	chunks	64 to 2048 bytes, powers of two: parts of one page that has nothing else
 *	runs	of whole pages
 *	frames	of whole 2 MiB frames, where the arena has such; there, chunks and runs come out of
 *		frames that have nothing else, and that go back when they are needed and empty
 *
 * So frames are only ever sealed with one buffer in them.  All bookkeeping lies apart from the
 * memory itself, which peers read.  Buffers are taken where the last one was given back.
 */
#include <stddef.h>

#include "heap.h"

#define ARENA_PAGE 4096U
#define ARENA_PAGE_SHIFT 12
#define ARENA_CHUNK_MIN_SHIFT 6
#define ARENA_CHUNK_MAX_SHIFT 11
#define ARENA_CLASSES (ARENA_CHUNK_MAX_SHIFT - ARENA_CHUNK_MIN_SHIFT + 1)
#define ARENA_MAX_PAGES HEAP_MAX_UNITS

enum arena_kind { ARENA_NOTHING, ARENA_CHUNKS, ARENA_RUN, ARENA_FRAMES };

/*
 * A page: bit i of the words stands for its chunk i; a run or frames, described by their first page,
 * are chunk 0.
 */
struct arena_page {
	uint64_t free;	     /* chunks that can be allocated */
	uint64_t flag[4];    /* the caller's, see arena_flag; 0 when allocated */
	uint32_t next, prev; /* in its class's list, while it has a free chunk */
	uint8_t kind;	     /* enum arena_kind; ARENA_NOTHING inside of runs and frames */
	uint8_t shift;	     /* of the chunks */
};

struct arena {
	struct heap pages;
	struct heap frames; /* used if frame_pages > 1 */
	struct arena_page *page;
	uint64_t *heads; /* bit p: a run or frames start at page p */
	uint32_t nr_pages;
	uint32_t frame_pages, frame_shift; /* a power of two, and which */
	struct {
		uint32_t first; /* page with a free chunk */
		uint32_t empty; /* the one page without any allocated chunk that is kept */
	} class[ARENA_CLASSES];
};

struct arena_buf {
	uint32_t page, chunk;
};

/*
 * arena_private_bytes: how much memory of zeroes arena_init needs for this arena.
 * arena_init: => nr_pages a multiple of frame_pages, at most ARENA_MAX_PAGES
 */
size_t arena_private_bytes(uint32_t nr_pages, uint32_t frame_pages);
void arena_init(struct arena *a, void *private, uint32_t nr_pages, uint32_t frame_pages);

/*
 * arena_alloc: a buffer of at least len bytes, of whole frames if asked.  False: no room for it.
 * arena_alloc_warm: only if there is a chunk in a page that is in use already.
 * arena_free: => b is allocated
 */
bool arena_alloc(struct arena *a, uint64_t len, bool whole_frames, struct arena_buf *b);
bool arena_alloc_warm(struct arena *a, uint64_t len, struct arena_buf *b);
void arena_free(struct arena *a, struct arena_buf b);

/* arena_find: the allocated buffer that this byte of the arena lies in; false: in none. */
bool arena_find(const struct arena *a, uint64_t offset, struct arena_buf *b);

/* First byte and length of an allocated buffer; whether it consists of whole frames. */
uint64_t arena_start(const struct arena *a, struct arena_buf b);
uint64_t arena_len(const struct arena *a, struct arena_buf b);
bool arena_whole_frames(const struct arena *a, struct arena_buf b);

/* A flag, 0..3, of an allocated buffer. */
static inline bool arena_flag(const struct arena *a, struct arena_buf b, unsigned flag)
{
	return (a->page[b.page].flag[flag] >> b.chunk & 1) != 0;
}

static inline void arena_flag_set(struct arena *a, struct arena_buf b, unsigned flag, bool value)
{
	uint64_t bit = UINT64_C(1) << b.chunk;
	uint64_t *word = &a->page[b.page].flag[flag];

	*word = value ? *word | bit : *word & ~bit;
}

#endif
