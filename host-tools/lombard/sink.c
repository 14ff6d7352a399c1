/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static int explain(const struct sink *s)
{
	int err = -errno;

	cli_error(
	    "cannot write %s: %s; what was written of it is incomplete", s->name, strerror(-err));
	return err;
}

/* Skipping is the same as writing zeroes only behind the end, and not in append mode. */
static bool can_be_sparse(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && !(flags & O_APPEND) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       lseek(fd, 0, SEEK_CUR) >= st.st_size;
}

static int open_file(struct sink *s, const char *path)
{
	int err;

	s->name = path;
	s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->fd < 0) {
		err = -errno;
		cli_error("cannot open %s: %s", path, strerror(-err));
		return err;
	}
	s->opened = true;
	return 0;
}

int sink_open(struct sink *s, const char *path)
{
	int err;

	*s = (struct sink){.fd = STDOUT_FILENO, .name = "stdout"};
	if (path && strcmp(path, "-") != 0) {
		err = open_file(s, path);
		if (err)
			return err;
	} else if (isatty(STDOUT_FILENO)) {
		cli_error("cannot dump memory to a terminal; use -o FILE or a pipe");
		return -EINVAL;
	}
	s->sparse = can_be_sparse(s->fd);
	return 0;
}

int sink_write(struct sink *s, const void *data, size_t len)
{
	const char *next = data;

	while (len) {
		ssize_t n = write(s->fd, next, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return explain(s);
		next += n;
		len -= (size_t)n;
	}
	return 0;
}

int sink_zeroes(struct sink *s, uint64_t len)
{
	static const char zeroes[16 * CLI_PAGE_SIZE];

	if (s->sparse)
		return lseek(s->fd, (off_t)len, SEEK_CUR) < 0 ? explain(s) : 0;
	while (len) {
		size_t n = len < sizeof(zeroes) ? (size_t)len : sizeof(zeroes);
		int err = sink_write(s, zeroes, n);

		if (err)
			return err;
		len -= n;
	}
	return 0;
}

int sink_close(struct sink *s)
{
	int err = 0;

	if (s->sparse && ftruncate(s->fd, lseek(s->fd, 0, SEEK_CUR)) < 0)
		err = explain(s);
	if (s->opened && close(s->fd) < 0 && !err)
		err = explain(s);
	return err;
}
