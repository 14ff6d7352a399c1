/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hear: connects to a channel and receives until the other side closes it.
 * An example: one source text for guests and for host programs.  See docs/channels.md, Try it.
 *
 *	hear NAME [show=1] [hold=MS] [patience=SECONDS]
 *
 * It waits `patience` seconds (60) for the channel.  show=1 prints each message; hold= keeps each
 * one for so long before it gives it back.  The last line says how many messages and bytes came,
 * and the XXH64 of all bytes in their order.
 */
#include "example.h"

#include <lombard-chan.h>

#define MS 1000000ULL
#define SECOND 1000000000ULL

static void check(int err, const char *what)
{
	if (err != 0)
		die("hear: can't %s: error %d", what, err);
}

/* Others' bytes may be anything; a terminal shall not obey them. */
static void show(const struct chan_message *msg)
{
	const unsigned char *text = msg->data;

	printf("hear: ");
	for (size_t i = 0; i < msg->len; i++)
		putchar(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
	putchar('\n');
}

int main(int argc, char **argv)
{
	bool shown = arg_u64(argc, argv, "show", 0) != 0;
	uint64_t hold = arg_u64(argc, argv, "hold", 0);
	uint64_t patience = arg_u64(argc, argv, "patience", 60);
	/* We send nothing: no memory for that. */
	const struct chan_options options = {.arena_bytes = 4096};
	struct chan_message msg;
	XXH64_state_t hash;
	struct chan_info info;
	struct chan *ch;
	int err;

	if (argc < 2)
		die("usage: hear NAME [show=1] [hold=MS] [patience=SECONDS]");
	XXH64_reset(&hash, 0);
	check(chan_connect(argv[1], &options, chan_after(patience * SECOND), &ch), "connect");
	while ((err = chan_recv(ch, CHAN_FOREVER, &msg)) == 0) {
		/* The message is read where it lies, and is ours until it is released. */
		XXH64_update(&hash, msg.data, msg.len);
		if (shown)
			show(&msg);
		if (hold != 0)
			time_sleep(hold * MS);
		check(chan_release(ch, &msg), "release a message");
	}
	if (err != -EPIPE)
		check(err, "receive");
	check(chan_info(ch, &info), "ask how it went");
	printf("hear: messages=%llu bytes=%llu xxh64=%016llx\n", (unsigned long long)info.received,
	    (unsigned long long)info.received_bytes, (unsigned long long)XXH64_digest(&hash));
	chan_close(ch);
	return 0;
}
