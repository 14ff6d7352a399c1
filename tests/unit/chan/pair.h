/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_CHAN_PAIR_H
#define TESTS_UNIT_CHAN_PAIR_H
/*
 * The scene of most tests: an endpoint `a` with a name, and peers of it.  ChanTest(suite, name) is a
 * Test whose body finds a and b connected (4 KiB frames, 1 MiB arenas, lending from 8 KiB on), and
 * that closes everything and looks for leftovers at its end.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "chan/fake.h"

static struct chan *a, *b;
static const struct chan_options small = {
    .arena_bytes = 1 << 20, .max_peers = 8, .lend_from = 8192, .copy_bytes = 1 << 20, .spin_ns = 1};

#define OK(call) cr_assert_eq((call), 0)
#define FAILS(call, error) cr_assert_eq((call), -(error))

static inline struct chan *join(const struct chan_options *options)
{
	struct chan *ch;

	OK(chan_connect("a", options, CHAN_NOW, &ch));
	OK(chan_accept(a, CHAN_NOW, NULL));
	return ch;
}

static inline void pair_open(unsigned how, const struct chan_options *options)
{
	fake_start(how);
	OK(chan_create("a", options, &a));
	b = join(options);
}

static inline void pair_close(void)
{
	chan_close(a);
	chan_close(b);
	a = b = NULL;
	cr_assert_eq(fake_end(), 0);
}

#define ChanTest(suite, name)                                                                      \
	static void suite##_##name##_body(void);                                                   \
	Test(suite, name)                                                                          \
	{                                                                                          \
		pair_open(0, &small);                                                              \
		suite##_##name##_body();                                                           \
		pair_close();                                                                      \
	}                                                                                          \
	static void suite##_##name##_body(void)

/* A buffer filled with a byte. */
static inline uint8_t *filled(struct chan *ch, size_t len, int byte)
{
	void *buf;

	OK(chan_alloc(ch, len, CHAN_NOW, &buf));
	memset(buf, byte, len);
	return buf;
}

static inline void send_filled(struct chan *ch, size_t len, int byte, unsigned flags)
{
	OK(chan_send(ch, filled(ch, len, byte), len, flags, (uint64_t)byte));
}

static inline bool all_bytes(const void *data, size_t len, int byte)
{
	const uint8_t *p = data;

	return len == 0 || (p[0] == byte && memcmp(p, p + 1, len - 1) == 0);
}

/* The next message is this one. */
static inline struct chan_message expect(struct chan *ch, size_t len, int byte, unsigned strength)
{
	struct chan_message msg;

	OK(chan_recv(ch, CHAN_NOW, &msg));
	cr_assert_eq(msg.len, len);
	cr_assert_eq(msg.tag, (uint64_t)byte);
	cr_assert_eq(msg.strength, strength);
	cr_assert(all_bytes(msg.data, len, byte));
	return msg;
}

static inline void expect_and_release(struct chan *ch, size_t len, int byte, unsigned strength)
{
	struct chan_message msg = expect(ch, len, byte, strength);

	OK(chan_release(ch, &msg));
}

/* Their next message has this number, as if that many had been sent; before anything is. */
static inline void begin_at(struct chan *from, struct chan *to, uint32_t seq)
{
	from->tail = from->pub = from->next = seq;
	store64(&from->control->start[0], UINT64_C(1) << 32 | seq);
	to->peer[0].joined = false;
}

#endif
