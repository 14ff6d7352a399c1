/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

int peer_none(const struct chan *ch)
{
	return ch->ever ? -EPIPE : -ENOTCONN;
}

/* The longest copy that everybody takes; without peers, our own limit is as good a guess as any. */
static void copy_limit_update(struct chan *ch)
{
	uint64_t limit = ch->out == 0 ? ch->opt.copy_bytes : UINT64_MAX;
	uint64_t takes;

	for (unsigned m = ch->out; m != 0; m &= m - 1) {
		takes = (uint64_t)load32(&ch->peer[first_peer(m)].control->pad0[0])
			<< ARENA_PAGE_SHIFT;
		if (takes < CHAN_COPY_LEAST)
			takes = CHAN_COPY_LEAST;
		if (takes < limit)
			limit = takes;
	}
	ch->copy_limit = limit;
}

void peer_attach(struct chan *ch, const struct chan_connect *op, void *addr, uint32_t pages)
{
	struct peer *peer = &ch->peer[op->peer];
	uint8_t bit = (uint8_t)(1U << op->peer);
	uint8_t *control = (uint8_t *)addr + (uint64_t)op->arena_pages * ARENA_PAGE;

	CHAN_CHECK(op->peer < CHAN_MAX_PEERS && op->remote < CHAN_MAX_PEERS);
	CHAN_CHECK((ch->attached & bit) == 0);
	*peer = (struct peer){
	    .control = (struct chan_control *)control,
	    .status = (struct chan_status *)(control + CONTROL_BYTES),
	    .arena = addr,
	    .arena_bytes = (uint64_t)op->arena_pages * ARENA_PAGE,
	    .frame_shift = ARENA_PAGE_SHIFT + (unsigned)__builtin_ctz(op->frame_pages),
	    .remote = op->remote,
	    .gfn = op->gfn,
	    .pages = pages,
	};
	ch->attached |= bit;
	ch->out |= bit;
	ch->in |= bit;
	ch->ever = true;
	copy_limit_update(ch);
	/* Nothing is queued: chan_accept has flushed. */
	store64(&ch->control->start[op->peer], UINT64_C(1) << 32 | ch->next);
}

/*
 * What was sent before we were accepted counts as released by us, also for a hypervisor that began
 * to wait for us a little too early.
 */
bool peer_join(struct chan *ch, unsigned p)
{
	struct peer *peer = &ch->peer[p];
	uint64_t start;
	uint32_t before;

	if (peer->joined)
		return true;
	start = load64(&peer->control->start[peer->remote]);
	if (start >> 32 == 0)
		return false;
	peer->next = (uint32_t)start;
	before = peer->next - 1;
	for (uint32_t slot = 0; slot < CHAN_SLOTS; slot++)
		store32(&ch->control->release[p][slot], before - ((before - slot) & SLOT_MASK));
	peer->joined = true;
	return true;
}

bool peer_gone(const struct chan *ch, unsigned p)
{
	return (load32(&ch->status->peers) >> p & 1) == 0;
}

/* The hypervisor says that it is closed before it says that it is gone. */
bool peer_dropped_us(const struct chan *ch, unsigned p)
{
	return peer_gone(ch, p) && load32(&ch->peer[p].status->state) == CHAN_STATE_OPEN;
}

static void leave_out(struct chan *ch, unsigned p)
{
	if ((ch->out >> p & 1) == 0)
		return;
	ch->out &= (uint8_t) ~(1U << p);
	ch->count.peers_gone++;
	copy_limit_update(ch);
	if (ch->out == 0)
		slot_discard(ch);
}

void peer_check(struct chan *ch)
{
	unsigned gone = ch->out & ~load32(&ch->status->peers);
	unsigned left;

	for (; __builtin_expect(gone != 0, 0); gone &= gone - 1)
		leave_out(ch, first_peer(gone));
	left = ch->attached & ~((unsigned)ch->out | ch->in);
	for (; __builtin_expect(left != 0, 0); left &= left - 1)
		peer_finish(ch, first_peer(left));
}

/*
 * While a peer that we have done with is still mapped, because we hold messages of it, the
 * hypervisor goes on waiting for it to release what is sealed.
 */
bool peer_released(const struct chan *ch, unsigned p, const struct slot *slot)
{
	const struct peer *peer = &ch->peer[p];

	if ((ch->out >> p & 1) == 0 && (slot->kind != CHAN_SEALED || peer_gone(ch, p)))
		return true;
	return load32(&peer->control->release[peer->remote][slot->seq & SLOT_MASK]) == slot->seq;
}

void peer_leave(struct chan *ch, unsigned p)
{
	leave_out(ch, p);
	ch->in &= (uint8_t) ~(1U << p);
	peer_finish(ch, p);
}

void peer_finish(struct chan *ch, unsigned p)
{
	struct peer *peer = &ch->peer[p];
	uint8_t bit = (uint8_t)(1U << p);
	int err;

	if ((ch->attached & bit) == 0 || ((ch->out | ch->in) & bit) != 0 || peer->nheld != 0)
		return;
	err = ch->t->drop(&ch->ep, p);
	if (err == -ENOMEM)
		return; /* the next peer_check tries again */
	/* Otherwise something may be mapped there yet. */
	if (err == 0 || err == -EPIPE)
		ch->t->unplace(ch->t->ctx, peer->gfn, peer->pages);
	ch->attached &= (uint8_t)~bit;
	slot_forget(ch, p);
}
