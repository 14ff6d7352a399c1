/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CLIENT_H
#define HV_XEN_CLIENT_H
/*
 * Xen tools as clients of the cell: one connection for each handle of a Xen library, served by the
 * thread of its session (core/session.h).  proto/xenwire.h says what is spoken.
 *
 * A client acts as the host (domain 0): what it may do is what whoever can open the socket may do.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto/xenwire.h"

struct xen_client;

/* An answer under construction.  Descriptors stay the giver's. */
struct xen_reply {
	struct xenwire_reply head;
	union {
		uint32_t refs[XENWIRE_MAX_ELEMENTS];
		int32_t errors[XENWIRE_MAX_ELEMENTS];
		struct xenwire_page pages[XENWIRE_MAX_ELEMENTS];
	} u;
	size_t element_size; /* of the member of u that is used */
	int fds[XENWIRE_MAX_FDS];
	unsigned nfds;
};

/* A request, as it came: the client's words, copied once. */
struct xen_request {
	struct xenwire_request head;
	union {
		uint64_t gfns[XENWIRE_MAX_ELEMENTS];
		struct xenwire_ref refs[XENWIRE_MAX_ELEMENTS];
		struct xenwire_fill fills[XENWIRE_MAX_FILL];
	} u;	/* head.n of them */
	int fd; /* came with it, or -1; closed afterwards unless it is taken by setting -1 */
};

/*
 * A request's function.  => the reply is zero but for head.value, which is -ENOSYS
 * => may block; the client's connection waits
 */
typedef void xen_request_fn(struct xen_client *c, struct xen_request *req, struct xen_reply *rep);

struct xen_client_kind {
	const char *name;
	/*
	 * open: 0 or -errno.  *fd, if it is set, goes to the client with the answer, and is closed
	 * here.  close: the client is gone: end all that it had
	 */
	int (*open)(struct xen_client *c, int *fd);
	void (*close)(struct xen_client *c);
	/*
	 * A descriptor that the serving thread watches besides the connection: events: what for.
	 * watched: it is ready.  NULL: there is none.
	 */
	int (*watch)(struct xen_client *c, short *events);
	void (*watched)(struct xen_client *c);
	const struct xen_client_op {
		uint32_t op;
		size_t element_size; /* of the request's elements; 0: it has none */
		xen_request_fn *call;
	} * ops; /* ends with op 0 */
};

struct xen_client {
	int xc_fd; /* the session's */
	const struct xen_client_kind *xc_kind;
	void *xc_data; /* the kind's own */
};

extern const struct xen_client_kind xen_call_kind, xen_foreign_kind, xen_evtchn_kind,
    xen_gnttab_kind, xen_gntshr_kind;

/*
 * xen_client_open: a client of this kind, on a connection that stays the caller's.
 * => *fd: a descriptor for the client, to be sent and closed, or -1
 * => 0; -EINVAL: there is no such kind; -ENOMEM, -EMFILE, ...
 */
int xen_client_open(const char *kind, int connection, struct xen_client **cp, int *fd);

/* xen_client_serve: answer requests until the client hangs up or speaks nonsense. */
void xen_client_serve(struct xen_client *c);

/* xen_client_close: end all that it had. */
void xen_client_close(struct xen_client *c);

#endif
