/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_RING_H
#define LOMBARD_BLK_RING_H
/*
 * The backend's side of a ring of requests and responses in the guest's memory.
 *
 * Responses are given in the order of the requests.  So the place of a request is written over only
 * by its own response, and whoever takes the ring over from a backend that died finds each request
 * that has no response yet: those from rsp_prod on.  Only for the one whose response was just being
 * written something more is needed: that response is noted in the header's padding first (struct
 * ring_note), and given again by the successor.
 *
 * The guest can write to all of it at any time.  Indices are read once and checked, entries copied;
 * what it does to the note can only give it a wrong response.
 */
#include <stdbool.h>

#include "blkif.h"

/* In the padding of struct blkif_sring, which frontends leave alone. */
struct ring_note {
	uint32_t magic; /* RING_NOTE while it means something */
	uint32_t index; /* of the response */
	uint64_t id;
	uint8_t operation;
	int16_t status;
};
#define RING_NOTE_AT 24u
#define RING_NOTE 0x6b6c626cu

_Static_assert(RING_NOTE_AT >= offsetof(struct blkif_sring, pvt) + 4 &&
		   RING_NOTE_AT + sizeof(struct ring_note) <= offsetof(struct blkif_sring, ring),
    "it lies in the padding");

struct ring {
	struct blkif_sring *shared;
	uint32_t size;	   /* entries; a power of 2 */
	uint32_t req_cons; /* the next request to take */
	uint32_t rsp_prod; /* the next response to give */
	uint32_t rsp_told; /* responses before this one have been pushed */
};

/*
 * ring_attach: take it over as it lies there, be it new or another backend's.  pages: of the ring
 * => false: its indices can't be
 */
bool ring_attach(struct ring *r, void *shared, unsigned pages);

/*
 * ring_next: the next request, copied; *index is its number.
 * => RING_LIES: the guest's index can't be: do not look again
 */
enum ring_next { RING_EMPTY, RING_REQUEST, RING_LIES };
enum ring_next ring_next(struct ring *r, union blk_entry *copy, uint32_t *index);

/* ring_any: has one come? */
bool ring_any(const struct ring *r);

/* ring_more: nothing has come since?  If so, the next request will be an event. */
bool ring_more(struct ring *r);

/* ring_answer: the response to request number rsp_prod, which was taken. */
void ring_answer(struct ring *r, uint64_t id, uint8_t operation, int16_t status);

/* ring_push: after some responses.  => the guest wants an event for them */
bool ring_push(struct ring *r);

#endif
