/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench's side of bench_floor. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"

extern char **environ;
const char *floor_path;

static void receive(struct floor *fl, void *buf, size_t len)
{
	if (recv(fl->sock, buf, len, 0) != (ssize_t)len)
		bench_die("bench_floor ended (its reason is above)");
}

static void request(struct floor *fl, char what)
{
	struct wire_hypercall msg;

	memset(&msg, 0, sizeof(msg));
	*(char *)&msg = what;
	if (send(fl->sock, &msg, sizeof(msg), MSG_NOSIGNAL) != (ssize_t)sizeof(msg))
		bench_die("bench_floor is gone");
}

void floor_start(struct floor *fl, uint64_t *ns)
{
	char *argv[] = {(char *)floor_path, NULL}, ready;
	posix_spawn_file_actions_t fa;
	uint64_t start = now_ns();
	int pair[2], child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		bench_die("socketpair: %m");
	child = fcntl(pair[1], F_DUPFD_CLOEXEC, FLOOR_FD + 1);
	close(pair[1]);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, child, FLOOR_FD);
	errno = posix_spawn(&fl->pid, floor_path, &fa, NULL, argv, environ);
	if (errno != 0)
		bench_die("can't start %s: %m", floor_path);
	posix_spawn_file_actions_destroy(&fa);
	close(child);
	fl->sock = pair[0];
	receive(fl, &ready, sizeof(ready));
	*ns = now_ns() - start;
}

void floor_stop(struct floor *fl)
{
	int status;

	close(fl->sock);
	if (waitpid(fl->pid, &status, 0) != fl->pid || status != 0)
		bench_die("bench_floor failed");
}

uint64_t floor_round_trip(struct floor *fl, unsigned times)
{
	struct wire_result result;
	uint64_t start = now_ns();

	for (unsigned i = 0; i < times; i++) {
		request(fl, FLOOR_ECHO);
		receive(fl, &result, sizeof(result));
	}
	return now_ns() - start;
}

void floor_breaks(struct floor *fl, struct sample *s)
{
	struct floor_times times;

	request(fl, FLOOR_BREAK);
	receive(fl, &times, sizeof(times));
	for (unsigned i = 0; i < FLOOR_PAGES; i++)
		sample_add(s, times.ns[i]);
}
