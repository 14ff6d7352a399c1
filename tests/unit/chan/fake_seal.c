/* SPDX-License-Identifier: BSD-2-Clause */
/* Seals, breaks and refreshes of the fake hypervisor. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "chan/fake_private.h"

static size_t frame_bytes(const struct fake_ep *ep)
{
	return (size_t)ep->frame_pages * ARENA_PAGE;
}

static uint64_t hash_frames(const struct fake_ep *ep, uint32_t first, uint32_t nr)
{
	const uint64_t *word = (const uint64_t *)(ep->owner + first * frame_bytes(ep));
	size_t n = nr * frame_bytes(ep) / sizeof(*word);
	uint64_t hash = 1;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return hash;
}

static bool released(const struct fake_ep *ep, unsigned p, uint32_t seq)
{
	const struct fake_link *l = &ep->link[p];

	if (l->state != LINK_MAPPED || l->gone)
		return true;
	return __atomic_load_n(&l->peer->control->release[l->remote][seq % CHAN_SLOTS],
		   __ATOMIC_ACQUIRE) == seq;
}

static void unseal(struct fake_ep *ep, unsigned slot)
{
	struct fake_seal *se = &ep->seal[slot];

	if (!se->broken && se->hash != hash_frames(ep, se->first, se->nr))
		fake_broken("sealed frames have been written to");
	__atomic_store_n(&ep->status->sealed[slot].nr, 0, __ATOMIC_RELEASE);
	se->used = false;
}

int fake_do_reap(struct fake_ep *ep)
{
	int left = 0;

	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++) {
		struct fake_seal *se = &ep->seal[slot];

		for (unsigned p = 0; se->used && p < CHAN_MAX_PEERS; p++)
			if ((se->waiting >> p & 1) && released(ep, p, se->seq))
				se->waiting &= ~(1U << p);
		if (se->used && se->waiting == 0)
			unseal(ep, slot);
		left += se->used;
	}
	return left;
}

static bool frames_sealed(const struct fake_ep *ep, uint32_t first, uint32_t nr)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++) {
		const struct fake_seal *se = &ep->seal[slot];

		if (se->used && se->first < first + nr && first < se->first + se->nr)
			return true;
	}
	return false;
}

static int check_ranges(struct fake_ep *ep, const struct chan_seal *op)
{
	uint32_t frames = ep->arena_pages / ep->frame_pages;

	if (op->nr == 0 || op->nr > CHAN_SEAL_MAX || op->pad != 0)
		return -EINVAL;
	for (uint32_t k = 0; k < op->nr; k++) {
		const struct chan_range *r = &op->range[k];

		if (r->nr == 0 || r->first >= frames || r->nr > frames - r->first)
			return -EINVAL;
		if (ep->seal[r->seq % CHAN_SLOTS].used || frames_sealed(ep, r->first, r->nr))
			return -EBUSY;
	}
	return 0;
}

int fake_do_seal(struct fake_ep *ep, const struct chan_seal *op)
{
	uint32_t peers = 0;
	int error;

	fake_do_reap(ep);
	for (unsigned p = 0; p < CHAN_MAX_PEERS; p++)
		if (ep->link[p].state == LINK_MAPPED && !ep->link[p].gone)
			peers |= 1U << p;
	error = peers == 0 ? -ENOTCONN : check_ranges(ep, op);
	for (uint32_t k = 0; error == 0 && k < op->nr; k++) {
		const struct chan_range *r = &op->range[k];
		struct chan_sealed *sealed = &ep->status->sealed[r->seq % CHAN_SLOTS];

		ep->seal[r->seq % CHAN_SLOTS] = (struct fake_seal){.used = true,
		    .seq = r->seq,
		    .first = r->first,
		    .nr = r->nr,
		    .waiting = peers,
		    .hash = hash_frames(ep, r->first, r->nr)};
		__atomic_store_n(&sealed->first, r->first, __ATOMIC_RELAXED);
		__atomic_store_n(&sealed->nr, r->nr, __ATOMIC_RELAXED);
		__atomic_store_n(&sealed->peers, peers, __ATOMIC_RELAXED);
		__atomic_store_n(&sealed->seq, r->seq, __ATOMIC_RELEASE);
		__atomic_store_n(
		    &ep->control->desc[r->seq % CHAN_SLOTS].seq, r->seq, __ATOMIC_SEQ_CST);
	}
	for (unsigned p = 0; error == 0 && p < CHAN_MAX_PEERS; p++)
		if ((peers >> p & 1) &&
		    __atomic_load_n(&ep->link[p].peer->control->sleeping, __ATOMIC_SEQ_CST) != 0)
			fake_raise(ep->link[p].peer);
	return error;
}

/* ---- what views show ---- */

static unsigned count_stale(const struct fake_link *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(l->stale); i++)
		n += (unsigned)__builtin_popcount(l->stale[i]);
	return n;
}

static void note_stale(struct fake_ep *ep, struct fake_link *view, uint32_t frame, bool yes)
{
	uint8_t bit = (uint8_t)(1U << frame % 8);

	if (frame >= FAKE_MAX_FRAMES || view->view == NULL)
		fake_broken("a break where none can be played");
	view->stale[frame / 8] = (uint8_t)(yes ? view->stale[frame / 8] | bit
					       : view->stale[frame / 8] & ~bit);
	__atomic_store_n(&ep->status->stale[view->remote], count_stale(view), __ATOMIC_SEQ_CST);
}

/* A view gets a private copy of the frame, as it is now. */
static void detach(struct fake_ep *ep, struct fake_link *view, uint32_t frame)
{
	size_t bytes = frame_bytes(ep);
	uint8_t *at = view->view + frame * bytes;

	if (view->stale[frame / 8] >> frame % 8 & 1)
		return;
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		0) == MAP_FAILED)
		fake_broken("no memory for a break");
	memcpy(at, ep->kva + frame * bytes, bytes);
	if (mprotect(at, bytes, PROT_READ) != 0)
		fake_broken("mprotect");
	note_stale(ep, view, frame, true);
}

static struct fake_link *view_of(const struct fake_ep *ep, unsigned p)
{
	const struct fake_link *l = &ep->link[p];

	if (l->state != LINK_MAPPED || l->gone)
		return NULL;
	return &l->peer->link[l->remote];
}

void fake_break(struct chan *ch, uint32_t frame)
{
	struct fake_ep *ep;
	struct fake_link *view;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(ch->ep.id);
	fake_do_reap(ep);
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++) {
		struct fake_seal *se = &ep->seal[slot];

		if (!se->used || frame < se->first || frame - se->first >= se->nr)
			continue;
		se->broken = true;
		for (unsigned p = 0; p < CHAN_MAX_PEERS; p++)
			if ((view = view_of(ep, p)) != NULL)
				detach(ep, view, frame);
	}
	pthread_mutex_unlock(&fake_mutex);
}

void fake_keep_for(struct fake_ep *ep, unsigned peer)
{
	struct fake_link *view = view_of(ep, peer);

	for (unsigned slot = 0; view != NULL && slot < CHAN_SLOTS; slot++) {
		const struct fake_seal *se = &ep->seal[slot];

		if (!se->used || !(se->waiting >> peer & 1) || released(ep, peer, se->seq))
			continue;
		for (uint32_t k = 0; k < se->nr; k++)
			detach(ep, view, se->first + k);
	}
}

void fake_forget_peer(struct fake_ep *ep, unsigned peer)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		ep->seal[slot].waiting &= ~(1U << peer);
	fake_do_reap(ep);
}

/* As in life: a broken seal's frames are what the view has; anything else, what the arena has. */
int fake_do_refresh(struct fake_ep *ep, const struct chan_refresh *op)
{
	struct fake_link *l = &ep->link[op->peer];
	struct fake_ep *peer = l->peer;
	const struct fake_seal *se = &peer->seal[op->seq % CHAN_SLOTS];

	if (op->peer >= CHAN_MAX_PEERS || l->state != LINK_MAPPED || op->nr == 0)
		return -EINVAL;
	for (uint32_t frame = op->first; frame < op->first + op->nr; frame++) {
		size_t bytes = frame_bytes(peer);

		if (!(l->stale[frame / 8] >> frame % 8 & 1))
			continue;
		if (se->used && se->seq == op->seq && se->broken && frame >= se->first &&
		    frame - se->first < se->nr)
			continue;
		if (mmap(l->view + frame * bytes, bytes, PROT_READ, MAP_SHARED | MAP_FIXED,
			peer->memfd, (off_t)(frame * bytes)) == MAP_FAILED)
			fake_broken("no memory for a refresh");
		note_stale(peer, l, frame, false);
	}
	return 0;
}

unsigned fake_seals(struct chan *ch)
{
	struct fake_ep *ep;
	unsigned n = 0;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(ch->ep.id);
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		n += ep->seal[slot].used;
	pthread_mutex_unlock(&fake_mutex);
	return n;
}
