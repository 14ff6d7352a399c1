/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROTO_XENWIRE_H
#define LOMBARD_PROTO_XENWIRE_H
/*
 * What our libxencall, libxenforeignmemory, libxengnttab and libxenevtchn (host-tools/xen) say to
 * lombardd for the Xen tools that use them.  Private to one build of Lombard, as wire.h is.
 *
 * A handle of such a library is a connection to the cell's socket, on which the operation `xen` of
 * docs/control-protocol.md was called with one of the kinds below.  From then on each packet of the
 * client is a struct xenwire_request with req.n elements of an array behind it, and is answered by
 * one packet, a struct xenwire_reply with reply.n elements behind it.  Descriptors ride along.
 *
 *	kind		requests				elements		answer's elements
 *	call		CALL, BUFFER (+ fd), UNBUFFER		none			none
 *	foreignmemory	FOREIGN_MAP				uint64_t gfn		xenwire_page
 *			FOREIGN_UNMAP, RESOURCE_SIZE		none			none
 *			RESOURCE_MAP				none			xenwire_page
 *	gnttab		GRANT_MAP				xenwire_ref		xenwire_page
 *			GRANT_UNMAP				none			none
 *			GRANT_ONLY, GRANT_FILE (+ fd)		none			none
 *			GRANT_FILL				xenwire_fill		int32_t error
 *	gntshr		SHARE					none			uint32_t ref
 *			UNSHARE					none			none
 *	evtchn		EVENT_*					none			none
 *
 * Whatever a client has made through a connection (mappings, grants, shared pages, ports) ends with
 * it.  lombardd trusts no field.
 *
 * kind evtchn: the answer to the operation `xen` brings a stream socket.  The core writes a port
 * number (uint32_t) there when an event arrives for a port that is not masked, and masks the port;
 * the client writes the number back to unmask it.  With XENWIRE_EVENT_SEND set in it an event is sent by
 * this port instead, as by EVENT_NOTIFY, but nobody waits for an answer; it is done before requests that
 * are made afterwards.
 *
 * Port XENWIRE_XENSTORE_PORT of the host is there from the start, for domain 0: a xenstored binds to
 * it in place of a kernel's port.  Nobody hears or sends there.
 */
#include <stdint.h>

#define XENWIRE_MAX_ELEMENTS 1024u /* in one packet */
#define XENWIRE_MAX_FDS 16u	   /* with one packet */
#define XENWIRE_PAGE 4096u
#define XENWIRE_XENSTORE_PORT 1u
#define XENWIRE_EVENT_SEND 0x80000000u

enum xenwire_op {
	XENWIRE_CALL = 1,
	XENWIRE_BUFFER,
	XENWIRE_UNBUFFER,
	XENWIRE_FOREIGN_MAP,
	XENWIRE_FOREIGN_UNMAP,
	XENWIRE_RESOURCE_SIZE,
	XENWIRE_RESOURCE_MAP,
	XENWIRE_GRANT_MAP,
	XENWIRE_GRANT_UNMAP,
	XENWIRE_GRANT_ONLY,
	XENWIRE_GRANT_FILE,
	XENWIRE_GRANT_FILL,
	XENWIRE_SHARE,
	XENWIRE_UNSHARE,
	XENWIRE_EVENT_UNBOUND,	   /* reply.value: the new port */
	XENWIRE_EVENT_INTERDOMAIN, /* reply.value: the new port */
	XENWIRE_EVENT_VIRQ,	   /* reply.value: the new port */
	XENWIRE_EVENT_UNBIND,
	XENWIRE_EVENT_NOTIFY,
	XENWIRE_EVENT_ONLY,
};

#define XENWIRE_READ 1u
#define XENWIRE_WRITE 2u

#define XENWIRE_NO_OFFSET UINT32_MAX /* no byte to clear */
#define XENWIRE_NO_PORT UINT32_MAX   /* no event to send */

struct xenwire_request {
	uint32_t op; /* enum xenwire_op */
	uint32_t n;  /* elements behind this structure, at most XENWIRE_MAX_ELEMENTS */
	union {
		/* CALL: a hypercall.  Pointers lie in buffers.  reply.value: its value */
		struct {
			uint64_t nr;
			uint64_t arg[5];
		} call;
		/*
		 * BUFFER: pages of this program that hypercalls may point to, from page 0 of a memfd
		 * (the packet's descriptor) that the program maps there.  UNBUFFER: no longer; as it
		 * was given, or -EINVAL
		 */
		struct {
			uint64_t address;
			uint64_t npages;
		} buffer;
		/*
		 * FOREIGN_MAP: reply.value: the map's number.  more: that of an earlier answer, whose
		 * map these pages go into as well; 0: a new one.  Each page has its own error.  The
		 * answer has fewer elements when their descriptors do not fit: ask again for the rest
		 */
		struct {
			uint32_t domid;
			uint32_t prot; /* XENWIRE_READ, _WRITE */
			uint64_t more;
		} map;
		/* RESOURCE_*: Xen's XENMEM_resource_*.  SIZE: reply.value: bytes; MAP: the map's number */
		struct {
			uint32_t domid;
			uint32_t type;
			uint32_t id;
			uint32_t prot;
			uint64_t frame;
			uint64_t nframes;
		} resource;
		/*
		 * GRANT_MAP: reply.value: the map's number; all pages or none.  When the map ends, the
		 * byte at offset (in these pages) becomes 0, and an event is sent by the client's port,
		 * as xengnttab_map_grant_ref_notify says.  With more neither may be given.  -EMFILE: the
		 * pages lie in more than XENWIRE_MAX_FDS memfds
		 */
		struct {
			uint32_t prot;
			uint32_t notify_offset;
			uint32_t notify_port;
			uint32_t pad;
			uint64_t more; /* as in map: the pages go on where that map's last ended */
		} grant;
		/*
		 * SHARE: new pages, zeroes, granted to a domain: reply.value: the share's number;
		 * reply's descriptor: a memfd with these pages from page 0 on.  When the share ends,
		 * as with GRANT_MAP
		 */
		struct {
			uint32_t domid;
			uint32_t npages;
			uint32_t writable;
			uint32_t notify_offset;
			uint32_t notify_port;
			uint32_t pad;
		} share;
		/*
		 * FOREIGN_UNMAP, GRANT_UNMAP, UNSHARE: the number.
		 *
		 * GRANT_ONLY: a guest's domid: from now on, for good, the connection can use the grants of
		 * this guest only, and none when that has ended; and send no event when a map ends.
		 * -EPERM afterwards; with maps -EBUSY
		 *
		 * EVENT_ONLY: likewise: new ports for this guest only, and none for virtual interrupts;
		 * -EBUSY after the first port
		 *
		 * GRANT_FILE: after GRANT_ONLY, once: the packet's descriptor is a regular file, open for
		 * reading, whose pages GRANT_FILL lends.
		 *
		 * GRANT_FILL: granted pages of the guest, which must be granted to be written, become pages
		 * of the file, copy-on-write; at most XENWIRE_MAX_FILL.  Each has its own error, and is
		 * then what it was: -EBUSY, -ENOSPC, ...: it can be mapped and written to instead.
		 * reply.value -ESTALE: the file is not any more what it was: none was filled
		 */
		uint64_t id;
		/* EVENT_UNBOUND: domid; _INTERDOMAIN: domid and its port; _VIRQ: virq; others: port */
		struct {
			uint32_t domid;
			uint32_t port;
			uint32_t virq;
			uint32_t pad;
		} event;
		uint64_t pad[8];
	} u;
};

/* A granted page. */
struct xenwire_ref {
	uint32_t domid;
	uint32_t ref;
};

/* A granted page of the one guest that shall be a page of the file. */
#define XENWIRE_MAX_FILL 256u
struct xenwire_fill {
	uint32_t ref;
	uint32_t pad;
	uint64_t page;
};

/* Where a page lies that the client may map: page index of the answer's fd-th descriptor. */
#define XENWIRE_ZERO UINT32_MAX /* instead of fd: zeroes, read-only */
struct xenwire_page {
	int32_t error; /* 0, or -errno: this page is not there */
	uint32_t fd;
	uint64_t index;
};

struct xenwire_reply {
	int64_t value; /* what was asked for, or -errno, which are Xen's errors, too */
	uint32_t n;    /* elements behind this structure */
	uint32_t pad;
};

#endif
