/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_XENSTORE_H
#define HV_CORE_XENSTORE_H
/*
 * The cell's xenstore, if it has one: Xen's xenstored as a child of ours, with its files in a
 * directory beside the cell's socket, and a thread that tells it which guests there are.  The store
 * is a convenience: when xenstored dies or hangs, the cell goes on without it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/failure.h"
#include "xen/xs_nodes.h"

enum xenstore_state {
	XENSTORE_NONE, /* the cell has none */
	XENSTORE_STARTING,
	XENSTORE_RUNNING,
	XENSTORE_ENDED,
};

/*
 * xenstore_open: start one for the cell that listens at this socket.
 * => there are no other threads yet
 * => 0: it starts; or -errno and *f.  When it does not come up, xenstore_status says so
 *
 * xenstore_close: after the last guest: end it, and remove its files.
 *
 * xenstore_clear: remove what a store of an earlier cell at this socket has left.
 */
int xenstore_open(const char *socket, struct failure *f);
void xenstore_close(void);
void xenstore_clear(const char *socket);

/*
 * xenstore_status: how it stands; wait: not before it has started or failed to.
 * => ENDED: *f says why, and what to do
 */
enum xenstore_state xenstore_status(bool wait, struct failure *f);

/* xenstore_directory: where its files are; "" when there is none. */
const char *xenstore_directory(void);

/*
 * xenstore_add: enter a guest, and let xenstored bind to its page and port.  Waits, a few seconds at
 * most.  => the guest can be mapped (xen/grant.h)
 * => 0 or -errno: the store does not know the guest, which is logged
 *
 * xenstore_remove: it has ended.  Does not wait.
 */
int xenstore_add(const struct xs_guest *xg);
void xenstore_remove(const struct xs_guest *xg);

#endif
