/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/lib/sock.c hv/lib/sys.c */
#include "lib/sock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];
static char buf[8];
static int fds[4];
static size_t len;
static unsigned nfds;

static void setup(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
}

/* The number that the next descriptor would get: it grows when one leaks. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void send_hello(unsigned n)
{
	const int some[] = {0, 1, 2};

	cr_assert_eq(sock_send(ends[0], "hello", 5, some, n), 0);
}

TestSuite(sock, .init = setup);

Test(sock, packet_with_descriptors)
{
	send_hello(3);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, fds, 4, &nfds), 0);
	cr_assert_eq(len, 5);
	cr_assert_eq(nfds, 3);
	cr_assert_eq(memcmp(buf, "hello", 5), 0);
	cr_assert(fcntl(fds[2], F_GETFD) & FD_CLOEXEC);
}

Test(sock, too_much_is_an_error_and_leaks_nothing)
{
	int before = next_fd();

	send_hello(3);
	cr_assert_eq(sock_recv(ends[1], buf, 4, &len, fds, 4, &nfds), -EMSGSIZE);
	send_hello(3);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, fds, 2, &nfds), -EPROTO);
	send_hello(2); /* two fit into the room that alignment gives to one */
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, fds, 1, &nfds), -EPROTO);
	send_hello(1);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, NULL, 0, NULL), -EPROTO);
	cr_assert_eq(next_fd(), before);
}

Test(sock, peer_gone)
{
	send_hello(0);
	close(ends[0]);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, NULL, 0, NULL), 0);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, NULL, 0, NULL), -EPIPE);
	cr_assert_eq(sock_send(ends[1], "x", 1, NULL, 0), -EPIPE);
}

/* Closed while a packet of ours was unread: the kernel says ECONNRESET first. */
Test(sock, peer_gone_with_unread_packet)
{
	cr_assert_eq(sock_send(ends[1], "x", 1, NULL, 0), 0);
	close(ends[0]);
	cr_assert_eq(sock_recv(ends[1], buf, sizeof(buf), &len, NULL, 0, NULL), -EPIPE);
}
