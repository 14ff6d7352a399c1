/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rawclient: a client of a cell without manners.  Its arguments are steps:
 *
 *   rawclient SOCKET STEP...
 *
 *   send TEXT     one packet, with the descriptors collected since the last one
 *   bytes N       one packet of N bytes 'x'
 *   fd PATH       open PATH, to be sent with the next packet
 *   socket        the same with a socket
 *   recv          wait for a packet and print it; "end" when the cell hung up, "silence" after 10 s
 *   more N        N more connections, kept open to the end
 *   sleep MS
 *   say TEXT      print it: a sign for whoever waits
 *
 * Exit status: 0 when all steps were done, 1 when one could not be done, and why is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/sock.h"

#define PATIENCE_MS 10000
#define MAX_PACKET (4u << 20)

struct raw {
	const char *path;
	int fd;
	int fds[SOCK_MAX_FDS]; /* for the next packet */
	unsigned nfds;
};

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static int send_packet(struct raw *r, const char *data, size_t len)
{
	int size = MAX_PACKET, error;

	(void)setsockopt(r->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	error = sock_send(r->fd, data, len, r->fds, r->nfds);
	while (r->nfds > 0)
		close(r->fds[--r->nfds]);
	return error;
}

static int step_send(struct raw *r, const char *arg)
{
	return send_packet(r, arg, strlen(arg));
}

static int step_bytes(struct raw *r, const char *arg)
{
	size_t len = strtoul(arg, NULL, 10);
	char *data = malloc(len + 1);
	int error;

	if (!data)
		return -ENOMEM;
	memset(data, 'x', len);
	error = send_packet(r, data, len);
	free(data);
	return error;
}

static int keep_fd(struct raw *r, int fd)
{
	if (fd < 0)
		return -errno;
	if (r->nfds == SOCK_MAX_FDS) {
		close(fd);
		return -EMFILE;
	}
	r->fds[r->nfds++] = fd;
	return 0;
}

static int step_fd(struct raw *r, const char *arg)
{
	return keep_fd(r, open(arg, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

static int step_socket(struct raw *r, const char *arg)
{
	(void)arg;
	return keep_fd(r, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int step_recv(struct raw *r, const char *arg)
{
	struct pollfd p = {.fd = r->fd, .events = POLLIN};
	int fds[SOCK_MAX_FDS], error;
	unsigned nfds = 0;
	size_t len;
	char *buf;

	(void)arg;
	if (poll(&p, 1, PATIENCE_MS) == 0) {
		puts("silence");
		return 0;
	}
	buf = malloc(MAX_PACKET);
	if (!buf)
		return -ENOMEM;
	error = sock_recv(r->fd, buf, MAX_PACKET, &len, fds, SOCK_MAX_FDS, &nfds);
	if (error == 0)
		printf("%.*s\n", (int)len, buf);
	else
		puts("end");
	while (nfds > 0)
		close(fds[--nfds]);
	free(buf);
	return error == -EPIPE ? 0 : error;
}

static int step_more(struct raw *r, const char *arg)
{
	unsigned long n = strtoul(arg, NULL, 10);
	int fd = 0;

	while (n-- > 0 && fd >= 0)
		fd = connect_to(r->path);
	return fd < 0 ? fd : 0;
}

static int step_sleep(struct raw *r, const char *arg)
{
	long ms = strtol(arg, NULL, 10);
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)r;
	nanosleep(&ts, NULL);
	return 0;
}

static int step_say(struct raw *r, const char *arg)
{
	(void)r;
	puts(arg);
	return 0;
}

static const struct step {
	const char *name;
	int words; /* that follow */
	int (*run)(struct raw *r, const char *arg);
} steps[] = {
    {"send", 1, step_send},
    {"bytes", 1, step_bytes},
    {"fd", 1, step_fd},
    {"socket", 0, step_socket},
    {"recv", 0, step_recv},
    {"more", 1, step_more},
    {"sleep", 1, step_sleep},
    {"say", 1, step_say},
};

static const struct step *find_step(const char *name)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (strcmp(steps[i].name, name) == 0)
			return &steps[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct raw r = {0};
	int error = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: rawclient SOCKET STEP...\n");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r.path = argv[1];
	r.fd = connect_to(r.path);
	if (r.fd < 0) {
		printf("connect: %s\n", strerror(-r.fd));
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		const struct step *s = find_step(argv[i]);

		if (!s || i + s->words >= argc) {
			fprintf(stderr, "rawclient: '%s' is no step, or lacks a word\n", argv[i]);
			return 1;
		}
		i += s->words;
		error = s->run(&r, argv[i]);
		if (error) {
			printf("%s: %s\n", s->name, strerror(-error));
			return 1;
		}
	}
	close(r.fd);
	return 0;
}
