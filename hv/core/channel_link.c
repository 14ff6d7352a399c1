/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links between endpoints: connect, accept, drop.
 */
#include <errno.h>

#include "core/channel_private.h"

/* => mutex.  A free link of an endpoint; NULL: it has all the peers it wants. */
static struct link *link_free_one(struct endpoint *ep)
{
	for (unsigned i = 0; i < ep->ep_max_peers; i++)
		if (ep->ep_links[i].li_state == LINK_FREE)
			return &ep->ep_links[i];
	return NULL;
}

/* => mutex.  The place for a peer's area: large enough, and in the caller's window area. */
static int check_place(
    const struct guest *g, const struct endpoint *peer, const struct chan_connect *op)
{
	uint64_t pages = CHAN_AREA_PAGES((uint64_t)peer->ep_arena_pages);

	if (pages > op->room)
		return -ENOSPC;
	if (op->gfn % CHAN_HUGE_PAGES != 0 || !guest_windows_p(g, op->gfn, pages))
		return -EINVAL;
	return 0;
}

static void describe(struct chan_connect *op, const struct endpoint *ep, const struct link *l)
{
	op->arena_pages = l->li_peer->ep_arena_pages;
	op->frame_pages = l->li_peer->ep_frame_pages;
	op->domid = l->li_peer->ep_domid;
	op->peer = link_number(ep, l);
	op->remote = l->li_remote;
}

/* => mutex.  Reserve a link at both ends. */
static int begin_connect(struct guest *g, struct endpoint *ep, const struct chan_connect *op)
{
	struct endpoint *peer = channel_find_name(op->name);
	struct link *l;
	int error;

	if (ep->ep_links[0].li_state != LINK_FREE)
		return -EISCONN;
	if (peer == NULL)
		return -ENOENT;
	error = check_place(g, peer, op);
	if (error != 0)
		return error;
	l = link_free_one(peer);
	if (l == NULL)
		return -EBUSY;
	link_take(peer, l, LINK_RESERVED, ep, 0, 0);
	link_take(ep, &ep->ep_links[0], LINK_BUSY, peer, link_number(peer, l), op->gfn);
	return 0;
}

/* => mutex.  The peer is mapped: both are connected, unless it has closed meanwhile. */
static int end_connect(struct endpoint *ep, struct chan_connect *op)
{
	struct link *l = &ep->ep_links[0], *back;

	if (l->li_gone)
		return -ENOENT;
	back = &l->li_peer->ep_links[l->li_remote];
	back->li_state = LINK_WAITING;
	l->li_state = LINK_MAPPED;
	link_set_connected(ep, 0, true);
	link_set_connected(l->li_peer, l->li_remote, true);
	channel_raise(l->li_peer);
	describe(op, ep, l);
	return 0;
}

/* Take a link to a peer down that was not to be.  Its area is not mapped. */
static void abandon(struct endpoint *ep, struct link *l)
{
	struct endpoint *peer;

	channels_lock();
	link_sever(ep, l);
	peer = link_give(ep, l);
	channels_unlock();
	channel_rele(peer);
}

int64_t channel_connect(struct guest *g, struct chan_connect *op)
{
	struct endpoint *ep = channel_find(g, op->id);
	struct link *l;
	int error, undone = 0;

	if (ep == NULL)
		return -EBADF;
	if (ep->ep_name[0] != '\0' || !channel_name_p(op->name) || op->name[0] == '\0')
		return -EINVAL;
	error = channel_place(g, &op->gfn, op->room);
	if (error != 0)
		return error;
	l = &ep->ep_links[0];
	channels_lock();
	error = begin_connect(g, ep, op);
	channels_unlock();
	if (error != 0)
		return error;
	error = area_show(l->li_peer, g->g_map, op->gfn, false);
	if (error == 0) {
		channels_lock();
		error = end_connect(ep, op);
		channels_unlock();
		if (error != 0)
			undone = area_hide(l->li_peer, g->g_map, op->gfn);
	}
	if (error != 0)
		abandon(ep, l);
	return undone != 0 ? undone : error;
}

/* => mutex.  The first peer that waits to be accepted; those that have gone are not there. */
static struct link *waiting_link(struct endpoint *ep)
{
	for (unsigned i = 0; i < ep->ep_max_peers; i++)
		if (ep->ep_links[i].li_state == LINK_WAITING)
			return &ep->ep_links[i];
	return NULL;
}

static int begin_accept(
    struct guest *g, struct endpoint *ep, const struct chan_connect *op, struct link **lp)
{
	struct link *l = waiting_link(ep);
	int error;

	if (l == NULL)
		return -EAGAIN;
	error = check_place(g, l->li_peer, op);
	if (error != 0)
		return error;
	l->li_state = LINK_BUSY;
	l->li_gfn = op->gfn;
	*lp = l;
	return 0;
}

/* => mutex.  After a failure it waits again, for another place; unless it has gone. */
static void end_accept(
    struct endpoint *ep, struct link *l, struct chan_connect *op, int error, struct endpoint **left)
{
	*left = NULL;
	if (error == 0) {
		l->li_state = LINK_MAPPED;
		describe(op, ep, l);
	} else if (l->li_gone) {
		*left = link_give(ep, l);
	} else {
		l->li_state = LINK_WAITING;
	}
}

int64_t channel_accept(struct guest *g, struct chan_connect *op)
{
	struct endpoint *ep = channel_find(g, op->id), *left;
	struct link *l;
	int error;

	if (ep == NULL)
		return -EBADF;
	error = channel_place(g, &op->gfn, op->room);
	if (error != 0)
		return error;
	channels_lock();
	error = begin_accept(g, ep, op, &l);
	channels_unlock();
	if (error != 0)
		return error;
	error = area_show(l->li_peer, g->g_map, op->gfn, false);
	channels_lock();
	end_accept(ep, l, op, error, &left);
	channels_unlock();
	if (left != NULL)
		channel_rele(left);
	return error;
}

int64_t channel_query(struct guest *g, struct chan_query *op)
{
	struct endpoint *ep = channel_find(g, op->id), *peer = NULL;
	struct link *l;
	int error = 0;

	if (ep == NULL)
		return -EBADF;
	if (!channel_name_p(op->name))
		return -EINVAL;
	channels_lock();
	if (op->name[0] != '\0') {
		peer = channel_find_name(op->name);
		error = -ENOENT;
	} else {
		l = waiting_link(ep);
		peer = l != NULL ? l->li_peer : NULL;
		error = -EAGAIN;
	}
	if (peer != NULL) {
		op->arena_pages = peer->ep_arena_pages;
		op->frame_pages = peer->ep_frame_pages;
		error = 0;
	}
	channels_unlock();
	return error;
}

/* What is mapped stays so until its owner's thread drops it. */
static bool mapped(const struct link *l)
{
	bool yes;

	channels_lock();
	yes = l->li_state == LINK_MAPPED;
	channels_unlock();
	return yes;
}

int64_t channel_drop(struct guest *g, const struct chan_peers *op)
{
	struct endpoint *ep = channel_find(g, op->id), *peer;
	struct link *l;
	int error;

	if (ep == NULL)
		return -EBADF;
	if (op->pad != 0 || op->peers >= CHAN_MAX_PEERS)
		return -EINVAL;
	l = &ep->ep_links[op->peers];
	if (!mapped(l))
		return -EINVAL;
	/* What we sent it sealed is its own by now, and we shall write there. */
	error = seals_keep_for(ep, op->peers);
	if (error != 0)
		return error;
	channels_lock();
	l->li_state = LINK_BUSY;
	link_sever(ep, l);
	seals_forget_peer(ep, op->peers);
	channels_unlock();
	error = area_hide(l->li_peer, g->g_map, l->li_gfn);
	channels_lock();
	peer = link_give(ep, l);
	channels_unlock();
	seals_settle(ep);
	seals_settle(peer);
	channel_rele(peer);
	return error;
}
