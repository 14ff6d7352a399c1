/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sink: reads the messages where they lie, and hashes them.
 *
 * Arguments: channel=NAME [progress=1]: say every now and then how far it is
 */
#include "pipe.h"

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

#define PROGRESS_NS (SECOND / 10)

struct tally {
	uint64_t messages, bytes;
	XXH64_state_t hash;
	uint64_t next_word; /* when to say how far we are; 0: never */
};

static void take(struct tally *t, const struct chan_message *msg)
{
	if (msg->tag != t->messages)
		die("sink: message %llu came as number %llu", (unsigned long long)msg->tag,
		    (unsigned long long)t->messages);
	XXH64_update(&t->hash, msg->data, msg->len);
	t->messages++;
	t->bytes += msg->len;
	if (t->next_word != 0 && time_ns() >= t->next_word) {
		pipe_tell("at", t->bytes);
		t->next_word = time_after(PROGRESS_NS);
	}
}

static void receive(struct chan *ch, struct tally *t)
{
	struct chan_message msg;
	int err;

	while ((err = chan_recv(ch, CHAN_FOREVER, &msg)) == 0) {
		take(t, &msg);
		pipe_check(chan_release(ch, &msg), "release a message");
	}
	/* The source closes, or dies: who compares what arrived sees which. */
	if (err != -EPIPE)
		pipe_check(err, "receive");
}

int sink_main(int argc, char **argv)
{
	/* It sends nothing: no memory for that. */
	const struct chan_options options = {.arena_bytes = PAGE_SIZE};
	const char *name = pipe_need(argc, argv, "channel");
	struct tally t = {0};
	struct chan *ch;
	uint64_t start;

	XXH64_reset(&t.hash, 0);
	if (arg_u64(argc, argv, "progress", 0) != 0)
		t.next_word = time_after(PROGRESS_NS);
	pipe_check(chan_connect(name, &options, chan_after(PATIENCE), &ch), "connect");
	start = time_ns();
	receive(ch, &t);
	pipe_tell("nanoseconds", time_ns() - start);
	pipe_tell("received", t.messages);
	pipe_tell("bytes", t.bytes);
	pipe_tell("hash", XXH64_digest(&t.hash));
	chan_close(ch);
	return 0;
}
