/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_BENCHCHAN_H
#define LOMBARD_PROBE_BENCHCHAN_H
/*
 * What the channel bench says to those who pass messages for it: guests, through a mailbox in a page
 * of their memory, and pairs of host processes, through a socket.  One side of a pair sends, the
 * other receives.
 *
 * The bench writes a request into a guest's mailbox, counts `request` up and raises the guest's
 * event; the guest sets `started` when it is awake and `done` when it has answered.  In between
 * the guest is the bench's alone, and when it has nothing to do it sleeps.
 */
#include <stdint.h>

enum bench_op {
	BENCH_OPEN =
	    1, /* channel `channel`: the sender creates and accepts, the receiver connects */
	BENCH_CLOSE,
	BENCH_OPEN_RAW, /* the same with raw arenas, for ring and words */
	BENCH_CLOSE_RAW,
	BENCH_PASS,  /* pass messages */
	BENCH_SEND,  /* sender: send `most` messages and wait for nothing */
	BENCH_TAKE,  /* receiver: take `most` messages, check them, keep them */
	BENCH_GIVE,  /* receiver: release them.  Sender: wait until all have done so */
	BENCH_CALLS, /* what calls cost: result.phase[CALL_*] */
	BENCH_SELF,  /* what short messages cost without a second processor: result.self */
};

/* How messages travel. */
enum bench_via {
	VIA_SEALED, /* the library */
	VIA_SHARED,
	VIA_RING,   /* benchring.h: guests in raw arenas, host processes in shared memory */
	VIA_WORD,   /* no message, a word that the other one looks at; echo only */
	VIA_STREAM, /* host processes: Unix socket of that type */
	VIA_PACKET, /* ... SEQPACKET */
	VIA_PIPE,
};

#define BENCH_MAX_DEPTH 8u
#define BENCH_CHANNELS 4u
#define BENCH_MAX_LEN (64ull << 20)

struct bench_work {
	uint32_t via; /* enum bench_via */
	uint32_t channel;
	uint32_t echo;	  /* 1: each message is answered by one like it, one at a time */
	uint32_t depth;	  /* at most so many messages that the receiver has not released */
	uint32_t batch;	  /* sent and waited for in groups of so many; divides depth */
	uint32_t touch;	  /* 1: the sender writes every byte, the receiver reads every byte */
	uint32_t rewrite; /* so many in 100 messages are written to again, right after sending */
	uint32_t credits; /* 1: the receiver says by a message that a batch is released */
	uint64_t len;	  /* bytes; a multiple of 16 */
	uint64_t ns;	  /* stop after about so long, */
	uint64_t most;	  /* or after so many messages */
};

/* What an endpoint is to be like; see struct chan_options. */
struct bench_open {
	uint64_t arena_bytes;
	uint64_t lend_from;
	uint64_t copy_bytes;
	uint32_t flags; /* CHAN_POLLED, CHAN_BASE_FRAMES */
	uint32_t peers; /* sender: accept so many */
};

/* Where the time of either side goes; only of messages from BENCH_PHASES_FROM bytes on. */
enum bench_phase { PHASE_WAIT, PHASE_TOUCH, PHASE_CALL, PHASE_REWRITE, BENCH_PHASES };
#define BENCH_PHASES_FROM 65536u

/* BENCH_CALLS: the lowest of some tries. */
enum bench_call { CALL_EXIT, CALL_CORE, CALL_REAP };

/* BENCH_SELF: picoseconds to send, and to receive and release, a message of 64 bytes. */
enum bench_self { SELF_SEALED, SELF_SHARED, SELF_RING, BENCH_SELVES };

struct bench_result {
	uint64_t messages, ns; /* ns: until the last one was released */
	uint64_t wrong;	       /* messages whose bytes were not what was sent */
	uint64_t rewritten;
	uint64_t phase[BENCH_PHASES];			    /* ns */
	uint64_t lent, copied;				    /* messages */
	uint64_t seals, reaps, refreshes, notifies, sleeps; /* hypercalls */
	uint64_t self[BENCH_SELVES][2];
	/* Of the sender's endpoint: see struct chan_info. */
	uint64_t frame_bytes, lend_from, copy_limit;
};

/* [bench] and [guest] say who writes. */
struct bench_mailbox {
	uint64_t request;	    /* [bench] last, with release */
	uint64_t started;	    /* [guest] = request: it is awake */
	uint64_t done;		    /* [guest] = request: last, with release */
	uint32_t op;		    /* [bench] enum bench_op */
	int32_t error;		    /* [guest] 0, or -errno */
	struct bench_work work;	    /* [bench] */
	struct bench_open open;	    /* [bench] */
	struct bench_result result; /* [guest] */
};

_Static_assert(sizeof(struct bench_mailbox) <= 4096, "the mailbox is one page");

/* The line that the guest prints when it serves: gfn of the mailbox, the event's port. */
#define BENCH_LINE "probe: channels mailbox=%llu port=%u"

#endif
