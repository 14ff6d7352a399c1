/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_SERVER_H
#define LOMBARD_BLK_SERVER_H
/*
 * The process that looks at the guest's ring, a child of the one that speaks to the cell and to the
 * xenstore, which are open for all of the cell.  The child has the file, its io_uring, handles for grants and
 * event channels of the one guest, and a socket by which it gets orders; it ends with its parent.
 *
 * Errors: 0 or -errno with *f; -EPIPE: the child is gone; -ESRCH: the guest, or the cell, has ended.
 */
#include <sys/types.h>

#include "vbd.h"

struct server {
	int fd; /* readable when the child is gone */
	int guest; /* readable when the guest is gone: nobody waits for the child then.  Set it first */
};

/*
 * server_start: leave is called in the child first, and closes what it shall not have.  At most one for each
 * process; no thread may run beside the caller's.
 * => the caller need not have the disk's file any more
 */
int server_start(struct server *s, const struct disk *disk, uint32_t domid,
    void (*leave)(void *arg), void *arg, struct failure *f);

/* server_connect, server_disconnect: as vbd_connect, vbd_disconnect. */
int server_connect(struct server *s, const struct vbd_front *front, struct failure *f);
int server_disconnect(struct server *s, struct failure *f);

#endif
