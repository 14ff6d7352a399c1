/* SPDX-License-Identifier: BSD-2-Clause */
#include "maps.h"

#include <stdlib.h>
#include <unistd.h>

#include "proto/xenwire.h"

struct map *maps_new(size_t npages)
{
	struct map *ma = calloc(1, sizeof(*ma) + (npages + 63) / 64 * sizeof(ma->ma_gone[0]));

	if (ma != NULL)
		ma->ma_npages = ma->ma_left = npages;
	return ma;
}

void maps_add(struct maps *maps, struct map *ma, uint64_t id, const void *address)
{
	ma->ma_id = id;
	ma->ma_pid = getpid();
	ma->ma_address = (uintptr_t)address;
	LIST_INSERT_HEAD(maps, ma, ma_all);
}

/* Take the pages of [first, last) out. */
static void cut_pages(struct map *ma, size_t first, size_t last)
{
	for (size_t i = first; i < last; i++) {
		uint64_t bit = (uint64_t)1 << (i % 64);

		if ((ma->ma_gone[i / 64] & bit) == 0)
			ma->ma_left--;
		ma->ma_gone[i / 64] |= bit;
	}
}

void maps_cut(struct maps *maps, const void *address, size_t npages,
    void (*gone)(void *arg, uint64_t id), void *arg)
{
	uintptr_t start = (uintptr_t)address, end = start + npages * XENWIRE_PAGE;
	struct map *ma, *next;

	LIST_FOREACH_SAFE (ma, maps, ma_all, next) {
		uintptr_t from = ma->ma_address, to = from + ma->ma_npages * XENWIRE_PAGE;

		if (end <= from || to <= start)
			continue;
		cut_pages(ma, start > from ? (start - from) / XENWIRE_PAGE : 0,
		    end < to ? (end - from) / XENWIRE_PAGE : ma->ma_npages);
		if (ma->ma_left > 0)
			continue;
		LIST_REMOVE(ma, ma_all);
		if (ma->ma_pid == getpid())
			gone(arg, ma->ma_id);
		free(ma);
	}
}

bool maps_whole_p(const struct maps *maps, const void *address, size_t npages)
{
	const struct map *ma;

	LIST_FOREACH (ma, maps, ma_all)
		if (ma->ma_address == (uintptr_t)address && ma->ma_npages == npages)
			return ma->ma_left == npages;
	return false;
}

void maps_forget(struct maps *maps)
{
	struct map *ma;

	while (!LIST_EMPTY(maps)) {
		ma = LIST_FIRST(maps);
		LIST_REMOVE(ma, ma_all);
		free(ma);
	}
}
