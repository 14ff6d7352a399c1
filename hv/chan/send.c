/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

/* ---- room ---- */

/* Can one more message be queued, besides those promised to fresh buffers? */
static bool slots_left(const struct chan *ch)
{
	return CHAN_SLOTS - (ch->next - ch->tail) > ch->owed;
}

static bool slot_room(struct chan *ch)
{
	unsigned state;

	if (!slots_left(ch))
		slot_reclaim(ch);
	state = slot_of(ch, ch->next)->state;
	return slots_left(ch) && (state == SLOT_FREE || state == SLOT_STALE);
}

/*
 * A buffer: first where a cache is likely to know the memory, last where the hypervisor has to be
 * asked.  Runs and frames are looked for only after what has come back is free again, so that a
 * sender whose receivers keep up uses the same few all the time.
 */
static bool find_buffer(struct chan *ch, uint64_t len, struct arena_buf *buf)
{
	bool lend = cost_lend_p(ch, len);

	if (!lend && arena_alloc_warm(&ch->arena, len, buf))
		return true;
	slot_reclaim(ch);
	if (arena_alloc(&ch->arena, len, lend, buf))
		return true;
	slot_reclaim_all(ch);
	if (arena_alloc(&ch->arena, len, lend, buf))
		return true;
	return slot_any_stale(ch) && slot_reap(ch) == 0 && arena_alloc(&ch->arena, len, lend, buf);
}

bool send_writable(struct chan *ch)
{
	struct arena_buf buf;

	slot_reclaim_all(ch);
	if (!slot_room(ch))
		return ch->out == 0;
	if (ch->wanted == 0 || ch->out == 0 || slot_any_stale(ch))
		return true;
	if (!arena_alloc(&ch->arena, ch->wanted, cost_lend_p(ch, ch->wanted), &buf))
		return false;
	arena_free(&ch->arena, buf);
	return true;
}

static int try_alloc(struct chan *ch, size_t len, void **mem)
{
	struct arena_buf buf;

	peer_check(ch);
	/* Peers may still read what we have sent: nothing of it is used again. */
	if (chan_cut_off(ch))
		return -EPIPE;
	if (!slot_room(ch) || !find_buffer(ch, len, &buf))
		return ch->out == 0 ? peer_none(ch) : -EAGAIN;
	arena_flag_set(&ch->arena, buf, BUF_HELD, true);
	arena_flag_set(&ch->arena, buf, BUF_FRESH, true);
	ch->owed++;
	*mem = ch->base + arena_start(&ch->arena, buf);
	return 0;
}

int chan_alloc(struct chan *ch, size_t len, uint64_t deadline, void **buf)
{
	int err;

	wait_disarm(ch);
	if (len > ch->arena_bytes)
		return -EMSGSIZE;
	while ((err = try_alloc(ch, len, buf)) == -EAGAIN) {
		ch->wanted = len;
		err = wait_for(ch, CHAN_WRITABLE, deadline);
		if (err != 0)
			return err;
	}
	if (err == 0)
		ch->wanted = 0;
	return err;
}

/* The caller's buffer that has this byte. */
static int find_held(const struct chan *ch, const void *mem, struct arena_buf *buf)
{
	uint64_t offset = (uint64_t)((const uint8_t *)mem - ch->base);

	if (!arena_find(&ch->arena, offset, buf) || !arena_flag(&ch->arena, *buf, BUF_HELD))
		return -EINVAL;
	return 0;
}

/* The buffer is not the caller's any more. */
static void let_go(struct chan *ch, struct arena_buf buf)
{
	arena_flag_set(&ch->arena, buf, BUF_HELD, false);
	if (!arena_flag(&ch->arena, buf, BUF_BUSY))
		arena_free(&ch->arena, buf);
}

static void not_fresh(struct chan *ch, struct arena_buf buf)
{
	if (!arena_flag(&ch->arena, buf, BUF_FRESH))
		return;
	arena_flag_set(&ch->arena, buf, BUF_FRESH, false);
	ch->owed--;
}

int chan_free(struct chan *ch, void *buf)
{
	struct arena_buf found;
	int err = find_held(ch, buf, &found);

	if (err != 0)
		return err;
	not_fresh(ch, found);
	let_go(ch, found);
	return 0;
}

/* ---- queueing ---- */

/* A message on its way into a slot. */
struct sending {
	struct arena_buf buf;
	uint64_t offset, len;
	uint32_t kind;
	uint32_t first, nr; /* frames that it touches */
};

static bool sealed_overlap(const struct chan *ch, const struct sending *s)
{
	const struct slot *slot;

	for (uint32_t i = 0; i < CHAN_SLOTS; i++) {
		slot = &ch->slot[i];
		if (slot->kind == CHAN_SEALED && slot->first < s->first + s->nr &&
		    s->first < slot->first + slot->nr &&
		    (slot->state == SLOT_LIVE || slot->state == SLOT_QUEUED))
			return true;
	}
	return false;
}

/*
 * Frames of a sealed message are not sent again before it is released: a receiver that still has it
 * could not be shown what they hold now.
 */
static bool sealed_busy(struct chan *ch, const struct sending *s)
{
	if (!arena_flag(&ch->arena, s->buf, BUF_BUSY) || !arena_whole_frames(&ch->arena, s->buf) ||
	    !sealed_overlap(ch, s))
		return false;
	slot_reclaim_all(ch);
	return sealed_overlap(ch, s);
}

static int choose_kind(const struct chan *ch, struct sending *s, unsigned flags)
{
	if (flags & CHAN_SEND_SHARED)
		s->kind = CHAN_SHARED;
	else if (s->len > 0 && cost_lend_p(ch, s->len) && arena_whole_frames(&ch->arena, s->buf))
		s->kind = CHAN_SEALED;
	else if (s->len <= ch->copy_limit)
		s->kind = CHAN_COPY;
	else
		return -EMSGSIZE;
	return 0;
}

static bool flags_ok(unsigned flags)
{
	unsigned strength = flags & (CHAN_SEND_SEALED | CHAN_SEND_SHARED);

	return (strength == CHAN_SEND_SEALED || strength == CHAN_SEND_SHARED) &&
	       (flags & ~(CHAN_SEND_SEALED | CHAN_SEND_SHARED | CHAN_SEND_MORE | CHAN_SEND_KEEP)) ==
		   0;
}

static int prepare(struct chan *ch, const void *mem, size_t len, unsigned flags, struct sending *s)
{
	uint64_t end;
	int err = find_held(ch, mem, &s->buf);

	if (err != 0)
		return err;
	s->offset = (uint64_t)((const uint8_t *)mem - ch->base);
	s->len = len;
	end = arena_start(&ch->arena, s->buf) + arena_len(&ch->arena, s->buf);
	if (len > end - s->offset || !flags_ok(flags))
		return -EINVAL;
	s->first = (uint32_t)(s->offset >> ch->frame_shift);
	s->nr = len == 0 ? 1 : (uint32_t)((s->offset + len - 1) >> ch->frame_shift) - s->first + 1;
	err = choose_kind(ch, s, flags);
	if (err == 0 && sealed_busy(ch, s))
		err = -EBUSY;
	return err;
}

/* The next slot, free; the hypervisor may have to be asked for it. */
static int free_slot(struct chan *ch, struct arena_buf buf, struct slot **slot)
{
	int err;

	if (!arena_flag(&ch->arena, buf, BUF_FRESH) && !slot_room(ch))
		return -EAGAIN;
	*slot = slot_of(ch, ch->next);
	if ((*slot)->state == SLOT_STALE) {
		err = slot_reap(ch);
		if (err != 0)
			return err;
	}
	return (*slot)->state == SLOT_FREE ? 0 : -EAGAIN;
}

/*
 * Who has to release it.  The hypervisor waits for those, too, that we have done with but have still
 * mapped.
 */
static uint8_t waited_for(const struct chan *ch, uint32_t kind)
{
	return kind == CHAN_SEALED ? ch->attached : ch->out;
}

static int queue(struct chan *ch, const struct sending *s, uint64_t tag)
{
	struct chan_desc *desc = &ch->control->desc[ch->next & SLOT_MASK];
	uint8_t to = waited_for(ch, s->kind);
	struct slot *slot;
	int err = free_slot(ch, s->buf, &slot);

	if (err != 0)
		return err;
	*slot = (struct slot){.seq = ch->next,
	    .state = SLOT_QUEUED,
	    .kind = (uint8_t)s->kind,
	    .to = to,
	    .left = to,
	    .buf = s->buf,
	    .first = s->first,
	    .nr = s->nr};
	if (arena_flag(&ch->arena, s->buf, BUF_BUSY))
		arena_flag_set(&ch->arena, s->buf, BUF_MULTI, true);
	arena_flag_set(&ch->arena, s->buf, BUF_BUSY, true);
	__atomic_store_n(&desc->kind, s->kind, __ATOMIC_RELAXED);
	__atomic_store_n(&desc->offset, s->offset, __ATOMIC_RELAXED);
	__atomic_store_n(&desc->len, s->len, __ATOMIC_RELAXED);
	__atomic_store_n(&desc->tag, tag, __ATOMIC_RELAXED);
	ch->next++;
	ch->queued_seals += s->kind == CHAN_SEALED;
	return 0;
}

static void unqueue(struct chan *ch)
{
	struct slot *slot = slot_of(ch, --ch->next);

	ch->queued_seals -= slot->kind == CHAN_SEALED;
	slot_unref(ch, slot);
}

/* ---- publishing ---- */

/*
 * The hypervisor wakes who sleeps when it seals.  Noting their sleeping words from before means that
 * they are not woken once more for the rest, if they have not moved meanwhile: whoever wakes and
 * sleeps again has another word, and looks again in between.
 */
static int seal_and_note(struct chan *ch, const struct chan_seal *op)
{
	uint32_t sleeping[CHAN_MAX_PEERS];
	unsigned p;
	int err;

	for (unsigned m = ch->out; m != 0; m &= m - 1) {
		p = first_peer(m);
		sleeping[p] = load32(&ch->peer[p].control->sleeping);
	}
	err = ch->t->seal(&ch->ep, op);
	if (err != 0)
		return err;
	for (unsigned m = ch->out; m != 0; m &= m - 1) {
		p = first_peer(m);
		if (sleeping[p] != 0)
			ch->peer[p].woken = sleeping[p];
	}
	return 0;
}

/* One hypercall seals and publishes every sealed message of the queue. */
static int seal_queued(struct chan *ch)
{
	struct chan_seal op = {.id = ch->ep.id};
	bool sample = cost_wants_seal(ch);
	uint32_t frames = 0;
	uint64_t start, took = 0;
	const struct slot *slot;
	int err;

	for (uint32_t seq = ch->pub; seq != ch->next; seq++) {
		slot = slot_of(ch, seq);
		if (slot->kind != CHAN_SEALED)
			continue;
		op.range[op.nr++] = (struct chan_range){
		    .seq = seq, .first = slot->first, .nr = slot->nr};
		frames += slot->nr;
	}
	start = sample ? chan_clock(ch) : 0;
	err = seal_and_note(ch, &op);
	if (sample)
		took = chan_clock(ch) - start;
	slot_settle(ch);
	if (err != 0)
		return err;
	if (sample)
		cost_seal_took(ch, frames, took);
	ch->count.seals++;
	return 0;
}

int send_flush(struct chan *ch)
{
	uint32_t seals = ch->queued_seals;
	bool others = seals != ch->next - ch->pub;
	struct slot *slot;
	uint32_t strong = 0;
	int err;

	if (ch->pub == ch->next)
		return 0;
	if (seals != 0) {
		err = seal_queued(ch);
		if (err != 0)
			return err;
	}
	for (; ch->pub != ch->next; ch->pub++) {
		slot = slot_of(ch, ch->pub);
		if (slot->kind != CHAN_SEALED)
			store32(&ch->control->desc[ch->pub & SLOT_MASK].seq, ch->pub);
		slot_become(ch, slot, SLOT_LIVE);
		strong += slot->kind != CHAN_SHARED;
	}
	ch->queued_seals = 0;
	if (strong != 0)
		cost_publish(ch, strong);
	if (others) {
		full_fence(ch);
		wait_wake(ch, ch->out, SLEEP_NOT_FOR_MESSAGES);
	}
	return 0;
}

static void count_sent(struct chan *ch, const struct sending *s)
{
	ch->count.sent++;
	ch->count.sent_bytes += s->len;
	ch->count.lent += s->kind == CHAN_SEALED;
	ch->count.copied += s->kind == CHAN_COPY;
	ch->count.shared += s->kind == CHAN_SHARED;
}

/* Why sending failed, if that was for lack of peers. */
static int failed(struct chan *ch, int err)
{
	peer_check(ch);
	return ch->out == 0 ? peer_none(ch) : err;
}

int chan_send(struct chan *ch, const void *buf, size_t len, unsigned flags, uint64_t tag)
{
	struct sending s;
	int err;

	wait_disarm(ch);
	peer_check(ch);
	err = prepare(ch, buf, len, flags, &s);
	if (err != 0)
		return err;
	if (ch->out == 0)
		return peer_none(ch);
	if (s.kind == CHAN_SEALED && ch->queued_seals == CHAN_SEAL_MAX) {
		err = send_flush(ch);
		if (err != 0)
			return failed(ch, err);
	}
	err = queue(ch, &s, tag);
	if (err != 0)
		return err;
	if ((flags & CHAN_SEND_MORE) == 0) {
		err = send_flush(ch);
		if (err != 0) {
			unqueue(ch);
			return failed(ch, err);
		}
	}
	count_sent(ch, &s);
	not_fresh(ch, s.buf);
	if ((flags & CHAN_SEND_KEEP) == 0)
		let_go(ch, s.buf);
	return 0;
}

int chan_flush(struct chan *ch)
{
	bool any = ch->pub != ch->next;
	int err;

	wait_disarm(ch);
	peer_check(ch);
	if (!any)
		return 0;
	if (ch->out == 0)
		return peer_none(ch);
	err = send_flush(ch);
	return err == 0 ? 0 : failed(ch, err);
}

static bool stale_p(const struct chan *ch, struct arena_buf buf)
{
	for (uint32_t w = 0; w < SLOT_WORDS; w++) {
		for (uint64_t bits = ch->stale[w]; bits != 0; bits &= bits - 1) {
			const struct slot
			    *slot = &ch->slot[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			if (slot->buf.page == buf.page && slot->buf.chunk == buf.chunk)
				return true;
		}
	}
	return false;
}

int chan_sent(struct chan *ch, const void *buf)
{
	struct arena_buf found;
	int err = find_held(ch, buf, &found);

	if (err != 0)
		return err;
	peer_check(ch);
	slot_reclaim_all(ch);
	if (stale_p(ch, found)) {
		err = slot_reap(ch);
		if (err != 0)
			return err;
	}
	return !arena_flag(&ch->arena, found, BUF_BUSY);
}
