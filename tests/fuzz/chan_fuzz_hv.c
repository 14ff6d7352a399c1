/* SPDX-License-Identifier: BSD-2-Clause */
#include "chan_fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_BOUND 64 /* hypercalls of one call of the API */

/* A seal of the endpoint, and which peers it waits for. */
struct seal {
	bool used;
	uint32_t seq, first, nr, waiting;
};

struct fuzz_peer fuzz_peers[FUZZ_PEERS];
uint8_t *fuzz_own;
struct chan_control *fuzz_control;
struct chan_status *fuzz_status;
struct fuzz_held fuzz_held[FUZZ_MAX_HELD];
unsigned fuzz_nheld, fuzz_calls, fuzz_fail_in, fuzz_allocations;
uint64_t fuzz_clock;

static struct seal seals[CHAN_SLOTS];

void fuzz_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "chan_fuzz: %s\n", what);
	abort();
}

void fuzz_begin(void)
{
	memset(seals, 0, sizeof(seals));
	fuzz_nheld = fuzz_calls = 0;
}

static int called(void)
{
	fuzz_must(++fuzz_calls <= CALLS_BOUND, "a call that does not end");
	return fuzz_fail_in > 0 && --fuzz_fail_in == 0 ? -ENOMEM : 0;
}

static int op_place(void *ctx, uint32_t pages, uint64_t *gfn, void **addr)
{
	(void)ctx;
	*gfn = 0;
	*addr = fuzz_own;
	if (fuzz_status->state == CHAN_STATE_OPEN) {
		fuzz_must(pages == CHAN_AREA_PAGES(PEER_PAGES), "room for another area");
		for (unsigned i = 0; i < FUZZ_PEERS; i++)
			if (fuzz_peers[i].area != NULL && !fuzz_peers[i].mapped)
				*addr = fuzz_peers[i].area;
	}
	return called();
}

static void op_unplace(void *ctx, uint64_t gfn, uint32_t pages)
{
	(void)ctx;
	(void)gfn;
	(void)pages;
}

static int op_create(struct chan_endpoint *ep, struct chan_create *op)
{
	int err = called();

	if (err != 0)
		return err;
	fuzz_must(op->arena_pages == OWN_PAGES, "another arena");
	fuzz_status->state = CHAN_STATE_OPEN;
	fuzz_control->desc[0].seq = 1;
	ep->id = op->id = 1;
	ep->fd = CHAN_TRANSPORT_NO_FD;
	op->frame_pages = 1;
	return 0;
}

static int op_query(struct chan_endpoint *ep, struct chan_query *op)
{
	int err = called();

	(void)ep;
	op->arena_pages = PEER_PAGES;
	op->frame_pages = 1;
	for (unsigned i = 0; i < FUZZ_PEERS; i++)
		if (fuzz_peers[i].area != NULL && !fuzz_peers[i].mapped)
			return err;
	return -EAGAIN;
}

static int op_accept(struct chan_endpoint *ep, struct chan_connect *op)
{
	int err = called();

	(void)ep;
	op->arena_pages = PEER_PAGES;
	op->frame_pages = 1;
	op->remote = 0;
	for (unsigned i = 0; err == 0 && i < FUZZ_PEERS; i++) {
		if (fuzz_peers[i].area == NULL || fuzz_peers[i].mapped)
			continue;
		fuzz_peers[i].mapped = true;
		op->peer = i;
	}
	return err;
}

static int op_connect(struct chan_endpoint *ep, struct chan_connect *op)
{
	(void)ep;
	(void)op;
	return -ENOENT;
}

static void end_seals(void)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++) {
		struct seal *se = &seals[slot];

		for (unsigned i = 0; i < FUZZ_PEERS; i++)
			if (fuzz_peers[i].gone || !fuzz_peers[i].mapped ||
			    fuzz_peers[i].control->release[0][slot] == se->seq)
				se->waiting &= ~(1U << i);
		if (!se->used || se->waiting != 0)
			continue;
		se->used = false;
		fuzz_status->sealed[slot].nr = 0;
	}
}

bool fuzz_sealed_p(uint32_t first, uint32_t nr)
{
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		if (seals[slot].used && seals[slot].first < first + nr &&
		    first < seals[slot].first + seals[slot].nr)
			return true;
	return false;
}

/* A peer that takes its release back can bring that about: the library has taken its word for it. */
static bool sealed_already(const struct chan_seal *op)
{
	for (uint32_t k = 0; k < op->nr; k++)
		if (seals[op->range[k].seq % CHAN_SLOTS].used ||
		    fuzz_sealed_p(op->range[k].first, op->range[k].nr))
			return true;
	return false;
}

static int op_seal(struct chan_endpoint *ep, const struct chan_seal *op)
{
	uint32_t live = 0;
	int err = called();

	(void)ep;
	end_seals();
	if (err == 0 && sealed_already(op))
		err = -EBUSY;
	for (unsigned i = 0; i < FUZZ_PEERS; i++)
		live |= fuzz_peers[i].mapped && !fuzz_peers[i].gone ? 1U << i : 0;
	if (err == 0 && live == 0)
		err = -ENOTCONN;
	fuzz_must(op->nr > 0 && op->nr <= CHAN_SEAL_MAX, "a number of ranges");
	for (uint32_t k = 0; err == 0 && k < op->nr; k++) {
		const struct chan_range *r = &op->range[k];
		uint32_t slot = r->seq % CHAN_SLOTS;

		fuzz_must(
		    r->nr > 0 && r->first < OWN_PAGES && r->nr <= OWN_PAGES - r->first, "a range");
		fuzz_must(!fuzz_sealed_p(r->first, r->nr), "ranges that overlap");
		seals[slot] = (struct seal){true, r->seq, r->first, r->nr, live};
		fuzz_status->sealed[slot] = (struct chan_sealed){
		    .seq = r->seq, .first = r->first, .nr = r->nr, .peers = live};
		fuzz_control->desc[slot].seq = r->seq;
	}
	return err;
}

static int op_refresh(struct chan_endpoint *ep, const struct chan_refresh *op)
{
	(void)ep;
	fuzz_must(op->peer < FUZZ_PEERS && fuzz_peers[op->peer].mapped, "refresh of nobody");
	fuzz_must(op->nr > 0 && op->first < PEER_PAGES && op->nr <= PEER_PAGES - op->first,
	    "refresh of no frames");
	for (unsigned i = 0; i < fuzz_nheld; i++) {
		const struct chan_message *msg = &fuzz_held[i].msg;
		uint64_t at = (uint64_t)((const uint8_t *)msg->data - fuzz_peers[op->peer].area);

		if (msg->strength == CHAN_SEALED && msg->peer == op->peer && msg->len > 0 &&
		    msg->seq != (op->seq ^ 0x80000000U))
			fuzz_must(at / ARENA_PAGE >= op->first + op->nr ||
				      (at + msg->len - 1) / ARENA_PAGE < op->first,
			    "refresh of what is sealed and held");
	}
	return called();
}

static int op_reap(struct chan_endpoint *ep)
{
	int err = called();

	(void)ep;
	if (err == 0)
		end_seals();
	return err;
}

static int op_notify(struct chan_endpoint *ep, uint32_t mask)
{
	(void)ep;
	fuzz_must(mask != 0 && mask >> FUZZ_PEERS == 0, "a ring at nobody's");
	(void)called();
	return 0;
}

void fuzz_peer_free(unsigned i)
{
	free(fuzz_peers[i].area);
	fuzz_peers[i] = (struct fuzz_peer){0};
}

static int op_drop(struct chan_endpoint *ep, uint32_t i)
{
	(void)ep;
	fuzz_must(i < FUZZ_PEERS && fuzz_peers[i].mapped, "drop of nobody");
	for (unsigned k = 0; k < fuzz_nheld; k++)
		fuzz_must(fuzz_held[k].msg.peer != i || fuzz_held[k].msg.strength == CHAN_COPY,
		    "drop of a peer whose messages are held");
	(void)called();
	fuzz_status->peers &= ~(1U << i);
	fuzz_peers[i].gone = true;
	end_seals();
	fuzz_peer_free(i);
	return 0;
}

static void op_close(struct chan_endpoint *ep)
{
	(void)ep;
	fuzz_status->state = CHAN_STATE_CLOSED;
}

static int op_wait(struct chan_endpoint *ep, uint64_t deadline)
{
	(void)ep;
	if (fuzz_clock < deadline)
		fuzz_clock = deadline;
	return -ETIME;
}

static bool op_take(struct chan_endpoint *ep)
{
	(void)ep;
	return false;
}

/* Time passes when somebody looks. */
static uint64_t op_now(void *ctx)
{
	(void)ctx;
	return fuzz_clock += 1000;
}

static void *op_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	if (called() != 0)
		return NULL;
	fuzz_allocations++;
	return calloc(1, bytes);
}

static void op_free(void *ctx, void *mem, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	fuzz_allocations--;
	free(mem);
}

const struct chan_transport *chan_default_transport(void)
{
	static const struct chan_transport transport = {
	    .place = op_place,
	    .unplace = op_unplace,
	    .create = op_create,
	    .connect = op_connect,
	    .accept = op_accept,
	    .query = op_query,
	    .seal = op_seal,
	    .refresh = op_refresh,
	    .reap = op_reap,
	    .notify = op_notify,
	    .drop = op_drop,
	    .close = op_close,
	    .wait = op_wait,
	    .take = op_take,
	    .now_ns = op_now,
	    .alloc = op_alloc,
	    .free = op_free,
	};

	return &transport;
}
