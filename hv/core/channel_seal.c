/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seals: which messages' frames must keep their bytes, and until when.
 *
 * A seal's number in the arena is its message's slot.  What a slot's seal is, is ours (ep_seals);
 * that its frames are on loan is the arena's.  Only the owner's thread makes seals; any thread ends
 * them, in channel_ao_reap, where the arena lets in one at a time.
 */
#include <errno.h>
#include <string.h>

#include "core/channel_private.h"
#include "uvm/uvm_fault.h"

static unsigned slot_of(uint32_t seq)
{
	return seq % CHAN_SLOTS;
}

/* => mutex.  Peers' control pages are theirs to scribble on: a word is read once, and compared. */
static bool released(const struct link *l, uint32_t seq)
{
	const struct chan_control *ctl = l->li_peer->ep_control;

	return l->li_gone ||
	       __atomic_load_n(&ctl->release[l->li_remote][slot_of(seq)], __ATOMIC_ACQUIRE) == seq;
}

/* => mutex.  Note which peers have released it; has everybody? */
static bool over(struct endpoint *ep, struct seal *se)
{
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if ((se->se_waiting >> i & 1) && released(&ep->ep_links[i], se->se_seq))
			se->se_waiting &= ~(1u << i);
	return se->se_waiting == 0;
}

/*
 * => mutex.  A peer has to ask for what it looks at while its view shows old frames; and while
 * there is a broken seal for it, whose frames its view need not show: it may not have had one at
 * the time, or have asked for what is there now.  What was so when the owner closed stays so: nothing
 * of it is broken any more, and its links, where the counts were, are gone.
 */
static void tell_stale(struct endpoint *ep)
{
	uint32_t stale;

	if (ep->ep_closed)
		return;
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		stale = ep->ep_links[i].li_old;
		for (unsigned slot = 0; ep->ep_nbroken > 0 && slot < CHAN_SLOTS; slot++)
			stale += ep->ep_seals[slot].se_broken &&
				 (ep->ep_seals[slot].se_waiting >> i & 1);
		__atomic_store_n(&ep->ep_status->stale[i], stale, __ATOMIC_SEQ_CST);
	}
}

/* => mutex.  A seal is over. */
static void free_seal(struct endpoint *ep, struct seal *se)
{
	ep->ep_nbroken -= se->se_broken;
	ep->ep_nseals--;
	*se = (struct seal){.se_state = SEAL_FREE};
}

/* => mutex.  An entry without frames is none. */
static void hide_seal(struct endpoint *ep, unsigned slot)
{
	__atomic_store_n(&ep->ep_status->sealed[slot].nr, 0, __ATOMIC_RELEASE);
}

/* => mutex.  Choose the seals to end.  Those of a closed endpoint stay for who has it mapped. */
static unsigned choose_over(struct endpoint *ep, uint16_t slots[CHAN_SLOTS])
{
	unsigned n = 0, left = ep->ep_closed ? 0 : ep->ep_nseals;

	for (unsigned slot = 0; left > 0 && slot < CHAN_SLOTS; slot++) {
		struct seal *se = &ep->ep_seals[slot];

		if (se->se_state == SEAL_FREE)
			continue;
		left--;
		if (se->se_state != SEAL_SEALED || !over(ep, se))
			continue;
		se->se_state = SEAL_ENDING;
		hide_seal(ep, slot);
		slots[n++] = (uint16_t)slot;
	}
	if (ep->ep_nbroken > 0)
		tell_stale(ep);
	return n;
}

static void channel_ao_reap(void *arg)
{
	struct endpoint *ep = arg;
	uint16_t slots[CHAN_SLOTS];
	unsigned n;

	channels_lock();
	n = choose_over(ep, slots);
	channels_unlock();
	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		uvm_arena_unseal(ep->ep_part[AREA_DATA], slots[i]);
	channels_lock();
	for (unsigned i = 0; i < n; i++)
		free_seal(ep, &ep->ep_seals[slots[i]]);
	channels_unlock();
}

/* => mutex.  Does peer i of the endpoint have the view at gfn of map? */
static bool views(const struct endpoint *ep, unsigned i, const struct uvm_map *map, uint64_t gfn)
{
	const struct link *l = &ep->ep_links[i], *back;

	if (l->li_state == LINK_FREE || l->li_gone || l->li_peer->ep_closed)
		return false;
	back = &l->li_peer->ep_links[l->li_remote];
	return back->li_peer == ep && back->li_remote == i &&
	       (back->li_state == LINK_BUSY || back->li_state == LINK_MAPPED) &&
	       back->li_gfn == gfn && l->li_peer->ep_guest->g_map == map;
}

static void channel_ao_stale(void *arg, struct uvm_map *map, uint64_t gfn, uint64_t frames)
{
	struct endpoint *ep = arg;

	channels_lock();
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if (views(ep, i, map, gfn))
			ep->ep_links[i].li_old = (uint32_t)frames;
	tell_stale(ep);
	channels_unlock();
}

static void channel_ao_broken(void *arg, uint64_t frame)
{
	struct endpoint *ep = arg;
	struct seal *se;

	channels_lock();
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++) {
		se = &ep->ep_seals[slot];
		if (se->se_state == SEAL_FREE || se->se_broken || frame < se->se_first ||
		    frame - se->se_first >= se->se_nr)
			continue;
		se->se_broken = true;
		ep->ep_nbroken++;
	}
	tell_stale(ep);
	channels_unlock();
}

const struct uvm_arena_ops channel_arena_ops = {
    .ao_reap = channel_ao_reap,
    .ao_stale = channel_ao_stale,
    .ao_broken = channel_ao_broken,
};

void seals_settle(struct endpoint *ep)
{
	uvm_arena_reap(ep->ep_part[AREA_DATA]);
	uvm_arena_thaw(ep->ep_part[AREA_DATA]);
}

void seals_end(struct endpoint *ep)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		if (ep->ep_seals[slot].se_state != SEAL_FREE)
			uvm_arena_unseal(ep->ep_part[AREA_DATA], slot);
}

void seals_forget_peer(struct endpoint *ep, unsigned i)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		ep->ep_seals[slot].se_waiting &= ~(1u << i);
}

/* => mutex.  A copy of the next seal from *slot on that peer i has not released. */
static bool next_held(struct endpoint *ep, unsigned i, unsigned *slot, struct seal *se)
{
	for (; *slot < CHAN_SLOTS; ++*slot) {
		*se = ep->ep_seals[*slot];
		if (se->se_state == SEAL_SEALED && (se->se_waiting >> i & 1) &&
		    !released(&ep->ep_links[i], se->se_seq))
			return true;
	}
	return false;
}

/* Break what is on loan of these frames, as the owner's write would. */
static int break_frames(struct endpoint *ep, const struct seal *se)
{
	uint64_t gfn = ep->ep_gfn + (uint64_t)se->se_first * ep->ep_frame_pages;
	int error = 0;

	for (uint32_t k = 0; error == 0 && k < se->se_nr; k++)
		error = uvm_fault(
		    ep->ep_guest->g_map, gfn + (uint64_t)k * ep->ep_frame_pages, UVM_ACCESS_WRITE);
	return error;
}

int seals_keep_for(struct endpoint *ep, unsigned i)
{
	unsigned slot = 0;
	struct seal se;
	int error = 0;
	bool more;

	while (error == 0) {
		channels_lock();
		more = next_held(ep, i, &slot, &se);
		channels_unlock();
		if (!more)
			break;
		error = break_frames(ep, &se);
		slot++;
	}
	return error;
}

static int check_ranges(const struct endpoint *ep, const struct chan_seal *op)
{
	if (op->pad != 0 || op->nr == 0 || op->nr > CHAN_SEAL_MAX)
		return -EINVAL;
	for (uint32_t k = 0; k < op->nr; k++) {
		const struct chan_range *r = &op->range[k];

		if (r->nr == 0 || r->first >= ep->ep_frames || r->nr > ep->ep_frames - r->first)
			return -EINVAL;
	}
	return 0;
}

/* => mutex.  Free the slots of the first n ranges. */
static void free_slots(struct endpoint *ep, const struct chan_seal *op, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		free_seal(ep, &ep->ep_seals[slot_of(op->range[k].seq)]);
}

/* => mutex */
static uint32_t live_peers(const struct endpoint *ep)
{
	uint32_t peers = 0;

	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if (channel_link_live(&ep->ep_links[i]))
			peers |= 1u << i;
	return peers;
}

/* => mutex.  Take the slots of all ranges, or none. */
static int take_slots(struct endpoint *ep, const struct chan_seal *op)
{
	uint32_t peers = live_peers(ep);

	if (peers == 0)
		return -ENOTCONN;
	for (uint32_t k = 0; k < op->nr; k++) {
		const struct chan_range *r = &op->range[k];
		struct seal *se = &ep->ep_seals[slot_of(r->seq)];

		if (se->se_state != SEAL_FREE) {
			free_slots(ep, op, k);
			return -EBUSY;
		}
		*se = (struct seal){.se_state = SEAL_SETUP,
		    .se_seq = r->seq,
		    .se_first = r->first,
		    .se_nr = r->nr,
		    .se_waiting = peers};
		ep->ep_nseals++;
	}
	return 0;
}

/* Protect the frames of all ranges, or none. */
static int seal_ranges(struct endpoint *ep, const struct chan_seal *op)
{
	struct uvm_arena *ua = ep->ep_part[AREA_DATA];
	uint32_t k;
	int error = 0;

	for (k = 0; error == 0 && k < op->nr; k++)
		error = uvm_arena_seal(
		    ua, slot_of(op->range[k].seq), op->range[k].first, op->range[k].nr);
	if (error != 0)
		for (k--; k > 0; k--)
			uvm_arena_unseal(ua, slot_of(op->range[k - 1].seq));
	return error;
}

/* => mutex.  The frames are sealed: say so, and publish. */
static void show_message(struct endpoint *ep, const struct chan_range *r)
{
	unsigned slot = slot_of(r->seq);
	struct chan_sealed *sealed = &ep->ep_status->sealed[slot];

	__atomic_store_n(&sealed->first, r->first, __ATOMIC_RELAXED);
	__atomic_store_n(&sealed->nr, r->nr, __ATOMIC_RELAXED);
	__atomic_store_n(&sealed->peers, ep->ep_seals[slot].se_waiting, __ATOMIC_RELAXED);
	__atomic_store_n(&sealed->seq, r->seq, __ATOMIC_RELEASE);
	ep->ep_seals[slot].se_state = SEAL_SEALED;
	/* In one order with the look at who sleeps: a sleeper that we miss has seen this. */
	__atomic_store_n(&ep->ep_control->desc[slot].seq, r->seq, __ATOMIC_SEQ_CST);
}

/* => mutex.  Behind what was published. */
static void wake_sleepers(struct endpoint *ep)
{
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		struct link *l = &ep->ep_links[i];

		if (channel_link_live(l) &&
		    __atomic_load_n(&l->li_peer->ep_control->sleeping, __ATOMIC_SEQ_CST) != 0)
			channel_raise(l->li_peer);
	}
}

static int64_t seal_and_publish(struct endpoint *ep, const struct chan_seal *op)
{
	int error;

	channels_lock();
	error = take_slots(ep, op);
	channels_unlock();
	if (error != 0)
		return error;
	error = seal_ranges(ep, op);
	channels_lock();
	if (error != 0) {
		free_slots(ep, op, op->nr);
	} else {
		for (uint32_t k = 0; k < op->nr; k++)
			show_message(ep, &op->range[k]);
		wake_sleepers(ep);
	}
	channels_unlock();
	return error;
}

int64_t channel_seal(struct guest *g, const struct chan_seal *op)
{
	struct endpoint *ep = channel_find(g, op->id);
	int64_t error;

	if (ep == NULL)
		return -EBADF;
	error = check_ranges(ep, op);
	if (error != 0)
		return error;
	uvm_arena_reap(ep->ep_part[AREA_DATA]);
	error = seal_and_publish(ep, op);
	/* Only now, so that frames which were let go and sealed again were never un-protected. */
	uvm_arena_thaw(ep->ep_part[AREA_DATA]);
	return error;
}

int64_t channel_reap(struct guest *g, const struct chan_id *op)
{
	struct endpoint *ep = channel_find(g, op->id);
	uint32_t left;

	if (ep == NULL)
		return -EBADF;
	seals_settle(ep);
	channels_lock();
	left = ep->ep_nseals;
	channels_unlock();
	return left;
}

/* => mutex.  The seal of a message, if it covers these frames. */
static uint32_t seal_number(const struct endpoint *ep, const struct chan_refresh *op)
{
	unsigned slot = slot_of(op->seq);
	const struct seal *se = &ep->ep_seals[slot];

	if (se->se_state != SEAL_SEALED || se->se_seq != op->seq || op->first < se->se_first ||
	    op->first - se->se_first > se->se_nr || op->nr > se->se_nr - (op->first - se->se_first))
		return UVM_NOSEAL;
	return slot;
}

int64_t channel_refresh(struct guest *g, const struct chan_refresh *op)
{
	struct endpoint *ep = channel_find(g, op->id), *peer;
	const struct link *l;
	uint32_t seal = UVM_NOSEAL;
	uint64_t gfn = 0;
	int error = 0;

	if (ep == NULL)
		return -EBADF;
	if (op->peer >= CHAN_MAX_PEERS)
		return -EINVAL;
	l = &ep->ep_links[op->peer];
	channels_lock();
	peer = l->li_peer;
	if (l->li_state != LINK_MAPPED || op->nr == 0 || op->first >= peer->ep_frames ||
	    op->nr > peer->ep_frames - op->first) {
		error = -EINVAL;
	} else {
		seal = seal_number(peer, op);
		gfn = l->li_gfn;
	}
	channels_unlock();
	if (error != 0)
		return error;
	return uvm_arena_refresh(g->g_map, gfn, seal, op->first, op->nr);
}
