/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An abstract socket's name is nobody's any more as soon as its process has closed its descriptors.
 * The kernel has waited for the process's io_uring before that.
 */
#include "only.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "lib/reach.h"

#define TRIES 100
#define PAUSE_NS 20000000L

/* The cell is meant, not the name by which we know it. */
static socklen_t make_name(struct sockaddr_un *addr, uint32_t domid, uint32_t devid)
{
	struct stat st = {0};
	int n;

	(void)stat(reach_path(), &st);
	addr->sun_family = AF_UNIX;
	addr->sun_path[0] = '\0';
	n = snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "lombard-blk/%ju/%ju/%u/%u",
	    (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, domid, devid);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int only_one(uint32_t domid, uint32_t devid, struct failure *f)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct sockaddr_un addr = {0};
	socklen_t len = make_name(&addr, domid, devid);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return failure_sys(f, -errno, "cannot make a socket");
	for (unsigned i = 0; i < TRIES; i++) {
		if (bind(fd, (struct sockaddr *)&addr, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return failure_sys(f, -errno, "cannot bind a socket");
		nanosleep(&pause, NULL);
	}
	return failure_set(f, -EBUSY, "a lombard-blk serves this disk already");
}
