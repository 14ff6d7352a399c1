/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIBCHAN_PLACES_H
#define LOMBARD_LIBCHAN_PLACES_H
/*
 * Which parts of the window area are in use, and for what.  The caller locks.
 */
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

struct place {
	LIST_ENTRY(place) pl_all; /* in order */
	uint64_t pl_gfn, pl_pages;
	uint32_t pl_arena_pages; /* of the area that is mapped there; 0: none */
	uint64_t pl_endpoint;	 /* whose area it is, or whose peer's */
	bool pl_own;		 /* it is the endpoint's own */
	uint32_t pl_peer;	 /* else: the peer's number at the endpoint */
	int pl_event;		 /* the endpoint's, if it is its own area, or -1 */
	bool pl_going;		 /* the core may be taking the area away, or has done so */
};

LIST_HEAD(places, place);

/* places_take: a free run in [from, from + room), at a multiple of 2 MiB.  -ENOSPC, -ENOMEM */
int places_take(struct places *ps, uint64_t from, uint64_t room, uint64_t pages, uint64_t *gfn);

/* places_find: the one that begins there; NULL: none.  places_give: it is free. */
struct place *places_find(struct places *ps, uint64_t gfn);
void places_give(struct place *pl);

#endif
