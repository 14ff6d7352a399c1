/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The channel library's way to the hypervisor from a program in a Linux guest.
 *
 * The hypervisor finds a place in the window area, since other programs of the guest have windows there,
 * too.  So what is called gfn between library and transport is no place there, but the number of the
 * virtual page where the area is to be seen: all there is to remember.
 */
#include "chan_linux.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chan/transport.h"
#include "domain.h"
#include "lib/program.h"

static int op(unsigned cmd, void *arg, size_t len)
{
	return domain_call(LOMBARD_HYPERCALL_chan_op, cmd, arg, len);
}

static uint8_t *address_of(uint64_t place)
{
	return (uint8_t *)(uintptr_t)(place * DOMAIN_PAGE);
}

static int place(void *ctx, uint32_t pages, uint64_t *gfn, void **addr)
{
	int error = domain_open(NULL);

	(void)ctx;
	if (error == 0)
		error = domain_reserve(pages * DOMAIN_PAGE, addr);
	if (error == 0)
		*gfn = (uintptr_t)*addr / DOMAIN_PAGE;
	return error;
}

static void unplace(void *ctx, uint64_t gfn, uint32_t pages)
{
	(void)ctx;
	domain_release(address_of(gfn), pages * DOMAIN_PAGE);
}

static void close_endpoint(struct chan_endpoint *ep)
{
	struct chan_id id = {.id = ep->id};

	(void)op(CHANOP_close, &id, sizeof(id));
	close(ep->fd);
	ep->fd = CHAN_TRANSPORT_NO_FD;
}

/* A write to the status pages would stop the whole guest: let it be the program's own end. */
static int show_own(uint64_t at, const struct chan_create *c)
{
	uint64_t ours = c->arena_pages + CHAN_CONTROL_PAGES;
	int error = domain_show(address_of(at), c->gfn, ours, PROT_READ | PROT_WRITE);

	return error != 0 ? error
			  : domain_show(
				address_of(at + ours), c->gfn + ours, CHAN_STATUS_PAGES, PROT_READ);
}

static int create(struct chan_endpoint *ep, struct chan_create *c)
{
	uint64_t at = c->gfn;
	int error = domain_port(&ep->fd, &c->port);

	if (error != 0)
		return error;
	c->gfn = CHAN_ANYWHERE;
	c->flags |= CHAN_OWN_PORT;
	error = op(CHANOP_create, c, sizeof(*c));
	if (error != 0) {
		close(ep->fd);
	} else {
		ep->id = c->id;
		ep->port = 0;
		ep->data = NULL;
		error = show_own(at, c);
		if (error != 0)
			close_endpoint(ep);
	}
	c->gfn = at;
	return error;
}

static int drop(struct chan_endpoint *ep, uint32_t peer)
{
	struct chan_peers peers = {.id = ep->id, .peers = peer};

	return op(CHANOP_drop, &peers, sizeof(peers));
}

static int map_peer(struct chan_endpoint *ep, unsigned cmd, struct chan_connect *c)
{
	uint64_t at = c->gfn;
	int error;

	c->gfn = CHAN_ANYWHERE;
	error = op(cmd, c, sizeof(*c));
	if (error == 0) {
		error = domain_show(
		    address_of(at), c->gfn, CHAN_AREA_PAGES(c->arena_pages), PROT_READ);
		if (error != 0)
			(void)drop(ep, c->peer);
	}
	c->gfn = at;
	return error;
}

static int connect(struct chan_endpoint *ep, struct chan_connect *c)
{
	return map_peer(ep, CHANOP_connect, c);
}

static int accept(struct chan_endpoint *ep, struct chan_connect *c)
{
	return map_peer(ep, CHANOP_accept, c);
}

static int query(struct chan_endpoint *ep, struct chan_query *q)
{
	(void)ep;
	return op(CHANOP_query, q, sizeof(*q));
}

static int seal(struct chan_endpoint *ep, const struct chan_seal *s)
{
	struct chan_seal copy = *s;

	(void)ep;
	return op(CHANOP_seal, &copy, sizeof(copy));
}

static int refresh(struct chan_endpoint *ep, const struct chan_refresh *r)
{
	struct chan_refresh copy = *r;

	(void)ep;
	return op(CHANOP_refresh, &copy, sizeof(copy));
}

static int reap(struct chan_endpoint *ep)
{
	struct chan_id id = {.id = ep->id};

	return op(CHANOP_reap, &id, sizeof(id));
}

static int notify(struct chan_endpoint *ep, uint32_t mask)
{
	struct chan_peers peers = {.id = ep->id, .peers = mask};

	return op(CHANOP_notify, &peers, sizeof(peers));
}

static bool take(struct chan_endpoint *ep)
{
	return domain_take(ep->fd);
}

static int wait(struct chan_endpoint *ep, uint64_t deadline)
{
	int error = program_wait(ep->fd, deadline);

	if (error == 0)
		(void)take(ep);
	return error;
}

const struct chan_transport *chan_linux_transport(void)
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
	    .close = close_endpoint,
	    .wait = wait,
	    .take = take,
	    .now_ns = program_now_ns,
	    .alloc = program_alloc,
	    .free = program_free,
	};

	return &transport;
}
