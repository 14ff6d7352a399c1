/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(XENLIB_SRCS) tests/unit/xenlib/fake.c */
/* pkgs: jansson xentoollog xentoolcore */
#include <xenevtchn.h>

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <xentoolcore.h>

#include "evtsend.h"
#include "proto/xenwire.h"
#include "xenlib.h"

static xenevtchn_handle *h;

static void open_one(unsigned flags)
{
	h = xenevtchn_open(NULL, flags);
	cr_assert_not_null(h);
}

static bool readable(void)
{
	struct pollfd p = {.fd = xenevtchn_fd(h), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

XenTest(evtchn, ports)
{
	int port;

	open_one(0);
	port = xenevtchn_bind_unbound_port(h, 1);
	cr_assert_gt(port, 0);
	cr_assert_eq(xenevtchn_bind_interdomain(h, 1, 5), port + 1);
	cr_assert_eq(xenevtchn_bind_virq(h, 3), port + 2);
	cr_assert_eq(xenevtchn_unbind(h, (evtchn_port_t)port), 0);
	FAILS(xenevtchn_unbind(h, 999), EINVAL);
	FAILS(xenevtchn_notify(h, 999), EINVAL);
	cr_assert_eq(xenevtchn_close(h), 0);
	cr_assert_eq(xenevtchn_close(NULL), 0);
	cr_assert(fake_has_connections(0));
}

/* The fake tells us of our own notifications. */
XenTest(evtchn, events)
{
	int port;

	open_one(0);
	port = xenevtchn_bind_unbound_port(h, 1);
	cr_assert(!readable());
	cr_assert_eq(xenevtchn_notify(h, (evtchn_port_t)port), 0);
	cr_assert(readable());
	cr_assert_eq(xenevtchn_pending(h), port);
	cr_assert(!readable());
	cr_assert_eq(xenevtchn_unmask(h, (evtchn_port_t)port), 0);
	cr_assert_eq(xenevtchn_close(h), 0);
}

/* Both go the way that events come. */
XenTest(evtchn, without_an_answer)
{
	uint32_t port;

	open_one(0);
	port = (uint32_t)xenevtchn_bind_unbound_port(h, 1);
	cr_assert_eq(evtsend(h, port), 0);
	cr_assert_eq(fake_number(), port | XENWIRE_EVENT_SEND);
	cr_assert_eq(xenevtchn_unmask(h, port), 0);
	cr_assert_eq(fake_number(), port);
	fake_hang_up();
	FAILS(xenevtchn_pending(h), EPIPE); /* waits for it */
	FAILS(evtsend(h, port), EPIPE);
	xenevtchn_close(h);
}

/* libxl makes the descriptor non-blocking; requests do not care. */
XenTest(evtchn, non_blocking)
{
	uint32_t port, got = 0;

	open_one(0);
	cr_assert_eq(fcntl(xenevtchn_fd(h), F_SETFL, O_NONBLOCK), 0);
	FAILS(xenevtchn_pending(h), EAGAIN);
	port = (evtchn_port_t)xenevtchn_bind_unbound_port(h, 1);
	cr_assert_eq(xenevtchn_notify(h, port), 0);
	/* As the device: four bytes. */
	cr_assert_eq(read(xenevtchn_fd(h), &got, sizeof(got)), sizeof(got));
	cr_assert_eq(got, port);
	cr_assert_eq(write(xenevtchn_fd(h), &got, sizeof(got)), sizeof(got));
	FAILS(xenevtchn_pending(h), EAGAIN);
	xenevtchn_close(h);
}

/* How many descriptors the next program would have. */
static unsigned inherited(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) == 0;
	return n;
}

/* Both of a handle's, or its ports would be gone. */
XenTest(evtchn, over_exec)
{
	unsigned before = inherited();

	open_one(0);
	cr_assert_eq(inherited(), before);
	xenevtchn_close(h);
	open_one(XENEVTCHN_NO_CLOEXEC);
	cr_assert_eq(fcntl(xenevtchn_fd(h), F_GETFD), 0);
	cr_assert_eq(inherited(), before + 2);
	NO(xenevtchn_fdopen(NULL, xenevtchn_fd(h), 0), ENOSYS);
	NO(xenevtchn_fdopen(NULL, xenevtchn_fd(h), XENEVTCHN_NO_CLOEXEC), EINVAL);
	xenevtchn_close(h);
	NO(xenevtchn_open(NULL, 6), EINVAL);
}

XenTest(evtchn, restricting)
{
	open_one(0);
	cr_assert_eq(xenevtchn_restrict(h, FAKE_DOMID), 0);
	FAILS(xenevtchn_restrict(h, 999), ESRCH);
	/* Other handles can't. */
	FAILS(xentoolcore_restrict_all(1), EOPNOTSUPP);
	xenevtchn_close(h);
}

XenTest(evtchn, lost_connection)
{
	struct timespec before, after;

	open_one(0);
	cr_assert_gt(xenevtchn_bind_unbound_port(h, 1), 0);
	fake_hang_up();
	FAILS(xenevtchn_bind_unbound_port(h, 1), EPIPE);
	FAILS(xenevtchn_bind_interdomain(h, 1, 5), EPIPE);
	FAILS(xenevtchn_bind_virq(h, 3), EPIPE);
	FAILS(xenevtchn_notify(h, 2), EPIPE);
	FAILS(xenevtchn_unbind(h, 2), EPIPE);
	FAILS(xenevtchn_pending(h), EPIPE);
	FAILS(xenevtchn_unmask(h, 2), EPIPE);
	/* Regression: vchan-socket-proxy asked again and again, and kept a processor busy. */
	clock_gettime(CLOCK_MONOTONIC, &before);
	FAILS(xenevtchn_pending(h), EPIPE);
	clock_gettime(CLOCK_MONOTONIC, &after);
	cr_assert_geq(
	    (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec, 10000000);
	cr_assert(readable()); /* who polls wakes up */
	xenevtchn_close(h);
}

XenTest(evtchn, cell_that_does_not_open)
{
	fake_mood(FAKE_REFUSES);
	NO(xenevtchn_open(NULL, 0), EACCES);
	fake_mood(FAKE_NO_STREAM);
	NO(xenevtchn_open(NULL, 0), EPROTO);
	fake_mood(FAKE_BABBLES);
	NO(xenevtchn_open(NULL, 0), EPROTO);
}
