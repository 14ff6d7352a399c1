/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways of host processes.  What the kernel buffers is not counted: a batch is over when the
 * receiver has said so, as with channels, where a message is over when it is released.
 */
#include "peer.h"

#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#include "guest/probe/benchflow.h"

/* The longest packet: what fits into a socket's buffer several times. */
#define PACKET_BYTES (256ul << 10)

static void failed(const char *what)
{
	err(1, "chanpeer: %s", what);
}

/* ---- writing and reading all of a header and a message ---- */

static void advance(struct iovec iov[2], size_t n)
{
	for (int i = 0; i < 2; i++) {
		size_t part = n < iov[i].iov_len ? n : iov[i].iov_len;

		iov[i].iov_base = (char *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		n -= part;
	}
}

static void write_all(int fd, struct iovec iov[2])
{
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		n = writev(fd, iov, 2);
		if (n <= 0)
			failed("write");
		advance(iov, (size_t)n);
	}
}

static void read_all(int fd, struct iovec iov[2])
{
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		n = readv(fd, iov, 2);
		if (n == 0)
			exit(0);
		if (n < 0)
			failed("read");
		advance(iov, (size_t)n);
	}
}

/* The next packet's worth. */
static void cut(const struct iovec iov[2], struct iovec part[2])
{
	part[0] = iov[0];
	part[1] = iov[1];
	if (part[1].iov_len > PACKET_BYTES)
		part[1].iov_len = PACKET_BYTES;
}

static void send_packets(int sock, struct iovec iov[2])
{
	struct iovec part[2];
	struct msghdr msg = {.msg_iov = part, .msg_iovlen = 2};
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		cut(iov, part);
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (n < 0)
			failed("sendmsg");
		advance(iov, (size_t)n);
	}
}

static void receive_packets(int sock, struct iovec iov[2])
{
	struct iovec part[2];
	struct msghdr msg = {.msg_iov = part, .msg_iovlen = 2};
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		cut(iov, part);
		n = recvmsg(sock, &msg, 0);
		if (n == 0)
			exit(0);
		if (n < 0 || (msg.msg_flags & MSG_TRUNC))
			failed("recvmsg");
		advance(iov, (size_t)n);
	}
}

static void put(struct peer_side *s, const struct bench_work *w, uint64_t tag)
{
	struct ring_header h = {.len = w->len, .tag = tag};
	struct iovec iov[2] = {{&h, sizeof(h)}, {s->buf, w->len}};

	if (w->via == VIA_PACKET)
		send_packets(s->packet, iov);
	else
		write_all(w->via == VIA_STREAM ? s->stream : s->pipe_out, iov);
}

static void get(struct peer_side *s, const struct bench_work *w, struct ring_header *h)
{
	struct iovec iov[2] = {{h, sizeof(*h)}, {s->buf, w->len}};

	if (w->via == VIA_PACKET)
		receive_packets(s->packet, iov);
	else
		read_all(w->via == VIA_STREAM ? s->stream : s->pipe_in, iov);
}

/* ---- one way ---- */

static void put_ack(struct peer_side *s)
{
	if (write(s->ack, "", 1) != 1)
		failed("write");
}

/* As many as there are, at least one. */
static uint64_t get_acks(struct peer_side *s)
{
	char acks[64];
	ssize_t n = read(s->ack, acks, sizeof(acks));

	if (n == 0)
		exit(0);
	if (n < 0)
		failed("read");
	return (uint64_t)n;
}

static void pass_out(struct peer_side *s, struct flow *f)
{
	const struct bench_work *w = f->w;
	uint64_t acked = 0; /* messages */
	int last;

	do {
		last = flow_last(f);
		while (f->n + w->batch > acked + w->depth)
			acked += get_acks(s) * w->batch;
		flow_phase(f, PHASE_WAIT);
		for (uint32_t i = 0; i < w->batch; i++, f->n++) {
			if (w->touch)
				flow_fill(s->buf, w->len, f->n);
			flow_phase(f, PHASE_TOUCH);
			put(s, w, f->n | (last && i == w->batch - 1 ? TAG_LAST : 0));
			flow_phase(f, PHASE_CALL);
		}
	} while (!last);
	while (acked < f->n)
		acked += get_acks(s) * w->batch;
	flow_phase(f, PHASE_WAIT);
	flow_end(f);
}

static void pass_in(struct peer_side *s, struct flow *f)
{
	struct ring_header h;

	do {
		get(s, f->w, &h);
		flow_phase(f, PHASE_CALL);
		flow_check(f->w, s->buf, h.tag, f->r);
		flow_phase(f, PHASE_TOUCH);
		f->n++;
		if (f->n % f->w->batch == 0)
			put_ack(s);
	} while ((h.tag & TAG_LAST) == 0);
	flow_end(f);
}

/* ---- there and back ---- */

static void echo(struct peer_side *s, struct flow *f)
{
	struct ring_header h;

	for (; f->n < f->w->most; f->n++) {
		if (s->sender)
			put(s, f->w, f->n);
		get(s, f->w, &h);
		f->r->wrong += h.tag != f->n;
		if (!s->sender)
			put(s, f->w, f->n);
	}
	flow_end(f);
}

static void pass_ring(struct peer_side *s, struct flow *f)
{
	if (f->w->echo)
		ring_echo(&s->out, &s->in, s->buf, s->sender, f);
	else if (s->sender)
		ring_pass_out(&s->out, s->buf, f);
	else
		ring_pass_in(&s->in, s->buf, f);
}

void peer_pass(struct peer_side *s, const struct bench_work *w, struct bench_result *r)
{
	struct flow f;

	flow_start(&f, w, r);
	if (w->via == VIA_RING)
		pass_ring(s, &f);
	else if (w->via == VIA_WORD)
		word_pass(s->ours, s->theirs, s->sender, &f);
	else if (w->echo)
		echo(s, &f);
	else if (s->sender)
		pass_out(s, &f);
	else
		pass_in(s, &f);
}
