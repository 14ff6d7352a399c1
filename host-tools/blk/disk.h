/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_DISK_H
#define LOMBARD_BLK_DISK_H
/*
 * What stands behind a guest's disk: a file, or a block device.
 *
 * It goes through the host's page cache, or, if it is shared, the cell's copy of the file: then what many
 * guests read of it is in memory once.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/failure.h"
#include "request.h"

struct disk {
	int fd;
	struct blk_limits limits;
	bool share;	/* its pages are lent to the guest: not for devices, nor for writing */
	uint32_t block; /* the unit it is best written in, in bytes */
};

/*
 * disk_open: it is locked (flock) as long as it is open: for others that want to write, or, if we want
 * to write, for all.  A lock that is held is waited for, for a moment: somebody who was killed may
 * not be quite gone.
 */
int disk_open(struct disk *d, const char *path, bool read_only, struct failure *f);

#endif
