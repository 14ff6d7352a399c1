/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a short message costs each side when nothing moves between processors: one guest has both ends
 * and sends eight, then receives eight.
 */
#include "benchpass.h"

static inline uint64_t bench_now(void)
{
	return time_ns();
}

#include "benchflow.h"

#define SELF_BYTES 64u
#define SELF_BATCH 8u
#define SELF_ROUNDS 20000u

struct both {
	struct chan *out, *in;
	void *buf[SELF_BATCH];
};

static int open_both(struct both *b)
{
	const struct chan_options options = {.arena_bytes = 1 << 20, .flags = CHAN_POLLED};
	int err = chan_create("bench-self", &options, &b->out);

	if (err != 0)
		return err;
	err = chan_connect("bench-self", &options, CHAN_NOW, &b->in);
	if (err != 0)
		goto out_close;
	err = chan_accept(b->out, chan_after(DEADLINE_NS), NULL);
	for (unsigned i = 0; err == 0 && i < SELF_BATCH; i++)
		err = chan_alloc(b->out, SELF_BYTES, CHAN_NOW, &b->buf[i]);
	if (err == 0)
		return 0;
	chan_close(b->in);
out_close:
	chan_close(b->out);
	return err;
}

static int send_eight(struct both *b, unsigned strength)
{
	int err = chan_sent(b->out, b->buf[SELF_BATCH - 1]) == 1 ? 0 : -EPROTO;

	for (unsigned i = 0; err == 0 && i < SELF_BATCH; i++)
		err = chan_send(b->out, b->buf[i], SELF_BYTES,
		    strength | CHAN_SEND_KEEP | (i < SELF_BATCH - 1 ? CHAN_SEND_MORE : 0), i);
	return err;
}

static int receive_eight(struct both *b)
{
	struct chan_message m;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < SELF_BATCH; i++) {
		err = chan_recv(b->in, CHAN_NOW, &m);
		if (err == 0)
			err = chan_release(b->in, &m);
	}
	return err;
}

/* The best round: what it costs when nothing disturbs. */
static void keep_best(uint64_t *best, uint64_t ns)
{
	uint64_t each = ns * 1000 / SELF_BATCH;

	if (*best == 0 || each < *best)
		*best = each;
}

static int pass_rounds(struct both *b, unsigned strength, uint64_t *send, uint64_t *receive)
{
	uint64_t start, between;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < SELF_ROUNDS; i++) {
		start = time_ns();
		err = send_eight(b, strength);
		between = time_ns();
		if (err == 0)
			err = receive_eight(b);
		keep_best(send, between - start);
		keep_best(receive, time_ns() - between);
	}
	return err;
}

/* Both ends of a ring in memory of our own. */
static int ring_rounds(uint64_t *send, uint64_t *receive)
{
	static struct ring_counter head __attribute__((aligned(64))), tail;
	static char buf[SELF_BYTES] __attribute__((aligned(64)));
	struct ring_end out = {.ours = &head, .theirs = &tail};
	struct ring_end in = {.ours = &tail, .theirs = &head};
	uint64_t start, between;
	struct ring_header h;

	out.data = in.data = page_alloc(RING_BYTES / PAGE_SIZE);
	if (out.data == NULL)
		return -ENOMEM;
	head.bytes = tail.bytes = 0;
	for (unsigned i = 0; i < SELF_ROUNDS; i++) {
		start = time_ns();
		for (unsigned k = 0; k < SELF_BATCH; k++)
			ring_send(&out, buf, SELF_BYTES, k);
		between = time_ns();
		for (unsigned k = 0; k < SELF_BATCH; k++)
			ring_receive(&in, buf, &h);
		keep_best(send, between - start);
		keep_best(receive, time_ns() - between);
	}
	page_free(out.data, RING_BYTES / PAGE_SIZE);
	return 0;
}

int pass_self(struct bench_result *r)
{
	uint64_t *sealed = r->self[SELF_SEALED], *shared = r->self[SELF_SHARED];
	uint64_t *ring = r->self[SELF_RING];
	struct both b;
	int err = open_both(&b);

	if (err != 0)
		return err;
	err = pass_rounds(&b, CHAN_SEND_SEALED, &sealed[0], &sealed[1]);
	if (err == 0)
		err = pass_rounds(&b, CHAN_SEND_SHARED, &shared[0], &shared[1]);
	chan_close(b.in);
	chan_close(b.out);
	return err == 0 ? ring_rounds(&ring[0], &ring[1]) : err;
}
