/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

static void bit_set(uint64_t *words, uint32_t slot)
{
	words[slot / 64] |= UINT64_C(1) << slot % 64;
}

static void bit_clear(uint64_t *words, uint32_t slot)
{
	words[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

void slot_become(struct chan *ch, struct slot *slot, enum slot_state state)
{
	uint32_t i = (uint32_t)(slot - ch->slot);

	if (slot->state == SLOT_LIVE)
		bit_clear(ch->live, i);
	else if (slot->state == SLOT_STALE)
		bit_clear(ch->stale, i);
	slot->state = (uint8_t)state;
	if (state == SLOT_LIVE)
		bit_set(ch->live, i);
	else if (state == SLOT_STALE)
		bit_set(ch->stale, i);
}

static bool referred_p(const struct chan *ch, struct arena_buf buf)
{
	for (uint32_t i = 0; i < CHAN_SLOTS; i++)
		if (ch->slot[i].state != SLOT_FREE && ch->slot[i].buf.page == buf.page &&
		    ch->slot[i].buf.chunk == buf.chunk)
			return true;
	return false;
}

void slot_unref(struct chan *ch, struct slot *slot)
{
	struct arena_buf buf = slot->buf;

	slot_become(ch, slot, SLOT_FREE);
	if (arena_flag(&ch->arena, buf, BUF_MULTI)) {
		if (referred_p(ch, buf))
			return;
		arena_flag_set(&ch->arena, buf, BUF_MULTI, false);
	}
	arena_flag_set(&ch->arena, buf, BUF_BUSY, false);
	if (!arena_flag(&ch->arena, buf, BUF_HELD))
		arena_free(&ch->arena, buf);
}

/* A live slot: has everybody released it? */
static bool try_release(struct chan *ch, struct slot *slot)
{
	unsigned p;

	for (unsigned m = slot->left; m != 0; m &= m - 1) {
		p = first_peer(m);
		if (!peer_released(ch, p, slot))
			return false;
		slot->left &= (uint8_t) ~(1U << p);
	}
	if (slot->kind == CHAN_SEALED)
		slot_become(ch, slot, SLOT_STALE);
	else
		slot_unref(ch, slot);
	return true;
}

void slot_reclaim(struct chan *ch)
{
	struct slot *slot;

	for (; ch->tail != ch->pub; ch->tail++) {
		slot = slot_of(ch, ch->tail);
		if (slot->state == SLOT_LIVE && slot->seq == ch->tail && !try_release(ch, slot))
			break;
	}
}

void slot_reclaim_all(struct chan *ch)
{
	for (uint32_t w = 0; w < SLOT_WORDS; w++)
		for (uint64_t bits = ch->live[w]; bits != 0; bits &= bits - 1)
			try_release(ch, &ch->slot[w * 64 + (uint32_t)__builtin_ctzll(bits)]);
	slot_reclaim(ch);
}

bool slot_any_stale(const struct chan *ch)
{
	uint64_t any = 0;

	for (uint32_t w = 0; w < SLOT_WORDS; w++)
		any |= ch->stale[w];
	return any != 0;
}

static bool still_sealed(const struct chan *ch, const struct slot *slot)
{
	const struct chan_sealed *sealed = &ch->status->sealed[slot->seq & SLOT_MASK];

	return load32(&sealed->seq) == slot->seq && load32(&sealed->nr) != 0;
}

/*
 * A peer that takes back its release just when the hypervisor looks has that message to release
 * again: it gains nothing that it would not have by never releasing.
 */
void slot_settle(struct chan *ch)
{
	struct slot *slot;

	for (uint32_t w = 0; w < SLOT_WORDS; w++) {
		for (uint64_t bits = ch->stale[w]; bits != 0; bits &= bits - 1) {
			slot = &ch->slot[w * 64 + (uint32_t)__builtin_ctzll(bits)];
			if (still_sealed(ch, slot)) {
				slot->left = slot->to;
				slot_become(ch, slot, SLOT_LIVE);
				continue;
			}
			cost_touch(ch, slot->first);
			slot_unref(ch, slot);
		}
	}
}

int slot_reap(struct chan *ch)
{
	int ret;

	if (!slot_any_stale(ch))
		return 0;
	ch->count.reaps++;
	ret = ch->t->reap(&ch->ep);
	if (ret < 0)
		return ret;
	slot_settle(ch);
	return 0;
}

void slot_forget(struct chan *ch, unsigned p)
{
	uint8_t others = (uint8_t) ~(1U << p);

	for (uint32_t i = 0; i < CHAN_SLOTS; i++) {
		ch->slot[i].to &= others;
		ch->slot[i].left &= others;
	}
}

void slot_discard(struct chan *ch)
{
	for (; ch->pub != ch->next; ch->pub++)
		slot_unref(ch, slot_of(ch, ch->pub));
	ch->queued_seals = 0;
}
