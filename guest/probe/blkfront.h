/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_BLKFRONT_H
#define LOMBARD_PROBE_BLKFRONT_H
/*
 * A frontend of Xen's block interface (Xen public/io/blkif.h), for tests: one disk, xvda.
 *
 * Failing checks of this file are those from 80 on.
 */
#include "probe.h"

#include <xen/io/blkif.h>
#include <xen/io/xenbus.h>

#define FRONT_SECTOR 512u
#define FRONT_PAGES 32u /* of one request's data */
#define FRONT_MAX_IOS 32u
#define FRONT_MAX_RING 4u /* pages */
#define FRONT_PAGE_SECTORS ((unsigned int)(PAGE_SIZE / FRONT_SECTOR))

struct front_io {
	bool busy, done;
	int status; /* BLKIF_RSP_* */
	uint8_t operation;
	unsigned int npages; /* granted now */
	char *data;	     /* FRONT_PAGES pages */
	uint32_t refs[FRONT_PAGES];
	struct blkif_request_segment *listed; /* a page: segments of an indirect request */
	uint32_t listed_ref;
};

struct front {
	/* as wanted */
	bool persistent, indirect;
	unsigned int order;
	/* of the disk */
	uint64_t sectors;
	bool read_only, discards;
	/* of the connection */
	struct blkif_sring *shared;
	unsigned int size; /* entries */
	RING_IDX req_prod, rsp_cons;
	uint32_t refs[FRONT_MAX_RING], port;
	struct front_io ios[FRONT_MAX_IOS];
	uint64_t sent, slept; /* events, and waits for one */
};

/* front_connect: up to Connected.  front_close: by Closing and Closed, until the backend is Closed. */
void front_connect(struct front *f);
void front_close(struct front *f);

/*
 * The steps of both.  front_offer: a new ring, with an index that may lie, and Initialised.
 * front_forget: from Closing on.  front_await: until the backend is in this state.
 */
void front_offer(struct front *f, RING_IDX req_prod);
void front_forget(struct front *f);
void front_await(enum xenbus_state state);
void front_say(enum xenbus_state state);

/*
 * front_get: an unused io, waiting for one if need be.
 * front_start: sectors (up to 8 * FRONT_PAGES with indirect requests, 88 without) from or to data.
 * front_queue: the same, but the backend does not see it before front_publish.
 * front_simple: one without data: BLKIF_OP_FLUSH_DISKCACHE, or BLKIF_OP_DISCARD.
 * front_wait: until it is done.  => its status; the io is unused again
 */
struct front_io *front_get(struct front *f);
void front_start(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, unsigned int sectors);
void front_queue(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, unsigned int sectors);
void front_simple(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, uint64_t sectors);
int front_wait(struct front *f, struct front_io *io);

/* front_raw: a request as it is, by the io's number.  front_publish: and tell the backend. */
void front_raw(struct front *f, struct front_io *io, const void *request, uint8_t operation);
void front_publish(struct front *f);

/* front_number: an unsigned number that the backend has written; fallback if it has not. */
uint64_t front_number(const char *name, uint64_t fallback);

/* front_told: has the host written a node of this name beside ours? */
bool front_told(const char *name);

#endif
