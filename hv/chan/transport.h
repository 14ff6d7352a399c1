/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CHAN_TRANSPORT_H
#define HV_CHAN_TRANSPORT_H
/*
 * How the channel library reaches the hypervisor, the clock and memory: guests by hypercalls
 * (guest/lib/chan_guest.c), host programs by a socket, tests by plain memory.  Structures and their
 * rules are those of lombard/chan.h; the library fills in every [in] field, id included.
 *
 * int functions return 0 (or a count, where said) or a negative errno number.  An endpoint is used
 * by one thread at a time; different endpoints by different threads at once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lombard/chan.h>

#define CHAN_TRANSPORT_NO_FD (-1)

struct chan_transport;

struct chan_endpoint {
	const struct chan_transport *transport;
	uint64_t id;   /* chan_create.id */
	uint32_t port; /* guests: the event channel; else 0 */
	int fd;	       /* host: readable while the event is raised; else CHAN_TRANSPORT_NO_FD */
	void *data;    /* the transport's own */
};

struct chan_transport {
	void *ctx; /* handed to the functions that have no endpoint */

	/*
	 * place: address space of the window area for this many pages, aligned to 2 MiB, with
	 * nothing mapped in it; *addr is where gfn will be seen.  -ENOSPC; -ENOMEM
	 * unplace: give it back; its area has been dropped or closed, or was never mapped.
	 */
	int (*place)(void *ctx, uint32_t pages, uint64_t *gfn, void **addr);
	void (*unplace)(void *ctx, uint64_t gfn, uint32_t pages);

	/*
	 * create: CHANOP_create; fills in all of *ep but ep->transport.  All others get that ep.
	 * close: CHANOP_close; ep is not used again, whatever the hypervisor says.
	 * reap returns the number of seals left; notify: a mask of peers.
	 * drop: `peer` is a peer's number.  -ENOMEM: nothing has changed; -EPIPE: the hypervisor
	 * is gone, and maps nothing any more.
	 */
	int (*create)(struct chan_endpoint *ep, struct chan_create *op);
	int (*connect)(struct chan_endpoint *ep, struct chan_connect *op);
	int (*accept)(struct chan_endpoint *ep, struct chan_connect *op);
	int (*query)(struct chan_endpoint *ep, struct chan_query *op);
	int (*seal)(struct chan_endpoint *ep, const struct chan_seal *op);
	int (*refresh)(struct chan_endpoint *ep, const struct chan_refresh *op);
	int (*reap)(struct chan_endpoint *ep);
	int (*notify)(struct chan_endpoint *ep, uint32_t peers);
	int (*drop)(struct chan_endpoint *ep, uint32_t peer);
	void (*close)(struct chan_endpoint *ep);

	/*
	 * wait: sleep until the endpoint's event is raised, and take it; -ETIME when the deadline
	 * (on now_ns's clock, UINT64_MAX: none) came first.  May return 0 early for no reason.
	 * take: take the event, if it is raised; never sleeps.
	 */
	int (*wait)(struct chan_endpoint *ep, uint64_t deadline);
	bool (*take)(struct chan_endpoint *ep);
	uint64_t (*now_ns)(void *ctx);

	/*
	 * alloc: private memory of the program, zeroes, aligned to 16 at least; NULL: none left.
	 * What is never touched should cost nothing: the library asks for more than it needs.
	 */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *memory, size_t bytes);
};

/* The one transport of the program, never NULL: what guests, or liblombard-chan, or a test define. */
const struct chan_transport *chan_default_transport(void);

#endif
