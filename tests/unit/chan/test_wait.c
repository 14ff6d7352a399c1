/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CHAN_SRCS) $(CHAN_FAKE) */
#include "chan/pair.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

/* ---- readiness ---- */

ChanTest(chan_wait, poll_tells_what_is_ready)
{
	struct chan_message msg;
	struct chan *c;

	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	cr_assert_eq(chan_poll(a, CHAN_READABLE | CHAN_WRITABLE), CHAN_WRITABLE);
	FAILS(chan_poll(a, 0), EINVAL);
	FAILS(chan_poll(a, 8), EINVAL);
	FAILS(chan_wait(a, 0, CHAN_NOW), EINVAL);
	send_filled(b, 64, 1, CHAN_SEND_SEALED);
	cr_assert_eq(chan_poll(a, CHAN_READABLE), CHAN_READABLE);
	OK(chan_recv(a, CHAN_NOW, &msg));
	OK(chan_connect("a", &small, CHAN_NOW, &c));
	cr_assert_eq(chan_poll(a, CHAN_READABLE | CHAN_ACCEPTABLE), CHAN_ACCEPTABLE);
	OK(chan_accept(a, CHAN_NOW, NULL));
	cr_assert_eq(chan_poll(a, CHAN_ACCEPTABLE), 0);
	chan_close(c);
}

static bool raised(struct chan *ch)
{
	struct pollfd pfd = {.fd = chan_fd(ch), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

ChanTest(chan_wait, descriptor_is_readable_when_armed_and_only_then)
{
	struct chan_message msg;

	/* The accept has raised it. */
	(void)chan_poll(a, CHAN_READABLE);
	cr_assert(!raised(a));
	send_filled(b, 64, 1, CHAN_SEND_SEALED);
	cr_assert(raised(a));
	cr_assert_eq(chan_poll(a, CHAN_READABLE), CHAN_READABLE);
	cr_assert(!raised(a));
	OK(chan_recv(a, CHAN_NOW, &msg));
	send_filled(b, 64, 1, CHAN_SEND_SEALED);
	cr_assert(!raised(a));
	OK(chan_recv(a, CHAN_NOW, &msg));
	cr_assert_eq(chan_port(a), 0);
}

ChanTest(chan_wait, sleeper_is_rung_once)
{
	struct chan_info info;

	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	for (int i = 0; i < 10; i++)
		send_filled(b, 64, 1, CHAN_SEND_SEALED);
	OK(chan_info(b, &info));
	cr_assert_eq(info.notifies, 1);
	cr_assert_eq(chan_poll(a, CHAN_READABLE), CHAN_READABLE);
}

ChanTest(chan_wait, sealing_rings_by_itself)
{
	struct chan_info info;

	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	send_filled(b, 8192, 1, CHAN_SEND_SEALED | CHAN_SEND_MORE);
	send_filled(b, 64, 2, CHAN_SEND_SEALED);
	cr_assert(raised(a));
	OK(chan_info(b, &info));
	cr_assert_eq(info.notifies, 0);
}

/* A seal that failed has rung nobody. */
ChanTest(chan_wait, failed_seal_does_not_count_as_a_ring)
{
	struct chan_message msg;

	(void)chan_poll(a, CHAN_READABLE);
	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	fake_fail(FAKE_SEAL, 1, -ENOMEM);
	FAILS(chan_send(b, filled(b, 8192, 1), 8192, CHAN_SEND_SEALED, 1), ENOMEM);
	cr_assert(!raised(a));
	send_filled(b, 64, 2, CHAN_SEND_SEALED);
	cr_assert(raised(a));
	OK(chan_recv(a, CHAN_NOW, &msg));
}

ChanTest(chan_wait, release_rings_who_waits_for_room_only)
{
	struct chan_info info;
	void *buf;

	send_filled(a, 64, 1, CHAN_SEND_SEALED);
	cr_assert_eq(chan_poll(a, CHAN_READABLE), 0);
	expect_and_release(b, 64, 1, CHAN_COPY);
	OK(chan_info(b, &info));
	cr_assert_eq(info.notifies, 0);
	send_filled(a, 900000, 1, CHAN_SEND_SHARED);
	FAILS(chan_alloc(a, 900000, CHAN_NOW, &buf), EAGAIN);
	cr_assert_eq(chan_poll(a, CHAN_WRITABLE), 0);
	send_filled(b, 64, 2, CHAN_SEND_SEALED);
	OK(chan_info(b, &info));
	cr_assert_eq(info.notifies, 0);
	expect_and_release(b, 900000, 1, CHAN_SHARED);
	OK(chan_info(b, &info));
	cr_assert_eq(info.notifies, 1);
	cr_assert_eq(chan_poll(a, CHAN_WRITABLE), CHAN_WRITABLE);
	expect_and_release(a, 64, 2, CHAN_COPY);
}

Test(chan_wait, polled_endpoint_never_sleeps)
{
	struct chan_options options = small;
	struct chan_message msg;
	struct chan_info info;

	options.flags = CHAN_POLLED;
	pair_open(0, &options);
	FAILS(chan_recv(a, chan_after(5000000), &msg), ETIME);
	OK(chan_info(a, &info));
	cr_assert_eq(info.sleeps, 0);
	pair_close();
}

ChanTest(chan_wait, deadline_is_kept)
{
	uint64_t before = chan_now();
	struct chan_message msg;

	FAILS(chan_recv(a, before + 20000000, &msg), ETIME);
	cr_assert_geq(chan_now(), before + 20000000);
	cr_assert_lt(chan_now(), before + UINT64_C(10000000000));
	FAILS(chan_recv(a, before, &msg), ETIME);
}

/* ---- somebody else wakes us ---- */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void *in_background(void *(*fn)(void *))
{
	pthread_t *thread = malloc(sizeof(*thread));

	cr_assert_eq(pthread_create(thread, NULL, fn, NULL), 0);
	return thread;
}

static void finished(void *thread)
{
	cr_assert_eq(pthread_join(*(pthread_t *)thread, NULL), 0);
	free(thread);
}

static void *send_later(void *arg)
{
	nap();
	send_filled(b, 64, 5, CHAN_SEND_SEALED);
	return arg;
}

ChanTest(chan_wait, message_wakes)
{
	void *thread = in_background(send_later);
	struct chan_message msg;

	OK(chan_recv(a, CHAN_FOREVER, &msg));
	cr_assert_eq(msg.tag, 5);
	OK(chan_release(a, &msg));
	finished(thread);
	cr_assert_geq(a->count.sleeps, 1);
}

static void *release_later(void *arg)
{
	nap();
	expect_and_release(b, 900000, 1, CHAN_SEALED);
	return arg;
}

ChanTest(chan_wait, release_wakes)
{
	void *buf, *thread;

	send_filled(a, 900000, 1, CHAN_SEND_SEALED);
	thread = in_background(release_later);
	OK(chan_alloc(a, 900000, CHAN_FOREVER, &buf));
	OK(chan_free(a, buf));
	finished(thread);
}

static void *die_later(void *arg)
{
	nap();
	fake_kill(b);
	return arg;
}

ChanTest(chan_wait, death_wakes_the_receiver)
{
	void *thread = in_background(die_later);
	struct chan_message msg;

	FAILS(chan_recv(a, CHAN_FOREVER, &msg), EPIPE);
	finished(thread);
}

ChanTest(chan_wait, death_wakes_the_sender)
{
	void *buf, *thread;

	send_filled(a, 900000, 1, CHAN_SEND_SEALED);
	thread = in_background(die_later);
	OK(chan_alloc(a, 900000, CHAN_FOREVER, &buf));
	FAILS(chan_send(a, buf, 1, CHAN_SEND_SEALED, 0), EPIPE);
	OK(chan_free(a, buf));
	finished(thread);
}

static void *connect_later(void *arg)
{
	nap();
	OK(chan_connect("a", &small, CHAN_FOREVER, arg));
	return arg;
}

static struct chan *later;

static void *connect_later_to_a(void *arg)
{
	(void)arg;
	return connect_later(&later);
}

ChanTest(chan_wait, connection_wakes_who_accepts)
{
	void *thread = in_background(connect_later_to_a);
	unsigned peer;

	OK(chan_accept(a, CHAN_FOREVER, &peer));
	cr_assert_eq(peer, 1);
	finished(thread);
	chan_close(later);
}

static void *create_later(void *arg)
{
	nap();
	OK(chan_create("late", &small, &later));
	return arg;
}

ChanTest(chan_wait, connect_finds_a_late_name)
{
	void *thread = in_background(create_later);
	struct chan *c;

	OK(chan_connect("late", &small, CHAN_FOREVER, &c));
	finished(thread);
	chan_close(c);
	chan_close(later);
}
