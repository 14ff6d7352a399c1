/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_IO_H
#define LOMBARD_BLK_IO_H
/*
 * Reads, writes and flushes of one file that go on by themselves: an io_uring that can do nothing
 * else, with no other file, for the rest of this process's life.  No filter of system calls sees
 * what goes through it.
 */
#include <liburing.h>
#include <sys/uio.h>

#include "lib/failure.h"
#include "request.h"

struct io {
	struct io_uring uring;
};

/* io_open: for at most n operations at a time. */
int io_open(struct io *io, int file, unsigned n, struct failure *f);
void io_close(struct io *io);

/* io_fd: readable when something is done. */
int io_fd(const struct io *io);

/*
 * io_start: tag comes back with the result.  iov is read until then; that of READ and WRITE only.
 * It begins at the next io_submit.
 */
void io_start(struct io *io, enum blk_kind kind, const struct iovec *iov, unsigned niov,
    uint64_t offset, uint64_t length, uint64_t tag);
int io_submit(struct io *io);

/* io_any: is one done? */
bool io_any(const struct io *io);

/* io_done: one that is done, if any (or the next one: wait).  *result: bytes, or -errno */
bool io_done(struct io *io, bool wait, uint64_t *tag, int *result);

#endif
