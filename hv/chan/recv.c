/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

/* A descriptor as it was at one moment. */
struct taken {
	uint32_t kind;
	uint64_t offset, len, tag;
	uint32_t first, nr; /* frames that it touches */
};

static bool held_p(const struct peer *peer, uint32_t seq)
{
	return (peer->held_bits[(seq & SLOT_MASK) / 64] >> seq % 64 & 1) != 0;
}

static void hold(struct peer *peer, const struct taken *m)
{
	uint32_t slot = peer->next & SLOT_MASK;

	peer->held_bits[slot / 64] |= UINT64_C(1) << slot % 64;
	peer->nheld++;
	peer->held[slot] = (struct held){
	    .seq = peer->next, .first = m->first, .nr = m->kind == CHAN_SEALED ? m->nr : 0};
}

static bool published(const struct peer *peer)
{
	return load32(&peer->control->desc[peer->next & SLOT_MASK].seq) == peer->next;
}

bool recv_readable(struct chan *ch)
{
	unsigned p;

	for (unsigned m = ch->in; m != 0; m &= m - 1) {
		p = first_peer(m);
		if ((peer_join(ch, p) && published(&ch->peer[p])) || peer_gone(ch, p))
			return true;
	}
	return ch->in == 0;
}

static uint64_t read64(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Copy the descriptor, once, and check what it says against what the hypervisor says. */
static bool take_desc(const struct peer *peer, struct taken *m)
{
	const struct chan_desc *desc = &peer->control->desc[peer->next & SLOT_MASK];

	m->kind = __atomic_load_n(&desc->kind, __ATOMIC_RELAXED);
	m->offset = read64(&desc->offset);
	m->len = read64(&desc->len);
	m->tag = read64(&desc->tag);
	if (m->offset > peer->arena_bytes || m->len > peer->arena_bytes - m->offset)
		return false;
	m->first = (uint32_t)(m->offset >> peer->frame_shift);
	m->nr = 0;
	if (m->len > 0)
		m->nr = (uint32_t)((m->offset + m->len - 1) >> peer->frame_shift) - m->first + 1;
	return m->kind == CHAN_COPY || m->kind == CHAN_SEALED || m->kind == CHAN_SHARED;
}

/* Has the hypervisor sealed all frames of this message, for this message and for us? */
static bool sealed_p(const struct peer *peer, const struct taken *m)
{
	const struct chan_sealed *sealed = &peer->status->sealed[peer->next & SLOT_MASK];
	uint32_t seq = load32(&sealed->seq);
	uint32_t first = load32(&sealed->first), nr = load32(&sealed->nr);
	bool ours = (load32(&sealed->peers) >> peer->remote & 1) != 0;

	return seq == peer->next && ours && nr > 0 && m->first >= first && m->first - first <= nr &&
	       m->nr <= nr - (m->first - first);
}

static bool overlaps_held(const struct peer *peer, const struct taken *m)
{
	const struct held *held;

	for (uint32_t slot = 0; slot < CHAN_SLOTS; slot++) {
		held = &peer->held[slot];
		if (held_p(peer, slot) && held->nr != 0 && held->first < m->first + m->nr &&
		    m->first < held->first + held->nr)
			return true;
	}
	return false;
}

static int refresh(struct chan *ch, unsigned p, uint32_t seq, uint32_t first, uint32_t nr)
{
	const struct chan_refresh op = {
	    .id = ch->ep.id, .peer = p, .seq = seq, .first = first, .nr = nr};

	ch->count.refreshes++;
	return ch->t->refresh(&ch->ep, &op);
}

static bool stale_p(const struct peer *peer)
{
	return load32(&peer->status->stale[peer->remote]) != 0;
}

/*
 * See the message's bytes and not what was there when somebody broke a seal.  That takes from us
 * what was there, so a sealed message that we still hold must not be among it; an honest sender does
 * not use its frames again before it is released.
 */
static int make_visible(struct chan *ch, unsigned p, const struct taken *m)
{
	struct peer *peer = &ch->peer[p];

	if (__builtin_expect(m->nr == 0 || !stale_p(peer), 1))
		return 0;
	if (overlaps_held(peer, m))
		return -EPROTO;
	return refresh(ch, p, peer->next, m->first, m->nr);
}

/* Short messages without a call: the string instructions of small guests take long to start. */
static void copy_out(uint8_t *dst, const uint8_t *src, uint64_t len)
{
	if (len > 256) {
		__builtin_memcpy(dst, src, len);
		return;
	}
	for (; len >= 8; len -= 8, dst += 8, src += 8)
		__builtin_memcpy(dst, src, 8);
	for (; len > 0; len--)
		*dst++ = *src++;
}

static int take_copy(
    struct chan *ch, const struct peer *peer, const struct taken *m, const void **data)
{
	struct arena_buf buf;

	if (m->len > ch->opt.copy_bytes)
		return -EPROTO;
	*data = ch->pool_base;
	if (m->len == 0)
		return 0;
	if (!arena_alloc(&ch->pool, m->len, false, &buf))
		return -ENOBUFS;
	*data = ch->pool_base + arena_start(&ch->pool, buf);
	copy_out(ch->pool_base + arena_start(&ch->pool, buf), peer->arena + m->offset, m->len);
	return 0;
}

/* Our word says that message seq of peer p is released; the peer may sleep for that. */
static void say_released(struct chan *ch, unsigned p, uint32_t seq)
{
	store32(&ch->control->release[p][seq & SLOT_MASK], seq);
	if (peer_gone(ch, p))
		return;
	full_fence(ch);
	wait_wake(ch, 1U << p, SLEEP_NOT_FOR_RELEASES);
}

/*
 * Copy the descriptor of the next message of peer p, which is published, and check it.
 * => -EPROTO: it is no message; -EAGAIN: it is not for us; others: from the hypervisor
 */
static int check(struct chan *ch, unsigned p, struct taken *m)
{
	struct peer *peer = &ch->peer[p];
	int err = -EPROTO;

	if (!held_p(peer, peer->next) && take_desc(peer, m))
		err = make_visible(ch, p, m);
	if (err == 0 && m->kind == CHAN_SEALED && !sealed_p(peer, m))
		err = -EPROTO;
	/* Last: a seal that was there while we had not been dropped holds for us afterwards. */
	return peer_dropped_us(ch, p) ? -EAGAIN : err;
}

static int release_copy(struct chan *ch, const struct chan_message *msg)
{
	uint64_t offset = (uint64_t)((const uint8_t *)msg->data - ch->pool_base);
	struct arena_buf buf;

	if (msg->len == 0)
		return 0;
	if (!arena_find(&ch->pool, offset, &buf) || arena_start(&ch->pool, buf) != offset)
		return -EINVAL;
	arena_free(&ch->pool, buf);
	return 0;
}

static int take(struct chan *ch, unsigned p, struct chan_message *msg)
{
	struct peer *peer = &ch->peer[p];
	struct taken m;
	int err = check(ch, p, &m);

	/* Seals end with us: what looks like a breach of the rules may be our own end. */
	if (err != 0)
		return chan_cut_off(ch) ? -EPIPE : err;
	msg->data = peer->arena + m.offset;
	if (m.kind == CHAN_COPY) {
		err = take_copy(ch, peer, &m, &msg->data);
		if (err != 0)
			return err;
	}
	if (chan_cut_off(ch))
		return -EPIPE;
	msg->len = m.len;
	/* Who has dropped us meanwhile may have used the memory again while we copied. */
	if (m.kind == CHAN_COPY && peer_dropped_us(ch, p)) {
		(void)release_copy(ch, msg);
		return -EAGAIN;
	}
	if (m.kind == CHAN_COPY)
		say_released(ch, p, peer->next);
	else
		hold(peer, &m);
	msg->tag = m.tag;
	msg->peer = p;
	msg->strength = m.kind;
	msg->seq = peer->next++;
	ch->count.received++;
	ch->count.received_bytes += m.len;
	return 0;
}

/*
 * One peer: its next message if there is one.  It is gone when it has closed and all it had published
 * has been taken: so its state is looked at first.
 */
static int recv_from(struct chan *ch, unsigned p, struct chan_message *msg)
{
	bool gone = peer_gone(ch, p);
	int err;

	if (!peer_join(ch, p) || !published(&ch->peer[p])) {
		if (gone)
			peer_leave(ch, p);
		return -EAGAIN;
	}
	err = take(ch, p, msg);
	if (err == -EPROTO || err == -EAGAIN) {
		peer_leave(ch, p);
		msg->peer = p;
	}
	return err;
}

/* Each peer gets its turn. */
static int try_recv(struct chan *ch, struct chan_message *msg)
{
	int result = -EAGAIN, err;
	unsigned p;

	for (unsigned i = 1; i <= CHAN_MAX_PEERS; i++) {
		p = (ch->last + i) % CHAN_MAX_PEERS;
		if ((ch->in >> p & 1) == 0)
			continue;
		err = recv_from(ch, p, msg);
		if (err == -EAGAIN)
			continue;
		if (err != -ENOBUFS) {
			ch->last = p;
			return err;
		}
		result = err;
	}
	return ch->in == 0 ? peer_none(ch) : result;
}

int chan_recv(struct chan *ch, uint64_t deadline, struct chan_message *msg)
{
	int err;

	wait_disarm(ch);
	while ((err = try_recv(ch, msg)) == -EAGAIN) {
		err = wait_for(ch, CHAN_READABLE, deadline);
		if (err != 0)
			break;
	}
	return err;
}

/*
 * A view that shows what was sealed, although the sender has written since, keeps the old frames in
 * memory and makes every message a hypercall: see the present ones.  They are asked for in the name
 * of a message that there can't be, for others may not have released this one yet.
 */
static void see_present(struct chan *ch, unsigned p, const struct held *held)
{
	if (held->nr != 0 && !peer_gone(ch, p) && stale_p(&ch->peer[p]))
		(void)refresh(ch, p, held->seq ^ 0x80000000U, held->first, held->nr);
}

static int release_held(struct chan *ch, const struct chan_message *msg)
{
	struct peer *peer = &ch->peer[msg->peer];
	uint32_t slot = msg->seq & SLOT_MASK;

	if ((ch->attached >> msg->peer & 1) == 0 || !held_p(peer, msg->seq) ||
	    peer->held[slot].seq != msg->seq)
		return -EINVAL;
	peer->held_bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	peer->nheld--;
	say_released(ch, msg->peer, msg->seq);
	see_present(ch, msg->peer, &peer->held[slot]);
	peer_finish(ch, msg->peer);
	return chan_cut_off(ch) ? -EPIPE : 0;
}

int chan_release(struct chan *ch, const struct chan_message *msg)
{
	wait_disarm(ch);
	if (msg->peer >= CHAN_MAX_PEERS)
		return -EINVAL;
	return msg->strength == CHAN_COPY ? release_copy(ch, msg) : release_held(ch, msg);
}
