/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_LINK_H
#define LOMBARD_XEN_LINK_H
/*
 * A connection of one of the Xen libraries to the cell (proto/xenwire.h).
 *
 * After a fork, parent and child have the same connection.  So its lock lies in memory that both
 * share, and lets one request at a time through, whoever makes it.  A process that dies between a
 * request and its answer takes the connection with it: nobody could tell whose answer comes next.
 *
 * All functions may be called by any thread.  Errors: 0 or -errno; -EPIPE: the connection is lost,
 * or was never made.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto/xenwire.h"

struct xentoollog_logger;

struct link {
	int fd; /* -1: there is none */
	struct link_shared *shared;
};

#define LINK_NONE ((struct link){.fd = -1})

struct link_request {
	struct xenwire_request head;
	union {
		uint64_t gfns[XENWIRE_MAX_ELEMENTS];
		struct xenwire_ref refs[XENWIRE_MAX_ELEMENTS];
		struct xenwire_fill fills[XENWIRE_MAX_FILL];
	} u; /* head.n of them */
};

struct link_answer {
	struct xenwire_reply head;
	union {
		uint32_t refs[XENWIRE_MAX_ELEMENTS];
		int32_t errors[XENWIRE_MAX_ELEMENTS];
		struct xenwire_page pages[XENWIRE_MAX_ELEMENTS];
	} u;			  /* head.n of them */
	int fds[XENWIRE_MAX_FDS]; /* the caller's to close: link_drop_fds */
	unsigned nfds;
};

/*
 * link_open: connect to $LOMBARD_SOCKET, else /run/lombard/cell.sock, as a handle of this kind.
 * => *stream: the descriptor that came with it, or -1; stream may be NULL: none is expected
 * => both are close-on-exec
 */
int link_open(struct link *l, const char *kind, int *stream);

/* link_close: drop it, in this process; it ends when all have.  Keeps errno.  May be LINK_NONE. */
void link_close(struct link *l);

/*
 * link_ask: one request and its answer.
 * => request_element, answer_element: sizes of the members of u that are used; 0: none
 * => fd: goes along, or -1
 * => the answer's value (which may be a count, or a number), or a negative error, the cell's or of
 *    the connection; then nothing is in the answer
 */
int64_t link_ask(struct link *l, const struct link_request *req, size_t request_element, int fd,
    struct link_answer *a, size_t answer_element);

/* link_tell: a request without elements, whose answer is only a value. */
int64_t link_tell(struct link *l, const struct xenwire_request *req);

void link_drop_fds(struct link_answer *a);

/*
 * link_explain: say why the cell could not be reached, to this logger, or to stderr if there is
 * none; context: the library's name.
 */
void link_explain(struct xentoollog_logger *logger, const char *context, int error);

#endif
