/* SPDX-License-Identifier: BSD-2-Clause */
#include "places.h"

#include <errno.h>
#include <lombard/chan.h>
#include <stdlib.h>

static uint64_t round_up(uint64_t pages)
{
	return (pages + CHAN_HUGE_PAGES - 1) / CHAN_HUGE_PAGES * CHAN_HUGE_PAGES;
}

/* The first hole that is large enough, and the place before it. */
static uint64_t find_hole(struct places *ps, uint64_t from, uint64_t pages, struct place **before)
{
	struct place *pl;

	*before = NULL;
	LIST_FOREACH (pl, ps, pl_all) {
		if (pl->pl_gfn - from >= pages)
			break;
		from = pl->pl_gfn + round_up(pl->pl_pages);
		*before = pl;
	}
	return from;
}

int places_take(struct places *ps, uint64_t from, uint64_t room, uint64_t pages, uint64_t *gfn)
{
	struct place *pl, *before;
	uint64_t at = find_hole(ps, from, pages, &before);

	if (at - from > room || pages > room - (at - from))
		return -ENOSPC;
	pl = calloc(1, sizeof(*pl));
	if (pl == NULL)
		return -ENOMEM;
	pl->pl_gfn = at;
	pl->pl_pages = pages;
	pl->pl_event = -1;
	if (before != NULL)
		LIST_INSERT_AFTER(before, pl, pl_all);
	else
		LIST_INSERT_HEAD(ps, pl, pl_all);
	*gfn = at;
	return 0;
}

struct place *places_find(struct places *ps, uint64_t gfn)
{
	struct place *pl;

	LIST_FOREACH (pl, ps, pl_all)
		if (pl->pl_gfn == gfn)
			break;
	return pl;
}

void places_give(struct place *pl)
{
	LIST_REMOVE(pl, pl_all);
	free(pl);
}
