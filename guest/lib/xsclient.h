/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XSCLIENT_H
#define LOMBARD_XSCLIENT_H
/*
 * A client of a xenstore over a ring in shared memory (Xen public/io/xs_wire.h): what is spoken,
 * without how the ring came here and how one waits.  xenstore.c has that.
 *
 * The other side is not trusted with anything but the answers themselves: indices and lengths are
 * read once and checked, and after the first that can't be the client is broken: -XEN_EIO from then
 * on.  It answers one request at a time.  Events of watches that come in between are kept, as many as
 * fit.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/errno.h>
#include <xen/io/xs_wire.h>

#define XSCLIENT_EVENTS 8192u /* bytes for events that nobody has taken yet */

struct xsclient_ops {
	/* kick: tell the other side.  wait: until it tells us something: 0, or -XEN_ETIME */
	void (*kick)(void *arg);
	int (*wait)(void *arg, uint64_t deadline);
};

struct xsclient {
	struct xenstore_domain_interface *xc_ring;
	const struct xsclient_ops *xc_ops;
	void *xc_arg;
	bool xc_broken;
	bool xc_missed;			   /* an event did not fit */
	uint32_t xc_req_prod, xc_rsp_cons; /* our own indices, whatever the page says */
	uint32_t xc_last_id;
	/* The packet that is coming in. */
	uint32_t xc_got; /* bytes of it, head and body */
	struct xsd_sockmsg xc_head;
	char xc_body[XENSTORE_PAYLOAD_MAX + 1]; /* a NUL behind it */
	/* Events: a length (uint16_t) and that many bytes for each: path, NUL, token, NUL. */
	uint32_t xc_nevents; /* bytes */
	char xc_events[XSCLIENT_EVENTS];
};

struct xsclient_part {
	const void *p;
	size_t len;
};

/* xsclient_init: use this ring from where it stands.  => 0; -XEN_EIO: its indices can't be */
int xsclient_init(struct xsclient *c, struct xenstore_domain_interface *ring,
    const struct xsclient_ops *ops, void *arg);

/*
 * xsclient_call: one request (XS_*) and its answer, which stays in xc_body up to the next call.
 * => the length of the answer; the store's error; -XEN_E2BIG: longer than a packet may be;
 *    -XEN_ETIME: no answer in time, and -XEN_EIO: nonsense: both break the client
 */
int xsclient_call(struct xsclient *c, uint32_t type, uint32_t tx, const struct xsclient_part *parts,
    unsigned int nparts, uint64_t deadline);

/*
 * xsclient_event: the next event; path and token have room for XENSTORE_PAYLOAD_MAX + 1 bytes each.
 * => 0; -XEN_ETIME; -XEN_ENOSPC: some were lost, anything may have changed; -XEN_EIO
 */
int xsclient_event(struct xsclient *c, char *path, char *token, uint64_t deadline);

#endif
