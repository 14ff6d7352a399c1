/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/chan/arena.c hv/chan/heap.c */
#include "chan/arena.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model/rng.h"

#define HUGE 512

static struct arena arena;
static void *private;

static void make(uint32_t pages, uint32_t frame_pages)
{
	private = calloc(1, arena_private_bytes(pages, frame_pages));
	arena_init(&arena, private, pages, frame_pages);
}

static void unmake(void)
{
	free(private);
}

static struct arena_buf must(uint64_t len, bool whole)
{
	struct arena_buf b = {0};

	cr_assert(arena_alloc(&arena, len, whole, &b));
	cr_assert(arena_len(&arena, b) >= len);
	return b;
}

static bool can(uint64_t len, bool whole)
{
	struct arena_buf b;

	if (!arena_alloc(&arena, len, whole, &b))
		return false;
	arena_free(&arena, b);
	return true;
}

Test(arena, chunks_are_powers_of_two_and_aligned)
{
	make(16, 1);
	for (uint64_t len = 1; len <= 2048; len++) {
		struct arena_buf b = must(len, false);
		uint64_t size = arena_len(&arena, b);

		cr_assert_eq(size & (size - 1), 0);
		cr_assert(size == 64 || size < 2 * len);
		cr_assert_eq(arena_start(&arena, b) % size, 0);
		arena_free(&arena, b);
	}
	unmake();
}

Test(arena, chunk_freed_last_is_used_next)
{
	struct arena_buf b, c;

	make(16, 1);
	b = must(64, false);
	(void)must(64, false);
	arena_free(&arena, b);
	c = must(64, false);
	cr_assert_eq(arena_start(&arena, b), arena_start(&arena, c));
	unmake();
}

Test(arena, all_of_it_can_be_had_in_chunks_and_then_in_one_run)
{
	static struct arena_buf b[16 * 64];

	make(16, 1);
	for (unsigned i = 0; i < 16 * 64; i++)
		b[i] = must(1, false);
	cr_assert(!can(1, false));
	cr_assert(!can(4096, false));
	for (unsigned i = 0; i < 16 * 64; i++)
		arena_free(&arena, b[(i * 37) % (16 * 64)]);
	cr_assert(can(16 * 4096, true));
	unmake();
}

Test(arena, odd_sizes_fit_exactly)
{
	make(61, 1);
	cr_assert(can(61 * 4096, false));
	cr_assert(!can(61 * 4096 + 1, false));
	(void)must(4096, false);
	cr_assert(can(60 * 4096, true));
	cr_assert(!can(61 * 4096, true));
	cr_assert(!can(UINT64_MAX, true));
	unmake();
}

Test(arena, any_byte_of_a_buffer_finds_it)
{
	struct arena_buf b, found;

	make(1024, 1);
	(void)must(5 * 4096, true);
	b = must(300 * 4096, true);
	cr_assert(arena_find(&arena, arena_start(&arena, b) + 300 * 4096 - 1, &found));
	cr_assert_eq(found.page, b.page);
	cr_assert(!arena_find(&arena, arena_start(&arena, b) + 300 * 4096, &found));
	cr_assert(!arena_find(&arena, 1024 * 4096, &found));
	cr_assert(!arena_find(&arena, UINT64_MAX, &found));
	b = must(100, false);
	cr_assert(arena_find(&arena, arena_start(&arena, b) + 127, &found));
	cr_assert_eq(found.chunk, b.chunk);
	cr_assert(!arena_find(&arena, arena_start(&arena, b) + 128, &found));
	arena_free(&arena, b);
	cr_assert(!arena_find(&arena, arena_start(&arena, b), &found));
	unmake();
}

Test(arena, huge_small_buffers_share_one_frame)
{
	struct arena_buf b;

	make(4 * HUGE, HUGE);
	for (unsigned i = 0; i < 400; i++) {
		b = must(64 << i % 9, false);
		cr_assert(b.page < HUGE);
	}
	cr_assert(can(3 * HUGE * 4096, true));
	cr_assert(!can(4 * HUGE * 4096, true));
	unmake();
}

Test(arena, huge_frame_of_small_buffers_comes_back)
{
	struct arena_buf b[3];

	make(2 * HUGE, HUGE);
	b[0] = must(64, false);
	b[1] = must(2048, false);
	b[2] = must(100 * 4096, false);
	cr_assert(!can(2 * HUGE * 4096, true));
	for (unsigned i = 0; i < 3; i++)
		arena_free(&arena, b[i]);
	cr_assert(can(2 * HUGE * 4096, true));
	cr_assert(can(700 * 4096, false)); /* a run over two frames */
	cr_assert(can(2 * HUGE * 4096, true));
	unmake();
}

Test(arena, huge_buffer_has_whole_frames)
{
	struct arena_buf b, found;

	make(8 * HUGE, HUGE);
	(void)must(1, false);
	b = must(2 * HUGE * 4096 + 1, true);
	cr_assert_eq(b.page % HUGE, 0);
	cr_assert_eq(arena_len(&arena, b), 3 * HUGE * 4096);
	cr_assert(arena_whole_frames(&arena, b));
	cr_assert(arena_find(&arena, arena_start(&arena, b) + 3 * HUGE * 4096 - 1, &found));
	cr_assert_eq(found.page, b.page);
	cr_assert(!arena_whole_frames(&arena, must(HUGE * 4096, false)));
	unmake();
}

#define RANDOM_BUFS 300
#define OWNER_PAGES (6 * HUGE)

struct random_buf {
	struct arena_buf b;
	uint64_t start, len;
	bool used;
};

static struct random_buf bufs[RANDOM_BUFS];
static uint16_t owner[OWNER_PAGES * 64]; /* of each 64 bytes: who has it, + 1 */

static void paint(const struct random_buf *r, uint16_t from, uint16_t to)
{
	for (uint64_t unit = r->start / 64; unit < (r->start + r->len) / 64; unit++) {
		cr_assert_eq(owner[unit], from);
		owner[unit] = to;
	}
}

static void random_step(struct rng *rng, uint32_t frame_pages)
{
	uint16_t i = (uint16_t)rng_below(rng, RANDOM_BUFS);
	struct random_buf *r = &bufs[i];
	uint64_t len = rng_below(rng, UINT64_C(1) << (1 + rng_below(rng, 22)));
	bool whole = rng_once_in(rng, 4);

	if (r->used) {
		paint(r, (uint16_t)(i + 1), 0);
		arena_free(&arena, r->b);
		r->used = false;
	} else if (arena_alloc(&arena, len, whole, &r->b)) {
		r->used = true;
		r->start = arena_start(&arena, r->b);
		r->len = arena_len(&arena, r->b);
		cr_assert(r->len >= len);
		paint(r, 0, (uint16_t)(i + 1));
		if (whole)
			cr_assert_eq((r->start | r->len) % (frame_pages * 4096), 0);
	}
}

static void soak(uint32_t frame_pages)
{
	struct rng rng = {.state = frame_pages};

	make(OWNER_PAGES, frame_pages);
	for (unsigned i = 0; i < 40000; i++)
		random_step(&rng, frame_pages);
	for (unsigned i = 0; i < RANDOM_BUFS; i++)
		if (bufs[i].used)
			arena_free(&arena, bufs[i].b);
	cr_assert(can(OWNER_PAGES * 4096, true));
	unmake();
}

Test(arena, random_buffers_never_overlap)
{
	soak(1);
}

Test(arena, huge_random_buffers_never_overlap)
{
	soak(HUGE);
}
