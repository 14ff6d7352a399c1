/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench's side of chanpeer. */
#include "chan.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

#define ANSWER_TIMEOUT_S 60

extern char **environ;
static pid_t pid;
static int sock = -1;

static void receive(void *buf, size_t len)
{
	if (recv(sock, buf, len, 0) != (ssize_t)len)
		bench_die("chanpeer ended (its reason is above), or does not answer");
}

void hosts_start(const char *path, bool huge, uint64_t *page_bytes)
{
	char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)(huge ? "huge" : "base"), NULL};
	posix_spawn_file_actions_t fa;
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct peer_hello hello;
	int pair[2], child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		bench_die("socketpair: %m");
	child = fcntl(pair[1], F_DUPFD_CLOEXEC, PEER_FD + 1);
	close(pair[1]);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, child, PEER_FD);
	errno = posix_spawn(&pid, path, &fa, NULL, argv, environ);
	if (errno != 0)
		bench_die("can't start %s: %m", path);
	posix_spawn_file_actions_destroy(&fa);
	close(child);
	sock = pair[0];
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0)
		bench_die("setsockopt: %m");
	receive(&hello, sizeof(hello));
	*page_bytes = hello.page_bytes;
}

void hosts_pass(const struct bench_work *w, struct bench_result *out, struct bench_result *in)
{
	struct peer_answer a;

	if (send(sock, w, sizeof(*w), MSG_NOSIGNAL) != (ssize_t)sizeof(*w))
		bench_die("chanpeer is gone");
	receive(&a, sizeof(a));
	*out = a.out;
	*in = a.in;
}

void hosts_stop(void)
{
	int status;

	close(sock);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("chanpeer failed");
}
