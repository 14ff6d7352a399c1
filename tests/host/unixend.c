/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unixend: one end of a Unix stream socket, for tests of what carries it on.
 *
 *	unixend connect|listen PATH send BYTES	send so many, and expect the same bytes back
 *	unixend connect|listen PATH mirror	send back what comes, until the other end closes
 *	unixend connect|listen PATH hold	send and expect a word, then wait for the end
 *
 * With -g before all that who sends waits for a byte first, with which a mirror greets.
 *
 * Says `unixend: there` when it is connected, and at last how it went, with the XXH64 of what came.
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
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

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

static XXH64_state_t *new_hash(void)
{
	XXH64_state_t *hash = XXH64_createState();

	if (hash == NULL || XXH64_reset(hash, 0) != XXH_OK)
		give_up("hash");
	return hash;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
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

static void check_some(int fd, uint64_t *got, uint64_t bytes, XXH64_state_t *hash)
{
	char buf[CHUNK];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0)
		give_up("it closed too early");
	(void)XXH64_update(hash, buf, (size_t)n);
	for (ssize_t i = 0; i < n; i++, ++*got)
		if (*got >= bytes || buf[i] != byte_at(*got)) {
			fprintf(stderr, "unixend: byte %ju is wrong\n", (uintmax_t)*got);
			exit(1);
		}
}

/*
 * What vchan-socket-proxy finds in the ring when it begins it looks at with the next event only.  If the one
 * of the first bytes came with the one that said that there is a client, there is no next.  So nothing is
 * sent to a server before it has sent something itself.
 */
static void await_greeting(int fd)
{
	char c;

	if (recv(fd, &c, 1, 0) != 1)
		give_up("no greeting");
}

static void greet(int fd)
{
	if (send(fd, "!", 1, MSG_NOSIGNAL) != 1)
		give_up("greeting");
}

static void send_and_check(int fd, uint64_t bytes)
{
	uint64_t sent = 0, got = 0;
	XXH64_state_t *hash = new_hash();
	double start = now_s();

	while (got < bytes) {
		struct pollfd p = {
		    .fd = fd, .events = (short)(POLLIN | (sent < bytes ? POLLOUT : 0))};

		if (poll(&p, 1, PATIENCE_MS) <= 0)
			give_up("nothing moves");
		if (p.revents & POLLOUT)
			(void)send_some(fd, &sent, bytes);
		if (p.revents & (POLLIN | POLLHUP))
			check_some(fd, &got, bytes, hash);
	}
	printf("unixend: %ju bytes came back, XXH64 %016jx, %.1f s\n", (uintmax_t)got,
	    (uintmax_t)XXH64_digest(hash), now_s() - start);
	XXH64_freeState(hash);
}

static void mirror(int fd)
{
	char buf[CHUNK];
	uint64_t total = 0;
	ssize_t n, done;
	XXH64_state_t *hash = new_hash();

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		(void)XXH64_update(hash, buf, (size_t)n);
		for (ssize_t i = 0; i < n; i += done, total += (uint64_t)done) {
			done = send(fd, buf + i, (size_t)(n - i), MSG_NOSIGNAL);
			if (done < 0)
				give_up("send");
		}
	}
	printf("unixend: closed after %ju bytes, XXH64 %016jx\n", (uintmax_t)total,
	    (uintmax_t)XXH64_digest(hash));
	XXH64_freeState(hash);
}

static void hold(int fd)
{
	uint64_t sent = 0, got = 0;
	XXH64_state_t *hash = new_hash();
	char c;

	while (sent < 5)
		(void)send_some(fd, &sent, 5);
	while (got < 5)
		check_some(fd, &got, 5, hash);
	XXH64_freeState(hash);
	puts("unixend: held");
	if (recv(fd, &c, 1, 0) > 0)
		give_up("a byte too many");
	puts("unixend: closed");
}

int main(int argc, char **argv)
{
	bool greeting = argc > 1 && strcmp(argv[1], "-g") == 0, sends, mirrors, holds;
	int fd;

	argv += greeting;
	argc -= greeting;
	sends = argc == 5 && strcmp(argv[3], "send") == 0;
	mirrors = argc == 4 && strcmp(argv[3], "mirror") == 0;
	holds = argc == 4 && strcmp(argv[3], "hold") == 0;
	if (!sends && !mirrors && !holds) {
		fprintf(
		    stderr, "usage: unixend [-g] connect|listen PATH send BYTES | mirror | hold\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = reach(argv[1], argv[2]);
	if (greeting && mirrors)
		greet(fd);
	else if (greeting)
		await_greeting(fd);
	if (sends)
		send_and_check(fd, strtoull(argv[4], NULL, 10));
	else if (mirrors)
		mirror(fd);
	else
		hold(fd);
	return 0;
}
