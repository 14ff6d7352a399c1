/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sharing between the workers' guests: a board of pages that somebody has nominated, each with what it
 * held at that moment.  Who gets such a page must read just that.
 */
#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "uvm/uvm_share.h"

#define NOTICES 8u

struct notice {
	struct uvm_map *map; /* reference; NULL: nothing here */
	uint64_t gfn, handle, hash;
};

static struct notice board[NOTICES];
static pthread_mutex_t board_lock = PTHREAD_MUTEX_INITIALIZER;

static void put_up(const struct notice *n, struct rng *rng)
{
	struct notice *place = &board[rng_below(rng, NOTICES)], old;

	pthread_mutex_lock(&board_lock);
	old = *place;
	*place = *n;
	pthread_mutex_unlock(&board_lock);
	if (old.map != NULL)
		uvm_map_rele(old.map);
}

/* A copy with a reference; false: there is none. */
static bool take(struct notice *n, struct rng *rng)
{
	pthread_mutex_lock(&board_lock);
	*n = board[rng_below(rng, NOTICES)];
	if (n->map != NULL)
		uvm_map_ref(n->map);
	pthread_mutex_unlock(&board_lock);
	return n->map != NULL;
}

void share_end(void)
{
	for (unsigned i = 0; i < NOTICES; i++)
		if (board[i].map != NULL)
			uvm_map_rele(board[i].map);
}

/* => false: the page is wired, by the worker or by the host */
static bool nominate(struct mguest *mg, uint64_t gfn, uint64_t *handle)
{
	int error = uvm_share_nominate(mg->g.map, gfn, handle);
	bool wired = mg->page[gfn].wired != NULL;

	if (error == -EBUSY && (wired || gfn < HOST_MAPS_BELOW))
		return false;
	if (error != 0 || wired)
		complain(mg->domid, "nominate", gfn, error);
	return true;
}

void share_nominate(struct mguest *mg, struct rng *rng)
{
	struct notice n = {.map = mg->g.map, .gfn = rng_below(rng, RAM_PAGES)};

	if (!nominate(mg, n.gfn, &n.handle))
		return;
	n.hash = hash(bytes_of(mg, n.gfn), UVM_PAGE_SIZE, 0);
	uvm_map_ref(n.map);
	put_up(&n, rng);
}

/* The page is the notice's now: it must have its bytes. */
static void got(struct mguest *mg, uint64_t gfn, const struct notice *n)
{
	int error = soft_read(mg->g.map, gfn, 0, bytes_of(mg, gfn), UVM_PAGE_SIZE);

	if (error != 0)
		complain(mg->domid, "cannot read what it shares", gfn, error);
	if (hash(bytes_of(mg, gfn), UVM_PAGE_SIZE, 0) != n->hash)
		complain(mg->domid, "shares other bytes than were nominated", gfn, 0);
}

/*
 * The source may have written, or be gone; the host may have mapped the client's page, or one near
 * it where mappings run short.
 */
static void conclude(struct mguest *mg, uint64_t gfn, const struct notice *n, int error)
{
	bool crowded = mg->g.pmap->sp_pmap.pm_crowded;

	if (error == 0)
		got(mg, gfn, n);
	else if (error != -ESTALE && (error != -ENOENT || (gfn >= HOST_MAPS_BELOW && !crowded)))
		complain(mg->domid, "share", gfn, error);
}

void share_with(struct mguest *mg, struct rng *rng)
{
	uint64_t gfn = rng_below(rng, RAM_PAGES), handle;
	struct notice n;

	if (!take(&n, rng))
		return;
	if (nominate(mg, gfn, &handle))
		conclude(
		    mg, gfn, &n, uvm_share_pages(n.map, n.gfn, n.handle, mg->g.map, gfn, handle));
	uvm_map_rele(n.map);
}

/* => gfn has just been discarded */
void share_add(struct mguest *mg, uint64_t gfn, struct rng *rng)
{
	struct notice n;

	if (!take(&n, rng))
		return;
	conclude(mg, gfn, &n, uvm_share_add(n.map, n.gfn, n.handle, mg->g.map, gfn));
	uvm_map_rele(n.map);
}
