/* SPDX-License-Identifier: BSD-2-Clause */
/* Passing messages over channels, for the channel bench. */
#include "benchpass.h"

static inline uint64_t bench_now(void)
{
	return time_ns();
}

#include "benchflow.h"

/* Messages that are kept between BENCH_TAKE and BENCH_GIVE. */
#define MAX_KEPT 64u

static struct chan_message kept[MAX_KEPT];
static unsigned nkept;

static unsigned strength_of(const struct bench_work *w)
{
	return w->via == VIA_SHARED ? CHAN_SEND_SHARED : CHAN_SEND_SEALED;
}

/* ---- counters ---- */

static void count(struct bench_result *r, const struct chan_info *from, const struct chan_info *to)
{
	r->lent = to->lent - from->lent;
	r->copied = to->copied - from->copied;
	r->seals = to->seals - from->seals;
	r->reaps = to->reaps - from->reaps;
	r->refreshes = to->refreshes - from->refreshes;
	r->notifies = to->notifies - from->notifies;
	r->sleeps = to->sleeps - from->sleeps;
	r->frame_bytes = to->frame_bytes;
	r->lend_from = to->lend_from;
	r->copy_limit = to->copy_limit;
}

/* ---- one way ---- */

/*
 * A credit is an empty message that says that a batch is released: who sleeps for releases, and not
 * for memory, has to be told so.
 */
static int send_credit(struct chan *ch)
{
	void *buf;
	int err = chan_alloc(ch, 1, chan_after(DEADLINE_NS), &buf);

	return err == 0 ? chan_send(ch, buf, 0, CHAN_SEND_SEALED, 0) : err;
}

static int take_credit(struct chan *ch)
{
	struct chan_message m;
	int err = chan_recv(ch, chan_after(DEADLINE_NS), &m);

	return err == 0 ? chan_release(ch, &m) : err;
}

/* A buffer may be written when its last message is released. */
static int wait_sent(struct chan *ch, const void *buf)
{
	uint64_t deadline = 0;
	int ret;

	while ((ret = chan_sent(ch, buf)) == 0) {
		if (deadline == 0)
			deadline = chan_after(DEADLINE_NS);
		else if (chan_now() > deadline)
			return -ETIME;
		ring_relax();
	}
	return ret < 0 ? ret : 0;
}

/* Wait until the batch whose last buffer this is has been released. */
static int wait_batch(struct chan *ch, const void *buf, const struct bench_work *w)
{
	int err = w->credits ? take_credit(ch) : 0;

	return err == 0 ? wait_sent(ch, buf) : err;
}

static int send_batch(struct chan *ch, void *const *buf, struct flow *f, bool last)
{
	const struct bench_work *w = f->w;
	unsigned flags = strength_of(w) | CHAN_SEND_KEEP;
	bool end;
	int err;

	for (uint32_t i = 0; i < w->batch; i++) {
		end = i == w->batch - 1;
		if (w->touch)
			flow_fill(buf[i], w->len, f->n + i);
		flow_phase(f, PHASE_TOUCH);
		err = chan_send(ch, buf[i], w->len, flags | (end ? 0 : CHAN_SEND_MORE),
		    (f->n + i) | (end && last ? TAG_LAST : 0));
		if (err != 0)
			return err;
		flow_phase(f, PHASE_CALL);
	}
	return 0;
}

static void rewrite_batch(void *const *buf, struct flow *f)
{
	if (f->w->rewrite == 0)
		return;
	for (uint32_t i = 0; i < f->w->batch; i++) {
		if (!flow_rewrites(f->w, f->n + i))
			continue;
		flow_rewrite(buf[i], f->w->len);
		f->r->rewritten++;
	}
	flow_phase(f, PHASE_REWRITE);
}

/*
 * The buffers that a sender takes in turn: more than are under way at once, up to what a cache of the
 * processor that all share holds.  Few that are always the same lie in the receiver's own cache when
 * they are written again, and taking them from there is slow.
 */
#define MAX_BUFS 248u /* each that was not sent yet takes a slot of 256 */
#define BUF_BYTES (2UL << 20)

struct buffers {
	void *buf[MAX_BUFS];
	uint32_t n; /* a multiple of the depth */
};

static struct buffers bufs;

static void *const *batch_at(uint64_t message)
{
	return bufs.buf + message % bufs.n;
}

/* The last buffer of the batch that was sent before `depth` messages. */
static const void *last_of(const struct flow *f)
{
	return batch_at(f->n - f->w->depth)[f->w->batch - 1];
}

static int send_all(struct chan *ch, struct flow *f)
{
	bool last;
	int err = 0;

	do {
		last = flow_last(f);
		/* Released in the order they were sent, so the last one says it for all. */
		if (f->n >= f->w->depth)
			err = wait_batch(ch, last_of(f), f->w);
		flow_phase(f, PHASE_WAIT);
		if (err == 0)
			err = send_batch(ch, batch_at(f->n), f, last);
		if (err != 0)
			return err;
		rewrite_batch(batch_at(f->n), f);
		f->n += f->w->batch;
	} while (!last);
	return 0;
}

/* Wait for the batches that are still under way. */
static int drain(struct chan *ch, struct flow *f)
{
	uint64_t sent = f->n;
	int err = 0;

	for (; err == 0 && f->n < sent + f->w->depth; f->n += f->w->batch)
		if (f->n >= f->w->depth)
			err = wait_batch(ch, last_of(f), f->w);
	f->n = sent;
	flow_phase(f, PHASE_WAIT);
	return err;
}

/* At least depth of them, and more if there is room: lent ones take whole frames. */
static int take_buffers(struct chan *ch, const struct bench_work *w)
{
	uint64_t wanted = BUF_BYTES / w->len < MAX_BUFS ? BUF_BYTES / w->len : MAX_BUFS;
	uint64_t deadline;
	int err = 0;

	for (bufs.n = 0; bufs.n < w->depth || bufs.n < wanted; bufs.n++) {
		deadline = bufs.n < w->depth ? chan_after(DEADLINE_NS) : CHAN_NOW;
		err = chan_alloc(ch, w->len, deadline, &bufs.buf[bufs.n]);
		if (err != 0)
			break;
	}
	if (bufs.n < w->depth)
		return err;
	while (bufs.n % w->depth != 0)
		(void)chan_free(ch, bufs.buf[--bufs.n]);
	return 0;
}

/* What sealed messages have left protected is not for shared ones to pay. */
static void thaw(const struct bench_work *w)
{
	for (uint32_t i = 0; w->via == VIA_SHARED && w->touch && i < bufs.n; i++)
		flow_rewrite(bufs.buf[i], w->len);
}

static int pass_out(struct chan *ch, struct flow *f)
{
	int err = take_buffers(ch, f->w);

	if (err != 0)
		goto out_free;
	thaw(f->w);
	flow_start(f, f->w, f->r);
	err = send_all(ch, f);
	if (err == 0)
		err = drain(ch, f);
	flow_end(f);
out_free:
	while (bufs.n > 0)
		(void)chan_free(ch, bufs.buf[--bufs.n]);
	return err;
}

static int pass_in(struct chan *ch, struct flow *f)
{
	struct chan_message m;
	int err;

	flow_start(f, f->w, f->r);
	do {
		err = chan_recv(ch, chan_after(DEADLINE_NS), &m);
		if (err != 0)
			return err;
		flow_phase(f, PHASE_WAIT);
		flow_check(f->w, m.data, m.tag, f->r);
		flow_phase(f, PHASE_TOUCH);
		err = chan_release(ch, &m);
		if (err != 0)
			return err;
		flow_phase(f, PHASE_CALL);
		f->n++;
		if (f->w->credits && f->n % f->w->batch == 0)
			err = send_credit(ch);
	} while (err == 0 && (m.tag & TAG_LAST) == 0);
	flow_end(f);
	return err;
}

/* ---- there and back ---- */

/*
 * As who wants to be quick does it: the next buffer is there before it is needed, and a message is
 * released after it has been answered.
 */
struct echo {
	void *buf;
	struct chan_message m;
	bool held;
};

static int echo_send(struct chan *ch, struct echo *e, const struct bench_work *w, uint64_t word)
{
	int err;

	*(uint64_t *)e->buf = word;
	err = chan_send(ch, e->buf, w->len, strength_of(w), word);
	if (err == 0 && e->held)
		err = chan_release(ch, &e->m);
	e->held = false;
	return err == 0 ? chan_alloc(ch, w->len, CHAN_FOREVER, &e->buf) : err;
}

static int echo_receive(struct chan *ch, struct echo *e, uint64_t *word)
{
	int err = chan_recv(ch, CHAN_FOREVER, &e->m);

	if (err != 0)
		return err;
	e->held = true;
	*word = *(const uint64_t *)e->m.data;
	return 0;
}

static int echo_all(struct chan *ch, bool sender, struct echo *e, struct flow *f)
{
	uint64_t word;
	int err = 0;

	for (; err == 0 && f->n < f->w->most; f->n++) {
		if (sender)
			err = echo_send(ch, e, f->w, f->n);
		if (err == 0)
			err = echo_receive(ch, e, &word);
		if (err == 0 && word != f->n)
			f->r->wrong++;
		if (err == 0 && !sender)
			err = echo_send(ch, e, f->w, f->n);
	}
	return err;
}

static int echo(struct chan *ch, bool sender, struct flow *f)
{
	struct echo e = {.held = false};
	int err = chan_alloc(ch, f->w->len, CHAN_FOREVER, &e.buf);

	if (err != 0)
		return err;
	flow_start(f, f->w, f->r);
	err = echo_all(ch, sender, &e, f);
	flow_end(f);
	if (e.held)
		(void)chan_release(ch, &e.m);
	(void)chan_free(ch, e.buf);
	return err;
}

int pass_channel(struct chan *ch, bool sender, const struct bench_work *w, struct bench_result *r)
{
	struct flow f = {.w = w, .r = r};
	struct chan_info before, after;
	int err;

	err = chan_info(ch, &before);
	if (err != 0)
		return err;
	if (w->echo)
		err = echo(ch, sender, &f);
	else
		err = sender ? pass_out(ch, &f) : pass_in(ch, &f);
	(void)chan_info(ch, &after);
	count(r, &before, &after);
	return err;
}

/* ---- one to many ---- */

int pass_send(struct chan *ch, const struct bench_work *w, struct bench_result *r)
{
	void *buf;
	int err = 0;

	for (; err == 0 && r->messages < w->most; r->messages++) {
		err = chan_alloc(ch, w->len, chan_after(DEADLINE_NS), &buf);
		if (err != 0)
			break;
		flow_fill(buf, w->len, r->messages);
		err = chan_send(ch, buf, w->len, strength_of(w), r->messages);
	}
	return err;
}

int pass_take(struct chan *ch, const struct bench_work *w, struct bench_result *r)
{
	int err = 0;

	while (err == 0 && r->messages < w->most && nkept < MAX_KEPT) {
		err = chan_recv(ch, chan_after(DEADLINE_NS), &kept[nkept]);
		if (err != 0)
			break;
		flow_check(w, kept[nkept].data, kept[nkept].tag, r);
		nkept++;
		r->messages++;
	}
	return err;
}

int pass_give(struct chan *ch, bool sender)
{
	struct chan_info info;
	void *buf;
	int err = 0;

	/* As long as the arena: there is room for it when all the others are free. */
	if (sender) {
		err = chan_info(ch, &info);
		if (err == 0)
			err = chan_alloc(ch, info.arena_bytes, chan_after(DEADLINE_NS), &buf);
		return err == 0 ? chan_free(ch, buf) : err;
	}
	while (err == 0 && nkept > 0)
		err = chan_release(ch, &kept[--nkept]);
	return err;
}
