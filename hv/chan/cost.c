/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From which length on is a message cheaper lent than copied?
 *
 *	copy(n) = n * c			c: nanoseconds a byte of memcpy
 *	lend(n) = 2H / B + frames(n) * C	H: a hypercall, to seal and to unseal; B: messages published at
 *					once; C: protecting a frame, un-protecting it, and the
 *					fault of the sender's next write to it
 *
 * c and H are measured when the endpoint is made (memcpy within the arena, CHANOP_reap), C at the
 * first loans: the smallest of COST_SAMPLES seals' time beyond H, by frame, plus the smallest of as
 * many first writes.  Until then C counts as 0, so that loans are tried.  The smallest, because
 * whatever disturbs a measurement makes it longer.  B follows what the sender does.
 *
 * With huge frames messages are worth lending that no near cache holds: there c is measured over so
 * much memory.  With small ones lending hardly pays, and nothing is spent on finding out.
 *
 * One frame is enough up to a frame's size: lend from (2H / B + C) / c on.  Beyond, each frame must
 * earn its C: from (2H / B + C) / (c - C / frame) on, or never if C is more than copying the frame.
 */
#include "private.h"

#define COST_COPY_BYTES (256U << 10)
#define COST_COPY_FAR (4U << 20)
#define COST_TRIES 3
#define COST_UNKNOWN UINT64_MAX

static uint64_t time_copy(struct chan *ch, size_t half)
{
	uint64_t best = COST_UNKNOWN;
	uint64_t start, took;

	for (unsigned i = 0; i < COST_TRIES; i++) {
		start = chan_clock(ch);
		__builtin_memcpy(ch->base + half, ch->base, half);
		took = chan_clock(ch) - start;
		if (took < best)
			best = took;
	}
	return best;
}

static uint64_t time_call(struct chan *ch)
{
	uint64_t best = COST_UNKNOWN;
	uint64_t start, took;

	for (unsigned i = 0; i < COST_TRIES; i++) {
		start = chan_clock(ch);
		if (ch->t->reap(&ch->ep) < 0)
			continue;
		took = chan_clock(ch) - start;
		if (took < best)
			best = took;
	}
	return best;
}

static void update(struct chan *ch)
{
	struct cost *cost = &ch->cost;
	uint64_t frame = UINT64_C(1) << ch->frame_shift;
	bool known = cost->seal_samples >= COST_SAMPLES && cost->touch_samples >= COST_SAMPLES;
	uint64_t per_frame = known ? cost->seal_ns + cost->touch_ns : 0;
	uint64_t fixed = 2 * cost->call_ns * COST_BATCH_ONE / cost->batch + per_frame;
	uint64_t frame_copy = (cost->copy_ns << ch->frame_shift) / COST_COPY_BYTES;
	uint64_t from = fixed * COST_COPY_BYTES / cost->copy_ns;

	if (from > frame) {
		if (frame_copy <= per_frame)
			from = UINT64_MAX;
		else
			from = (fixed << ch->frame_shift) / (frame_copy - per_frame);
	}
	cost->lend_from = from < ARENA_PAGE ? ARENA_PAGE : from;
}

void cost_init(struct chan *ch)
{
	struct cost *cost = &ch->cost;
	size_t most = ch->frame_shift > ARENA_PAGE_SHIFT ? COST_COPY_FAR : COST_COPY_BYTES;
	size_t half = ch->arena_bytes / 2 < most ? ch->arena_bytes / 2 : most;

	*cost = (struct cost){.lend_from = ch->opt.lend_from,
	    .measured = ch->opt.lend_from == 0,
	    .batch = COST_BATCH_ONE};
	if (!cost->measured)
		return;
	cost->copy_ns = time_copy(ch, half) * COST_COPY_BYTES / half + 1;
	cost->call_ns = time_call(ch);
	cost->seal_ns = cost->touch_ns = COST_UNKNOWN;
	if (cost->call_ns == COST_UNKNOWN) {
		cost->measured = false;
		cost->lend_from = UINT64_MAX;
		return;
	}
	update(ch);
}

/* A moving mean, in which the last publication counts for an eighth. */
void cost_published(struct chan *ch, uint32_t n)
{
	int32_t diff = (int32_t)(n * COST_BATCH_ONE) - (int32_t)ch->cost.batch;
	int32_t step = diff / 8;

	/* It shall get there, and then cost nothing more. */
	if (step == 0)
		step = diff > 0 ? 1 : -1;
	ch->cost.batch = (uint32_t)((int32_t)ch->cost.batch + step);
	update(ch);
}

bool cost_wants_seal(const struct chan *ch)
{
	return ch->cost.measured && ch->cost.seal_samples < COST_SAMPLES;
}

void cost_seal_took(struct chan *ch, uint32_t frames, uint64_t ns)
{
	uint64_t each = ns > ch->cost.call_ns ? (ns - ch->cost.call_ns) / frames : 0;

	if (each < ch->cost.seal_ns)
		ch->cost.seal_ns = each;
	ch->cost.seal_samples++;
	update(ch);
}

/*
 * The frame has just been unsealed: its buffer's next user would pay for the first write.  Writing
 * back what is there is right even if the buffer is the caller's: this is his thread.
 */
void cost_touch(struct chan *ch, uint32_t frame)
{
	volatile uint8_t *byte = ch->base + ((uint64_t)frame << ch->frame_shift);
	uint64_t start, took;

	if (!ch->cost.measured || ch->cost.touch_samples >= COST_SAMPLES)
		return;
	start = chan_clock(ch);
	*byte = *byte;
	took = chan_clock(ch) - start;
	if (took < ch->cost.touch_ns)
		ch->cost.touch_ns = took;
	ch->cost.touch_samples++;
	update(ch);
}
