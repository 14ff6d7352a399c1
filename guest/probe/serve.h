/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_SERVE_H
#define LOMBARD_PROBE_SERVE_H
/*
 * What the bench and the guest that it measures say to each other, through one page of the guest's
 * memory: the mailbox.  The bench writes a request and counts `request` up, then raises the guest's
 * event; the guest does it, writes the answer and sets `done` to the request's number.  Nothing
 * else touches the guest in between, so it sleeps while the bench measures.
 */
#include <stdint.h>

enum serve_op {
	SERVE_TOUCH = 1, /* write into each page: times[0] is how long that took in all */
	SERVE_LEND,  /* touch; then times[1] a bare exit, [2] loan_op info, [3] lend and recall */
	SERVE_BREAK, /* touch, lend, write into each page: its time in times[page]; recall */
};

#define SERVE_MAX_TIMES 64u /* most pages of a SERVE_BREAK */

/* [bench] and [guest] say who writes. */
struct serve_mailbox {
	uint64_t request; /* [bench] last, with release */
	uint64_t done;	  /* [guest] last, with release */
	uint32_t op;	  /* [bench] enum serve_op */
	int32_t error;	  /* [guest] 0, or what a hypercall said */
	uint32_t first;	  /* [bench] pages [first, first + pages) of the arena */
	uint32_t pages;
	uint64_t times[SERVE_MAX_TIMES]; /* [guest] ns */
};

_Static_assert(sizeof(struct serve_mailbox) <= 4096, "the mailbox is one page");

/* The line that the guest prints when it serves: gfns of mailbox and arena, the event's port. */
#define SERVE_LINE "probe: serving mailbox=%llu arena=%llu port=%u"

#endif
