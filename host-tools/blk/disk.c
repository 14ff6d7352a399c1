/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 100
#define LOCK_PAUSE_NS 10000000L

static int refuse_open(const char *path, bool read_only, int error, struct failure *f)
{
	switch (-error) {
	case EROFS:
	case EACCES:
	case EPERM:
		return failure_sys(f, error, "cannot open %s%s", path,
		    read_only ? "" : " for writing (a guest that only reads it: --read-only)");
	case EBUSY:
		return failure_set(f, error, "%s is mounted, or in use otherwise", path);
	default:
		return failure_sys(f, error, "cannot open %s", path);
	}
}

static int lock(int fd, const char *path, bool read_only, struct failure *f)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	int how = (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB;

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, how) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return failure_sys(f, -errno, "cannot lock %s", path);
		nanosleep(&pause, NULL);
	}
	return failure_set(f, -EBUSY,
	    read_only ? "%s is in use by a guest that writes to it"
		      : "%s is in use by another guest",
	    path);
}

/* Beyond the end it changes nothing, but tells whether the file system can. */
static bool punches_p(int fd, off_t size, blksize_t block)
{
	off_t beyond = (size / block + 1) * block;

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, block) == 0;
}

static int measure(struct disk *d, const char *path, struct failure *f)
{
	uint64_t size = 0;
	struct stat st;
	int block = 0;

	if (fstat(d->fd, &st) < 0)
		return failure_sys(f, -errno, "cannot look at %s", path);
	if (S_ISREG(st.st_mode)) {
		size = (uint64_t)st.st_size;
		block = (int)st.st_blksize;
		d->limits.discards = !d->limits.read_only &&
				     punches_p(d->fd, st.st_size, st.st_blksize);
	} else if (!S_ISBLK(st.st_mode)) {
		return failure_set(f, -EINVAL, "%s is neither a file nor a block device", path);
	} else if (ioctl(d->fd, BLKGETSIZE64, &size) < 0 || ioctl(d->fd, BLKPBSZGET, &block) < 0) {
		return failure_sys(f, -errno, "cannot tell the size of %s", path);
	}
	if (size == 0 || size % BLK_SECTOR != 0)
		return failure_set(f, -EINVAL,
		    "%s has %ju bytes, and a disk has a multiple of %u, not 0", path,
		    (uintmax_t)size, BLK_SECTOR);
	d->limits.sectors = size / BLK_SECTOR;
	/* One that its end cuts through is none. */
	d->block = block > 0 && size % (uint64_t)block == 0 ? (uint32_t)block : BLK_SECTOR;
	return 0;
}

/* A device that is mounted is refused to who would write to it. */
static int open_file(const char *path, bool read_only)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	if (!read_only && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	return open(path, flags);
}

int disk_open(struct disk *d, const char *path, bool read_only, struct failure *f)
{
	int error;

	*d = (struct disk){.limits.read_only = read_only};
	d->fd = open_file(path, read_only);
	if (d->fd < 0)
		return refuse_open(path, read_only, -errno, f);
	error = lock(d->fd, path, read_only, f);
	if (error == 0)
		error = measure(d, path, f);
	if (error != 0)
		close(d->fd);
	return error;
}
