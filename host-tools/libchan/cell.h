/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIBCHAN_CELL_H
#define LOMBARD_LIBCHAN_CELL_H
/*
 * This program's connection to the cell: two sockets, a window area, and a thread that maps into it
 * what the core says (proto/wire.h).  All of the program's endpoints share it.
 *
 * All functions may be called by any thread.  Errors: 0 or -errno.
 */
#include <stdbool.h>
#include <stdint.h>

#include <lombard/chan.h>

/*
 * cell_place: address space of the window area, aligned to 2 MiB; connects to the cell first.
 * => -ENOSPC: none is left; -EPIPE: the connection was lost, and there are endpoints of it yet;
 *    -ENOENT, -ECONNREFUSED, -EACCES, ...: there is no cell, or it will not have us
 *
 * cell_unplace: give it back.  With the last one the program leaves the cell.
 */
int cell_place(uint32_t pages, uint64_t *gfn, void **addr);
void cell_unplace(uint64_t gfn, uint32_t pages);

/*
 * cell_call: one hypercall, with an argument of len bytes.  result: where its results go, len
 * bytes, when it succeeds and has some; may be NULL, or arg.
 * => *fd: the descriptor that came with the result, or -1; fd may be NULL
 * => the hypercall's value, or -EPIPE: the connection is lost
 */
int64_t cell_call(uint32_t cmd, const void *arg, void *result, uint32_t len, int *fd);

/*
 * cell_own_area, cell_peer_area: what has been mapped at a place, for endpoint id or for one of its
 * peers, so that the program can be left with something when the connection is lost: of an area of
 * its own, memory to write to; of a peer's, one that has closed.  event is raised then.
 *
 * cell_areas_go, cell_peer_goes: the core is about to be asked to take away all areas of an
 * endpoint, or one peer's.  Nobody looks at them from now on, and the event may be closed.
 * => cell_peer_goes: the gfn, for cell_stays
 * cell_stays: the core has refused, and all is as it was.
 */
void cell_own_area(uint64_t id, uint64_t gfn, uint32_t arena_pages, int event);
void cell_peer_area(uint64_t id, uint32_t peer, uint64_t gfn, uint32_t arena_pages);
void cell_areas_go(uint64_t id);
uint64_t cell_peer_goes(uint64_t id, uint32_t peer);
void cell_stays(uint64_t gfn);

#endif
