/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A libFuzzer target: one endpoint with our library, and peers that do what the input says: scribble
 * over their control areas, forge descriptors, release or not, come and go, while the endpoint sends,
 * receives and releases as the input says, too.  The hypervisor in between is honest.
 *
 * Looked at: every received message lies where it may lie and can be read; what is sealed is the same
 * at its release; no call makes more than a bounded number of hypercalls; all memory comes back.
 * Without libFuzzer, main.c feeds it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chan_fuzz.h"

#define MAX_BUFS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	const uint8_t *at, *end;
} input;

static struct chan *ch;
static uint8_t *bufs[MAX_BUFS];
static size_t buf_len[MAX_BUFS];
static unsigned nbufs;

static uint64_t take_bytes(unsigned n)
{
	uint64_t value = 0;

	for (; n > 0 && input.at < input.end; n--)
		value = value << 8 | *input.at++;
	return value;
}

/* Numbers near those that matter, and others. */
static uint64_t odd_number(uint64_t limit)
{
	uint64_t kind = take_bytes(1);

	switch (kind % 8) {
	case 0:
		return take_bytes(8);
	case 1:
		return limit - kind / 8;
	case 2:
		return limit + kind / 8;
	case 3:
		return UINT64_MAX - kind / 8;
	case 4:
		return (take_bytes(1) % 32) * ARENA_PAGE;
	default:
		return limit != 0 ? take_bytes(4) % limit : 0;
	}
}

/* ---- what peers do ---- */

static struct fuzz_peer *some_peer(void)
{
	struct fuzz_peer *peer = &fuzz_peers[take_bytes(1) % FUZZ_PEERS];

	return peer->area != NULL && !peer->gone ? peer : NULL;
}

static void peer_come(void)
{
	for (unsigned i = 0; i < FUZZ_PEERS; i++) {
		struct fuzz_peer *peer = &fuzz_peers[i];

		if (peer->area != NULL)
			continue;
		peer->area = calloc(1, PEER_BYTES);
		fuzz_must(peer->area != NULL, "no memory");
		peer->control = (struct chan_control *)(peer->area + PEER_ARENA);
		peer->status = (struct chan_status *)(peer->area + PEER_ARENA +
						      CHAN_CONTROL_PAGES * ARENA_PAGE);
		peer->status->state = CHAN_STATE_OPEN;
		peer->control->start[0] = UINT64_C(1) << 32 | 1;
		fuzz_control->start[i] = 0;
		for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
			fuzz_control->release[i][slot] = slot == 0;
		fuzz_status->peers |= 1U << i;
		return;
	}
}

static void peer_go(void)
{
	struct fuzz_peer *peer = some_peer();

	if (peer == NULL)
		return;
	if (take_bytes(1) % 4 != 0)
		peer->status->state = CHAN_STATE_CLOSED;
	fuzz_status->peers &= ~(1U << (peer - fuzz_peers));
	if (peer->mapped)
		peer->gone = true;
	else
		fuzz_peer_free((unsigned)(peer - fuzz_peers));
}

/* The number that the library looks for next, or nearly. */
static uint32_t next_of(const struct fuzz_peer *peer)
{
	uint32_t seq = ch->peer[peer - fuzz_peers].joined ? ch->peer[peer - fuzz_peers].next : 1;
	uint64_t off = take_bytes(1);

	return off < 224 ? seq : seq + (uint32_t)off - 240;
}

static void peer_scribble(void)
{
	struct fuzz_peer *peer = some_peer();
	uint32_t where = (uint32_t)take_bytes(2) % (sizeof(struct chan_control) - 8);
	uint64_t value = take_bytes(8);

	if (peer != NULL)
		memcpy((uint8_t *)peer->control + where, &value, 1 + where % 8);
}

static void peer_publish(void)
{
	struct fuzz_peer *peer = some_peer();
	struct chan_desc *desc;
	uint32_t seq;

	if (peer == NULL)
		return;
	seq = next_of(peer);
	desc = &peer->control->desc[seq % CHAN_SLOTS];
	desc->kind = (uint32_t)take_bytes(1) % 5;
	desc->offset = odd_number(PEER_ARENA);
	desc->len = odd_number(PEER_ARENA);
	desc->seq = seq;
}

/* What the hypervisor would allow: a free slot, frames that no message in the reader's hands has. */
static void peer_seal(void)
{
	struct fuzz_peer *peer = some_peer();
	uint32_t first = (uint32_t)take_bytes(1) % PEER_PAGES;
	uint32_t nr = 1 + (uint32_t)take_bytes(1) % (PEER_PAGES - first);
	uint32_t seq, slot;

	if (peer == NULL)
		return;
	seq = next_of(peer);
	slot = seq % CHAN_SLOTS;
	for (unsigned s = 0; s < CHAN_SLOTS; s++) {
		struct chan_sealed *sealed = &peer->status->sealed[s];

		if (sealed->nr != 0 && fuzz_control->release[peer - fuzz_peers][s] == sealed->seq)
			sealed->nr = 0;
		if (sealed->nr != 0 && (s == slot || (sealed->first < first + nr &&
							 first < sealed->first + sealed->nr)))
			return;
	}
	peer->status->sealed[slot] = (struct chan_sealed){
	    .seq = seq, .first = first, .nr = nr, .peers = 1};
	peer->control->desc[slot] = (struct chan_desc){.kind = CHAN_SEALED,
	    .offset = first * ARENA_PAGE + take_bytes(1),
	    .len = odd_number(nr * ARENA_PAGE)};
	peer->control->desc[slot].seq = seq;
}

/* It writes to its arena, where that is not sealed: there it would get other frames. */
static void peer_write(void)
{
	struct fuzz_peer *peer = some_peer();
	uint32_t at = (uint32_t)take_bytes(4) % PEER_ARENA;
	uint8_t value = (uint8_t)take_bytes(1);

	if (peer == NULL)
		return;
	for (unsigned s = 0; s < CHAN_SLOTS; s++) {
		const struct chan_sealed *sealed = &peer->status->sealed[s];

		if (sealed->nr != 0 && at / ARENA_PAGE - sealed->first < sealed->nr &&
		    fuzz_control->release[peer - fuzz_peers][s] != sealed->seq)
			return;
	}
	peer->area[at] = value;
}

static void peer_release(void)
{
	struct fuzz_peer *peer = some_peer();
	uint32_t n = (uint32_t)take_bytes(1);

	if (peer == NULL)
		return;
	for (uint32_t seq = ch->tail; seq != ch->pub && n > 0; seq++, n--)
		peer->control->release[0][seq % CHAN_SLOTS] = seq;
}

static void peer_stale(void)
{
	struct fuzz_peer *peer = some_peer();

	if (peer != NULL)
		peer->status->stale[0] = (uint32_t)take_bytes(1) % 3;
}

/* ---- what the endpoint does ---- */

static uint64_t hash_of(const struct chan_message *msg)
{
	const uint8_t *data = msg->data;
	uint64_t hash = msg->len;

	for (size_t i = 0; i < msg->len; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static void inside(const struct chan_message *msg)
{
	const uint8_t *data = msg->data;
	const uint8_t *base = fuzz_peers[msg->peer].area;
	size_t size = PEER_ARENA;

	if (msg->strength == CHAN_COPY) {
		base = ch->pool_base;
		size = ch->opt.copy_bytes;
	}
	fuzz_must(data >= base && data <= base + size && msg->len <= (size_t)(base + size - data),
	    "a message that lies elsewhere");
}

static void own_recv(void)
{
	struct chan_message msg;
	uint64_t deadline = take_bytes(1) % 4 == 0 ? fuzz_clock + 50000 : CHAN_NOW;

	if (fuzz_nheld == FUZZ_MAX_HELD || chan_recv(ch, deadline, &msg) != 0)
		return;
	fuzz_must(msg.peer < FUZZ_PEERS, "a peer's number");
	inside(&msg);
	fuzz_held[fuzz_nheld].msg = msg;
	fuzz_held[fuzz_nheld++].hash = hash_of(&msg);
}

static void release_one(unsigned i)
{
	struct chan_message msg = fuzz_held[i].msg;

	fuzz_must(msg.strength == CHAN_SHARED || hash_of(&msg) == fuzz_held[i].hash,
	    "sealed bytes changed");
	fuzz_held[i] = fuzz_held[--fuzz_nheld];
	fuzz_must(chan_release(ch, &msg) == 0, "a message that can't be released");
	fuzz_must(msg.strength == CHAN_COPY || chan_release(ch, &msg) == -EINVAL, "released twice");
}

static void own_release(void)
{
	unsigned i = (unsigned)take_bytes(1);

	if (fuzz_nheld > 0)
		release_one(i % fuzz_nheld);
}

static void own_alloc(void)
{
	uint64_t deadline = take_bytes(1) % 4 == 0 ? fuzz_clock + 50000 : CHAN_NOW;
	size_t len = odd_number(OWN_PAGES * ARENA_PAGE);
	void *buf;

	if (nbufs == MAX_BUFS || chan_alloc(ch, len, deadline, &buf) != 0)
		return;
	bufs[nbufs] = buf;
	buf_len[nbufs++] = len;
	fuzz_must(!fuzz_sealed_p((uint32_t)((uint64_t)((uint8_t *)buf - fuzz_own) / ARENA_PAGE), 1),
	    "a buffer whose frames are sealed");
	memset(buf, (int)len, len);
}

static void forget_buf(unsigned i)
{
	bufs[i] = bufs[--nbufs];
	buf_len[i] = buf_len[nbufs];
}

static void own_send(void)
{
	unsigned i = (unsigned)take_bytes(1), flags = (unsigned)take_bytes(1) % 32;
	size_t skip = take_bytes(2), len = odd_number(4096);

	if (nbufs == 0)
		return;
	i %= nbufs;
	skip %= buf_len[i] + 1;
	if (flags & 16)
		len = buf_len[i] - skip;
	flags &= 15;
	if (chan_send(ch, bufs[i] + skip, len, flags, 0) == 0 && (flags & CHAN_SEND_KEEP) == 0)
		forget_buf(i);
}

static void own_sent_or_free(void)
{
	unsigned i = (unsigned)take_bytes(1);

	if (nbufs == 0)
		return;
	if (i % 2) {
		(void)chan_sent(ch, bufs[i % nbufs]);
		return;
	}
	fuzz_must(chan_free(ch, bufs[i % nbufs]) == 0, "a buffer that can't be freed");
	forget_buf(i % nbufs);
}

static void own_poll(void)
{
	(void)chan_poll(ch, (unsigned)take_bytes(1) % 8);
}

static void own_accept(void)
{
	(void)chan_accept(ch, CHAN_NOW, NULL);
}

static void own_drop(void)
{
	(void)chan_drop(ch, (unsigned)take_bytes(1) % (FUZZ_PEERS + 1));
}

static void own_flush(void)
{
	(void)chan_flush(ch);
}

static void next_call_fails(void)
{
	fuzz_fail_in = (unsigned)take_bytes(1) % 8;
}

static void (*const steps[])(void) = {peer_come, peer_go, peer_scribble, peer_scribble,
    peer_publish, peer_publish, peer_seal, peer_seal, peer_write, peer_release, peer_release,
    peer_stale, own_recv, own_recv, own_recv, own_release, own_release, own_alloc, own_alloc,
    own_send, own_send, own_send, own_sent_or_free, own_poll, own_accept, own_drop, own_flush,
    next_call_fails};

static bool begin(void)
{
	struct chan_options options = {.arena_bytes = OWN_PAGES * ARENA_PAGE,
	    .max_peers = FUZZ_PEERS,
	    .lend_from = 1 + take_bytes(2),
	    .copy_bytes = CHAN_COPY_LEAST,
	    .spin_ns = 1};

	fuzz_own = calloc(1, OWN_BYTES);
	fuzz_must(fuzz_own != NULL, "no memory");
	fuzz_control = (struct chan_control *)(fuzz_own + OWN_PAGES * ARENA_PAGE);
	fuzz_status = (struct chan_status *)(fuzz_own +
					     (OWN_PAGES + CHAN_CONTROL_PAGES) * ARENA_PAGE);
	fuzz_begin();
	nbufs = 0;
	fuzz_fail_in = (unsigned)take_bytes(1) % 64;
	if (chan_create("fuzz", &options, &ch) != 0) {
		free(fuzz_own);
		fuzz_must(fuzz_allocations == 0, "memory that did not come back");
		return false;
	}
	for (unsigned i = (unsigned)take_bytes(1) % (FUZZ_PEERS + 1); i > 0; i--) {
		peer_come();
		own_accept();
	}
	return true;
}

static void end(void)
{
	fuzz_fail_in = 0;
	while (fuzz_nheld > 0) {
		fuzz_calls = 0;
		release_one(fuzz_nheld - 1);
	}
	fuzz_calls = 0;
	chan_close(ch);
	for (unsigned i = 0; i < FUZZ_PEERS; i++)
		fuzz_peer_free(i);
	free(fuzz_own);
	fuzz_must(fuzz_allocations == 0, "memory that did not come back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.at = data;
	input.end = data + size;
	if (!begin())
		return 0;
	while (input.at < input.end) {
		fuzz_calls = 0;
		steps[take_bytes(1) % (sizeof(steps) / sizeof(steps[0]))]();
	}
	end();
	return 0;
}
