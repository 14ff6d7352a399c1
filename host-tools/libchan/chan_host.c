/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport of host programs: hypercalls go over the cell's socket, events come by eventfd.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cell.h"
#include "chan/transport.h"
#include "chan_linux.h"
#include "domain.h"
#include "lib/reach.h"
#include "lib/program.h"

static int host_place(void *ctx, uint32_t pages, uint64_t *gfn, void **addr)
{
	(void)ctx;
	return cell_place(pages, gfn, addr);
}

static void host_unplace(void *ctx, uint64_t gfn, uint32_t pages)
{
	(void)ctx;
	cell_unplace(gfn, pages);
}

static int host_create(struct chan_endpoint *ep, struct chan_create *op)
{
	int fd, ret = (int)cell_call(CHANOP_create, op, op, sizeof(*op), &fd);

	if (ret != 0)
		return ret;
	if (fd < 0) {
		const struct chan_id id = {.id = op->id};

		(void)cell_call(CHANOP_close, &id, NULL, sizeof(id), NULL);
		return -EPROTO;
	}
	ep->id = op->id;
	ep->port = 0;
	ep->fd = fd;
	ep->data = NULL;
	cell_own_area(op->id, op->gfn, op->arena_pages, fd);
	return 0;
}

static void host_close(struct chan_endpoint *ep)
{
	const struct chan_id op = {.id = ep->id};

	cell_areas_go(ep->id);
	(void)cell_call(CHANOP_close, &op, NULL, sizeof(op), NULL);
	close(ep->fd);
	ep->fd = CHAN_TRANSPORT_NO_FD;
}

static int map_peer(uint32_t cmd, struct chan_connect *op)
{
	int ret = (int)cell_call(cmd, op, op, sizeof(*op), NULL);

	if (ret == 0)
		cell_peer_area(op->id, op->peer, op->gfn, op->arena_pages);
	return ret;
}

static int host_connect(struct chan_endpoint *ep, struct chan_connect *op)
{
	(void)ep;
	return map_peer(CHANOP_connect, op);
}

static int host_accept(struct chan_endpoint *ep, struct chan_connect *op)
{
	(void)ep;
	return map_peer(CHANOP_accept, op);
}

static int host_query(struct chan_endpoint *ep, struct chan_query *op)
{
	(void)ep;
	return (int)cell_call(CHANOP_query, op, op, sizeof(*op), NULL);
}

static int host_seal(struct chan_endpoint *ep, const struct chan_seal *op)
{
	(void)ep;
	return (int)cell_call(CHANOP_seal, op, NULL, sizeof(*op), NULL);
}

static int host_refresh(struct chan_endpoint *ep, const struct chan_refresh *op)
{
	(void)ep;
	return (int)cell_call(CHANOP_refresh, op, NULL, sizeof(*op), NULL);
}

static int host_reap(struct chan_endpoint *ep)
{
	const struct chan_id op = {.id = ep->id};

	return (int)cell_call(CHANOP_reap, &op, NULL, sizeof(op), NULL);
}

static int with_peers(uint32_t cmd, const struct chan_endpoint *ep, uint32_t peers)
{
	const struct chan_peers op = {.id = ep->id, .peers = peers};

	return (int)cell_call(cmd, &op, NULL, sizeof(op), NULL);
}

static int host_notify(struct chan_endpoint *ep, uint32_t peers)
{
	return with_peers(CHANOP_notify, ep, peers);
}

static int host_drop(struct chan_endpoint *ep, uint32_t peer)
{
	uint64_t gfn = cell_peer_goes(ep->id, peer);
	int ret = with_peers(CHANOP_drop, ep, peer);

	if (ret == -ENOMEM)
		cell_stays(gfn);
	return ret;
}

static bool host_take(struct chan_endpoint *ep)
{
	uint64_t count;

	return read(ep->fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int host_wait(struct chan_endpoint *ep, uint64_t deadline)
{
	int error = program_wait(ep->fd, deadline);

	if (error == 0)
		(void)host_take(ep);
	return error;
}

static const struct chan_transport host_transport = {
    .place = host_place,
    .unplace = host_unplace,
    .create = host_create,
    .connect = host_connect,
    .accept = host_accept,
    .query = host_query,
    .seal = host_seal,
    .refresh = host_refresh,
    .reap = host_reap,
    .notify = host_notify,
    .drop = host_drop,
    .close = host_close,
    .wait = host_wait,
    .take = host_take,
    .now_ns = program_now_ns,
    .alloc = program_alloc,
    .free = program_free,
};

/* A guest that has a cell of its own is a host. */
static const struct chan_transport *choose(void)
{
	if (domain_p() && getenv("LOMBARD_SOCKET") == NULL && access(reach_path(), F_OK) != 0)
		return chan_linux_transport();
	return &host_transport;
}

const struct chan_transport *chan_default_transport(void)
{
	static const struct chan_transport *_Atomic chosen;

	if (chosen == NULL)
		chosen = choose();
	return chosen;
}
