/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CHAN_SRCS) $(CHAN_FAKE) */
/* b is hostile: it writes into its control area what no library would. */
#include "chan/fake_private.h"
#include "chan/pair.h"

/* b publishes a descriptor of its own making as its next message. */
static void forge(uint32_t kind, uint64_t offset, uint64_t len)
{
	struct chan_desc *desc = &b->control->desc[b->next % CHAN_SLOTS];

	desc->kind = kind;
	desc->offset = offset;
	desc->len = len;
	store32(&desc->seq, b->next);
	b->tail = b->pub = ++b->next;
}

/* a notices, says so once, and has no peer any more. */
static void caught(void)
{
	struct chan_message msg = {.peer = 99};

	FAILS(chan_recv(a, CHAN_NOW, &msg), EPROTO);
	cr_assert_eq(msg.peer, 0);
	FAILS(chan_recv(a, CHAN_NOW, &msg), EPIPE);
	FAILS(chan_recv(a, CHAN_FOREVER, &msg), EPIPE);
	cr_assert_eq(a->attached, 0);
}

#define Forged(name, kind, offset, len)                                                            \
	ChanTest(chan_hostile, name)                                                               \
	{                                                                                          \
		forge(kind, offset, len);                                                          \
		caught();                                                                          \
	}

#define ARENA (1 << 20)

Forged(kind_0, 0, 0, 1) Forged(kind_4, 4, 0, 1) Forged(kind_of_32_bits, UINT32_MAX, 0, 1)
    Forged(offset_beyond_the_arena, CHAN_SHARED, ARENA + 1, 0)
	Forged(offset_of_64_bits, CHAN_SHARED, UINT64_MAX, 1)
	    Forged(end_beyond_the_arena, CHAN_SHARED, ARENA - 1, 2)
		Forged(length_of_64_bits, CHAN_SHARED, 16, UINT64_MAX - 8)
		    Forged(sum_that_wraps, CHAN_COPY, UINT64_MAX - 4095, 8192)
			Forged(copy_longer_than_the_arena, CHAN_COPY, 0, ARENA + 1)
			    Forged(sealed_without_a_seal, CHAN_SEALED, 0, 8192)
				Forged(sealed_and_empty_without_a_seal, CHAN_SEALED, 0, 0)

				    ChanTest(chan_hostile, whole_arena_is_no_crime)
{
	struct chan_message msg;

	forge(CHAN_SHARED, 0, ARENA);
	OK(chan_recv(a, CHAN_NOW, &msg));
	OK(chan_release(a, &msg));
	forge(CHAN_SHARED, ARENA, 0);
	OK(chan_recv(a, CHAN_NOW, &msg));
	OK(chan_release(a, &msg));
}

Test(chan_hostile, copy_longer_than_we_take)
{
	struct chan_options options = small;

	options.copy_bytes = CHAN_COPY_LEAST;
	pair_open(0, &options);
	forge(CHAN_COPY, 0, CHAN_COPY_LEAST + 1);
	caught();
	pair_close();
}

/* A sealed message of which the descriptor says more than was sealed. */
static void stretch(uint64_t offset, uint64_t len)
{
	uint8_t *buf = filled(b, 3 * 8192, 1);
	struct chan_desc *desc = &b->control->desc[b->next % CHAN_SLOTS];
	uint64_t at = (uint64_t)(buf - b->base) + 8192;

	OK(chan_send(b, buf + 8192, 8192, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	desc->offset = at + offset;
	desc->len = len;
}

ChanTest(chan_hostile, longer_than_sealed)
{
	stretch(0, 8193);
	caught();
}

ChanTest(chan_hostile, begins_before_what_is_sealed)
{
	stretch((uint64_t)-1, 2);
	caught();
}

ChanTest(chan_hostile, begins_behind_what_is_sealed)
{
	stretch(8192, 1);
	caught();
}

ChanTest(chan_hostile, part_of_what_is_sealed_is_no_crime)
{
	struct chan_message msg;

	stretch(1, 8190);
	OK(chan_recv(a, CHAN_NOW, &msg));
	OK(chan_release(a, &msg));
}

/* The seal of an earlier message does not count for the next. */
ChanTest(chan_hostile, seal_of_another_message)
{
	struct chan_message msg;

	send_filled(b, 8192, 1, CHAN_SEND_SEALED);
	msg = expect(a, 8192, 1, CHAN_SEALED);
	forge(CHAN_SEALED, (uint64_t)((const uint8_t *)msg.data - a->peer[0].arena), 8192);
	FAILS(chan_recv(a, CHAN_NOW, &(struct chan_message){0}), EPROTO);
	/* What was sealed stays so, and readable. */
	cr_assert(all_bytes(msg.data, 8192, 1));
	cr_assert_eq(a->attached, 1);
	OK(chan_release(a, &msg));
	cr_assert_eq(a->attached, 0);
}

ChanTest(chan_hostile, slot_that_was_not_released)
{
	struct chan_message msg[CHAN_SLOTS], more;

	for (unsigned i = 0; i < CHAN_SLOTS; i++) {
		forge(CHAN_SHARED, 0, 64);
		OK(chan_recv(a, CHAN_NOW, &msg[i]));
	}
	forge(CHAN_SHARED, 0, 64);
	FAILS(chan_recv(a, CHAN_NOW, &more), EPROTO);
	for (unsigned i = 0; i < CHAN_SLOTS; i++)
		OK(chan_release(a, &msg[i]));
	cr_assert_eq(a->attached, 0);
}

ChanTest(chan_hostile, numbers_out_of_turn_are_not_seen)
{
	struct chan_message msg;

	for (uint32_t slot = 0; slot < CHAN_SLOTS; slot++)
		store32(&b->control->desc[slot].seq, slot + 2);
	FAILS(chan_recv(a, CHAN_NOW, &msg), EAGAIN);
	FAILS(chan_recv(a, chan_after(2000000), &msg), ETIME);
}

ChanTest(chan_hostile, endless_messages_are_one_for_each_call)
{
	struct chan_message msg;

	/* Until the megabyte for copies is full. */
	for (unsigned i = 0; i < 16384; i++) {
		forge(CHAN_COPY, 0, 64);
		OK(chan_recv(a, CHAN_NOW, &msg));
	}
	forge(CHAN_COPY, 0, 64);
	FAILS(chan_recv(a, CHAN_NOW, &msg), ENOBUFS);
}

/* Its start word says whatever it likes. */
ChanTest(chan_hostile, start_anywhere)
{
	struct chan_message msg;

	store64(&b->control->start[0], UINT64_MAX);
	FAILS(chan_recv(a, CHAN_NOW, &msg), EAGAIN);
	cr_assert_eq(a->peer[0].next, UINT32_MAX);
	b->tail = b->pub = b->next = UINT32_MAX;
	forge(CHAN_SHARED, 0, 1);
	OK(chan_recv(a, CHAN_NOW, &msg));
	OK(chan_release(a, &msg));
}

/* ---- as a receiver ---- */

ChanTest(chan_hostile, never_releasing_stops_at_the_arena)
{
	void *buf;
	unsigned n = 0;

	while (chan_alloc(a, 8192, CHAN_NOW, &buf) == 0) {
		OK(chan_send(a, buf, 8192, CHAN_SEND_SEALED, 0));
		n++;
	}
	cr_assert_eq(n, ARENA / 8192);
	FAILS(chan_alloc(a, 8192, chan_after(2000000), &buf), ETIME);
	OK(chan_drop(a, 0));
	cr_assert_eq(fake_seals(a), 0);
}

ChanTest(chan_hostile, random_release_words_release_nothing)
{
	uint8_t *buf = filled(a, 8192, 1);

	OK(chan_send(a, buf, 8192, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 0));
	for (uint32_t i = 2; i < 1000; i++) {
		store32(&b->control->release[0][1], i);
		cr_assert_eq(chan_sent(a, buf), 0);
	}
	store32(&b->control->release[0][1], 1);
	cr_assert_eq(chan_sent(a, buf), 1);
	OK(chan_free(a, buf));
}

/* Released for us, not released for the hypervisor: the frames must not be used again. */
ChanTest(chan_hostile, release_that_is_taken_back)
{
	uint8_t *buf = filled(a, 8192, 1);

	OK(chan_send(a, buf, 8192, CHAN_SEND_SEALED, 0));
	store32(&b->control->release[0][1], 1);
	slot_reclaim_all(a);
	cr_assert(slot_any_stale(a));
	store32(&b->control->release[0][1], 0);
	for (unsigned i = 0; i < 20; i++)
		send_filled(a, 8192, 2, CHAN_SEND_SEALED);
	cr_assert_eq(fake_seals(a), 21);
	cr_assert_eq(a->slot[1].state, SLOT_LIVE);
	store32(&b->control->release[0][1], 1);
	OK(slot_reap(a));
	slot_reclaim_all(a);
	OK(slot_reap(a));
	cr_assert_eq(fake_seals(a), 20);
}

ChanTest(chan_hostile, peer_that_always_sleeps_costs_a_call_a_message)
{
	struct chan_info info;

	b->control->sleeping = 1;
	for (int i = 0; i < 100; i++)
		send_filled(a, 64, i, CHAN_SEND_SEALED);
	OK(chan_info(a, &info));
	cr_assert_eq(info.notifies, 100);
}

/* The copy limit that it states is advice; an absurd one does not stop others. */
ChanTest(chan_hostile, absurd_copy_limit)
{
	struct chan_info info;
	struct chan *c;

	b->control->pad0[0] = 0;
	c = join(&small);
	OK(chan_info(a, &info));
	cr_assert_eq(info.copy_limit, CHAN_COPY_LEAST);
	c->control->pad0[0] = UINT32_MAX;
	b->control->pad0[0] = UINT32_MAX;
	chan_close(c);
	peer_check(a);
	OK(chan_info(a, &info));
	cr_assert_eq(info.copy_limit, (uint64_t)UINT32_MAX << 12);
}

/*
 * m1 is sealed, received, and broken; m2 of the same frame says "look at the frame as it is now".
 * The bytes of m1 would change under the reader's eyes.
 */
ChanTest(chan_hostile, message_from_frames_that_are_sealed)
{
	uint8_t *buf = filled(b, 8192, 1);
	struct chan_message msg;

	OK(chan_send(b, buf, 8192, CHAN_SEND_SEALED | CHAN_SEND_KEEP, 1));
	msg = expect(a, 8192, 1, CHAN_SEALED);
	fake_break(b, (uint32_t)((buf - b->base) / 4096));
	memset(buf, 2, 8192);
	forge(CHAN_SHARED, (uint64_t)(buf - b->base), 64);
	FAILS(chan_recv(a, CHAN_NOW, &(struct chan_message){0}), EPROTO);
	cr_assert(all_bytes(msg.data, 4096, 1));
	OK(chan_release(a, &msg));
}

/* Others are served while one is thrown out. */
ChanTest(chan_hostile, one_of_two)
{
	struct chan *c = join(&small);
	struct chan_message msg;

	send_filled(a, 8192, 3, CHAN_SEND_SEALED);
	forge(0, 0, 0);
	send_filled(c, 64, 2, CHAN_SEND_SEALED);
	send_filled(c, 64, 2, CHAN_SEND_SEALED);
	expect_and_release(a, 64, 2, CHAN_COPY);
	FAILS(chan_recv(a, CHAN_NOW, &msg), EPROTO);
	expect_and_release(a, 64, 2, CHAN_COPY);
	expect_and_release(c, 8192, 3, CHAN_SEALED);
	slot_reclaim_all(a);
	OK(slot_reap(a));
	cr_assert_eq(fake_seals(a), 0);
	chan_close(c);
}

/* While we hold something of it, it stays mapped, and what we seal is sealed for it, too. */
ChanTest(chan_hostile, thrown_out_with_a_message_in_our_hands)
{
	struct chan *c = join(&small);
	struct chan_message msg;
	void *buf;

	send_filled(b, 8192, 1, CHAN_SEND_SEALED);
	msg = expect(a, 8192, 1, CHAN_SEALED);
	forge(0, 0, 0);
	FAILS(chan_recv(a, CHAN_NOW, &(struct chan_message){0}), EPROTO);
	send_filled(a, 900000, 2, CHAN_SEND_SEALED);
	expect_and_release(c, 900000, 2, CHAN_SEALED);
	FAILS(chan_alloc(a, 900000, CHAN_NOW, &buf), EAGAIN);
	FAILS(chan_wait(a, CHAN_WRITABLE, CHAN_NOW), EAGAIN);
	OK(chan_release(a, &msg));
	OK(chan_alloc(a, 900000, CHAN_NOW, &buf));
	OK(chan_free(a, buf));
	chan_close(c);
}

/*
 * a pretends to have accepted c, and seals: for b only, says the hypervisor, so that for c nothing
 * would hold.
 */
ChanTest(chan_hostile, seal_for_another_peer_is_none)
{
	struct chan_message msg;
	struct chan *c;

	OK(chan_connect("a", &small, CHAN_NOW, &c));
	store64(&a->control->start[1], UINT64_C(1) << 32 | a->next);
	send_filled(a, 8192, 1, CHAN_SEND_SEALED);
	expect_and_release(b, 8192, 1, CHAN_SEALED);
	FAILS(chan_recv(c, CHAN_NOW, &msg), EPROTO);
	chan_close(c);
}

/*
 * Regression: when a cell ended, seals ended with it, and a program that looked at that moment took
 * its honest peer for a cheat.
 */
ChanTest(chan_hostile, seal_that_ends_with_us_is_no_breach)
{
	struct chan_status *ours, *theirs;
	struct chan_message msg;
	uint32_t nr;

	send_filled(a, 10000, 1, CHAN_SEND_SEALED);
	ours = fake_find(b->ep.id)->status;
	theirs = fake_find(a->ep.id)->status;
	nr = theirs->sealed[1].nr;
	cr_assert_gt(nr, 0);
	ours->state = CHAN_STATE_CLOSED;
	theirs->sealed[1].nr = 0;
	FAILS(chan_recv(b, CHAN_NOW, &msg), EPIPE);
	ours->state = CHAN_STATE_OPEN;
	theirs->sealed[1].nr = nr;
	expect_and_release(b, 10000, 1, CHAN_SEALED);
}
