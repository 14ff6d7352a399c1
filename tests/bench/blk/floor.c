/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floor of make bench-blk: what a program of the host gets out of the same file by an io_uring of its
 * own, in the same pattern as a guest (guest/probe/diskbench.c).
 *
 *	floor FILE write=0|1 kib=N depth=N ms=N
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEPTH 256u

struct load {
	struct io_uring uring;
	bool write;
	size_t length;
	unsigned depth;
	off_t next, size;
	struct iovec iovs[MAX_DEPTH];
	uint64_t started, ended;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t fallback)
{
	size_t len = strlen(name);

	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], name, len) == 0 && argv[i][len] == '=')
			return strtoull(argv[i] + len + 1, NULL, 10);
	return fallback;
}

/* A buffer is free again when its operation is done. */
static void start(struct load *l, unsigned buffer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->uring);

	if (l->next + (off_t)l->length > l->size)
		l->next = 0;
	if (l->write)
		io_uring_prep_writev(sqe, 0, &l->iovs[buffer], 1, (uint64_t)l->next);
	else
		io_uring_prep_readv(sqe, 0, &l->iovs[buffer], 1, (uint64_t)l->next);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, buffer);
	l->next += (off_t)l->length;
	l->started++;
}

/* All that is done; go_on: something else for each of them. */
static void reap(struct load *l, bool go_on)
{
	struct io_uring_cqe *cqe;
	unsigned buffer;

	if (io_uring_submit_and_wait(&l->uring, 1) < 0)
		errx(1, "io_uring_enter fails");
	while (io_uring_peek_cqe(&l->uring, &cqe) == 0) {
		if (cqe->res != (int)l->length)
			errx(1, "%d of %zu bytes", cqe->res, l->length);
		buffer = (unsigned)io_uring_cqe_get_data64(cqe);
		io_uring_cqe_seen(&l->uring, cqe);
		l->ended++;
		if (go_on)
			start(l, buffer);
	}
}

static void prepare(struct load *l, const char *path)
{
	int fd = open(path, l->write ? O_RDWR : O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	l->size = st.st_size;
	if (l->depth == 0 || l->depth > MAX_DEPTH || l->length == 0 || l->size < (off_t)l->length)
		errx(1, "such a load can't be");
	if (io_uring_queue_init(l->depth, &l->uring, 0) != 0 ||
	    io_uring_register_files(&l->uring, &fd, 1) != 0)
		errx(1, "there is no io_uring");
	for (unsigned i = 0; i < l->depth; i++) {
		l->iovs[i].iov_base = aligned_alloc(4096, l->length);
		if (l->iovs[i].iov_base == NULL)
			errx(1, "out of memory");
		memset(l->iovs[i].iov_base, 0x5a, l->length);
		l->iovs[i].iov_len = l->length;
	}
}

int main(int argc, char **argv)
{
	static struct load l;
	uint64_t begun, end;

	if (argc < 2)
		errx(2, "which file?");
	l.write = number(argc, argv, "write", 0) != 0;
	l.length = number(argc, argv, "kib", 4) * 1024;
	l.depth = (unsigned)number(argc, argv, "depth", 1);
	prepare(&l, argv[1]);
	begun = now_us();
	end = begun + number(argc, argv, "ms", 200) * 1000;
	for (unsigned i = 0; i < l.depth; i++)
		start(&l, i);
	while (now_us() < end)
		reap(&l, true);
	while (l.ended < l.started)
		reap(&l, false);
	printf("bytes=%" PRIu64 " us=%" PRIu64 " requests=%" PRIu64 "\n", l.ended * l.length,
	    now_us() - begun, l.ended);
	return 0;
}
