/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that passes messages for the channel bench: it does what the mailbox says. */
#include "benchpass.h"

static struct bench_mailbox *box;
static struct chan *channels[BENCH_CHANNELS];
static bool sender;

/* The names of our channels are the same in both guests, and nobody else's. */
static void name_of(uint32_t channel, char name[CHAN_NAME_LEN])
{
	memcpy(name, "bench-0", 8);
	name[6] = (char)('0' + channel);
}

static int open_channel(const struct bench_open *o, uint32_t channel, struct bench_result *r)
{
	const struct chan_options options = {.arena_bytes = o->arena_bytes,
	    .max_peers = o->peers,
	    .flags = o->flags,
	    .lend_from = o->lend_from,
	    .copy_bytes = o->copy_bytes};
	uint64_t deadline = chan_after(DEADLINE_NS);
	struct chan_info info;
	char name[CHAN_NAME_LEN];
	struct chan *ch;
	int err;

	name_of(channel, name);
	err = sender ? chan_create(name, &options, &ch)
		     : chan_connect(name, &options, deadline, &ch);
	if (err != 0)
		return err;
	for (uint32_t i = 0; err == 0 && sender && i < o->peers; i++)
		err = chan_accept(ch, deadline, NULL);
	if (err == 0)
		err = chan_info(ch, &info);
	if (err != 0) {
		chan_close(ch);
		return err;
	}
	r->frame_bytes = info.frame_bytes;
	r->lend_from = info.lend_from;
	channels[channel] = ch;
	return 0;
}

static int serve_pass(const struct bench_work *w, struct bench_result *r)
{
	if (w->depth == 0 || w->depth > BENCH_MAX_DEPTH || w->batch == 0 ||
	    w->depth % w->batch != 0 || w->len > BENCH_MAX_LEN || w->len % 16 != 0)
		return -EINVAL;
	if (w->via == VIA_RING || w->via == VIA_WORD)
		return raw_pass(sender, w, r);
	return pass_channel(channels[w->channel], sender, w, r);
}

static int serve_one(const struct bench_work *w, struct bench_result *r)
{
	struct chan *ch = channels[w->channel];

	if (ch == NULL && (w->via == VIA_SEALED || w->via == VIA_SHARED))
		return -ENOTCONN;
	switch (box->op) {
	case BENCH_PASS:
		return serve_pass(w, r);
	case BENCH_SEND:
		return pass_send(ch, w, r);
	case BENCH_TAKE:
		return pass_take(ch, w, r);
	case BENCH_GIVE:
		return pass_give(ch, sender);
	case BENCH_CALLS:
		return raw_calls(r);
	case BENCH_SELF:
		return pass_self(r);
	default:
		return -ENOSYS;
	}
}

static int serve(struct bench_result *r)
{
	const struct bench_work w = box->work;
	const struct bench_open o = box->open;

	if (w.channel >= BENCH_CHANNELS)
		return -EINVAL;
	switch (box->op) {
	case BENCH_OPEN:
		return channels[w.channel] != NULL ? -EEXIST : open_channel(&o, w.channel, r);
	case BENCH_CLOSE:
		chan_close(channels[w.channel]);
		channels[w.channel] = NULL;
		return 0;
	case BENCH_OPEN_RAW:
		return raw_open("bench-raw", sender, (o.flags & CHAN_BASE_FRAMES) == 0, r);
	case BENCH_CLOSE_RAW:
		raw_close();
		return 0;
	default:
		return serve_one(&w, r);
	}
}

/* Serve for ever, as the sender with sender=1.  The bench stops the guest. */
static void bench_channels(int argc, char **argv)
{
	struct bench_result result;
	uint32_t wake, raise;
	uint64_t request;

	sender = arg_need(argc, argv, "sender") != 0;
	box = page_alloc(1);
	if (box == NULL)
		fail(1, "no memory for the mailbox");
	box->done = 0;
	expect(2, "event_alloc", event_alloc(DOMID_SELF, &wake), 0);
	expect(3, "event_bind", event_bind(DOMID_SELF, wake, &raise), 0);
	printf(BENCH_LINE "\n", (unsigned long long)box / PAGE_SIZE, raise);
	for (;;) {
		expect(4, "event_wait", event_wait(&wake, 1, TIME_FOREVER, NULL), 0);
		request = __atomic_load_n(&box->request, __ATOMIC_ACQUIRE);
		if (request == box->done)
			continue;
		__atomic_store_n(&box->started, request, __ATOMIC_RELEASE);
		memset(&result, 0, sizeof(result));
		box->error = serve(&result);
		box->result = result;
		__atomic_store_n(&box->done, request, __ATOMIC_RELEASE);
	}
}

const struct test tests_benchchan[] = {
    {"bench-channels", bench_channels},
};
const size_t nr_tests_benchchan = ARRAY_SIZE(tests_benchchan);
