/* SPDX-License-Identifier: BSD-2-Clause */
/* chanpeer: see peer.h.  With the argument huge it uses 2 MiB pages for its memory, if there are any. */
#include "peer.h"

#include "pin.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HUGE_BYTES (2ul << 20)
#define PAGE_BYTES 4096ul
#define SOCKET_BYTES (4 << 20)
#define PIPE_BYTES (1 << 20)

/* Shared memory: a ring each way, and behind them a page for each counter. */
#define SHARED_COUNTERS (2 * RING_BYTES)
#define SHARED_BYTES (SHARED_COUNTERS + HUGE_BYTES)
#define OWN_BYTES (BENCH_MAX_LEN + HUGE_BYTES)

enum { STREAM, PACKET, ACK, CONTROL, NSOCKETS };

static uint64_t page_bytes = PAGE_BYTES;

/* A POSIX shared memory object, or one of huge pages, which /dev/shm does not have. */
static int open_shared(bool huge)
{
	char name[64];
	int fd;

	if (huge)
		return memfd_create("chanpeer", MFD_CLOEXEC | MFD_HUGETLB);
	snprintf(name, sizeof(name), "/lombard-bench-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		shm_unlink(name);
	return fd;
}

static char *map_shared(bool huge)
{
	int fd = open_shared(huge);
	char *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, SHARED_BYTES) == 0)
		p = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return p != MAP_FAILED ? p : NULL;
}

/*
 * One process's own memory: nobody else looks at it, but MAP_PRIVATE would take a second copy of each page
 * when we fork.  Touched now, so that nothing is measured that happens once.
 */
static char *map_own(bool huge)
{
	char *p = mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0), -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return memset(p, 1, OWN_BYTES);
}

/* All of it in huge pages, or none. */
static void map_memory(bool huge, char **shared, char *own[2])
{
	*shared = map_shared(huge);
	own[0] = *shared != NULL ? map_own(huge) : NULL;
	own[1] = own[0] != NULL ? map_own(huge) : NULL;
	if (own[1] != NULL) {
		page_bytes = huge ? HUGE_BYTES : PAGE_BYTES;
		return;
	}
	if (!huge)
		err(1, "chanpeer: no memory");
	if (own[0] != NULL)
		munmap(own[0], OWN_BYTES);
	if (*shared != NULL)
		munmap(*shared, SHARED_BYTES);
	map_memory(false, shared, own);
}

/* Root may exceed the limit; a smaller buffer works, too. */
static void enlarge(int sock)
{
	static const int names[2][2] = {{SO_SNDBUFFORCE, SO_SNDBUF}, {SO_RCVBUFFORCE, SO_RCVBUF}};
	const int bytes = SOCKET_BYTES;

	for (int i = 0; i < 2; i++)
		if (setsockopt(sock, SOL_SOCKET, names[i][0], &bytes, sizeof(bytes)) != 0)
			(void)setsockopt(sock, SOL_SOCKET, names[i][1], &bytes, sizeof(bytes));
}

static void make_ways(int sockets[NSOCKETS][2], int pipes[2][2])
{
	static const int types[NSOCKETS] = {
	    SOCK_STREAM, SOCK_SEQPACKET, SOCK_STREAM, SOCK_SEQPACKET};

	for (int i = 0; i < NSOCKETS; i++) {
		if (socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, sockets[i]) != 0)
			err(1, "chanpeer: socketpair");
		enlarge(sockets[i][0]);
		enlarge(sockets[i][1]);
	}
	for (int i = 0; i < 2; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) != 0)
			err(1, "chanpeer: pipe");
		(void)fcntl(pipes[i][0], F_SETPIPE_SZ, PIPE_BYTES);
	}
}

static struct ring_counter *counter(char *shared, unsigned i)
{
	return (struct ring_counter *)(void *)(shared + SHARED_COUNTERS + i * PAGE_BYTES);
}

/* Side 0 sends through the first ring, side 1 through the second one. */
static void make_rings(struct peer_side *s, char *shared, int side)
{
	unsigned mine = (unsigned)side * 3, other = 3 - mine;

	s->out = (struct ring_end){.data = (uint8_t *)shared + side * RING_BYTES,
	    .ours = counter(shared, mine),
	    .theirs = counter(shared, other + 1)};
	s->in = (struct ring_end){.data = (uint8_t *)shared + !side * RING_BYTES,
	    .ours = counter(shared, mine + 1),
	    .theirs = counter(shared, other)};
	s->ours = counter(shared, mine + 2);
	s->theirs = counter(shared, other + 2);
}

static void receive(int sock, void *buf, size_t len)
{
	ssize_t n = recv(sock, buf, len, 0);

	if (n == 0)
		exit(0);
	if (n != (ssize_t)len)
		err(1, "chanpeer: recv");
}

static void answer(int sock, const void *buf, size_t len)
{
	if (send(sock, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		err(1, "chanpeer: send");
}

/* The receiving process: says that it is ready before each task, and how it went after it. */
static void serve_receiver(struct peer_side *s, int control)
{
	struct bench_result r;
	struct bench_work w;

	for (;;) {
		receive(control, &w, sizeof(w));
		answer(control, &w, sizeof(w));
		memset(&r, 0, sizeof(r));
		peer_pass(s, &w, &r);
		answer(control, &r, sizeof(r));
	}
}

static void serve_sender(struct peer_side *s, int control)
{
	const struct peer_hello hello = {.page_bytes = page_bytes};
	struct peer_answer a;
	struct bench_work w, same;

	answer(PEER_FD, &hello, sizeof(hello));
	for (;;) {
		receive(PEER_FD, &w, sizeof(w));
		answer(control, &w, sizeof(w));
		receive(control, &same, sizeof(same));
		memset(&a, 0, sizeof(a));
		peer_pass(s, &w, &a.out);
		receive(control, &a.in, sizeof(a.in));
		answer(PEER_FD, &a, sizeof(a));
	}
}

/* The first pipe leads from side 0 to side 1.  What is the other one's is closed. */
static void take_side(struct peer_side *s, int side, int sockets[NSOCKETS][2], int pipes[2][2])
{
	s->sender = side == 0;
	s->stream = sockets[STREAM][side];
	s->packet = sockets[PACKET][side];
	s->ack = sockets[ACK][side];
	s->pipe_out = pipes[side][1];
	s->pipe_in = pipes[!side][0];
	for (int i = 0; i < NSOCKETS; i++)
		close(sockets[i][!side]);
	close(pipes[side][0]);
	close(pipes[!side][1]);
}

/* Without its receiver the sender would wait for ever. */
static void receiver_gone(int sig)
{
	static const char text[] = "chanpeer: the receiving process ended\n";

	(void)sig;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

int main(int argc, char **argv)
{
	int sockets[NSOCKETS][2], pipes[2][2], side;
	struct peer_side s = {0};
	char *shared, *own[2];
	pid_t child;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, receiver_gone);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	map_memory(argc > 1 && strcmp(argv[1], "huge") == 0, &shared, own);
	make_ways(sockets, pipes);
	child = fork();
	if (child < 0)
		err(1, "chanpeer: fork");
	side = child == 0;
	if (side == 1)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	take_side(&s, side, sockets, pipes);
	s.buf = own[side];
	(void)pin_task(0, (unsigned)side);
	make_rings(&s, shared, side);
	if (side == 0)
		serve_sender(&s, sockets[CONTROL][0]);
	close(PEER_FD);
	serve_receiver(&s, sockets[CONTROL][1]);
}
