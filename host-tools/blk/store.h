/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_STORE_H
#define LOMBARD_BLK_STORE_H
/*
 * A disk's nodes in the xenstore, laid out as libxl does it: the frontend's, which its guest writes,
 * the backend's, and those of libxl itself, by which `xl block-list` finds it.
 */
#include <stdbool.h>
#include <xenstore.h>

#include "vbd.h"

#define STORE_PATH 80

struct store {
	struct xs_handle *xs;
	uint32_t domid, devid;
	char front[STORE_PATH], back[STORE_PATH], libxl[STORE_PATH];
};

/*
 * store_open: connect to the xenstore in this directory.
 */
int store_open(
    struct store *s, const char *directory, uint32_t domid, uint32_t devid, struct failure *f);

/* store_leave: it is another process's: after a fork, before store_watch. */
void store_leave(struct store *s);

/*
 * store_recall: the file and the modes of a disk that is there already.  => *path is for free
 */
int store_recall(struct store *s, char **path, bool *read_only, bool *share, struct failure *f);

/*
 * store_enter: make the nodes, unless they are there: then somebody else was its backend.
 * => -ESRCH: there is no such domain any more; -EEXIST: a disk of another kind is there
 */
int store_enter(struct store *s, const char *name, const char *path, const struct disk *disk,
    struct failure *f);

/* store_remove: the backend's nodes; the guest has ended. */
void store_remove(struct store *s);

/*
 * store_watch: be told of changes of the frontend's state: store_fd is readable then.
 * store_changed: take what was told.
 */
int store_watch(struct store *s, struct failure *f);
int store_fd(const struct store *s);
void store_changed(struct store *s);

/* store_frontend: its state, XenbusState*; XenbusStateUnknown: no node, or none of them. */
enum xenbus_state store_frontend(struct store *s);

/* store_read: what a frontend has said that is Initialised, or Connected. */
int store_read(struct store *s, struct vbd_front *front, struct failure *f);

/*
 * store_offer: our features, and InitWait.  store_present: the disk, and Connected.
 * store_state: only the state.
 * => 0 or -errno; -ENOENT: our nodes are gone, and with them the guest
 */
int store_offer(struct store *s, const struct disk *disk);
int store_present(struct store *s, const struct disk *disk);
int store_state(struct store *s, enum xenbus_state state);

#endif
