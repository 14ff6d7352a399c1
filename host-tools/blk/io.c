/* SPDX-License-Identifier: BSD-2-Clause */
#include "io.h"

#include <errno.h>
#include <linux/falloc.h>

/* liburing 2.3 does not export the calls by name. */
static int restrict_ring(struct io_uring *uring)
{
	struct io_uring_restriction rules[] = {
	    {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
	    {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
	    {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
	    {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE},
	    {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
	};
	unsigned fd = (unsigned)uring->ring_fd;
	int error = io_uring_register(
	    fd, IORING_REGISTER_RESTRICTIONS, rules, sizeof(rules) / sizeof(rules[0]));

	if (error == 0)
		error = io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return error;
}

int io_open(struct io *io, int file, unsigned n, struct failure *f)
{
	struct io_uring_params params = {.flags = IORING_SETUP_R_DISABLED};
	int error = io_uring_queue_init_params(n, &io->uring, &params);

	if (error == -ENOSYS || error == -EPERM)
		return failure_sys(f, error,
		    "this host lets us have no io_uring "
		    "(kernel.io_uring_disabled, or a container)");
	if (error != 0)
		return failure_sys(f, error, "cannot make an io_uring");
	error = io_uring_register_files(&io->uring, &file, 1);
	if (error == 0)
		error = restrict_ring(&io->uring);
	if (error == 0)
		return 0;
	io_close(io);
	return failure_sys(f, error, "cannot restrict the io_uring");
}

void io_close(struct io *io)
{
	io_uring_queue_exit(&io->uring);
}

int io_fd(const struct io *io)
{
	return io->uring.ring_fd;
}

void io_start(struct io *io, enum blk_kind kind, const struct iovec *iov, unsigned niov,
    uint64_t offset, uint64_t length, uint64_t tag)
{
	/* There are as many as operations at a time, and io_submit empties them. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->uring);

	switch (kind) {
	case BLK_READ:
		io_uring_prep_readv(sqe, 0, iov, niov, offset);
		break;
	case BLK_WRITE:
		io_uring_prep_writev(sqe, 0, iov, niov, offset);
		break;
	case BLK_FLUSH:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	case BLK_DISCARD:
		io_uring_prep_fallocate(sqe, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)offset, (off_t)length);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, tag);
}

int io_submit(struct io *io)
{
	int n;

	do
		n = io_uring_submit(&io->uring);
	while (n == -EINTR || n == -EAGAIN || n == -EBUSY);
	return n < 0 ? n : 0;
}

bool io_any(const struct io *io)
{
	return io_uring_cq_ready(&io->uring) > 0;
}

bool io_done(struct io *io, bool wait, uint64_t *tag, int *result)
{
	struct io_uring_cqe *cqe;
	int error;

	do
		error = wait ? io_uring_wait_cqe(&io->uring, &cqe)
			     : io_uring_peek_cqe(&io->uring, &cqe);
	while (error == -EINTR);
	if (error != 0)
		return false;
	*tag = io_uring_cqe_get_data64(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&io->uring, cqe);
	return true;
}
