/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CHAN_PRIVATE_H
#define HV_CHAN_PRIVATE_H
/*
 * The inside of the channel library.
 *
 *	endpoint.c	make, connect, accept, close
 *	peer.c		who is there: attach, join, leave, drop
 *	slot.c		the sender's messages under way: who has released which
 *	send.c		alloc, send, flush
 *	recv.c		recv, release
 *	wait.c		spin, sleep, wake
 *	cost.c		what a copy and a loan cost here
 *	arena.c, heap.c	memory
 *
 * Trust.  The status areas are the hypervisor's.  A peer's control area and arena may change at any
 * time in any way: what is read there is read once, through load32 and friends, and checked.  Our
 * own control area is only written; what we need to know again is kept in struct chan.
 *
 * Conventions between libraries, beyond lombard/chan.h.  Both are advice: a peer that does not keep
 * them costs itself or us time, no more.
 *	control.pad0[0]		copies of up to this many pages are taken; 0 means CHAN_COPY_LEAST
 *	control.sleeping	SLEEP_*: 1 alone means "wake me for anything, each time"
 */
#include "arena.h"
#include "check.h"
#include "lombard-chan.h"
#include "transport.h"

#define SLEEP_YES 1U
#define SLEEP_NOT_FOR_RELEASES 2U
#define SLEEP_NOT_FOR_MESSAGES 4U
#define SLEEP_EPOCH 8U /* and up: counts the sleeps; who has had the event raised needs no other */

#define CONTROL_BYTES ((size_t)CHAN_CONTROL_PAGES * ARENA_PAGE)

#define SLOT_MASK (CHAN_SLOTS - 1)
#define SLOT_WORDS (CHAN_SLOTS / 64)

/* Flags of arena buffers. */
#define BUF_HELD 0  /* the caller's */
#define BUF_FRESH 1 /* never sent: a slot is promised to it */
#define BUF_BUSY 2  /* a slot refers to it */
#define BUF_MULTI 3 /* perhaps more than one does */

/*
 * A message of ours.  FREE -> QUEUED (chan_send) -> LIVE (published) -> FREE (all released); if it is
 * sealed, LIVE -> STALE (all released) -> FREE (the hypervisor has unsealed it).
 */
enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_LIVE, SLOT_STALE };

struct slot {
	uint32_t seq;
	uint8_t state; /* enum slot_state */
	uint8_t kind;  /* CHAN_COPY, ... */
	uint8_t to;    /* peers that must release it, but for those dropped since */
	uint8_t left;  /* those that are not known to have released it */
	struct arena_buf buf;
	uint32_t first, nr; /* frames, if it is sealed */
};

/* A received message that was not released, by its slot. */
struct held {
	uint32_t seq;
	uint32_t first, nr; /* frames; nr is 0 unless it is sealed */
};

struct peer {
	const struct chan_control *control;
	const struct chan_status *status;
	const uint8_t *arena;
	uint64_t arena_bytes;
	unsigned frame_shift; /* log2 of a frame's bytes */
	uint32_t remote;      /* our number there */
	bool joined;	      /* it has accepted us: next is valid */
	uint32_t next;	      /* its next message for us */
	uint32_t woken;	      /* value of its sleeping word that its event was last raised for */
	uint64_t held_bits[SLOT_WORDS];
	unsigned nheld;
	struct held held[CHAN_SLOTS];
	uint64_t gfn; /* where its area is mapped */
	uint32_t pages;
};

#define COST_SAMPLES 8
#define COST_BATCH_ONE 16U

struct cost {
	bool measured;	   /* else the option's value stands */
	uint32_t batch;	   /* sealed messages published at once, in units of 1 / COST_BATCH_ONE */
	uint64_t copy_ns;  /* to copy COST_COPY_BYTES */
	uint64_t call_ns;  /* the cheapest hypercall */
	uint64_t seal_ns;  /* smallest of the samples: sealing a frame ... */
	uint64_t touch_ns; /* ... and the first write to one that was sealed */
	unsigned seal_samples, touch_samples;
	uint64_t lend_from; /* UINT64_MAX: never */
};

struct chan {
	struct chan_endpoint ep;
	const struct chan_transport *t;
	struct chan_options opt; /* without zeroes */
	uint8_t *base;		 /* our area */
	struct chan_control *control;
	const struct chan_status *status;
	uint64_t gfn;
	uint32_t pages;
	unsigned frame_shift;
	uint64_t arena_bytes;

	/* Masks of peers: mapped; sent to; received from.  out and in are parts of attached. */
	uint8_t attached, out, in;
	bool ever;     /* there has been one */
	unsigned last; /* peer that the last message came from */
	struct peer peer[CHAN_MAX_PEERS];

	/* Sending: tail .. pub - 1 are published, pub .. next - 1 queued; modulo 2^32. */
	uint32_t tail, pub, next;
	uint32_t owed; /* fresh buffers */
	uint32_t queued_seals;
	uint64_t live[SLOT_WORDS], stale[SLOT_WORDS]; /* slots in these states */
	struct slot slot[CHAN_SLOTS];
	struct arena arena;
	void *arena_private;
	size_t wanted; /* length that the last chan_alloc had no room for */
	uint64_t copy_limit;
	struct cost cost;

	/* Receiving: where copied messages go. */
	struct arena pool;
	void *pool_private;
	uint8_t *pool_base;

	bool armed;
	uint32_t epoch;
	uint32_t fence;
	struct chan_info count;
};

/* ---- words that others write or read at the same time ---- */

static inline uint32_t load32(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint64_t load64(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void store64(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void store32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/*
 * What was stored before is seen by everybody before anything is loaded that is loaded after.
 * An atomic operation on a word of our own: on x86-64, the only machine this runs on, that is a full
 * fence, cheaper than mfence, and ThreadSanitizer knows no fences.
 */
static inline void full_fence(struct chan *ch)
{
	__atomic_fetch_add(&ch->fence, 1, __ATOMIC_SEQ_CST);
}

static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* For each peer p of a mask: for (m = mask; m != 0; m &= m - 1) { p = first_peer(m); ... } */
static inline unsigned first_peer(unsigned mask)
{
	return (unsigned)__builtin_ctz(mask);
}

static inline struct slot *slot_of(struct chan *ch, uint32_t seq)
{
	return &ch->slot[seq & SLOT_MASK];
}

static inline uint64_t chan_clock(const struct chan *ch)
{
	return ch->t->now_ns(ch->t->ctx);
}

/*
 * Has our endpoint been closed over our head?  The cell has ended, or has turned this program out:
 * nobody keeps the bytes any more that we have read before we ask.  (Never true in guests: they end.)
 */
static inline bool chan_cut_off(const struct chan *ch)
{
	__asm__ volatile("" ::: "memory"); /* x86-64 itself does not exchange loads */
	return load32(&ch->status->state) != CHAN_STATE_OPEN;
}

/* ---- peer.c ---- */

/* The errno of having no peer: -EPIPE if there was one. */
int peer_none(const struct chan *ch);

/* peer_attach: op is what connect or accept answered, addr where the area is. */
void peer_attach(struct chan *ch, const struct chan_connect *op, void *addr, uint32_t pages);

/* Have we been accepted there?  If so, next is valid. */
bool peer_join(struct chan *ch, unsigned p);

/*
 * peer_gone: it has closed, died, or dropped us.
 * peer_dropped_us: it lives on without us.  What it publishes now is not for us.
 */
bool peer_gone(const struct chan *ch, unsigned p);
bool peer_dropped_us(const struct chan *ch, unsigned p);

/* Notice peers that have gone: they get nothing more, and count as having released all. */
void peer_check(struct chan *ch);

/* Has it released message `slot` of ours, or does nobody wait for that? */
bool peer_released(const struct chan *ch, unsigned p, const struct slot *slot);

/* peer_leave: neither send to it nor receive from it any more. */
void peer_leave(struct chan *ch, unsigned p);

/* peer_finish: drop it for good if it has left both ways and none of its messages is held. */
void peer_finish(struct chan *ch, unsigned p);

/* ---- slot.c ---- */

/* slot_become: another state; live and stale follow. */
void slot_become(struct chan *ch, struct slot *slot, enum slot_state state);

/* slot_reclaim: free what has been released, in order; slot_reclaim_all: in any order. */
void slot_reclaim(struct chan *ch);
void slot_reclaim_all(struct chan *ch);

/* slot_settle: free the stale slots that are unsealed; after a seal or reap, failed or not. */
void slot_settle(struct chan *ch);

/* slot_reap: ask it to unseal, and settle. */
int slot_reap(struct chan *ch);

bool slot_any_stale(const struct chan *ch);

/* slot_unref: this slot's buffer is not its any more; the slot is free. */
void slot_unref(struct chan *ch, struct slot *slot);

/* slot_forget: this peer has been dropped.  slot_discard: what is queued goes nowhere. */
void slot_forget(struct chan *ch, unsigned p);
void slot_discard(struct chan *ch);

/* ---- send.c ---- */

/* send_flush: publish what is queued.  => out is not 0 if anything is */
int send_flush(struct chan *ch);

/* send_writable: would chan_alloc of ch->wanted bytes have a chance, and chan_send a slot? */
bool send_writable(struct chan *ch);

/* ---- recv.c ---- */

/* recv_readable: would chan_recv return something else than -EAGAIN, or change something? */
bool recv_readable(struct chan *ch);

/* ---- wait.c ---- */

/*
 * wait_for: flush, then wait until one of the events is so.  0, or -errno of chan_wait.  Fails at
 * once when the deadline is over: what a peer shows and takes back again can't make us try for ever.
 * wait_disarm: we are awake.  Every call of the API does that first.
 * wait_wake: raise the events of those peers that sleep for this (SLEEP_NOT_FOR_*: unless).
 * => a full fence lies between what was stored for them and this call
 */
int wait_for(struct chan *ch, unsigned events, uint64_t deadline);
void wait_disarm_slow(struct chan *ch);
void wait_wake(struct chan *ch, unsigned peers, uint32_t unless);

static inline void wait_disarm(struct chan *ch)
{
	if (__builtin_expect(ch->armed, 0))
		wait_disarm_slow(ch);
}

/* ---- cost.c ---- */

void cost_init(struct chan *ch);
bool cost_wants_seal(const struct chan *ch);
void cost_seal_took(struct chan *ch, uint32_t frames, uint64_t ns);
void cost_touch(struct chan *ch, uint32_t frame);
void cost_published(struct chan *ch, uint32_t n);

/* n messages, sealed or copied instead, become visible at once.  => n is not 0 */
static inline void cost_publish(struct chan *ch, uint32_t n)
{
	if (ch->cost.measured && n * COST_BATCH_ONE != ch->cost.batch)
		cost_published(ch, n);
}

/* Must a message of this length go by loan, if it is sealed? */
static inline bool cost_lend_p(const struct chan *ch, uint64_t len)
{
	return len >= ch->cost.lend_from || len > ch->copy_limit;
}

#endif
