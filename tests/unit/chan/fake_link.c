/* SPDX-License-Identifier: BSD-2-Clause */
/* Connect, accept, drop and close of the fake hypervisor. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chan/fake_private.h"

static void set_connected(struct fake_ep *ep, unsigned i, bool yes)
{
	uint32_t bit = 1U << i;

	__atomic_store_n(&ep->status->peers,
	    yes ? ep->status->peers | bit : ep->status->peers & ~bit, __ATOMIC_RELEASE);
}

static void link_make(struct fake_ep *ep, unsigned i, enum fake_link_state state,
    struct fake_ep *peer, unsigned remote)
{
	ep->link[i] = (struct fake_link){.state = state, .peer = peer, .remote = remote};
	__atomic_store_n(&ep->control->start[i], 0, __ATOMIC_RELAXED);
	for (unsigned slot = 0; slot < CHAN_SLOTS; slot++)
		__atomic_store_n(&ep->control->release[i][slot], slot == 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ep->status->stale[i], 0, __ATOMIC_RELAXED);
	set_connected(ep, i, true);
}

/* The other end learns that link i is no more. */
static void sever(struct fake_ep *ep, unsigned i)
{
	struct fake_link *l = &ep->link[i], *back = &l->peer->link[l->remote];

	set_connected(ep, i, false);
	if (l->gone || back->state == LINK_FREE || back->peer != ep || back->remote != i)
		return;
	set_connected(l->peer, l->remote, false);
	back->gone = true;
	if (back->state == LINK_WAITING)
		back->state = LINK_FREE;
	fake_raise(l->peer);
}

/* Map a peer's area where the library has placed it. */
static int map_peer(const struct fake_ep *peer, struct fake_link *l, struct chan_connect *op)
{
	void *addr = (void *)(uintptr_t)(op->gfn * ARENA_PAGE);

	if (op->room < CHAN_AREA_PAGES(peer->arena_pages))
		return -ENOSPC;
	l->view = addr;
	if ((fake_flags & FAKE_ONE_ADDRESS) != 0)
		return addr == peer->owner ? 0 : -ENOSPC;
	if (mmap(addr, fake_area_bytes(peer), PROT_READ, MAP_SHARED | MAP_FIXED, peer->memfd, 0) ==
	    MAP_FAILED)
		return -ENOMEM;
	return 0;
}

static void describe(
    struct chan_connect *op, const struct fake_ep *peer, unsigned number, unsigned remote)
{
	op->arena_pages = peer->arena_pages;
	op->frame_pages = peer->frame_pages;
	op->peer = number;
	op->remote = remote;
}

static int connect_locked(struct fake_ep *ep, struct chan_connect *op)
{
	struct fake_ep *peer = fake_find_name(op->name);
	struct fake_link view;
	unsigned i = 0;
	int error = fake_failure(FAKE_CONNECT);

	if (error != 0)
		return error;
	if (peer == NULL)
		return -ENOENT;
	while (i < peer->max_peers && peer->link[i].state != LINK_FREE)
		i++;
	if (i == peer->max_peers)
		return -EBUSY;
	error = map_peer(peer, &view, op);
	if (error != 0)
		return error;
	link_make(peer, i, LINK_WAITING, ep, 0);
	link_make(ep, 0, LINK_MAPPED, peer, i);
	ep->link[0].view = view.view;
	describe(op, peer, 0, i);
	fake_raise(peer);
	return 0;
}

static struct fake_link *waiting(struct fake_ep *ep)
{
	for (unsigned i = 0; i < ep->max_peers; i++)
		if (ep->link[i].state == LINK_WAITING)
			return &ep->link[i];
	return NULL;
}

static int accept_locked(struct fake_ep *ep, struct chan_connect *op)
{
	struct fake_link *l = waiting(ep);
	int error = fake_failure(FAKE_ACCEPT);

	if (error != 0)
		return error;
	if (l == NULL)
		return -EAGAIN;
	error = map_peer(l->peer, l, op);
	if (error != 0)
		return error;
	l->state = LINK_MAPPED;
	describe(op, l->peer, (unsigned)(l - ep->link), l->remote);
	return 0;
}

int fake_connect(struct chan_endpoint *cep, struct chan_connect *op)
{
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = connect_locked(fake_find(cep->id), op);
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

int fake_accept(struct chan_endpoint *cep, struct chan_connect *op)
{
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = accept_locked(fake_find(cep->id), op);
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

/* Whose area this thread will place next: see FAKE_ONE_ADDRESS. */
static _Thread_local const struct fake_ep *asked_for;

int fake_query(struct chan_endpoint *cep, struct chan_query *op)
{
	struct fake_ep *ep, *peer;
	struct fake_link *l;
	int error = 0;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(cep->id);
	l = waiting(ep);
	peer = op->name[0] != '\0' ? fake_find_name(op->name) : l != NULL ? l->peer : NULL;
	asked_for = peer;
	if (peer != NULL) {
		op->arena_pages = peer->arena_pages;
		op->frame_pages = peer->frame_pages;
	} else {
		error = op->name[0] != '\0' ? -ENOENT : -EAGAIN;
	}
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

uint8_t *fake_place_for_peer(uint32_t pages)
{
	const struct fake_ep *ep = asked_for;
	uint8_t *addr = NULL;

	asked_for = NULL;
	if ((fake_flags & FAKE_ONE_ADDRESS) == 0 || ep == NULL)
		return NULL;
	pthread_mutex_lock(&fake_mutex);
	if (ep->id != 0 && CHAN_AREA_PAGES(ep->arena_pages) == pages)
		addr = ep->owner;
	pthread_mutex_unlock(&fake_mutex);
	return addr;
}

/* Areas that nobody sees any more, the owner's library included. */
static void free_unseen(void)
{
	bool seen;

	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
		struct fake_ep *ep = &fake_eps[i];

		seen = ep->id == 0 || !ep->closed || ep->fd >= 0;
		for (unsigned k = 0; !seen && k < FAKE_ENDPOINTS * CHAN_MAX_PEERS; k++) {
			const struct fake_link *l = &fake_eps[k / CHAN_MAX_PEERS]
							 .link[k % CHAN_MAX_PEERS];

			seen = fake_eps[k / CHAN_MAX_PEERS].id != 0 && l->state != LINK_FREE &&
			       l->peer == ep;
		}
		if (seen)
			continue;
		munmap(ep->kva, fake_area_bytes(ep));
		close(ep->memfd);
		ep->id = 0;
	}
}

static void close_locked(struct fake_ep *ep)
{
	if (ep->closed)
		return;
	ep->closed = true;
	__atomic_store_n(&ep->status->state, CHAN_STATE_CLOSED, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++) {
		if (ep->link[i].state == LINK_FREE)
			continue;
		sever(ep, i);
		ep->link[i].state = LINK_FREE;
	}
}

int fake_drop(struct chan_endpoint *cep, uint32_t i)
{
	struct fake_ep *ep;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(cep->id);
	if (i >= CHAN_MAX_PEERS || ep->link[i].state != LINK_MAPPED)
		fake_broken("drop of a peer that is not there");
	fake_keep_for(ep, i);
	sever(ep, i);
	fake_forget_peer(ep, i);
	ep->link[i].state = LINK_FREE;
	free_unseen();
	pthread_mutex_unlock(&fake_mutex);
	return 0;
}

/* A killed endpoint is closed already: only the library does not know. */
void fake_close(struct chan_endpoint *cep)
{
	struct fake_ep *ep;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(cep->id);
	if (ep != NULL) {
		close_locked(ep);
		close(ep->fd);
		ep->fd = -1;
	}
	free_unseen();
	pthread_mutex_unlock(&fake_mutex);
}

void fake_kill(struct chan *ch)
{
	pthread_mutex_lock(&fake_mutex);
	close_locked(fake_find(ch->ep.id));
	pthread_mutex_unlock(&fake_mutex);
}
