/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CHAN_SRCS) $(CHAN_FAKE) */
#include "chan/pair.h"

/* ---- making and finding ---- */

Test(chan_peers, names_and_options_are_checked)
{
	struct chan_options options = {.max_peers = 9};
	struct chan *ch;

	fake_start(0);
	FAILS(chan_create(NULL, NULL, &ch), EINVAL);
	FAILS(chan_create("", NULL, &ch), EINVAL);
	FAILS(chan_create("a name of more than 31 characters", NULL, &ch), EINVAL);
	FAILS(chan_create("x", &options, &ch), EINVAL);
	options = (struct chan_options){.arena_bytes = (size_t)2 << 30};
	FAILS(chan_create("x", &options, &ch), EINVAL);
	options = (struct chan_options){.flags = 0x80};
	FAILS(chan_create("x", &options, &ch), EINVAL);
	FAILS(chan_connect(NULL, NULL, CHAN_NOW, &ch), EINVAL);
	cr_assert_eq(fake_end(), 0);
}

Test(chan_peers, connect_waits_for_the_name)
{
	struct chan *ch;

	fake_start(0);
	FAILS(chan_connect("x", &small, CHAN_NOW, &ch), ENOENT);
	FAILS(chan_connect("x", &small, chan_after(3000000), &ch), ETIME);
	cr_assert_eq(fake_end(), 0);
}

ChanTest(chan_peers, taken_name_is_refused)
{
	struct chan *ch;

	FAILS(chan_create("a", &small, &ch), EEXIST);
}

ChanTest(chan_peers, full_house_is_busy)
{
	struct chan *c[7], *ch;

	for (unsigned i = 0; i < 7; i++)
		c[i] = join(&small);
	FAILS(chan_connect("a", &small, CHAN_NOW, &ch), EBUSY);
	for (unsigned i = 0; i < 7; i++)
		chan_close(c[i]);
}

ChanTest(chan_peers, accept_says_when_there_is_nobody)
{
	unsigned peer = 99;

	FAILS(chan_accept(a, CHAN_NOW, &peer), EAGAIN);
	FAILS(chan_accept(a, chan_after(1000000), &peer), ETIME);
	cr_assert_eq(peer, 99);
	cr_assert_eq(chan_poll(a, CHAN_ACCEPTABLE), 0);
}

Test(chan_peers, without_peers_there_is_no_connection)
{
	struct chan_message msg;
	void *buf;

	fake_start(0);
	OK(chan_create("a", &small, &a));
	FAILS(chan_recv(a, CHAN_FOREVER, &msg), ENOTCONN);
	buf = filled(a, 64, 1);
	FAILS(chan_send(a, buf, 64, CHAN_SEND_SEALED, 0), ENOTCONN);
	b = join(&small);
	OK(chan_send(a, buf, 64, CHAN_SEND_SEALED, 1));
	expect_and_release(b, 64, 1, CHAN_COPY);
	pair_close();
}

/* Everything that making an endpoint asks for fails once. */
Test(chan_peers, failures_on_the_way_leave_nothing)
{
	static const enum fake_call kinds[] = {FAKE_CREATE, FAKE_CONNECT, FAKE_PLACE, FAKE_ALLOC};
	unsigned failures = 0;
	struct chan *ch;

	fake_start(0);
	OK(chan_create("a", &small, &a));
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (unsigned n = 1;; n++) {
			fake_fail(kinds[k], n, -ENOMEM);
			if (chan_connect("a", &small, CHAN_NOW, &ch) == 0)
				break;
			failures++;
		}
		fake_fail(kinds[k], 0, 0);
		chan_close(ch);
	}
	cr_assert_eq(failures, 1 + 1 + 2 + 4);
	chan_close(a);
	cr_assert_eq(fake_end(), 0);
}

ChanTest(chan_peers, failed_accept_can_be_tried_again)
{
	struct chan *c;

	OK(chan_connect("a", &small, CHAN_NOW, &c));
	fake_fail(FAKE_ACCEPT, 1, -ENOMEM);
	FAILS(chan_accept(a, CHAN_NOW, NULL), ENOMEM);
	fake_fail(FAKE_PLACE, 1, -ENOSPC);
	FAILS(chan_accept(a, CHAN_NOW, NULL), ENOSPC);
	OK(chan_accept(a, CHAN_NOW, NULL));
	chan_close(c);
}

Test(chan_peers, crossover_is_unknown_when_nothing_can_be_measured)
{
	struct chan_options options = {.arena_bytes = 1 << 20};
	struct chan_info info;

	fake_start(0);
	for (unsigned k = 0; k < 3; k++)
		fake_fail(FAKE_REAP, 1, -ENOMEM);
	OK(chan_create("a", &options, &a));
	OK(chan_info(a, &info));
	cr_assert_neq(info.lend_from, 0);
	chan_close(a);
	cr_assert_eq(fake_end(), 0);
}

/* ---- several ---- */

ChanTest(chan_peers, each_peer_gets_each_message)
{
	struct chan *c[8] = {b};

	for (unsigned i = 1; i < 8; i++)
		c[i] = join(&small);
	for (int k = 0; k < 300; k++) {
		send_filled(a, 64, k % 100, CHAN_SEND_SEALED);
		send_filled(a, 9000, k % 100, CHAN_SEND_SEALED);
		for (unsigned i = 0; i < 8; i++) {
			expect_and_release(c[i], 64, k % 100, CHAN_COPY);
			expect_and_release(c[i], 9000, k % 100, CHAN_SEALED);
		}
	}
	for (unsigned i = 1; i < 8; i++)
		chan_close(c[i]);
}

ChanTest(chan_peers, slowest_peer_decides)
{
	struct chan *c = join(&small);
	struct chan_message msg;
	uint8_t *buf = filled(a, 9000, 1);

	OK(chan_send(a, buf, 9000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	expect_and_release(b, 9000, 1, CHAN_SEALED);
	msg = expect(c, 9000, 1, CHAN_SEALED);
	cr_assert_eq(chan_sent(a, buf), 0);
	OK(chan_release(c, &msg));
	cr_assert_eq(chan_sent(a, buf), 1);
	OK(chan_free(a, buf));
	chan_close(c);
}

ChanTest(chan_peers, all_peers_are_heard_in_turn)
{
	struct chan *c = join(&small), *d = join(&small);
	struct chan_message msg;
	unsigned heard = 0;

	for (int i = 0; i < 10; i++) {
		send_filled(b, 64, 1, CHAN_SEND_SEALED);
		send_filled(c, 64, 1, CHAN_SEND_SEALED);
		send_filled(d, 64, 1, CHAN_SEND_SEALED);
	}
	for (int i = 0; i < 3; i++) {
		OK(chan_recv(a, CHAN_NOW, &msg));
		heard |= 1U << msg.peer;
		OK(chan_release(a, &msg));
	}
	cr_assert_eq(heard, 7);
	chan_close(c);
	chan_close(d);
}

ChanTest(chan_peers, late_peer_gets_what_comes_after_it)
{
	struct chan_message msg;
	struct chan *c;

	for (int i = 0; i < 1000; i++) {
		send_filled(a, 64, 1, CHAN_SEND_SEALED);
		expect_and_release(b, 64, 1, CHAN_COPY);
	}
	send_filled(a, 9000, 2, CHAN_SEND_SEALED);
	send_filled(a, 64, 3, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	OK(chan_connect("a", &small, CHAN_NOW, &c));
	FAILS(chan_recv(c, CHAN_NOW, &msg), EAGAIN);
	OK(chan_accept(a, CHAN_NOW, NULL));
	send_filled(a, 64, 4, CHAN_SEND_SEALED);
	expect_and_release(c, 64, 4, CHAN_COPY);
	expect_and_release(b, 9000, 2, CHAN_SEALED);
	expect_and_release(b, 64, 3, CHAN_COPY);
	expect_and_release(b, 64, 4, CHAN_COPY);
	/* Nothing waits for the late one to release what it never got. */
	slot_reclaim_all(a);
	OK(slot_reap(a));
	cr_assert_eq(fake_seals(a), 0);
	cr_assert_eq(a->tail, a->next);
	chan_close(c);
}

ChanTest(chan_peers, what_was_sent_before_the_accept_is_heard)
{
	struct chan *c;

	OK(chan_connect("a", &small, CHAN_NOW, &c));
	send_filled(c, 9000, 1, CHAN_SEND_SHARED);
	OK(chan_accept(a, CHAN_NOW, NULL));
	expect_and_release(a, 9000, 1, CHAN_SHARED);
	chan_close(c);
}

ChanTest(chan_peers, number_is_used_again_without_a_trace)
{
	struct chan *c;

	for (int i = 0; i < 20; i++) {
		c = join(&small);
		for (int k = 0; k < 20 + i; k++) {
			send_filled(c, 64, k, CHAN_SEND_SHARED);
			send_filled(a, 64, k, CHAN_SEND_SHARED);
		}
		for (int k = 0; k < 20 + i; k++) {
			expect_and_release(a, 64, k, CHAN_SHARED);
			expect_and_release(c, 64, k, CHAN_SHARED);
			expect_and_release(b, 64, k, CHAN_SHARED);
		}
		chan_close(c);
		peer_check(a);
		(void)chan_wait(a, CHAN_READABLE, CHAN_NOW);
		struct chan_message msg;

		FAILS(chan_recv(a, CHAN_NOW, &msg), EAGAIN);
		cr_assert_eq(a->attached, 1);
	}
}

/* ---- the end ---- */

ChanTest(chan_peers, close_is_noticed_after_the_last_message)
{
	struct chan_message msg;

	send_filled(b, 64, 1, CHAN_SEND_SEALED);
	send_filled(b, 9000, 2, CHAN_SEND_SEALED);
	chan_close(b);
	b = NULL;
	expect_and_release(a, 64, 1, CHAN_COPY);
	msg = expect(a, 9000, 2, CHAN_SEALED);
	struct chan_message none;

	FAILS(chan_recv(a, CHAN_FOREVER, &none), EPIPE);
	cr_assert(all_bytes(msg.data, 9000, 2));
	OK(chan_release(a, &msg));
	FAILS(chan_release(a, &msg), EINVAL);
	FAILS(chan_recv(a, CHAN_FOREVER, &none), EPIPE);
	cr_assert_eq(a->attached, 0);
}

ChanTest(chan_peers, sending_to_the_dead_fails_and_keeps_the_buffer)
{
	uint8_t *buf = filled(a, 9000, 1);

	send_filled(a, 64, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	fake_kill(b);
	FAILS(chan_send(a, buf, 9000, CHAN_SEND_SEALED, 1), EPIPE);
	OK(chan_flush(a));
	OK(chan_free(a, buf));
	OK(chan_free(a, filled(a, 1 << 20, 0)));
}

ChanTest(chan_peers, what_the_dead_had_is_released)
{
	struct chan *c = join(&small);
	struct chan_message msg;

	for (int i = 0; i < 40; i++)
		send_filled(a, i % 2 ? 9000 : 64, i, CHAN_SEND_SEALED);
	for (int i = 0; i < 40; i++)
		expect_and_release(b, i % 2 ? 9000 : 64, i, i % 2 ? CHAN_SEALED : CHAN_COPY);
	OK(chan_recv(c, CHAN_NOW, &msg));
	OK(chan_recv(c, CHAN_NOW, &msg));
	fake_kill(c);
	OK(chan_free(a, filled(a, 1 << 20, 0)));
	cr_assert_eq(fake_seals(a), 0);
	cr_assert_eq(a->out, 1);
	chan_close(c);
}

ChanTest(chan_peers, sender_that_waits_for_the_dead_goes_on)
{
	struct chan *c = join(&small);
	void *buf;

	send_filled(a, 900000, 1, CHAN_SEND_SEALED);
	expect_and_release(b, 900000, 1, CHAN_SEALED);
	FAILS(chan_alloc(a, 900000, CHAN_NOW, &buf), EAGAIN);
	cr_assert_eq(chan_poll(a, CHAN_WRITABLE), 0);
	fake_kill(c);
	cr_assert_eq(chan_wait(a, CHAN_WRITABLE, chan_after(1000000000)), CHAN_WRITABLE);
	OK(chan_alloc(a, 900000, CHAN_NOW, &buf));
	OK(chan_free(a, buf));
	chan_close(c);
}

ChanTest(chan_peers, waiting_for_room_without_peers_is_a_broken_pipe)
{
	void *buf = filled(a, 900000, 1), *more;

	fake_kill(b);
	FAILS(chan_alloc(a, 900000, CHAN_FOREVER, &more), EPIPE);
	OK(chan_free(a, buf));
}

ChanTest(chan_peers, new_peer_heals_a_broken_pipe)
{
	struct chan_message msg;

	fake_kill(b);
	FAILS(chan_recv(a, CHAN_FOREVER, &msg), EPIPE);
	chan_close(b);
	b = join(&small);
	send_filled(a, 64, 1, CHAN_SEND_SEALED);
	expect_and_release(b, 64, 1, CHAN_COPY);
}

/* The peer dies at each moment of a dialogue; nothing is left over, ever. */
Test(chan_peers, death_at_each_step)
{
	for (unsigned step = 0; step < 12; step++) {
		struct chan_message in = {0}, out = {0};
		bool have_in = false, have_out = false;
		uint8_t *kept;

		pair_open(0, &small);
		kept = filled(a, 9000, 1);
		for (unsigned k = 0; k <= step; k++) {
			if (k == step)
				fake_kill(b);
			if (k == 1)
				(void)chan_send(
				    a, kept, 9000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1);
			if (k == 2 && step > 2)
				send_filled(b, 9000, 2, CHAN_SEND_SEALED);
			if (k == 3)
				have_in = chan_recv(a, CHAN_NOW, &in) == 0;
			if (k == 4 && step > 4)
				have_out = chan_recv(b, CHAN_NOW, &out) == 0;
			if (k == 5)
				(void)chan_sent(a, kept);
			if (k == 6 && have_out && step > 6)
				OK(chan_release(b, &out));
			if (k == 7)
				(void)chan_sent(a, kept);
			if (k == 8 && have_in) {
				cr_assert(all_bytes(in.data, in.len, 2));
				OK(chan_release(a, &in));
				have_in = false;
			}
			if (k == 9)
				FAILS(chan_recv(a, CHAN_NOW, &in), step == 9 ? EPIPE : EAGAIN);
			if (k == 10)
				OK(chan_free(a, kept));
		}
		(void)chan_wait(a, CHAN_READABLE | CHAN_WRITABLE, CHAN_NOW);
		if (have_in) {
			cr_assert(all_bytes(in.data, in.len, 2));
			OK(chan_release(a, &in));
		}
		FAILS(chan_recv(a, CHAN_NOW, &in), EPIPE);
		if (step < 10)
			OK(chan_free(a, kept));
		OK(chan_free(a, filled(a, 1 << 20, 0)));
		cr_assert_eq(a->attached, 0);
		pair_close();
	}
}

/* ---- having done with a peer ---- */

ChanTest(chan_peers, dropped_peer_counts_no_more)
{
	struct chan *c = join(&small);
	struct chan_message msg;

	send_filled(a, 900000, 1, CHAN_SEND_SEALED);
	expect_and_release(b, 900000, 1, CHAN_SEALED);
	OK(chan_drop(a, 1));
	FAILS(chan_drop(a, 1), EINVAL);
	OK(chan_free(a, filled(a, 900000, 0)));
	send_filled(a, 64, 2, CHAN_SEND_SEALED);
	expect_and_release(b, 64, 2, CHAN_COPY);
	/* It lives on without us. */
	FAILS(chan_recv(c, CHAN_FOREVER, &msg), EPIPE);
	chan_close(c);
}

ChanTest(chan_peers, what_the_dropped_one_has_stays_as_it_is)
{
	struct chan *c = join(&small);
	uint8_t *buf = filled(a, 9000, 1);
	struct chan_message msg, none;

	OK(chan_send(a, buf, 9000, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	expect_and_release(b, 9000, 1, CHAN_SEALED);
	msg = expect(c, 9000, 1, CHAN_SEALED);
	OK(chan_drop(a, 1));
	cr_assert_eq(chan_sent(a, buf), 1);
	memset(buf, 2, 9000);
	FAILS(chan_recv(c, CHAN_NOW, &none), EPIPE);
	cr_assert(all_bytes(msg.data, 9000, 1));
	OK(chan_release(c, &msg));
	OK(chan_free(a, buf));
	chan_close(c);
}

ChanTest(chan_peers, what_we_have_of_the_dropped_one_stays_until_released)
{
	struct chan *c = join(&small);
	struct chan_message msg;

	send_filled(c, 9000, 1, CHAN_SEND_SEALED);
	send_filled(a, 9000, 2, CHAN_SEND_SEALED);
	expect_and_release(b, 9000, 2, CHAN_SEALED);
	msg = expect(a, 9000, 1, CHAN_SEALED);
	OK(chan_drop(a, 1));
	cr_assert(all_bytes(msg.data, 9000, 1));
	cr_assert_eq(a->attached, 3);
	OK(chan_release(a, &msg));
	cr_assert_eq(a->attached, 1);
	OK(chan_free(a, filled(a, 1 << 20, 0)));
	chan_close(c);
}

/* What it publishes for others is not for us any more: its seals do not hold for us. */
ChanTest(chan_peers, who_dropped_us_is_not_listened_to)
{
	struct chan *c = join(&small);
	struct chan_message msg;

	send_filled(a, 64, 1, CHAN_SEND_SEALED);
	expect_and_release(c, 64, 1, CHAN_COPY);
	send_filled(a, 64, 2, CHAN_SEND_SEALED);
	OK(chan_drop(a, 1));
	send_filled(a, 9000, 3, CHAN_SEND_SEALED);
	FAILS(chan_recv(c, CHAN_NOW, &msg), EPIPE);
	chan_close(c);
}

/* A message that was held back is not for who was accepted meanwhile; nobody waits for his release. */
ChanTest(chan_peers, accept_flushes)
{
	struct chan *c;

	OK(chan_connect("a", &small, CHAN_NOW, &c));
	send_filled(a, 9000, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	OK(chan_accept(a, CHAN_NOW, NULL));
	expect_and_release(b, 9000, 1, CHAN_SEALED);
	slot_reclaim_all(a);
	OK(slot_reap(a));
	cr_assert_eq(fake_seals(a), 0);
	chan_close(c);
}

/* The cell turned us out, and our memory is still the peer's: what it has not read must stay. */
ChanTest(chan_peers, nothing_sent_is_used_again_after_our_end)
{
	void *buf;

	send_filled(b, 1000, 7, CHAN_SEND_SEALED);
	fake_kill(b);
	FAILS(chan_alloc(b, 1000, CHAN_NOW, &buf), EPIPE);
	expect_and_release(a, 1000, 7, CHAN_COPY);
}
