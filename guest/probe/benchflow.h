/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_BENCHFLOW_H
#define LOMBARD_PROBE_BENCHFLOW_H
/*
 * How messages are passed when they are measured: what guests and host processes have in common.
 * Who includes this defines bench_now, in nanoseconds.
 *
 * A sender goes on in batches: it waits until the messages that had the batch's buffers before are
 * released, writes, sends.  With a depth of 8 and batches of 4 it writes four messages while the
 * receiver reads the four before.  The last message's tag says that it is the last.
 */
#include "benchchan.h"
#include "benchring.h"

static inline uint64_t bench_now(void);

#define TAG_LAST (1ULL << 63)

/* ---- bytes: every word of message n is the same, so a sum shows whether they all are ---- */

static inline uint64_t flow_word(uint64_t n)
{
	return (n + 1) * 0x9e3779b97f4a7c15ULL;
}

static inline void flow_fill(void *buf, uint64_t len, uint64_t n)
{
	uint64_t words = len / 8;

	__asm__ volatile("rep stosq" : "+D"(buf), "+c"(words) : "a"(flow_word(n)) : "memory");
}

/* Reads as fast as 16-byte loads can. */
static inline uint64_t flow_sum(const void *buf, uint64_t len)
{
	typedef unsigned long long vec __attribute__((vector_size(16), may_alias));
	const vec *v = buf;
	vec a = {0}, b = {0}, c = {0}, d = {0};
	uint64_t i = 0, n = len / 16;

	for (; i + 4 <= n; i += 4) {
		a += v[i];
		b += v[i + 1];
		c += v[i + 2];
		d += v[i + 3];
	}
	for (; i < n; i++)
		a += v[i];
	a += b + c + d;
	return a[0] + a[1];
}

static inline void flow_check(
    const struct bench_work *w, const void *buf, uint64_t tag, struct bench_result *r)
{
	if (w->touch && flow_sum(buf, w->len) != flow_word(tag & ~TAG_LAST) * (w->len / 8))
		r->wrong++;
}

/* One word in each page. */
static inline void flow_rewrite(void *buf, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += 4096)
		*(volatile uint64_t *)(void *)((char *)buf + at) = 0;
}

/* Is message n one of those that are written to again? */
static inline int flow_rewrites(const struct bench_work *w, uint64_t n)
{
	return n * w->rewrite / 100 != (n + 1) * w->rewrite / 100;
}

/* ---- time ---- */

struct flow {
	const struct bench_work *w;
	struct bench_result *r;
	uint64_t n; /* messages */
	uint64_t start, mark;
	int phases; /* take them? */
};

static inline void flow_start(struct flow *f, const struct bench_work *w, struct bench_result *r)
{
	*f = (struct flow){.w = w, .r = r, .phases = w->len >= BENCH_PHASES_FROM};
	f->start = f->mark = bench_now();
}

/* The time since the last mark belongs to this phase. */
static inline void flow_phase(struct flow *f, enum bench_phase phase)
{
	uint64_t now;

	if (!f->phases)
		return;
	now = bench_now();
	f->r->phase[phase] += now - f->mark;
	f->mark = now;
}

/* Is the batch that begins now the last?  The clock costs too much to look at it for each short one. */
static inline int flow_last(const struct flow *f)
{
	if (f->n + f->w->batch >= f->w->most)
		return 1;
	if (f->w->len < 4096 && f->n % 32 != 0)
		return 0;
	return bench_now() - f->start >= f->w->ns;
}

static inline void flow_end(struct flow *f)
{
	f->r->ns = bench_now() - f->start;
	f->r->messages = f->n;
}

/* ---- the ring ---- */

/* Message n may be sent when the batch before the last depth - batch messages has been taken. */
static inline void ring_pass_out(struct ring_end *ring, void *buf, struct flow *f)
{
	const struct bench_work *w = f->w;
	uint64_t ends[BENCH_MAX_DEPTH] = {0};
	int last;

	do {
		last = flow_last(f);
		ring_reach(ring, ends[(f->n + w->batch - 1) % w->depth]);
		flow_phase(f, PHASE_WAIT);
		for (uint32_t i = 0; i < w->batch; i++, f->n++) {
			if (w->touch)
				flow_fill(buf, w->len, f->n);
			flow_phase(f, PHASE_TOUCH);
			ring_send(
			    ring, buf, w->len, f->n | (last && i == w->batch - 1 ? TAG_LAST : 0));
			ends[f->n % w->depth] = ring->pos;
			flow_phase(f, PHASE_CALL);
			if (!flow_rewrites(w, f->n))
				continue;
			flow_rewrite(buf, w->len);
			f->r->rewritten++;
			flow_phase(f, PHASE_REWRITE);
		}
	} while (!last);
	ring_reach(ring, ring->pos);
	flow_phase(f, PHASE_WAIT);
	flow_end(f);
}

static inline void ring_pass_in(struct ring_end *ring, void *buf, struct flow *f)
{
	struct ring_header h;

	do {
		ring_receive(ring, buf, &h);
		flow_phase(f, PHASE_CALL);
		flow_check(f->w, buf, h.tag, f->r);
		flow_phase(f, PHASE_TOUCH);
		f->n++;
	} while ((h.tag & TAG_LAST) == 0);
	flow_end(f);
}

/* One message at a time, there and back. */
static inline void ring_echo(
    struct ring_end *out, struct ring_end *in, void *buf, int sender, struct flow *f)
{
	struct ring_header h;

	for (; f->n < f->w->most; f->n++) {
		if (sender)
			ring_send(out, buf, f->w->len, f->n);
		ring_receive(in, buf, &h);
		f->r->wrong += h.tag != f->n;
		if (!sender)
			ring_send(out, buf, f->w->len, f->n);
	}
	flow_end(f);
}

/* ---- words ---- */

static inline void word_reach(const struct ring_counter *theirs, uint64_t n)
{
	while (__atomic_load_n(&theirs->bytes, __ATOMIC_ACQUIRE) != n)
		ring_relax();
}

/* There and back; the words must not be 1 when both begin, which they are not after some rounds. */
static inline void word_pass(
    struct ring_counter *ours, const struct ring_counter *theirs, int sender, struct flow *f)
{
	for (; f->n < f->w->most; f->n++) {
		if (!sender)
			word_reach(theirs, f->n + 1);
		__atomic_store_n(&ours->bytes, f->n + 1, __ATOMIC_RELEASE);
		if (sender)
			word_reach(theirs, f->n + 1);
	}
	flow_end(f);
}

#endif
