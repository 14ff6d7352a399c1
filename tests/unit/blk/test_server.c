/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/blk/server.c host-tools/blk/sandbox.c host-tools/blk/vbd.c host-tools/blk/request.c host-tools/blk/ring.c host-tools/blk/grants.c host-tools/blk/io.c host-tools/blk/say.c hv/lib/confine.c hv/lib/failure.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c tests/unit/blk/fake_xen.c */
/* pkgs: liburing libseccomp */
/*
 * What the process that serves the ring may say to its parent, when its guest has taken it over: nothing
 * that the parent believes, waits for, or runs over.
 */
#include "server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server server;
static struct failure f;
static int child, guest; /* the other ends */

static void begin(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	server.fd = pair[0];
	child = pair[1];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	server.guest = pair[0];
	guest = pair[1];
	memset(&f, 0, sizeof(f));
}

static struct {
	int32_t error;
	char text[sizeof(struct failure)];
} reply;

/* It has answered before it was asked. */
static int told(int32_t error, size_t len)
{
	reply.error = error;
	cr_assert_eq(send(child, &reply, len, 0), (ssize_t)len);
	return server_disconnect(&server, &f);
}

Test(server, answers)
{
	begin();
	cr_assert_eq(told(0, sizeof(reply)), 0);
	strcpy(reply.text, "its ring can't be mapped");
	cr_assert_eq(told(-EINVAL, sizeof(reply)), -EINVAL);
	cr_assert_str_eq(f.text, reply.text);
}

Test(server, nonsense)
{
	char more[sizeof(reply) + 1] = {0};

	begin();
	cr_assert_eq(told(1, sizeof(reply)), -EPIPE);
	cr_assert_eq(told(0, sizeof(reply) - 1), -EPIPE);
	cr_assert_eq(told(0, 1), -EPIPE);
	cr_assert_eq(send(child, more, sizeof(more), 0), (ssize_t)sizeof(more));
	cr_assert_eq(server_disconnect(&server, &f), -EPIPE);
	/* A sentence without an end. */
	memset(reply.text, 'x', sizeof(reply.text));
	cr_assert_eq(told(-EINVAL, sizeof(reply)), -EINVAL);
	cr_assert_eq(strlen(f.text), sizeof(f.text) - 1);
}

Test(server, no_answer)
{
	struct vbd_front front = {.npages = 1};

	begin();
	close(guest);
	cr_assert_eq(server_connect(&server, &front, &f), -ESRCH);
	close(child);
	cr_assert_eq(server_connect(&server, &front, &f), -EPIPE);
	cr_assert_str_not_empty(f.text);
}

Test(server, child_that_is_gone)
{
	begin();
	cr_assert_eq(shutdown(child, SHUT_WR), 0);
	cr_assert_eq(server_disconnect(&server, &f), -EPIPE);
}
