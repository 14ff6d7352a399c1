/* SPDX-License-Identifier: BSD-2-Clause */
/* The channel library's way to the hypervisor (hv/chan/transport.h): hypercalls. */
#include <chan/transport.h>

#include "lombard-guest.h"
#include "start.h"

static int chan_op(unsigned int cmd, const void *arg)
{
	return (int)hypercall(LOMBARD_HYPERCALL_chan_op, cmd, (uint64_t)arg, 0, 0, 0);
}

static int place(void *ctx, uint32_t pages, uint64_t *gfn, void **addr)
{
	int err = window_take(pages, CHAN_HUGE_PAGES, gfn);

	(void)ctx;
	if (err == 0)
		*addr = (void *)(*gfn * PAGE_SIZE);
	return err;
}

static void unplace(void *ctx, uint64_t gfn, uint32_t pages)
{
	(void)ctx;
	(void)pages;
	if (window_give(gfn) != 0)
		die("guest: no memory to note that window %#llx is free", (unsigned long long)gfn);
}

static int create(struct chan_endpoint *ep, struct chan_create *op)
{
	int err = event_init();

	if (err == 0)
		err = chan_op(CHANOP_create, op);
	if (err != 0)
		return err;
	ep->id = op->id;
	ep->port = op->port;
	ep->fd = CHAN_TRANSPORT_NO_FD;
	return 0;
}

static int connect(struct chan_endpoint *ep, struct chan_connect *op)
{
	(void)ep;
	return chan_op(CHANOP_connect, op);
}

static int accept(struct chan_endpoint *ep, struct chan_connect *op)
{
	(void)ep;
	return chan_op(CHANOP_accept, op);
}

static int query(struct chan_endpoint *ep, struct chan_query *op)
{
	(void)ep;
	return chan_op(CHANOP_query, op);
}

static int seal(struct chan_endpoint *ep, const struct chan_seal *op)
{
	(void)ep;
	return chan_op(CHANOP_seal, op);
}

static int refresh(struct chan_endpoint *ep, const struct chan_refresh *op)
{
	(void)ep;
	return chan_op(CHANOP_refresh, op);
}

static int reap(struct chan_endpoint *ep)
{
	const struct chan_id op = {.id = ep->id};

	return chan_op(CHANOP_reap, &op);
}

static int notify(struct chan_endpoint *ep, uint32_t peers)
{
	const struct chan_peers op = {.id = ep->id, .peers = peers};

	return chan_op(CHANOP_notify, &op);
}

static int drop(struct chan_endpoint *ep, uint32_t peer)
{
	const struct chan_peers op = {.id = ep->id, .peers = peer};

	return chan_op(CHANOP_drop, &op);
}

static void close(struct chan_endpoint *ep)
{
	const struct chan_id op = {.id = ep->id};

	(void)chan_op(CHANOP_close, &op);
	(void)event_take(ep->port);
}

static int wait(struct chan_endpoint *ep, uint64_t deadline)
{
	return event_wait(&ep->port, 1, deadline == UINT64_MAX ? TIME_FOREVER : deadline, NULL);
}

static bool take(struct chan_endpoint *ep)
{
	return event_take(ep->port);
}

static uint64_t now_ns(void *ctx)
{
	(void)ctx;
	return time_ns();
}

static size_t pages_of(size_t bytes)
{
	return (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* Untouched pages first: they are zeroes already, and most of this is rarely used. */
static void *alloc(void *ctx, size_t bytes)
{
	void *memory = page_alloc_untouched(pages_of(bytes));

	(void)ctx;
	return memory != NULL ? memory : page_alloc(pages_of(bytes));
}

static void release(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	page_free(memory, pages_of(bytes));
}

const struct chan_transport *chan_default_transport(void)
{
	static const struct chan_transport transport = {
	    .place = place,
	    .unplace = unplace,
	    .create = create,
	    .connect = connect,
	    .accept = accept,
	    .query = query,
	    .seal = seal,
	    .refresh = refresh,
	    .reap = reap,
	    .notify = notify,
	    .drop = drop,
	    .close = close,
	    .wait = wait,
	    .take = take,
	    .now_ns = now_ns,
	    .alloc = alloc,
	    .free = release,
	};

	return &transport;
}
