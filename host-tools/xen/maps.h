/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_MAPS_H
#define LOMBARD_XEN_MAPS_H
/*
 * What is mapped where: the cell's number of each map, by its addresses here.
 *
 * Programs may unmap with munmap() what they got from us, and nobody tells us.  That addresses were
 * free shows when the kernel gives them out again: what was there is gone then.
 *
 * The caller locks.
 */
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct map {
	LIST_ENTRY(map) ma_all;
	uint64_t ma_id;
	pid_t ma_pid; /* who made it: a child's copy of this is of no concern to the cell */
	uintptr_t ma_address;
	size_t ma_npages, ma_left; /* as made, and what is there yet */
	uint64_t ma_gone[];	   /* a bit for each page that is not */
};

LIST_HEAD(maps, map);

/* maps_new: one that is nowhere yet, to be given to maps_add or free.  NULL: no memory. */
struct map *maps_new(size_t npages);

/* maps_add: it is at this address.  What was remembered there must have been cut. */
void maps_add(struct maps *maps, struct map *ma, uint64_t id, const void *address);

/*
 * maps_cut: nothing that is remembered is in [address, address + npages) any more.
 * => gone(arg, id) for each map, of those that this process made, of which no page is left
 */
void maps_cut(struct maps *maps, const void *address, size_t npages,
    void (*gone)(void *arg, uint64_t id), void *arg);

/* maps_whole_p: a map was made of exactly these pages, and all of them are there. */
bool maps_whole_p(const struct maps *maps, const void *address, size_t npages);

void maps_forget(struct maps *maps);

#endif
