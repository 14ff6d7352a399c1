/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_BENCHRING_H
#define LOMBARD_PROBE_BENCHRING_H
/*
 * What channels are measured against: a ring of bytes in memory that both sides see, with one sender
 * and one receiver who spin.  The sender copies messages in, the receiver copies them out, as programs
 * over plain shared memory (ivshmem) do.  Guests and host processes use this same code.
 *
 * It is made to be hard to beat: counters on cache lines of their own, each written by one side; the
 * other's counter is read again only when the last value read says that there is no room, or nothing;
 * long messages are announced in pieces, so that both sides copy at the same time.
 */
#include <stdint.h>

/* Chosen by trying; docs/performance.md has the figures. */
#define RING_BYTES (4UL << 20)
#define RING_PIECE (64UL << 10)

#define RING_ALIGN 16UL	 /* messages begin at multiples of it, and buffers are padded to one */
#define RING_SHORT 512UL /* up to here a loop is faster than the string instruction */

struct ring_counter {
	uint64_t bytes; /* ever sent, or taken */
	uint64_t pad[7];
};

struct ring_header {
	uint64_t len;
	uint64_t tag;
};

struct ring_end {
	uint8_t *data; /* RING_BYTES, at a page's start */
	struct ring_counter *ours;
	const struct ring_counter *theirs;
	uint64_t pos;  /* ours->bytes, or more while it has not been announced */
	uint64_t seen; /* theirs->bytes, as read last */
};

static inline void ring_relax(void)
{
	__builtin_ia32_pause();
}

/* Copies whole multiples of RING_ALIGN. */
static inline void ring_copy(void *dst, const void *src, uint64_t n)
{
	typedef long long vec __attribute__((vector_size(16), aligned(16), may_alias));
	vec *d = dst;
	const vec *s = src;

	n = (n + RING_ALIGN - 1) & ~(RING_ALIGN - 1);
	if (n > RING_SHORT) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return;
	}
	for (; n > 0; n -= RING_ALIGN)
		*d++ = *s++;
}

static inline void ring_announce(struct ring_end *r)
{
	__atomic_store_n(&r->ours->bytes, r->pos, __ATOMIC_RELEASE);
}

/* ring_reach: wait until the other's counter is at least this. */
static inline void ring_reach(struct ring_end *r, uint64_t bytes)
{
	while (r->seen < bytes) {
		r->seen = __atomic_load_n(&r->theirs->bytes, __ATOMIC_ACQUIRE);
		if (r->seen < bytes)
			ring_relax();
	}
}

/* How many bytes of n lie before the end of the ring's memory. */
static inline uint64_t ring_straight(const struct ring_end *r, uint64_t n)
{
	uint64_t left = RING_BYTES - (r->pos & (RING_BYTES - 1));

	return n < left ? n : left;
}

static inline uint8_t *ring_at(const struct ring_end *r)
{
	return r->data + (r->pos & (RING_BYTES - 1));
}

/* What the next piece of n bytes is at most. */
static inline uint64_t ring_piece(const struct ring_end *r, uint64_t n)
{
	return ring_straight(r, n < RING_PIECE ? n : RING_PIECE);
}

/* ring_send: copy a message in; buf is aligned to RING_ALIGN and padded. */
static inline void ring_send(struct ring_end *r, const void *buf, uint64_t len, uint64_t tag)
{
	const uint8_t *from = buf;
	uint64_t left = (len + RING_ALIGN - 1) & ~(RING_ALIGN - 1), n;
	struct ring_header *h;

	ring_reach(r, r->pos + sizeof(*h) > RING_BYTES ? r->pos + sizeof(*h) - RING_BYTES : 0);
	h = (struct ring_header *)(void *)ring_at(r);
	h->len = len;
	h->tag = tag;
	r->pos += sizeof(*h);
	while (left > 0) {
		n = ring_piece(r, left);
		if (r->pos + n > RING_BYTES)
			ring_reach(r, r->pos + n - RING_BYTES);
		ring_copy(ring_at(r), from, n);
		r->pos += n;
		from += n;
		left -= n;
		if (left > 0)
			ring_announce(r);
	}
	ring_announce(r);
}

/* ring_receive: wait for a message and copy it out; buf has room for all that may come, padded. */
static inline void ring_receive(struct ring_end *r, void *buf, struct ring_header *h)
{
	uint8_t *to = buf;
	uint64_t left, n;

	ring_reach(r, r->pos + sizeof(*h));
	*h = *(const struct ring_header *)(const void *)ring_at(r);
	r->pos += sizeof(*h);
	left = (h->len + RING_ALIGN - 1) & ~(RING_ALIGN - 1);
	while (left > 0) {
		n = ring_piece(r, left);
		ring_reach(r, r->pos + n);
		ring_copy(to, ring_at(r), n);
		r->pos += n;
		to += n;
		left -= n;
		if (left > 0)
			ring_announce(r);
	}
	ring_announce(r);
}

#endif
