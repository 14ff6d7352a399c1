/* SPDX-License-Identifier: BSD-2-Clause */
#include "arena.h"

#include "check.h"

size_t arena_private_bytes(uint32_t nr_pages, uint32_t frame_pages)
{
	return nr_pages * (sizeof(struct arena_page) + sizeof(struct heap_node)) +
	       nr_pages / frame_pages * sizeof(struct heap_node) +
	       (nr_pages + 63) / 64 * sizeof(uint64_t);
}

void arena_init(struct arena *a, void *private, uint32_t nr_pages, uint32_t frame_pages)
{
	struct heap_node *nodes;

	CHAN_CHECK(nr_pages > 0 && nr_pages <= ARENA_MAX_PAGES && nr_pages % frame_pages == 0);
	CHAN_CHECK((frame_pages & (frame_pages - 1)) == 0);
	a->nr_pages = nr_pages;
	a->frame_pages = frame_pages;
	a->frame_shift = (uint32_t)__builtin_ctz(frame_pages);
	a->page = private;
	a->heads = (uint64_t *)(a->page + nr_pages);
	nodes = (struct heap_node *)(a->heads + (nr_pages + 63) / 64);
	heap_init(&a->pages, nodes, nr_pages);
	heap_init(&a->frames, nodes + nr_pages, nr_pages / frame_pages);
	if (frame_pages == 1)
		heap_put(&a->pages, 0, nr_pages);
	else
		heap_put(&a->frames, 0, nr_pages / frame_pages);
	for (unsigned c = 0; c < ARENA_CLASSES; c++)
		a->class[c].first = a->class[c].empty = HEAP_NONE;
}

/* ---- pages ---- */

static void head_set(struct arena *a, uint32_t page, enum arena_kind kind)
{
	uint64_t bit = UINT64_C(1) << page % 64;

	a->page[page].kind = (uint8_t)kind;
	if (kind == ARENA_NOTHING)
		a->heads[page / 64] &= ~bit;
	else
		a->heads[page / 64] |= bit;
}

/* The first page of the run or frames that has page, if any: the nearest head at or before it. */
static uint32_t head_before(const struct arena *a, uint32_t page)
{
	uint32_t word = page / 64;
	uint64_t bits = a->heads[word] & ~UINT64_C(0) >> (63 - page % 64);

	while (bits == 0) {
		if (word-- == 0)
			return HEAP_NONE;
		bits = a->heads[word];
	}
	return word * 64 + 63 - (uint32_t)__builtin_clzll(bits);
}

/* Empty pages go back to the heap, and frames of empty pages to theirs. */
static void give_back_empty(struct arena *a)
{
	uint32_t page;

	for (unsigned c = 0; c < ARENA_CLASSES; c++) {
		page = a->class[c].empty;
		if (page == HEAP_NONE)
			continue;
		a->class[c].empty = HEAP_NONE;
		a->page[page].kind = ARENA_NOTHING;
		heap_put(&a->pages, page, 1);
	}
	while (a->frame_pages > 1 && heap_take_aligned(&a->pages, a->frame_pages, &page))
		heap_put(&a->frames, page >> a->frame_shift, 1);
}

static bool take_pages_once(struct arena *a, uint32_t n, uint32_t *page)
{
	uint32_t frame;

	if (heap_take(&a->pages, n, page))
		return true;
	if (a->frame_pages == 1 ||
	    !heap_take(&a->frames, (n + a->frame_pages - 1) >> a->frame_shift, &frame))
		return false;
	heap_put(&a->pages, frame << a->frame_shift, heap_len(&a->frames, frame) << a->frame_shift);
	return heap_take(&a->pages, n, page);
}

static bool take_pages(struct arena *a, uint32_t n, uint32_t *page)
{
	if (take_pages_once(a, n, page))
		return true;
	give_back_empty(a);
	return take_pages_once(a, n, page);
}

static bool take_frames(struct arena *a, uint32_t n, uint32_t *page)
{
	uint32_t frame;

	if (!heap_take(&a->frames, n, &frame)) {
		give_back_empty(a);
		if (!heap_take(&a->frames, n, &frame))
			return false;
	}
	*page = frame << a->frame_shift;
	return true;
}

/* ---- chunks ---- */

static unsigned class_of(uint64_t len)
{
	if (len <= 1U << ARENA_CHUNK_MIN_SHIFT)
		return 0;
	return 64 - ARENA_CHUNK_MIN_SHIFT - (unsigned)__builtin_clzll(len - 1);
}

static uint64_t all_chunks(unsigned c)
{
	return ~UINT64_C(0) >> (64 - (ARENA_PAGE >> (ARENA_CHUNK_MIN_SHIFT + c)));
}

static void class_link(struct arena *a, unsigned c, uint32_t page)
{
	struct arena_page *pg = &a->page[page];

	pg->prev = HEAP_NONE;
	pg->next = a->class[c].first;
	if (pg->next != HEAP_NONE)
		a->page[pg->next].prev = page;
	a->class[c].first = page;
}

static void class_unlink(struct arena *a, unsigned c, uint32_t page)
{
	struct arena_page *pg = &a->page[page];

	if (pg->next != HEAP_NONE)
		a->page[pg->next].prev = pg->prev;
	if (pg->prev != HEAP_NONE)
		a->page[pg->prev].next = pg->next;
	else
		a->class[c].first = pg->next;
}

static bool chunk_page_new(struct arena *a, unsigned c)
{
	uint32_t page;

	if (!take_pages(a, 1, &page))
		return false;
	a->page[page] = (struct arena_page){.free = all_chunks(c),
	    .kind = ARENA_CHUNKS,
	    .shift = (uint8_t)(ARENA_CHUNK_MIN_SHIFT + c)};
	class_link(a, c, page);
	return true;
}

/* => the class has a page with a free chunk, or a page that is kept empty */
static void chunk_take(struct arena *a, unsigned c, struct arena_buf *b)
{
	struct arena_page *pg;

	if (a->class[c].first == HEAP_NONE) {
		class_link(a, c, a->class[c].empty);
		a->class[c].empty = HEAP_NONE;
	}
	b->page = a->class[c].first;
	pg = &a->page[b->page];
	b->chunk = (uint32_t)__builtin_ctzll(pg->free);
	pg->free &= pg->free - 1;
	for (unsigned f = 0; f < 4; f++)
		arena_flag_set(a, *b, f, false);
	if (pg->free == 0)
		class_unlink(a, c, b->page);
}

static void chunk_free(struct arena *a, struct arena_buf b)
{
	struct arena_page *pg = &a->page[b.page];
	unsigned c = pg->shift - ARENA_CHUNK_MIN_SHIFT;

	if (pg->free == 0)
		class_link(a, c, b.page);
	pg->free |= UINT64_C(1) << b.chunk;
	if (pg->free != all_chunks(c))
		return;
	class_unlink(a, c, b.page);
	if (a->class[c].empty == HEAP_NONE) {
		a->class[c].empty = b.page;
	} else {
		pg->kind = ARENA_NOTHING;
		heap_put(&a->pages, b.page, 1);
	}
}

/* ---- buffers ---- */

bool arena_alloc_warm(struct arena *a, uint64_t len, struct arena_buf *b)
{
	unsigned c = class_of(len);

	if (c >= ARENA_CLASSES ||
	    (a->class[c].first == HEAP_NONE && a->class[c].empty == HEAP_NONE))
		return false;
	chunk_take(a, c, b);
	return true;
}

static bool chunk_alloc(struct arena *a, uint64_t len, struct arena_buf *b)
{
	return arena_alloc_warm(a, len, b) ||
	       (chunk_page_new(a, class_of(len)) && arena_alloc_warm(a, len, b));
}

bool arena_alloc(struct arena *a, uint64_t len, bool whole_frames, struct arena_buf *b)
{
	bool frames = whole_frames && a->frame_pages > 1;
	unsigned shift = ARENA_PAGE_SHIFT + (frames ? a->frame_shift : 0);
	uint64_t n = len == 0 ? 1 : ((len - 1) >> shift) + 1;

	if (!whole_frames && class_of(len) < ARENA_CLASSES)
		return chunk_alloc(a, len, b);
	if (n > a->nr_pages)
		return false;
	if (frames ? !take_frames(a, (uint32_t)n, &b->page) : !take_pages(a, (uint32_t)n, &b->page))
		return false;
	b->chunk = 0;
	a->page[b->page] = (struct arena_page){.free = 0};
	head_set(a, b->page, frames ? ARENA_FRAMES : ARENA_RUN);
	return true;
}

void arena_free(struct arena *a, struct arena_buf b)
{
	struct arena_page *pg = &a->page[b.page];
	uint32_t frame = b.page >> a->frame_shift;
	enum arena_kind kind = pg->kind;

	CHAN_CHECK(kind != ARENA_NOTHING && (pg->free >> b.chunk & 1) == 0);
	if (kind == ARENA_CHUNKS) {
		chunk_free(a, b);
		return;
	}
	head_set(a, b.page, ARENA_NOTHING);
	if (kind == ARENA_RUN)
		heap_put(&a->pages, b.page, heap_len(&a->pages, b.page));
	else
		heap_put(&a->frames, frame, heap_len(&a->frames, frame));
}

uint64_t arena_len(const struct arena *a, struct arena_buf b)
{
	const struct arena_page *pg = &a->page[b.page];

	if (pg->kind == ARENA_CHUNKS)
		return UINT64_C(1) << pg->shift;
	if (pg->kind == ARENA_RUN)
		return (uint64_t)heap_len(&a->pages, b.page) * ARENA_PAGE;
	return (uint64_t)heap_len(&a->frames, b.page >> a->frame_shift)
	       << (ARENA_PAGE_SHIFT + a->frame_shift);
}

uint64_t arena_start(const struct arena *a, struct arena_buf b)
{
	return ((uint64_t)b.page << ARENA_PAGE_SHIFT) +
	       ((uint64_t)b.chunk << a->page[b.page].shift);
}

bool arena_whole_frames(const struct arena *a, struct arena_buf b)
{
	return a->page[b.page].kind == (a->frame_pages > 1 ? ARENA_FRAMES : ARENA_RUN);
}

bool arena_find(const struct arena *a, uint64_t offset, struct arena_buf *b)
{
	uint32_t page = (uint32_t)(offset >> ARENA_PAGE_SHIFT);
	const struct arena_page *pg;

	if (offset >> ARENA_PAGE_SHIFT >= a->nr_pages)
		return false;
	pg = &a->page[page];
	if (pg->kind == ARENA_CHUNKS) {
		b->page = page;
		b->chunk = (uint32_t)(offset & (ARENA_PAGE - 1)) >> pg->shift;
		return (pg->free >> b->chunk & 1) == 0;
	}
	b->page = head_before(a, page);
	b->chunk = 0;
	return b->page != HEAP_NONE && offset - arena_start(a, *b) < arena_len(a, *b);
}
