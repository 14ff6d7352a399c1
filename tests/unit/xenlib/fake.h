/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_XENLIB_FAKE_H
#define TESTS_UNIT_XENLIB_FAKE_H
/*
 * A cell as the Xen libraries see it: a socket, and the requests of xenwire.h, answered from memory.
 *
 * Domain FAKE_DOMID has FAKE_PAGES pages, of which page i begins with the number i; FAKE_ZERO has
 * nothing behind it, and reading shows zeroes; FAKE_PAGED is paged out (-ENOENT); others are -EINVAL.
 * The same pages are granted as the references of their numbers.  There is no other domain (-ESRCH).
 */
#include <stdint.h>

#define FAKE_DOMID 1u
#define FAKE_PAGES 3000u
#define FAKE_ZERO 100u
#define FAKE_PAGED 101u

/* Hypercalls that it has. */
enum {
	FAKE_CALL_SUM = 1, /* of the arguments */
	FAKE_CALL_ERROR,   /* -arg[0] */
	FAKE_CALL_WRITE,   /* arg[1] as a uint64_t, to the address arg[0] */
	FAKE_CALL_READ,	   /* the uint64_t at the address arg[0] */
	FAKE_CALL_LARGE,   /* 1 << 40 */
	FAKE_CALL_BUFFERS, /* how many buffers this connection has */
	FAKE_CALL_WAIT,	   /* until fake_go_on */
};

/* How it answers from now on. */
enum fake_mood {
	FAKE_GOOD,
	FAKE_REFUSES,	/* no handle: EACCES */
	FAKE_BABBLES,	/* no JSON */
	FAKE_NO_STREAM, /* no descriptor where one is due */
	FAKE_SHORT,	/* a part of an answer */
	FAKE_MANY,	/* more elements than it sends */
	FAKE_WRONG_FD,	/* pages of a descriptor that does not come */
	FAKE_FAILS,	/* every request is -ENOSPC */
	FAKE_SILENT,	/* hangs up on every request */
};

/* fake_start: listens, and $LOMBARD_SOCKET names it.  fake_stop: hangs up on all, and is gone. */
void fake_start(void);
void fake_stop(void);

void fake_mood(enum fake_mood mood);

/* At most so many pages in an answer; 0: as many as are asked for. */
void fake_pages_at_once(unsigned n);

/* fake_hang_up: on all; it goes on listening. */
void fake_hang_up(void);
void fake_go_on(void);

/* What there is: connections, calls that wait, maps, grant maps and shares that have not ended. */
unsigned fake_connections(void), fake_waiting(void), fake_maps(void);
/* How many connections there were, and maps with the pages that were asked for. */
unsigned fake_connections_ever(void), fake_maps_ever(void);
/* The same as fake_connections, when it has heard of all ends: waits until there are n. */
int fake_has_connections(unsigned n);

/* The byte and port that the last map or share had for its end. */
uint32_t fake_notify_offset(void), fake_notify_port(void);

/* The next number that a program has written to the stream of its events; it must be the only one. */
uint32_t fake_number(void);

/* The pages themselves. */
uint64_t *fake_page(unsigned n);

#endif
