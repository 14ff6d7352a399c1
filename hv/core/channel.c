/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Endpoints: how they come and go, and find each other.
 *
 * A channel is a pair of links, one at each endpoint, that name each other by li_peer and
 * li_remote.  Whatever ends one side severs the pair: the other side's link is marked as gone, and
 * stays until its owner drops it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/channel_private.h"
#include "lib/sys.h"

LIST_HEAD(endpointlist, endpoint);
RB_HEAD(endpointtree, endpoint);

pthread_mutex_t channels_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct endpointlist endpoints = LIST_HEAD_INITIALIZER(endpoints);
static struct endpointtree names = RB_INITIALIZER(&names);
static uint64_t last_id;

static int name_cmp(const struct endpoint *a, const struct endpoint *b)
{
	return strcmp(a->ep_name, b->ep_name);
}

RB_GENERATE_STATIC(endpointtree, endpoint, ep_tree, name_cmp)

struct endpoint *channel_find(struct guest *g, uint64_t id)
{
	struct endpoint *ep;

	channels_lock();
	LIST_FOREACH (ep, &g->g_channels.co_endpoints, ep_owned)
		if (ep->ep_id == id)
			break;
	channels_unlock();
	return ep;
}

struct endpoint *channel_find_name(const char name[CHAN_NAME_LEN])
{
	struct endpoint key;

	memcpy(key.ep_name, name, CHAN_NAME_LEN);
	return RB_FIND(endpointtree, &names, &key);
}

int channel_place(struct guest *g, uint64_t *gfn, uint64_t pages)
{
	return *gfn == CHAN_ANYWHERE ? guest_find_place(g, pages, CHAN_HUGE_PAGES, gfn) : 0;
}

bool channel_name_p(const char name[CHAN_NAME_LEN])
{
	for (unsigned i = 0; i < CHAN_NAME_LEN; i++) {
		if (name[i] == '\0')
			return true;
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return false;
}

void channel_raise(struct endpoint *ep)
{
	struct guest *g = ep->ep_guest;
	uint64_t one = 1;

	if (ep->ep_closed)
		return;
	if (!g->g_program)
		evtchn_core_raise(&g->g_events, ep->ep_port);
	else if (write(ep->ep_event, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return; /* the count is full: the program has not looked for ages */
}

void channel_rele(struct endpoint *ep)
{
	if (atomic_fetch_sub(&ep->ep_refs, 1) != 1)
		return;
	channels_lock();
	LIST_REMOVE(ep, ep_all);
	channels_unlock();
	seals_end(ep);
	area_free(ep);
	free(ep);
}

/* Slot 0 gets a number that no message of that slot has. */
void link_take(struct endpoint *ep, struct link *l, enum link_state state, struct endpoint *peer,
    uint32_t remote, uint64_t gfn)
{
	struct chan_control *ctl = ep->ep_control;
	unsigned i = link_number(ep, l);

	*l = (struct link){.li_state = state, .li_peer = peer, .li_remote = remote, .li_gfn = gfn};
	atomic_fetch_add(&peer->ep_refs, 1);
	__atomic_store_n(&ctl->start[i], 0, __ATOMIC_RELAXED);
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		__atomic_store_n(&ctl->release[i][slot], slot == 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ep->ep_status->stale[i], 0, __ATOMIC_RELAXED);
}

struct endpoint *link_give(struct endpoint *ep, struct link *l)
{
	struct endpoint *peer = l->li_peer;

	seals_forget_peer(ep, link_number(ep, l));
	*l = (struct link){.li_state = LINK_FREE};
	return peer;
}

void link_set_connected(struct endpoint *ep, unsigned i, bool connected)
{
	uint32_t bit = 1u << i, peers = ep->ep_status->peers;

	__atomic_store_n(
	    &ep->ep_status->peers, connected ? peers | bit : peers & ~bit, __ATOMIC_RELEASE);
}

void link_sever(struct endpoint *ep, struct link *l)
{
	struct endpoint *peer = l->li_peer;
	struct link *back = &peer->ep_links[l->li_remote];
	uint32_t refs;

	link_set_connected(ep, link_number(ep, l), false);
	/* It may have dropped us, and have somebody else in that place. */
	if (l->li_gone || back->li_state == LINK_FREE || back->li_peer != ep ||
	    back->li_remote != link_number(ep, l))
		return;
	link_set_connected(peer, l->li_remote, false);
	channel_raise(peer);
	back->li_gone = true;
	if (back->li_state == LINK_WAITING || back->li_state == LINK_RESERVED) {
		(void)link_give(peer, back);
		/* The last reference is never the peer's: our owner's is there. */
		refs = atomic_fetch_sub(&ep->ep_refs, 1);
		KASSERT(refs > 1);
	}
}

static void name_add(struct endpoint *ep)
{
	if (ep->ep_name[0] != '\0')
		(void)RB_INSERT(endpointtree, &names, ep);
}

static bool name_taken(const char name[CHAN_NAME_LEN])
{
	return name[0] != '\0' && channel_find_name(name) != NULL;
}

static int check_create(struct guest *g, const struct chan_create *op)
{
	if ((op->flags & CHAN_OWN_PORT) &&
	    (g->g_program || !evtchn_waiting_p(&g->g_events, op->port)))
		return -EINVAL;
	if (!channel_name_p(op->name) || op->gfn % CHAN_HUGE_PAGES != 0 || op->arena_pages == 0 ||
	    op->arena_pages > CHAN_MAX_ARENA_PAGES || op->max_peers == 0 ||
	    op->max_peers > CHAN_MAX_PEERS ||
	    (op->flags & ~(CHAN_WANT_HUGE | CHAN_OWN_PORT)) != 0 ||
	    !guest_windows_p(g, op->gfn, CHAN_AREA_PAGES((uint64_t)op->arena_pages)))
		return -EINVAL;
	return 0;
}

/* What only this guest's thread makes more cannot grow behind our back; names can be taken. */
static int check_room(struct guest *g, const struct chan_create *op)
{
	const struct channel_owner *co = &g->g_channels;
	int error = 0;

	channels_lock();
	if (name_taken(op->name))
		error = -EEXIST;
	else if (co->co_count >= CHANNEL_MAX_ENDPOINTS ||
		 op->arena_pages > CHANNEL_MAX_PAGES - co->co_pages)
		error = -ENOSPC;
	channels_unlock();
	return error;
}

static struct endpoint *endpoint_alloc(struct guest *g, const struct chan_create *op)
{
	struct endpoint *ep = SYS_ALLOC(calloc(1, sizeof(*ep)));

	if (ep == NULL)
		return NULL;
	atomic_init(&ep->ep_refs, 1);
	memcpy(ep->ep_name, op->name, strlen(op->name));
	memcpy(ep->ep_owner, g->g_name, sizeof(ep->ep_owner));
	ep->ep_domid = g->g_domid;
	ep->ep_guest = g;
	ep->ep_gfn = op->gfn;
	ep->ep_arena_pages = op->arena_pages;
	ep->ep_max_peers = op->name[0] != '\0' ? op->max_peers : 1;
	ep->ep_own_port = (op->flags & CHAN_OWN_PORT) != 0;
	ep->ep_port = ep->ep_own_port ? op->port : 0;
	return ep;
}

/* The endpoint is complete: show it to the others, unless one of the same name came first. */
static int publish(struct guest *g, struct endpoint *ep)
{
	int error = 0;

	channels_lock();
	if (name_taken(ep->ep_name)) {
		error = -EEXIST;
	} else {
		ep->ep_id = ++last_id;
		name_add(ep);
		LIST_INSERT_HEAD(&endpoints, ep, ep_all);
		LIST_INSERT_HEAD(&g->g_channels.co_endpoints, ep, ep_owned);
		g->g_channels.co_count++;
		g->g_channels.co_pages += ep->ep_arena_pages;
	}
	channels_unlock();
	return error;
}

/* A host program gets the descriptor with the result. */
static int make_event(struct guest *g, struct endpoint *ep)
{
	if (ep->ep_own_port)
		return 0;
	if (!g->g_program)
		return evtchn_core_alloc(&g->g_events, &ep->ep_port);
	ep->ep_event = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (ep->ep_event < 0)
		return -errno;
	g->g_result_fd = ep->ep_event;
	return 0;
}

static void end_event(struct guest *g, struct endpoint *ep)
{
	g->g_result_fd = -1;
	if (ep->ep_own_port)
		return;
	if (!g->g_program)
		evtchn_core_close(&g->g_events, ep->ep_port);
	else
		close(ep->ep_event);
}

int64_t channel_create(struct guest *g, struct chan_create *op)
{
	bool huge = (op->flags & CHAN_WANT_HUGE) && op->arena_pages % CHAN_HUGE_PAGES == 0;
	int error = channel_place(g, &op->gfn, CHAN_AREA_PAGES((uint64_t)op->arena_pages)), undone;
	struct endpoint *ep;

	if (error == 0)
		error = check_create(g, op);
	if (error == 0)
		error = check_room(g, op);
	if (error != 0)
		return error;
	ep = endpoint_alloc(g, op);
	if (ep == NULL)
		return -ENOMEM;
	error = area_make(ep, huge);
	if (error != 0)
		goto out_free;
	error = make_event(g, ep);
	if (error != 0)
		goto out_area;
	error = area_show(ep, g->g_map, op->gfn, true);
	if (error != 0)
		goto out_event;
	error = publish(g, ep);
	if (error != 0)
		goto out_hide;
	op->id = ep->ep_id;
	op->port = ep->ep_port;
	op->frame_pages = ep->ep_frame_pages;
	return 0;

out_hide:
	undone = area_hide(ep, g->g_map, op->gfn);
	if (undone != 0)
		error = undone;
out_event:
	end_event(g, ep);
out_area:
	area_free(ep);
out_free:
	free(ep);
	return error;
}

/* From now on nobody finds the endpoint, and its peers know.  They keep what they have of it. */
static void close_begin(struct guest *g, struct endpoint *ep)
{
	channels_lock();
	if (ep->ep_name[0] != '\0')
		RB_REMOVE(endpointtree, &names, ep);
	ep->ep_closed = true;
	__atomic_store_n(&ep->ep_status->state, CHAN_STATE_CLOSED, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if (ep->ep_links[i].li_state != LINK_FREE)
			link_sever(ep, &ep->ep_links[i]);
	g->g_channels.co_count--;
	g->g_channels.co_pages -= ep->ep_arena_pages;
	channels_unlock();
}

/* Its owner maps nothing of it any more: what peers had sealed for it can go, and so can we. */
static void close_end(struct endpoint *ep)
{
	struct endpoint *peer;
	struct link *l;

	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		l = &ep->ep_links[i];
		channels_lock();
		peer = l->li_state != LINK_FREE ? link_give(ep, l) : NULL;
		channels_unlock();
		if (peer == NULL)
			continue;
		seals_settle(peer);
		channel_rele(peer);
	}
	channels_lock();
	LIST_REMOVE(ep, ep_owned);
	channels_unlock();
	channel_rele(ep);
}

static int hide_all(struct guest *g, struct endpoint *ep)
{
	int error = area_hide(ep, g->g_map, ep->ep_gfn);
	struct link l;

	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		channels_lock();
		l = ep->ep_links[i];
		channels_unlock();
		/* What is mapped stays so until this thread takes it away. */
		if (l.li_state == LINK_MAPPED && area_hide(l.li_peer, g->g_map, l.li_gfn) != 0)
			error = -ENOTRECOVERABLE;
	}
	return error;
}

int64_t channel_close(struct guest *g, const struct chan_id *op)
{
	struct endpoint *ep = channel_find(g, op->id);
	int error;

	if (ep == NULL)
		return -EBADF;
	close_begin(g, ep);
	error = hide_all(g, ep);
	end_event(g, ep);
	close_end(ep);
	return error;
}

/* An endpoint that is told of events by one of these ports of the guest's, or NULL. */
static struct endpoint *find_port(struct guest *g, uint32_t first, uint32_t last)
{
	struct endpoint *ep;

	channels_lock();
	LIST_FOREACH (ep, &g->g_channels.co_endpoints, ep_owned)
		if (ep->ep_own_port && ep->ep_port >= first && ep->ep_port <= last)
			break;
	channels_unlock();
	return ep;
}

int channel_ports_close(struct guest *g, uint32_t first, uint32_t last)
{
	struct endpoint *ep;
	int64_t error = 0;

	while (error == 0 && (ep = find_port(g, first, last)) != NULL)
		error = channel_close(g, &(const struct chan_id){.id = ep->ep_id});
	return (int)error;
}

void channel_guest_gone(struct guest *g)
{
	struct endpoint *ep;

	/* Only this thread changes the list. */
	LIST_FOREACH (ep, &g->g_channels.co_endpoints, ep_owned)
		close_begin(g, ep);
}

void channel_guest_settled(struct guest *g)
{
	struct endpoint *ep;

	while ((ep = LIST_FIRST(&g->g_channels.co_endpoints)) != NULL) {
		end_event(g, ep);
		close_end(ep);
	}
}

static unsigned describe_peers(
    const struct endpoint *ep, struct channel_peer_info peers[CHAN_MAX_PEERS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		const struct link *l = &ep->ep_links[i];

		if (l->li_state == LINK_FREE)
			continue;
		peers[n++] = (struct channel_peer_info){.id = l->li_peer->ep_id,
		    .domid = l->li_peer->ep_domid,
		    .number = i,
		    .stale = ep->ep_status->stale[i],
		    .accepted = l->li_state == LINK_MAPPED,
		    .gone = l->li_gone};
	}
	return n;
}

void channel_each(void (*visit)(void *arg, const struct channel_info *info), void *arg)
{
	struct channel_peer_info peers[CHAN_MAX_PEERS];
	struct channel_info info;
	struct endpoint *ep;

	channels_lock();
	LIST_FOREACH (ep, &endpoints, ep_all) {
		info = (struct channel_info){.id = ep->ep_id,
		    .name = ep->ep_name,
		    .domid = ep->ep_domid,
		    .closed = ep->ep_closed,
		    .arena_pages = ep->ep_arena_pages,
		    .frame_pages = ep->ep_frame_pages,
		    .seals = ep->ep_nseals,
		    .peers = peers,
		    .npeers = describe_peers(ep, peers)};
		visit(arg, &info);
	}
	channels_unlock();
}

static bool within(const struct endpoint *ep, uint64_t start, uint64_t gfn)
{
	return gfn >= start && gfn - start < CHAN_AREA_PAGES((uint64_t)ep->ep_arena_pages);
}

bool channel_area_of(struct guest *g, uint64_t gfn, char *buf, size_t len)
{
	const struct endpoint *ep, *whose = NULL;

	channels_lock();
	LIST_FOREACH (ep, &g->g_channels.co_endpoints, ep_owned) {
		if (within(ep, ep->ep_gfn, gfn))
			whose = ep;
		for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
			const struct link *l = &ep->ep_links[i];

			if (l->li_state == LINK_MAPPED && within(l->li_peer, l->li_gfn, gfn))
				whose = l->li_peer;
		}
	}
	if (whose != NULL)
		snprintf(buf, len, "channel %ju%s%s of %s (domain %u)", (uintmax_t)whose->ep_id,
		    whose->ep_name[0] != '\0' ? ", " : "", whose->ep_name, whose->ep_owner,
		    whose->ep_domid);
	channels_unlock();
	return whose != NULL;
}
