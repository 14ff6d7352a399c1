/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_CHANNEL_H
#define HV_CORE_CHANNEL_H
/*
 * Channels: endpoints, their names, peers and seals.  What a guest or host program sees of them is
 * in lombard/chan.h, the memory behind them in uvm/uvm_arena.h.
 *
 * An endpoint belongs to one guest (a host program is one, too) and is worked on by that guest's
 * own thread; other threads connect to it, close on it, or look for released seals.  It lives until
 * its owner has closed it and the last peer has dropped it.
 */
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;
struct guest;

/* What the core keeps of each guest's endpoints: zeroes at first. */
struct channel_owner {
	LIST_HEAD(, endpoint) co_endpoints; /* those that are open */
	unsigned co_count;
	uint64_t co_pages; /* of all their arenas */
};

/*
 * channel_op: CHANOP_* by a guest; from its own thread, outside the world.
 * => arg: the command's structure, len bytes, already copied from the guest; results go into it,
 *    and *results is set when they are to be copied back
 * => a count or 0, or a negative Xen error (lombard/chan.h); -ENOSYS: no such command; -EINVAL: a
 *    bad length; -ENOTRECOVERABLE: the guest's process may have done half of it: it must be killed
 */
int64_t channel_op(struct guest *g, uint32_t cmd, void *arg, uint32_t len, bool *results);

/*
 * channel_ports_close: the guest is about to close ports from first to last: so are the endpoints that were to
 * be told of events by them.  => its thread, inside the world; 0 or -ENOTRECOVERABLE, as channel_op
 */
int channel_ports_close(struct guest *g, uint32_t first, uint32_t last);

/*
 * A guest's end, from its own thread, its process being gone.
 * channel_guest_gone: its endpoints close: peers are told, names are free.  => before its event
 *	channels and its map go
 * channel_guest_settled: its hold on others' areas ends.  => its map is gone; inside the world
 */
void channel_guest_gone(struct guest *g);
void channel_guest_settled(struct guest *g);

/* channel_area_of: whose area is at gfn of a guest, in words, for messages.  False: nobody's. */
bool channel_area_of(struct guest *g, uint64_t gfn, char *buf, size_t len);

/* For accounts. */
struct channel_peer_info {
	uint64_t id;	/* the peer's endpoint */
	uint32_t domid; /* the peer */
	uint32_t number;
	uint32_t stale; /* frames that it sees as they once were */
	bool accepted, gone;
};

struct channel_info {
	uint64_t id;
	const char *name;
	uint32_t domid; /* the owner */
	bool closed;
	uint32_t arena_pages, frame_pages;
	uint32_t seals; /* messages that are sealed */
	const struct channel_peer_info *peers;
	unsigned npeers;
};

/*
 * channel_each: visit all endpoints, the newest first. => visit is short, and calls none of these
 */
void channel_each(void (*visit)(void *arg, const struct channel_info *info), void *arg);

#endif
