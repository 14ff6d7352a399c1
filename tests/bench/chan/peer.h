/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_CHAN_PEER_H
#define TESTS_BENCH_CHAN_PEER_H
/*
 * chanpeer: two host processes that pass messages in the ways that host processes have: sockets, a
 * pipe, a ring in shared memory.  The bench talks to the sending one over the socket PEER_FD
 * (SEQPACKET): a struct bench_work, answered by a struct peer_answer.  Both end when it is closed.
 */
#include "guest/probe/benchchan.h"
#include "guest/probe/benchring.h"

#define PEER_FD 3

struct peer_answer {
	struct bench_result out, in;
};

/* The first packet that it sends. */
struct peer_hello {
	uint64_t page_bytes; /* of the memory of ring and buffers */
};

/* What either process has. */
struct peer_side {
	int sender;
	int stream, packet, ack; /* our ends of sockets; ack: of any way but the rings */
	int pipe_out, pipe_in;
	char *buf;		 /* its own */
	struct ring_end out, in; /* the ring to the other one, and from it */
	struct ring_counter *ours;
	const struct ring_counter *theirs; /* words */
};

/* peer_pass: do one side's part.  Exits when that fails. */
void peer_pass(struct peer_side *s, const struct bench_work *w, struct bench_result *r);

#endif
