/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unixend: one end of a Unix stream socket, for tests of what carries it on.
 *
 *	unixend connect|listen PATH send BYTES	send so many, and expect the same bytes back
 *	unixend connect|listen PATH mirror	send back what comes, until the other end closes
 *	unixend connect|listen PATH hold	send and expect a word, then wait for the end
 *
 * Says `unixend: there` when it is connected, and at last how it went.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK 4096u
#define PATIENCE_MS 60000

static void __attribute__((noreturn)) give_up(const char *what)
{
	fprintf(stderr, "unixend: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int reach(const char *how, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), end = fd;

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
		give_up(path);
	strcpy(sun.sun_path, path);
	if (strcmp(how, "connect") == 0) {
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
			give_up("connect");
	} else {
		if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 || listen(fd, 1) != 0)
			give_up("listen");
		end = accept(fd, NULL, NULL);
		if (end < 0)
			give_up("accept");
	}
	puts("unixend: there");
	return end;
}

static char byte_at(uint64_t i)
{
	uint64_t x = (i / 8 + 1) * 0x9e3779b97f4a7c15ULL;

	return (char)(x >> (i % 8 * 8));
}

/* Send some; false: not now. */
static bool send_some(int fd, uint64_t *sent, uint64_t bytes)
{
	char buf[CHUNK];
	uint64_t n = bytes - *sent < CHUNK ? bytes - *sent : CHUNK;
	ssize_t done;

	for (uint64_t i = 0; i < n; i++)
		buf[i] = byte_at(*sent + i);
	done = send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (done < 0 && errno != EAGAIN)
		give_up("send");
	if (done > 0)
		*sent += (uint64_t)done;
	return done > 0;
}

static void check_some(int fd, uint64_t *got, uint64_t bytes)
{
	char buf[CHUNK];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0)
		give_up("it closed too early");
	for (ssize_t i = 0; i < n; i++, ++*got)
		if (*got >= bytes || buf[i] != byte_at(*got)) {
			fprintf(stderr, "unixend: byte %ju is wrong\n", (uintmax_t)*got);
			exit(1);
		}
}

static void send_and_check(int fd, uint64_t bytes)
{
	uint64_t sent = 0, got = 0;

	while (got < bytes) {
		struct pollfd p = {
		    .fd = fd, .events = (short)(POLLIN | (sent < bytes ? POLLOUT : 0))};

		if (poll(&p, 1, PATIENCE_MS) <= 0)
			give_up("nothing moves");
		if (p.revents & POLLOUT)
			(void)send_some(fd, &sent, bytes);
		if (p.revents & (POLLIN | POLLHUP))
			check_some(fd, &got, bytes);
	}
	printf("unixend: %ju bytes came back\n", (uintmax_t)got);
}

static void mirror(int fd)
{
	char buf[CHUNK];
	uint64_t total = 0;
	ssize_t n, done;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < n; i += done, total += (uint64_t)done) {
			done = send(fd, buf + i, (size_t)(n - i), MSG_NOSIGNAL);
			if (done < 0)
				give_up("send");
		}
	printf("unixend: closed after %ju bytes\n", (uintmax_t)total);
}

static void hold(int fd)
{
	uint64_t sent = 0, got = 0;
	char c;

	while (sent < 5)
		(void)send_some(fd, &sent, 5);
	while (got < 5)
		check_some(fd, &got, 5);
	puts("unixend: held");
	if (recv(fd, &c, 1, 0) > 0)
		give_up("a byte too many");
	puts("unixend: closed");
}

int main(int argc, char **argv)
{
	bool sends = argc == 5 && strcmp(argv[3], "send") == 0;
	int fd;

	if (!sends &&
	    (argc != 4 || (strcmp(argv[3], "mirror") != 0 && strcmp(argv[3], "hold") != 0))) {
		fprintf(stderr, "usage: unixend connect|listen PATH send BYTES | mirror | hold\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = reach(argv[1], argv[2]);
	if (sends)
		send_and_check(fd, strtoull(argv[4], NULL, 10));
	else if (strcmp(argv[3], "mirror") == 0)
		mirror(fd);
	else
		hold(fd);
	return 0;
}
