/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_CHANROLES_H
#define LOMBARD_PROBE_CHANROLES_H
/*
 * The channel tests, for guests (guest/probe/chan.c) and host programs (tests/host/chanhost.c), so
 * that every pair can be tried.  Who includes this provides, besides C's own functions, fail,
 * expect, arg_find, arg_u64, time_after, time_sleep and PATIENCE as in probe.h and lombard-guest.h.
 *
 *	chan-send	send count= messages of bytes= (random=1: up to that), strength= 1 sealed,
 *			2 shared, 3 either, as the message's number has it; dirty=1: write into those that are lent at once; linger=0: do
 *			not wait for the receivers' end
 *	chan-recv	receive and check as many; hold= ms between checking and checking again;
 *			keep=1: do not release
 *	chan-stream	send until the receivers are gone; chan-drain: receive until the sender is
 *	chan-hold	hold on to the first message, and check it, until the sender is gone
 *	chan-duplex	send and receive at once for seconds=; the last message tells how many there
 *			were.  deaths=1: the peer may be gone before that
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
	unsigned strength; /* CHAN_SEND_SEALED, _SHARED, or both bits: either */
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
	_Static_assert(CHAN_SEND_SEALED == 1 && CHAN_SEND_SHARED == 2, "strength= is a mask");
	const struct work w = {
	    .count = arg_u64(argc, argv, "count", 100),
	    .bytes = arg_u64(argc, argv, "bytes", 65536),
	    .random = arg_u64(argc, argv, "random", 0) != 0,
	    .strength = (unsigned)arg_u64(argc, argv, "strength", CHAN_SEND_SEALED),
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

static unsigned strength_of(const struct work *w, uint64_t number)
{
	if (w->strength != (CHAN_SEND_SEALED | CHAN_SEND_SHARED))
		return w->strength;
	return (word_of(number, 0) >> 40 & 1) != 0 ? CHAN_SEND_SEALED : CHAN_SEND_SHARED;
}

static uint64_t lent_by(struct chan *ch)
{
	struct chan_info info = {0};

	expect(88, "info", chan_info(ch, &info), 0);
	return info.lent;
}

/* Send message `number`, when there is room.  0 or an error of the library. */
static int send_by(struct chan *ch, const struct work *w, uint64_t number, uint64_t deadline)
{
	unsigned strength = strength_of(w, number);
	size_t len = length_of(w, number);
	uint64_t before;
	void *buf;
	int err = chan_alloc(ch, len, deadline, &buf);

	if (err != 0)
		return err;
	fill_message(buf, len, number);
	if (!w->dirty)
		return chan_send(ch, buf, len, strength, number);
	before = lent_by(ch);
	err = chan_send(ch, buf, len, strength | CHAN_SEND_KEEP, number);
	if (err != 0)
		return err;
	/* What is copied is the receiver's only when he has it. */
	if (lent_by(ch) != before)
		fill_message(buf, len, ~number);
	return chan_free(ch, buf);
}

static int send_message(struct chan *ch, const struct work *w, uint64_t number)
{
	return send_by(ch, w, number, CHAN_FOREVER);
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
	err = chan_release(ch, &msg);
	/* If it was the cell that ended. */
	if (err != -EPIPE)
		expect(17, "release", err, 0);
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

/* Both directions of one channel. */
struct duplex {
	struct chan *ch;
	struct work w;
	uint64_t end; /* when we send our last message */
	uint64_t sent, received;
	bool told, heard; /* the last message has been sent, has come */
	bool gone;	  /* the peer, before that */
};

#define DUPLEX_LAST UINT64_MAX /* tag of the message that says how many there were */

static int duplex_tell(struct duplex *d)
{
	void *buf;
	int err = chan_alloc(d->ch, sizeof(d->sent), CHAN_NOW, &buf);

	if (err != 0)
		return err;
	__builtin_memcpy(buf, &d->sent, sizeof(d->sent));
	err = chan_send(d->ch, buf, sizeof(d->sent), CHAN_SEND_SEALED, DUPLEX_LAST);
	d->told = err == 0;
	return err;
}

static int duplex_send(struct duplex *d)
{
	int err;

	if (d->told || d->gone)
		return -EAGAIN;
	if (chan_now() >= d->end)
		return duplex_tell(d);
	err = send_by(d->ch, &d->w, d->sent + 1, CHAN_NOW);
	if (err == 0)
		d->sent++;
	return err;
}

static int duplex_receive(struct duplex *d)
{
	struct chan_message msg;
	uint64_t total;
	int err = chan_recv(d->ch, CHAN_NOW, &msg);

	if (err != 0)
		return err;
	if (msg.tag != DUPLEX_LAST) {
		check_message(&d->w, &msg, ++d->received);
	} else {
		expect(21, "bytes of the last message", (int64_t)msg.len, sizeof(total));
		__builtin_memcpy(&total, msg.data, sizeof(total));
		expect(22, "messages received", (int64_t)d->received, (int64_t)total);
		d->heard = true;
	}
	expect(14, "release", chan_release(d->ch, &msg), 0);
	return 0;
}

/* One message each way, as far as it goes; else sleep.  The peer's end: take what it had sent. */
static void duplex_step(struct duplex *d, bool deaths)
{
	int sent = duplex_send(d), received = duplex_receive(d), ready;

	if (deaths && (sent == -EPIPE || received == -EPIPE)) {
		d->gone = true;
		d->heard = received == -EPIPE;
		return;
	}
	if (sent == 0 || received == 0)
		return;
	expect(10, "send", sent, -EAGAIN);
	expect(23, "receive", received, -EAGAIN);
	ready = chan_wait(
	    d->ch, CHAN_READABLE | (d->told ? 0 : CHAN_WRITABLE), time_after(PATIENCE));
	if (ready <= 0 && !(deaths && ready == -EPIPE))
		fail(24, "waiting for the peer: %d", ready);
}

static void chan_duplex_test(int argc, char **argv)
{
	bool deaths = arg_u64(argc, argv, "deaths", 0) != 0;
	struct duplex d = {.ch = open_channel(argc, argv), .w = work_of(argc, argv)};

	d.end = chan_after(arg_u64(argc, argv, "seconds", 1) * 1000 * MS);
	puts("probe: both ways");
	while (!d.heard || !(d.told || d.gone))
		duplex_step(&d, deaths);
	printf("probe: duplex sent=%llu received=%llu complete=%d\n", (unsigned long long)d.sent,
	    (unsigned long long)d.received, !d.gone);
	print_info(d.ch);
	chan_close(d.ch);
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
	    {"chan-drain", chan_drain_test}, {"chan-duplex", chan_duplex_test},                    \
	    {"chan-scribble", chan_scribble_test}, {"chan-names", chan_names_test},                \
	    {"chan-self", chan_self_test},

#endif
