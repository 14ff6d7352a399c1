/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_VBD_H
#define LOMBARD_BLK_VBD_H
/*
 * The connection to one frontend: its ring, its event channel, and the requests that are under way.
 * Data goes between the file and the guest's pages by itself.
 */
#include <sys/uio.h>
#include <xenevtchn.h>

#include "disk.h"
#include "grants.h"
#include "io.h"
#include "ring.h"

/* What a frontend has said of itself. */
struct vbd_front {
	unsigned npages;
	uint32_t refs[BLK_MAX_RING_PAGES], port;
	bool persistent;
};

enum vbd_state { VBD_FREE, VBD_UNDER_WAY, VBD_DONE };

struct vbd_slot {
	enum vbd_state state;
	uint64_t id;
	uint8_t operation;
	int16_t status;
	enum blk_kind kind;
	uint64_t offset, left; /* what is yet to be done */
	struct iovec *iov;     /* of what is left: in iovs */
	unsigned niov;
	struct iovec iovs[BLK_MAX_SEGMENTS];
	struct grant_use use;
};

struct vbd {
	const struct disk *disk;
	struct io io;
	struct grants grants;
	xenevtchn_handle *events;
	bool connected, stopped;
	bool told; /* of an event: there is no other before vbd_rest */
	unsigned said;
	unsigned under_way;
	unsigned patience_ms; /* for a port that is bound already */
	uint32_t port;	      /* ours */
	unsigned npages;
	struct ring ring;
	struct blk_request request; /* the one that is being looked at */
	struct vbd_slot slots[BLK_MAX_RING_ENTRIES];
};

/*
 * vbd_open: for a disk of this domain; nothing is connected yet.  No other descriptors are opened later
 * on, but for those of pages while they are being mapped.
 */
int vbd_open(struct vbd *v, const struct disk *disk, uint32_t domid, struct failure *f);

/*
 * vbd_connect: to a new ring, or to one that another backend has left; requests in it without a
 * response are done (again).
 *
 * vbd_disconnect: requests that are under way are waited for.
 */
int vbd_connect(struct vbd *v, const struct vbd_front *front, struct failure *f);
void vbd_disconnect(struct vbd *v);

/*
 * vbd_event: take an event.  => false: the cell is gone
 * vbd_serve: do what there is to do.  => true: there is more, call it again soon
 * vbd_work: is there anything to do?  It only looks.
 * vbd_rest: before sleeping: from now on an event tells.  => true: there is something to do already
 */
bool vbd_event(struct vbd *v);
bool vbd_serve(struct vbd *v);
bool vbd_work(struct vbd *v);
bool vbd_rest(struct vbd *v);

#endif
