/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CHAN_SRCS) $(CHAN_FAKE) */
#include "chan/pair.h"

/* ---- both directions, all strengths and sizes ---- */

ChanTest(chan, message_arrives_either_way)
{
	send_filled(a, 100, 1, CHAN_SEND_SEALED);
	send_filled(b, 200, 2, CHAN_SEND_SEALED);
	expect_and_release(b, 100, 1, CHAN_COPY);
	expect_and_release(a, 200, 2, CHAN_COPY);
}

ChanTest(chan, short_is_copied_and_long_is_lent)
{
	struct chan_info info;

	send_filled(a, 8191, 1, CHAN_SEND_SEALED);
	send_filled(a, 8192, 2, CHAN_SEND_SEALED);
	send_filled(a, 1, 3, CHAN_SEND_SHARED);
	cr_assert_eq(fake_seals(a), 1);
	expect_and_release(b, 8191, 1, CHAN_COPY);
	expect_and_release(b, 8192, 2, CHAN_SEALED);
	expect_and_release(b, 1, 3, CHAN_SHARED);
	OK(chan_info(a, &info));
	cr_assert_eq(info.sent, 3);
	cr_assert_eq(info.sent_bytes, 8191 + 8192 + 1);
	cr_assert_eq(info.copied, 1);
	cr_assert_eq(info.lent, 1);
	cr_assert_eq(info.shared, 1);
	cr_assert_eq(info.seals, 1);
	cr_assert_eq(info.frame_bytes, 4096);
	cr_assert_eq(info.lend_from, 8192);
	OK(chan_info(b, &info));
	cr_assert_eq(info.received, 3);
	cr_assert_eq(info.received_bytes, 8191 + 8192 + 1);
}

ChanTest(chan, shared_is_read_in_place_and_follows_writes)
{
	uint8_t *buf = filled(a, 5000, 1);
	struct chan_message msg;

	OK(chan_send(a, buf, 5000, CHAN_SEND_SHARED, 1));
	msg = expect(b, 5000, 1, CHAN_SHARED);
	memset(buf, 7, 5000);
	cr_assert(all_bytes(msg.data, 5000, 7));
	OK(chan_release(b, &msg));
}

ChanTest(chan, copy_does_not_follow_writes)
{
	uint8_t *buf = filled(a, 5000, 1);
	struct chan_message msg;

	OK(chan_send(a, buf, 5000, CHAN_SEND_SEALED, 1));
	msg = expect(b, 5000, 1, CHAN_COPY);
	memset(buf, 7, 5000);
	cr_assert(all_bytes(msg.data, 5000, 1));
	OK(chan_release(b, &msg));
}

ChanTest(chan, empty_message_has_a_tag)
{
	uint8_t *buf = filled(a, 0, 0);
	struct chan_message msg;

	OK(chan_send(a, buf, 0, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 17));
	OK(chan_send(a, buf, 0, CHAN_SEND_SHARED, 18));
	OK(chan_recv(b, CHAN_NOW, &msg));
	cr_assert_eq(msg.len, 0);
	cr_assert_eq(msg.tag, 17);
	cr_assert_neq(msg.data, NULL);
	OK(chan_release(b, &msg));
	OK(chan_recv(b, CHAN_NOW, &msg));
	cr_assert_eq(msg.tag, 18);
	OK(chan_release(b, &msg));
}

ChanTest(chan, every_length_arrives_whole)
{
	for (size_t len = 1; len < 700; len++) {
		send_filled(a, len, (int)(len % 250), CHAN_SEND_SEALED);
		expect_and_release(b, len, (int)(len % 250), CHAN_COPY);
	}
}

ChanTest(chan, buffer_may_be_longer_than_the_message)
{
	uint8_t *buf = filled(a, 20000, 3);

	OK(chan_send(a, buf + 5000, 10000, CHAN_SEND_SEALED, 3));
	cr_assert_eq(fake_seals(a), 1);
	expect_and_release(b, 10000, 3, CHAN_SEALED);
}

Test(chan, huge_frames_carry_64_mib)
{
	struct chan_options options = {.arena_bytes = 72 << 20, .lend_from = 1 << 20};
	size_t len = 64 << 20;
	struct chan_info info;

	pair_open(FAKE_HUGE, &options);
	OK(chan_info(a, &info));
	cr_assert_eq(info.frame_bytes, 2 << 20);
	send_filled(a, 64, 1, CHAN_SEND_SEALED);
	send_filled(a, len, 2, CHAN_SEND_SEALED);
	expect_and_release(b, 64, 1, CHAN_COPY);
	expect_and_release(b, len, 2, CHAN_SEALED);
	pair_close();
}

Test(chan, without_huge_frames_there_are_small_ones)
{
	struct chan_options options = {.arena_bytes = 4 << 20};
	struct chan_info info;

	pair_open(0, &options);
	OK(chan_info(a, &info));
	cr_assert_eq(info.frame_bytes, 4096);
	pair_close();
}

/* ---- buffers ---- */

ChanTest(chan, freed_buffer_is_used_again)
{
	void *buf[2];

	OK(chan_alloc(a, 64, CHAN_NOW, &buf[0]));
	OK(chan_free(a, buf[0]));
	OK(chan_alloc(a, 64, CHAN_NOW, &buf[1]));
	cr_assert_eq(buf[0], buf[1]);
	OK(chan_free(a, buf[1]));
	FAILS(chan_free(a, buf[1]), EINVAL);
}

ChanTest(chan, what_is_no_buffer_of_ours_is_refused)
{
	uint8_t *buf = filled(a, 100, 1), *mine = filled(b, 100, 1);
	int local;

	FAILS(chan_send(a, &local, 1, CHAN_SEND_SEALED, 0), EINVAL);
	FAILS(chan_send(a, mine, 100, CHAN_SEND_SEALED, 0), EINVAL);
	FAILS(chan_send(a, buf, 129, CHAN_SEND_SEALED, 0), EINVAL);
	FAILS(chan_send(a, buf + 128, 1, CHAN_SEND_SEALED, 0), EINVAL);
	FAILS(chan_send(a, buf, 100, 0, 0), EINVAL);
	FAILS(chan_send(a, buf, 100, CHAN_SEND_SEALED | CHAN_SEND_SHARED, 0), EINVAL);
	FAILS(chan_send(a, buf, 100, CHAN_SEND_SEALED | 0x100, 0), EINVAL);
	OK(chan_send(a, buf, 128, CHAN_SEND_SEALED, 1));
	FAILS(chan_send(a, buf, 100, CHAN_SEND_SEALED, 0), EINVAL);
	FAILS(chan_free(a, buf), EINVAL);
	OK(chan_free(b, mine));
}

ChanTest(chan, longer_than_the_arena_is_refused)
{
	void *buf;

	FAILS(chan_alloc(a, (1 << 20) + 1, CHAN_NOW, &buf), EMSGSIZE);
	OK(chan_alloc(a, 1 << 20, CHAN_NOW, &buf));
	OK(chan_free(a, buf));
}

/* ---- release ---- */

ChanTest(chan, released_in_any_order)
{
	struct chan_message msg[30];
	struct chan_info info;

	for (int i = 0; i < 30; i++)
		send_filled(
		    a, i % 3 == 0 ? 9000 : 500, i, i % 2 ? CHAN_SEND_SHARED : CHAN_SEND_SEALED);
	for (int i = 0; i < 30; i++)
		OK(chan_recv(b, CHAN_NOW, &msg[i]));
	for (int i = 0; i < 30; i++)
		cr_assert(all_bytes(msg[i].data, msg[i].len, i));
	for (int i = 0; i < 30; i++)
		OK(chan_release(b, &msg[i * 7 % 30]));
	for (int i = 0; i < 30; i++)
		FAILS(chan_release(b, &msg[i]), EINVAL);
	OK(chan_info(a, &info));
	/* All of the arena can be had again. */
	OK(chan_free(a, filled(a, 1 << 20, 0)));
}

ChanTest(chan, message_that_never_was_is_not_released)
{
	struct chan_message msg = {.strength = CHAN_SEALED, .seq = 5};

	FAILS(chan_release(b, &msg), EINVAL);
	msg.peer = 7;
	FAILS(chan_release(b, &msg), EINVAL);
	msg.peer = 8;
	FAILS(chan_release(b, &msg), EINVAL);
	msg = (struct chan_message){.strength = CHAN_COPY, .len = 4, .data = &msg};
	FAILS(chan_release(b, &msg), EINVAL);
}

ChanTest(chan, copies_are_bounded)
{
	struct chan_message msg[2];

	send_filled(a, 1 << 19, 1, CHAN_SEND_SHARED);
	a->cost.lend_from = UINT64_MAX;
	for (int i = 0; i < 2; i++) {
		uint8_t *buf = filled(a, 1 << 18, 1);

		OK(chan_send(a, buf, 1 << 18, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
		OK(chan_free(a, buf));
	}
	expect_and_release(b, 1 << 19, 1, CHAN_SHARED);
	/* Of the megabyte for copies, there is half a one left. */
	void *held = filled(a, 64, 0);
	struct arena_buf taken;

	cr_assert(arena_alloc(&b->pool, 3 << 18, false, &taken));
	OK(chan_recv(b, CHAN_NOW, &msg[0]));
	FAILS(chan_recv(b, CHAN_NOW, &msg[1]), ENOBUFS);
	FAILS(chan_recv(b, CHAN_FOREVER, &msg[1]), ENOBUFS);
	OK(chan_release(b, &msg[0]));
	OK(chan_recv(b, CHAN_NOW, &msg[1]));
	OK(chan_release(b, &msg[1]));
	arena_free(&b->pool, taken);
	OK(chan_free(a, held));
}

/* ---- sealing ---- */

ChanTest(chan, sealed_frames_are_not_used_before_all_is_released)
{
	struct chan_message msg;

	for (int i = 0; i < 200; i++) {
		send_filled(a, 300000, i, CHAN_SEND_SEALED);
		send_filled(a, 200000, i, CHAN_SEND_SEALED);
		msg = expect(b, 300000, i, CHAN_SEALED);
		expect_and_release(b, 200000, i, CHAN_SEALED);
		send_filled(a, 400000, i, CHAN_SEND_SEALED);
		cr_assert(all_bytes(msg.data, msg.len, i));
		OK(chan_release(b, &msg));
		expect_and_release(b, 400000, i, CHAN_SEALED);
	}
}

ChanTest(chan, one_hypercall_for_a_message_when_the_arena_is_large_enough)
{
	struct chan_info info;

	for (int i = 0; i < 100; i++) {
		send_filled(a, 100000, i, CHAN_SEND_SEALED);
		expect_and_release(b, 100000, i, CHAN_SEALED);
	}
	OK(chan_info(a, &info));
	cr_assert_eq(info.seals, 100);
	cr_assert_eq(info.reaps, 0);
	cr_assert_eq(info.notifies, 0);
}

ChanTest(chan, broken_seal_keeps_its_bytes_for_the_receiver)
{
	uint8_t *buf = filled(a, 10000, 1);
	struct chan_message msg;
	struct chan_info info;

	OK(chan_send(a, buf, 10000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	msg = expect(b, 10000, 1, CHAN_SEALED);
	fake_break(a, (uint32_t)((buf - a->base) / 4096));
	memset(buf, 2, 4096);
	cr_assert(all_bytes(msg.data, 10000, 1));
	/* Other messages need a look at the frames meanwhile. */
	send_filled(a, 100, 3, CHAN_SEND_SEALED);
	expect_and_release(b, 100, 3, CHAN_COPY);
	cr_assert_eq(load32(&a->status->stale[0]), 1);
	OK(chan_release(b, &msg));
	cr_assert_eq(load32(&a->status->stale[0]), 0);
	OK(chan_info(b, &info));
	cr_assert_eq(info.refreshes, 2);
	/* And what is sent from there again is what is there now. */
	memset(buf, 4, 10000);
	cr_assert_eq(chan_sent(a, buf), 1);
	OK(chan_send(a, buf, 10000, CHAN_SEND_SEALED, 4));
	expect_and_release(b, 10000, 4, CHAN_SEALED);
}

ChanTest(chan, seal_broken_before_it_is_received)
{
	uint8_t *buf = filled(a, 10000, 1);

	OK(chan_send(a, buf, 10000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	fake_break(a, (uint32_t)((buf - a->base) / 4096));
	memset(buf, 2, 4096);
	expect_and_release(b, 10000, 1, CHAN_SEALED);
	OK(chan_free(a, buf));
}

ChanTest(chan, failed_seal_leaves_the_buffer_with_the_caller)
{
	uint8_t *buf = filled(a, 10000, 1);

	for (int i = 0; i < 3; i++) {
		fake_fail(FAKE_SEAL, 1, -ENOMEM);
		FAILS(chan_send(a, buf, 10000, CHAN_SEND_SEALED, 1), ENOMEM);
		cr_assert(all_bytes(buf, 10000, 1));
	}
	OK(chan_send(a, buf, 10000, CHAN_SEND_SEALED, 1));
	expect_and_release(b, 10000, 1, CHAN_SEALED);
}

ChanTest(chan, failed_refresh_can_be_tried_again)
{
	uint8_t *buf = filled(a, 10000, 1);
	struct chan_message msg;

	OK(chan_send(a, buf, 10000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	fake_break(a, (uint32_t)((buf - a->base) / 4096));
	fake_fail(FAKE_REFRESH, 1, -ENOMEM);
	FAILS(chan_recv(b, CHAN_NOW, &msg), ENOMEM);
	expect_and_release(b, 10000, 1, CHAN_SEALED);
	OK(chan_free(a, buf));
}

/* ---- the crossover ---- */

Test(chan, crossover_is_measured)
{
	struct chan_options options = {.arena_bytes = 4 << 20, .flags = CHAN_BASE_FRAMES};
	struct chan_info dear, cheap;

	fake_start(0);
	fake_slow(200000, 0);
	OK(chan_create("a", &options, &a));
	b = join(&options);
	OK(chan_info(a, &dear));
	fake_slow(20000, 0);
	chan_close(a);
	chan_close(b);
	OK(chan_create("a", &options, &a));
	b = join(&options);
	OK(chan_info(a, &cheap));
	cr_assert(cheap.lend_from >= 4096);
	cr_assert_lt(cheap.lend_from, dear.lend_from);
	pair_close();
}

/* Messages that are sent together share the price of a hypercall. */
Test(chan, crossover_falls_when_messages_are_sent_together)
{
	struct chan_options options = {.arena_bytes = 4 << 20, .flags = CHAN_BASE_FRAMES};
	struct chan_info single, together;

	fake_start(0);
	fake_slow(100000, 0);
	OK(chan_create("a", &options, &a));
	b = join(&options);
	OK(chan_info(a, &single));
	for (unsigned i = 0; i < 40; i++) {
		struct chan_message msg;

		for (unsigned k = 0; k < 4; k++)
			send_filled(
			    a, 100, 4 * i + k, CHAN_SEND_SEALED | (k < 3 ? CHAN_SEND_MORE : 0));
		for (unsigned k = 0; k < 4; k++) {
			OK(chan_recv(b, CHAN_NOW, &msg));
			OK(chan_release(b, &msg));
		}
	}
	OK(chan_info(a, &together));
	cr_assert_leq(together.lend_from, single.lend_from / 3);
	for (unsigned i = 0; i < 80; i++) {
		send_filled(a, 100, i, CHAN_SEND_SEALED);
		expect_and_release(b, 100, i, CHAN_COPY);
	}
	OK(chan_info(a, &together));
	cr_assert_eq(together.lend_from, single.lend_from, "and comes back");
	pair_close();
}

Test(chan, lending_stops_when_frames_cost_more_than_copying_them)
{
	struct chan_options options = {.arena_bytes = 8 << 20, .flags = CHAN_BASE_FRAMES};
	struct chan_info info;
	size_t len = 4 << 20;

	pair_open(0, &options);
	fake_slow(0, 50000);
	OK(chan_info(a, &info));
	cr_assert_leq(info.lend_from, len);
	for (int i = 0; i < 20; i++) {
		struct chan_message msg;

		send_filled(a, len, i, CHAN_SEND_SEALED);
		OK(chan_recv(b, CHAN_NOW, &msg));
		OK(chan_release(b, &msg));
	}
	OK(chan_info(a, &info));
	cr_assert_eq(info.lend_from, CHAN_LEND_NEVER);
	cr_assert_geq(info.lent, COST_SAMPLES);
	cr_assert_lt(info.lent, 20);
	pair_close();
}

ChanTest(chan, nothing_is_copied_that_the_peer_would_not_take)
{
	struct chan_options options = small;
	struct chan *c;

	options.copy_bytes = CHAN_COPY_LEAST;
	c = join(&options);
	a->cost.lend_from = UINT64_MAX;
	send_filled(a, CHAN_COPY_LEAST, 1, CHAN_SEND_SEALED);
	send_filled(a, CHAN_COPY_LEAST + 1, 2, CHAN_SEND_SEALED);
	expect_and_release(c, CHAN_COPY_LEAST, 1, CHAN_COPY);
	expect_and_release(c, CHAN_COPY_LEAST + 1, 2, CHAN_SEALED);
	expect_and_release(b, CHAN_COPY_LEAST, 1, CHAN_COPY);
	expect_and_release(b, CHAN_COPY_LEAST + 1, 2, CHAN_SEALED);
	chan_close(c);
}
