/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CHAN_SRCS) $(CHAN_FAKE) */
#include "chan/pair.h"

/* ---- numbers ---- */

static void wrap(size_t len, unsigned flags, unsigned strength, unsigned depth)
{
	begin_at(a, b, UINT32_MAX - 600);
	for (int i = 0; i < 1500; i++) {
		send_filled(a, len, i % 200, flags);
		if (i >= (int)depth)
			expect_and_release(b, len, (i - (int)depth) % 200, strength);
	}
	for (int i = 1500 - (int)depth; i < 1500; i++)
		expect_and_release(b, len, i % 200, strength);
	cr_assert_lt(a->next, 1000);
}

ChanTest(chan_flow, numbers_wrap_copied)
{
	wrap(64, CHAN_SEND_SEALED, CHAN_COPY, 200);
}

ChanTest(chan_flow, numbers_wrap_shared)
{
	wrap(64, CHAN_SEND_SHARED, CHAN_SHARED, 255);
}

ChanTest(chan_flow, numbers_wrap_sealed)
{
	wrap(8192, CHAN_SEND_SEALED, CHAN_SEALED, 50);
}

/* A new endpoint's zeroed words look like message 0, which there is after 2^32. */
ChanTest(chan_flow, message_zero_is_not_released_by_itself)
{
	struct chan_message msg;
	uint8_t *buf;

	begin_at(a, b, 0);
	buf = filled(a, 64, 1);
	OK(chan_send(a, buf, 64, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 1));
	cr_assert_eq(chan_sent(a, buf), 0);
	msg = expect(b, 64, 1, CHAN_SHARED);
	cr_assert_eq(chan_sent(a, buf), 0);
	OK(chan_release(b, &msg));
	cr_assert_eq(chan_sent(a, buf), 1);
	OK(chan_free(a, buf));
}

ChanTest(chan_flow, message_zero_is_not_there_before_it_is_sent)
{
	struct chan_message msg;

	begin_at(a, b, 0);
	FAILS(chan_recv(b, CHAN_NOW, &msg), EAGAIN);
}

/* ---- room ---- */

ChanTest(chan_flow, slots_run_out_and_come_back)
{
	void *buf;

	for (unsigned i = 0; i < CHAN_SLOTS; i++)
		send_filled(a, 1, 1, CHAN_SEND_SHARED);
	FAILS(chan_alloc(a, 1, CHAN_NOW, &buf), EAGAIN);
	FAILS(chan_alloc(a, 1, chan_after(1000000), &buf), ETIME);
	expect_and_release(b, 1, 1, CHAN_SHARED);
	OK(chan_alloc(a, 1, CHAN_NOW, &buf));
	OK(chan_send(a, buf, 1, CHAN_SEND_SEALED, 0));
	FAILS(chan_alloc(a, 1, CHAN_NOW, &buf), EAGAIN);
}

ChanTest(chan_flow, slot_is_promised_with_the_buffer)
{
	void *buf[CHAN_SLOTS], *more;

	for (unsigned i = 0; i < CHAN_SLOTS; i++)
		OK(chan_alloc(a, 1, CHAN_NOW, &buf[i]));
	FAILS(chan_alloc(a, 1, CHAN_NOW, &more), EAGAIN);
	OK(chan_send(a, buf[0], 1, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 0));
	/* A second sending has no promise, and must not break another one. */
	FAILS(chan_send(a, buf[0], 1, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 0), EAGAIN);
	for (unsigned i = 1; i < CHAN_SLOTS; i++)
		OK(chan_send(a, buf[i], 1, CHAN_SEND_SHARED, 0));
	FAILS(chan_send(a, buf[0], 1, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 0), EAGAIN);
	OK(chan_free(a, buf[0]));
}

ChanTest(chan_flow, freed_buffer_gives_its_slot_back)
{
	void *buf;

	for (unsigned i = 0; i < 3 * CHAN_SLOTS; i++) {
		OK(chan_alloc(a, 1, CHAN_NOW, &buf));
		OK(chan_free(a, buf));
	}
	cr_assert_eq(a->owed, 0);
}

ChanTest(chan_flow, oldest_unreleased_message_holds_its_slot_only)
{
	struct chan_message first;

	send_filled(a, 1, 1, CHAN_SEND_SHARED);
	first = expect(b, 1, 1, CHAN_SHARED);
	for (unsigned i = 1; i < CHAN_SLOTS; i++) {
		send_filled(a, 1, 2, CHAN_SEND_SHARED);
		expect_and_release(b, 1, 2, CHAN_SHARED);
	}
	FAILS(chan_wait(a, CHAN_WRITABLE, CHAN_NOW), EAGAIN);
	OK(chan_release(b, &first));
	cr_assert_eq(chan_wait(a, CHAN_WRITABLE, CHAN_NOW), CHAN_WRITABLE);
}

ChanTest(chan_flow, memory_runs_out_and_comes_back)
{
	void *buf;

	send_filled(a, 600000, 1, CHAN_SEND_SEALED);
	FAILS(chan_alloc(a, 600000, CHAN_NOW, &buf), EAGAIN);
	cr_assert_eq(chan_poll(a, CHAN_WRITABLE), 0);
	expect_and_release(b, 600000, 1, CHAN_SEALED);
	cr_assert_eq(chan_poll(a, CHAN_WRITABLE), CHAN_WRITABLE);
	OK(chan_alloc(a, 600000, CHAN_NOW, &buf));
	OK(chan_free(a, buf));
}

ChanTest(chan_flow, small_waits_do_not_stop_large_ones)
{
	void *buf;

	/* What chan_alloc wanted last is what CHAN_WRITABLE is about. */
	send_filled(a, 900000, 1, CHAN_SEND_SHARED);
	FAILS(chan_alloc(a, 900000, CHAN_NOW, &buf), EAGAIN);
	FAILS(chan_wait(a, CHAN_WRITABLE, CHAN_NOW), EAGAIN);
	OK(chan_alloc(a, 64, CHAN_NOW, &buf));
	OK(chan_free(a, buf));
	cr_assert_eq(chan_wait(a, CHAN_WRITABLE, CHAN_NOW), CHAN_WRITABLE);
}

/* ---- the same buffer again ---- */

ChanTest(chan_flow, kept_buffer_is_sent_again)
{
	uint8_t *buf = filled(a, 64, 9);

	for (int i = 0; i < 1000; i++) {
		OK(chan_send(a, buf, 64, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 9));
		if (i % 2)
			OK(chan_send(a, buf, 64, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 9));
		expect_and_release(b, 64, 9, CHAN_COPY);
		if (i % 2)
			expect_and_release(b, 64, 9, CHAN_SHARED);
		cr_assert_eq(chan_sent(a, buf), 1);
	}
	OK(chan_free(a, buf));
	cr_assert(!slot_any_stale(a));
	OK(chan_free(a, filled(a, 1 << 20, 0)));
}

ChanTest(chan_flow, kept_buffer_lives_until_its_last_message_is_released)
{
	uint8_t *buf = filled(a, 64, 9);
	struct chan_message msg[3];
	void *other;

	for (int i = 0; i < 3; i++)
		OK(chan_send(a, buf, 64, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 9));
	OK(chan_free(a, buf));
	for (int i = 0; i < 3; i++)
		OK(chan_recv(b, CHAN_NOW, &msg[i]));
	for (int i = 0; i < 3; i++) {
		slot_reclaim_all(a);
		OK(chan_alloc(a, 64, CHAN_NOW, &other));
		cr_assert_neq(other, (void *)buf);
		OK(chan_free(a, other));
		OK(chan_release(b, &msg[2 - i]));
	}
	slot_reclaim_all(a);
	OK(chan_alloc(a, 64, CHAN_NOW, &other));
	cr_assert_eq(other, (void *)buf);
	OK(chan_free(a, other));
}

ChanTest(chan_flow, sealed_frames_are_busy_until_released)
{
	uint8_t *buf = filled(a, 40960, 1);
	struct chan_message msg;

	OK(chan_send(a, buf, 20480, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	FAILS(chan_send(a, buf, 20480, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1), EBUSY);
	FAILS(chan_send(a, buf + 20479, 20480, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1), EBUSY);
	FAILS(chan_send(a, buf, 1, CHAN_SEND_SHARED | CHAN_SEND_KEEP, 1), EBUSY);
	OK(chan_send(a, buf + 20480, 20480, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	msg = expect(b, 20480, 1, CHAN_SEALED);
	FAILS(chan_send(a, buf, 20480, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1), EBUSY);
	OK(chan_release(b, &msg));
	OK(chan_send(a, buf, 20480, CHAN_SEND_SEALED, 1));
	expect_and_release(b, 20480, 1, CHAN_SEALED);
	expect_and_release(b, 20480, 1, CHAN_SEALED);
}

ChanTest(chan_flow, after_sent_a_sealed_buffer_is_unsealed)
{
	uint8_t *buf = filled(a, 40960, 1);

	OK(chan_send(a, buf, 40960, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	cr_assert_eq(chan_sent(a, buf), 0);
	expect_and_release(b, 40960, 1, CHAN_SEALED);
	cr_assert_eq(fake_seals(a), 1);
	cr_assert_eq(chan_sent(a, buf), 1);
	cr_assert_eq(fake_seals(a), 0);
	OK(chan_free(a, buf));
}

/* The hypervisor would wait for ever for message n, once its slot's release word says n + 256. */
ChanTest(chan_flow, slot_of_a_sealed_message_is_unsealed_before_another_uses_it)
{
	send_filled(a, 8192, 1, CHAN_SEND_SEALED);
	expect_and_release(b, 8192, 1, CHAN_SEALED);
	for (unsigned i = 0; i < CHAN_SLOTS - 1; i++) {
		send_filled(a, 64, 2, CHAN_SEND_SEALED);
		expect_and_release(b, 64, 2, CHAN_COPY);
	}
	cr_assert_eq(fake_seals(a), 1);
	send_filled(a, 64, 3, CHAN_SEND_SEALED);
	cr_assert_eq(fake_seals(a), 0);
	expect_and_release(b, 64, 3, CHAN_COPY);
}

/* ---- batches ---- */

ChanTest(chan_flow, more_waits_for_the_next)
{
	struct chan_message msg;

	send_filled(a, 8192, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	send_filled(a, 64, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	send_filled(a, 8192, 3, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	FAILS(chan_recv(b, CHAN_NOW, &msg), EAGAIN);
	cr_assert_eq(fake_calls(FAKE_SEAL), 0);
	send_filled(a, 64, 4, CHAN_SEND_SHARED);
	cr_assert_eq(fake_calls(FAKE_SEAL), 1);
	expect_and_release(b, 8192, 1, CHAN_SEALED);
	expect_and_release(b, 64, 2, CHAN_COPY);
	expect_and_release(b, 8192, 3, CHAN_SEALED);
	expect_and_release(b, 64, 4, CHAN_SHARED);
}

ChanTest(chan_flow, flush_publishes)
{
	OK(chan_flush(a));
	send_filled(a, 64, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	OK(chan_flush(a));
	expect_and_release(b, 64, 2, CHAN_COPY);
}

ChanTest(chan_flow, batch_of_more_than_one_hypercall)
{
	for (int i = 0; i < 50; i++)
		send_filled(a, 8192, i, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	cr_assert_eq(fake_calls(FAKE_SEAL), 2);
	OK(chan_flush(a));
	cr_assert_eq(fake_calls(FAKE_SEAL), 3);
	for (int i = 0; i < 50; i++)
		expect_and_release(b, 8192, i, CHAN_SEALED);
}

ChanTest(chan_flow, who_waits_flushes)
{
	struct chan_message msg;
	void *buf;

	send_filled(a, 64, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	FAILS(chan_recv(a, CHAN_NOW, &msg), EAGAIN);
	expect_and_release(b, 64, 1, CHAN_COPY);
	send_filled(a, 600000, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	FAILS(chan_alloc(a, 600000, CHAN_NOW, &buf), EAGAIN);
	expect_and_release(b, 600000, 2, CHAN_SEALED);
	send_filled(a, 64, 3, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	expect_and_release(b, 64, 3, CHAN_COPY);
}

ChanTest(chan_flow, failed_flush_holds_the_batch_back)
{
	uint8_t *buf = filled(a, 8192, 3);
	struct chan_message msg;

	send_filled(a, 8192, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	send_filled(a, 64, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	fake_fail(FAKE_SEAL, 1, -ENOMEM);
	FAILS(chan_flush(a), ENOMEM);
	fake_fail(FAKE_SEAL, 1, -ENOMEM);
	FAILS(chan_send(a, buf, 8192, CHAN_SEND_SEALED, 3), ENOMEM);
	FAILS(chan_recv(b, CHAN_NOW, &msg), EAGAIN);
	OK(chan_send(a, buf, 8192, CHAN_SEND_SEALED, 3));
	expect_and_release(b, 8192, 1, CHAN_SEALED);
	expect_and_release(b, 64, 2, CHAN_COPY);
	expect_and_release(b, 8192, 3, CHAN_SEALED);
}

Test(chan_flow, close_flushes)
{
	pair_open(0, &small);
	send_filled(a, 64, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	send_filled(a, 8192, 2, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	chan_close(a);
	a = NULL;
	expect_and_release(b, 64, 1, CHAN_COPY);
	expect_and_release(b, 8192, 2, CHAN_SEALED);
	pair_close();
}
