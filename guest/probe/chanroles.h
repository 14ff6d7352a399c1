/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_CHANROLES_H
#define LOMBARD_PROBE_CHANROLES_H
/*
 * The channel tests, for guests (guest/probe/chan.c) and host programs (tests/host/chanhost.c), so
 * that every pair can be tried.  Who includes this provides, besides C's own functions, fail,
 * expect, arg_find, arg_u64, time_after, time_sleep and PATIENCE as in probe.h and lombard-guest.h.
 *
 *	chan-send	send count= messages of bytes= (random=1: up to that), strength= 1 sealed,
 *			2 shared; dirty=1: write into those that are lent at once; linger=0: do
 *			not wait for the receivers' end
 *	chan-recv	receive and check as many; hold= ms between checking and checking again;
 *			keep=1: do not release
 *	chan-stream	send until the receivers are gone; chan-drain: receive until the sender is
 *	chan-hold	hold on to the first message, and check it, until the sender is gone
 *	chan-scribble	write to a message
 *	chan-names	one endpoint's name; chan-self: both ends in one program
 *
 * All take name=; create=1 makes the endpoint and accepts peers= others, else it is connected to;
 * arena= MiB, base=1 for pages of 4 KiB, lend= bytes from which messages are lent.
 *
 * Messages' bytes follow from their number.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lombard-chan.h>

#define MS 1000000ULL

/* What a test sends or expects. */
struct work {
	uint64_t count;
	size_t bytes; /* of each; random: at most that */
	bool random;
	unsigned strength; /* CHAN_SEND_SEALED or _SHARED */
	bool dirty;	   /* write to messages as soon as they are sent */
};

static uint64_t word_of(uint64_t number, uint64_t i)
{
	return (number << 32 | (i + 1)) * 0x9e3779b97f4a7c15ULL;
}

static void fill_message(void *buf, size_t len, uint64_t number)
{
	uint64_t word;

	for (uint64_t i = 0; i < len / 8; i++) {
		word = word_of(number, i);
		__builtin_memcpy((char *)buf + i * 8, &word, 8);
	}
	for (size_t i = len / 8 * 8; i < len; i++)
		((char *)buf)[i] = (char)(number + i);
}

static bool message_holds(const void *buf, size_t len, uint64_t number)
{
	uint64_t word;

	for (uint64_t i = 0; i < len / 8; i++) {
		__builtin_memcpy(&word, (const char *)buf + i * 8, 8);
		if (word != word_of(number, i))
			return false;
	}
	for (size_t i = len / 8 * 8; i < len; i++)
		if (((const char *)buf)[i] != (char)(number + i))
			return false;
	return true;
}

/* Length of a message: all sizes come, small ones more often. */
static size_t length_of(const struct work *w, uint64_t number)
{
	uint64_t mix = (number + 1) * 0xd1342543de82ef95ULL;
	unsigned bits = 64 - (unsigned)__builtin_clzll(w->bytes | 1);

	if (!w->random)
		return w->bytes;
	mix ^= mix >> 29;
	return (mix >> 8) % (((uint64_t)1 << mix % bits) + 1) % (w->bytes + 1);
}

static struct work work_of(int argc, char **argv)
{
	const struct work w = {
	    .count = arg_u64(argc, argv, "count", 100),
	    .bytes = arg_u64(argc, argv, "bytes", 65536),
	    .random = arg_u64(argc, argv, "random", 0) != 0,
	    .strength = arg_u64(argc, argv, "strength", 1) == 1 ? CHAN_SEND_SEALED
								: CHAN_SEND_SHARED,
	    .dirty = arg_u64(argc, argv, "dirty", 0) != 0,
	};

	return w;
}

static const char *name_of(int argc, char **argv)
{
	const char *name = arg_find(argc, argv, "name");

	if (name == NULL)
		fail(90, "which name?");
	return name;
}

static struct chan_options options_of(int argc, char **argv)
{
	const struct chan_options opt = {
	    .arena_bytes = arg_u64(argc, argv, "arena", 16) << 20,
	    .max_peers = (unsigned)arg_u64(argc, argv, "peers", 1),
	    .flags = arg_u64(argc, argv, "base", 0) != 0 ? CHAN_BASE_FRAMES : 0,
	    .lend_from = arg_u64(argc, argv, "lend", 0),
	};

	return opt;
}

/* Create the endpoint and accept all peers, or connect to it. */
static struct chan *open_channel(int argc, char **argv)
{
	const struct chan_options opt = options_of(argc, argv);
	const char *name = name_of(argc, argv);
	struct chan *ch;

	if (arg_u64(argc, argv, "create", 0) == 0) {
		expect(1, "connect", chan_connect(name, &opt, time_after(PATIENCE), &ch), 0);
		return ch;
	}
	expect(2, "create", chan_create(name, &opt, &ch), 0);
	puts("probe: created");
	for (unsigned i = 0; i < opt.max_peers; i++)
		expect(3, "accept", chan_accept(ch, time_after(PATIENCE), NULL), 0);
	return ch;
}

static void print_info(struct chan *ch)
{
	struct chan_info info;

	expect(89, "info", chan_info(ch, &info), 0);
	printf("probe: chan frame=%llu lend=%llu sent=%llu lent=%llu copied=%llu shared=%llu "
	       "received=%llu refreshes=%llu\n",
	    (unsigned long long)info.frame_bytes, (unsigned long long)info.lend_from,
	    (unsigned long long)info.sent, (unsigned long long)info.lent,
	    (unsigned long long)info.copied, (unsigned long long)info.shared,
	    (unsigned long long)info.received, (unsigned long long)info.refreshes);
}

static uint64_t lent_by(struct chan *ch)
{
	struct chan_info info = {0};

	expect(88, "info", chan_info(ch, &info), 0);
	return info.lent;
}

/* Send message `number`.  0 or an error of the library. */
static int send_message(struct chan *ch, const struct work *w, uint64_t number)
{
	size_t len = length_of(w, number);
	uint64_t before;
	void *buf;
	int err = chan_alloc(ch, len, CHAN_FOREVER, &buf);

	if (err != 0)
		return err;
	fill_message(buf, len, number);
	if (!w->dirty)
		return chan_send(ch, buf, len, w->strength, number);
	before = lent_by(ch);
	err = chan_send(ch, buf, len, w->strength | CHAN_SEND_KEEP, number);
	if (err != 0)
		return err;
	/* What is copied is the receiver's only when he has it. */
	if (lent_by(ch) != before)
		fill_message(buf, len, ~number);
	return chan_free(ch, buf);
}

static void check_message(const struct work *w, const struct chan_message *msg, uint64_t number)
{
	if (msg->tag != number)
		fail(11, "message %llu has tag %llu", (unsigned long long)number,
		    (unsigned long long)msg->tag);
	if (msg->len != length_of(w, number))
		fail(12, "message %llu has %llu bytes", (unsigned long long)number,
		    (unsigned long long)msg->len);
	if (!message_holds(msg->data, msg->len, number))
		fail(13, "message %llu has changed (%llu bytes, kind %u)",
		    (unsigned long long)number, (unsigned long long)msg->len, msg->strength);
}

/*
 * Wait until all has been taken: what is sealed stays so without us, but what is shared or was
 * copied by us into the arena would not.
 */
static void await_end(struct chan *ch)
{
	struct chan_message msg;

	expect(20, "the receivers' end", chan_recv(ch, time_after(PATIENCE), &msg), -EPIPE);
}

static void chan_send_test(int argc, char **argv)
{
	struct chan *ch = open_channel(argc, argv);
	struct work w = work_of(argc, argv);

	puts("probe: sending");
	for (uint64_t n = 1; n <= w.count; n++)
		expect(10, "send", send_message(ch, &w, n), 0);
	puts("probe: sent");
	if (arg_u64(argc, argv, "linger", 1) != 0)
		await_end(ch);
	print_info(ch);
	chan_close(ch);
}

static void chan_recv_test(int argc, char **argv)
{
	uint64_t hold = arg_u64(argc, argv, "hold", 0), keep = arg_u64(argc, argv, "keep", 0);
	struct chan *ch = open_channel(argc, argv);
	struct work w = work_of(argc, argv);
	struct chan_message msg;

	puts("probe: receiving");
	for (uint64_t n = 1; n <= w.count; n++) {
		expect(10, "receive", chan_recv(ch, time_after(PATIENCE), &msg), 0);
		check_message(&w, &msg, n);
		if (hold != 0) {
			time_sleep(hold * MS);
			check_message(&w, &msg, n);
		}
		if (keep == 0)
			expect(14, "release", chan_release(ch, &msg), 0);
	}
	printf("probe: received %llu\n", (unsigned long long)w.count);
	print_info(ch);
	chan_close(ch);
}

static void chan_hold_test(int argc, char **argv)
{
	struct chan *ch = open_channel(argc, argv);
	struct work w = work_of(argc, argv);
	struct chan_message msg, other;
	uint64_t rounds = 0;
	int err;

	expect(10, "receive", chan_recv(ch, time_after(PATIENCE), &msg), 0);
	puts("probe: holding");
	do {
		check_message(&w, &msg, 1);
		err = chan_recv(ch, time_after(20 * MS), &other);
		rounds++;
		if (err == 0)
			expect(15, "release another", chan_release(ch, &other), 0);
	} while (err == 0 || err == -ETIME);
	expect(16, "the end", err, -EPIPE);
	check_message(&w, &msg, 1);
	printf("probe: held for %llu rounds\n", (unsigned long long)rounds);
	expect(17, "release", chan_release(ch, &msg), 0);
	chan_close(ch);
}

static void chan_stream_test(int argc, char **argv)
{
	struct chan *ch = open_channel(argc, argv);
	struct work w = work_of(argc, argv);
	uint64_t n = 0;
	int err;

	puts("probe: streaming");
	do
		err = send_message(ch, &w, ++n);
	while (err == 0);
	expect(10, "the end", err, -EPIPE);
	printf("probe: streamed %llu\n", (unsigned long long)n);
	chan_close(ch);
}

static void chan_drain_test(int argc, char **argv)
{
	struct chan *ch = open_channel(argc, argv);
	struct work w = work_of(argc, argv);
	struct chan_message msg;
	uint64_t n = 0;
	bool good;
	int err;

	puts("probe: draining");
	while ((err = chan_recv(ch, time_after(PATIENCE), &msg)) == 0) {
		good = message_holds(msg.data, msg.len, n + 1);
		err = chan_release(ch, &msg);
		/* The end of the cell, while we read. */
		if (err == -EPIPE)
			break;
		expect(14, "release", err, 0);
		if (!good || msg.tag != n + 1 || msg.len != length_of(&w, n + 1))
			fail(13, "message %llu is wrong", (unsigned long long)n + 1);
		n++;
	}
	expect(10, "the end", err, -EPIPE);
	printf("probe: drained %llu\n", (unsigned long long)n);
	chan_close(ch);
}

static void chan_scribble_test(int argc, char **argv)
{
	struct chan *ch = open_channel(argc, argv);
	struct chan_message msg;

	expect(10, "receive", chan_recv(ch, time_after(PATIENCE), &msg), 0);
	*(volatile char *)(uintptr_t)msg.data = 1;
	fail(99, "a peer's area could be written");
}

/* Names are taken once, and come free. */
static void chan_names_test(int argc, char **argv)
{
	const char *name = name_of(argc, argv);
	struct chan *ch, *other;

	expect(1, "create", chan_create(name, NULL, &ch), 0);
	expect(2, "create it again", chan_create(name, NULL, &other), -EEXIST);
	chan_close(ch);
	expect(3, "connect to what is closed", chan_connect(name, NULL, CHAN_NOW, &other), -ENOENT);
	expect(4, "create it anew", chan_create(name, NULL, &ch), 0);
	chan_close(ch);
}

static void chan_self_test(int argc, char **argv)
{
	const char *name = name_of(argc, argv);
	struct work w = work_of(argc, argv);
	const struct chan_options opt = options_of(argc, argv);
	struct chan *ch, *other, *from, *to;
	struct chan_message msg;

	expect(1, "create", chan_create(name, &opt, &ch), 0);
	expect(2, "connect", chan_connect(name, &opt, CHAN_NOW, &other), 0);
	expect(3, "accept", chan_accept(ch, CHAN_NOW, NULL), 0);
	for (uint64_t n = 1; n <= w.count; n++) {
		from = n % 2 != 0 ? ch : other;
		to = n % 2 != 0 ? other : ch;
		expect(4, "send", send_message(from, &w, n), 0);
		expect(5, "receive", chan_recv(to, CHAN_NOW, &msg), 0);
		check_message(&w, &msg, n);
		expect(6, "release", chan_release(to, &msg), 0);
	}
	chan_close(ch);
	expect(7, "the end", chan_recv(other, CHAN_NOW, &msg), -EPIPE);
	chan_close(other);
}

/* What there is, by name. */
#define CHAN_ROLES                                                                                 \
	{"chan-send", chan_send_test}, {"chan-recv", chan_recv_test},                              \
	    {"chan-hold", chan_hold_test}, {"chan-stream", chan_stream_test},                      \
	    {"chan-drain", chan_drain_test}, {"chan-scribble", chan_scribble_test},                \
	    {"chan-names", chan_names_test}, {"chan-self", chan_self_test},

#endif
