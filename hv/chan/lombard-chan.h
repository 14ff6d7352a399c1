/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CHAN_H
#define LOMBARD_CHAN_H
/*
 * Channels: messages between guests, and between guests and host programs, in memory that both
 * sides see.  The same functions in small guests and in host programs; docs/channels.md tells how
 * to use them, with an example.
 *
 * An endpoint is made by chan_create, which gives it a name and lets peers connect (one to eight,
 * each gets every message sent after it was accepted), or by chan_connect.  Messages go both ways;
 * what several peers send arrives from all of them.  An endpoint is used by one thread at a time.
 *
 * Errors: functions that return int return 0 (or what is said) or a negative number of
 * <asm/errno.h>, which are Xen's, too.  Results go to out-parameters, written on success only.
 * Everywhere, and not repeated below:
 *	-EAGAIN		it would have to wait, and the deadline was CHAN_NOW
 *	-ETIME		the deadline came first
 *	-ENOTCONN	no peer has been accepted yet
 *	-EPIPE		all peers are gone
 *	-ENOMEM		the program or the host is short of memory
 *	-EINVAL		an argument is wrong: a pointer that is no buffer, an unknown flag, ...
 * A peer is gone when it closed its endpoint or died, when chan_drop was called for it, and when it
 * broke the protocol.  What it had sent and we had received stays readable until it is released.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/errno.h>

#include <lombard/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

struct chan; /* an endpoint */

/* ---- time: deadlines are nanoseconds on chan_now()'s clock ---- */

#define CHAN_NOW 0
#define CHAN_FOREVER UINT64_MAX

uint64_t chan_now(void);
uint64_t chan_after(uint64_t ns); /* the deadline that lies ns ahead */

/* ---- endpoints ---- */

#define CHAN_LEND_NEVER SIZE_MAX
#define CHAN_COPY_LEAST 65536 /* every endpoint takes copied messages of this length */

/* chan_options.flags */
#define CHAN_POLLED 1U	    /* never sleep: calls that wait spin until their deadline */
#define CHAN_BASE_FRAMES 2U /* 4 KiB frames, even if 2 MiB ones can be had */

/* Zero means: the default. */
struct chan_options {
	size_t arena_bytes; /* memory of the messages we send; 16 MiB.  Rounded up to frames */
	unsigned max_peers; /* chan_create: 1 .. 8; 1 */
	unsigned flags;	    /* CHAN_POLLED, ... */
	/*
	 * Sealed messages of at least this many bytes are lent, others copied; default: measured
	 * (see docs/channels.md).  CHAN_LEND_NEVER is possible as far as the peers take copies.
	 */
	size_t lend_from;
	/* Memory for copied messages that were received and not released; 8 MiB, at least 64 KiB. */
	size_t copy_bytes;
	uint64_t spin_ns; /* look this long before going to sleep; 20000.  1: hardly */
};

/*
 * chan_create: an endpoint with a name (1 to 31 characters) that others connect to.
 * chan_connect: an endpoint connected to the one of that name; waits until there is one.
 * => options may be NULL; *ch is the caller's until chan_close
 * => -EEXIST: the name is taken; -ENOENT: no such name, and CHAN_NOW; -EBUSY: it has all the peers
 *    it wants; -ENOSPC: no room in the window area
 */
int chan_create(const char *name, const struct chan_options *options, struct chan **ch);
int chan_connect(
    const char *name, const struct chan_options *options, uint64_t deadline, struct chan **ch);

/* chan_accept: take in a peer that has connected; *peer (may be NULL) is its number, 0 .. 7. */
int chan_accept(struct chan *ch, uint64_t deadline, unsigned *peer);

/*
 * chan_drop: have done with a peer, for example one that never releases.  It counts as gone at
 * once; its area is unmapped when its last received message has been released.
 */
int chan_drop(struct chan *ch, unsigned peer);

/*
 * chan_close: the end.  Flushes; what was sent stays readable for the peers, but who connected and has
 * not been accepted yet was never there.  Buffers and messages that the caller still has are invalid.
 * NULL: nothing.
 */
void chan_close(struct chan *ch);

/* ---- sending ---- */

/*
 * chan_alloc: a buffer of at least len bytes in our arena, the caller's until it is sent or freed.
 * This is where flow control is: waits for the slowest peer's releases.  Each buffer that was
 * allocated can be sent once without further waiting.
 * => -EMSGSIZE: longer than the arena
 *
 * chan_free: for a buffer that was not sent, or was sent with CHAN_SEND_KEEP (its memory is used
 * again after the last release).
 */
int chan_alloc(struct chan *ch, size_t len, uint64_t deadline, void **buf);
int chan_free(struct chan *ch, void *buf);

/* chan_send: flags; exactly one of the first two */
#define CHAN_SEND_SEALED 1U /* the receiver's bytes can't change, whatever we do */
#define CHAN_SEND_SHARED 2U /* the receiver reads our memory as it is: trust needed */
#define CHAN_SEND_MORE 4U /* may wait for the next send, for chan_flush, or for a call that waits */
#define CHAN_SEND_KEEP 8U /* the buffer stays ours, to be sent again */

/*
 * chan_send: send len bytes that lie anywhere in one buffer.  Without CHAN_SEND_KEEP the buffer
 * is the library's after that.  Never waits.
 * => -EAGAIN: too many messages under way (a buffer's second sending only); wait with chan_wait
 * => -EBUSY: these bytes share a frame with a sealed message that is not released yet
 * => -EMSGSIZE: a peer takes no copy that long, and the buffer can't be lent
 * => on any error nothing was sent, and the buffer is still the caller's
 *
 * chan_flush: publish what CHAN_SEND_MORE held back.  On error it is still held back.
 *
 * chan_sent: have all peers released what was sent from this buffer?  1 or 0.  After 1 it can be
 * written without breaking a loan.
 */
int chan_send(struct chan *ch, const void *buf, size_t len, unsigned flags, uint64_t tag);
int chan_flush(struct chan *ch);
int chan_sent(struct chan *ch, const void *buf);

/* ---- receiving ---- */

struct chan_message {
	const void *data;
	size_t len;
	uint64_t tag;	   /* the sender's */
	unsigned peer;	   /* who sent it */
	unsigned strength; /* CHAN_COPY and CHAN_SEALED can't change, CHAN_SHARED can */
	uint32_t seq;	   /* the library's */
};

/*
 * chan_recv: the next message, to be read in place; messages of one peer come in order.
 * => -EPROTO: a peer (msg->peer, written in this case, too) broke the protocol and is gone now;
 *    said once for each such peer.  -ENOBUFS: options.copy_bytes are full of messages that were
 *    not released
 *
 * chan_release: the message's bytes are not needed any more; in any order.
 * => -EPIPE, in host programs: the cell has ended or has turned the program out, while the bytes
 *    were read perhaps, and they may have been others; the message is released
 */
int chan_recv(struct chan *ch, uint64_t deadline, struct chan_message *msg);
int chan_release(struct chan *ch, const struct chan_message *msg);

/* ---- waiting for several things ---- */

#define CHAN_READABLE 1U /* chan_recv would not wait */
#define CHAN_WRITABLE                                                                              \
	2U /* the chan_alloc that last said -EAGAIN or -ETIME may succeed; chan_send, too */
#define CHAN_ACCEPTABLE 4U /* chan_accept would not wait */

/*
 * chan_poll: which of these is so now?  A mask; if it is 0, chan_port()'s event or chan_fd() will
 * be raised when one may have become so: sleep on it, and call chan_poll again.  It takes the event.
 * chan_wait: the same, but waits until the mask is not 0.
 */
int chan_poll(struct chan *ch, unsigned events);
int chan_wait(struct chan *ch, unsigned events, uint64_t deadline);

uint32_t chan_port(const struct chan *ch); /* guests: event channel, for event_wait; else 0 */
int chan_fd(const struct chan *ch);	   /* host programs: for poll(2), POLLIN; else -1 */

/* ---- what is known ---- */

struct chan_info {
	size_t arena_bytes;
	size_t frame_bytes; /* 4096 or 2 MiB */
	size_t lend_from;   /* the crossover in use, CHAN_LEND_NEVER if lending never pays */
	size_t copy_limit;  /* longest copy that all peers take */
	unsigned peers;	    /* bit i: peer i gets what we send */
	unsigned max_peers;
	uint64_t peers_gone;
	uint64_t sent, sent_bytes; /* messages, counted once for all peers */
	uint64_t lent, copied, shared;
	uint64_t received, received_bytes;
	uint64_t seals, reaps, refreshes, notifies; /* hypercalls */
	uint64_t sleeps;
};

int chan_info(const struct chan *ch, struct chan_info *info);

#ifdef __cplusplus
}
#endif

#endif
