/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_SHARE_H
#define HV_UVM_SHARE_H
/*
 * Sharing: pages of guests' RAM, of one guest or of several, become one frame.
 *
 * A page is nominated: from then on it is write-protected, and has a handle, a number that says
 * "this page, with these bytes".  Two nominated pages are shared: both slots have the source's anon,
 * a loan to anon; the client's frame goes.  A write breaks this as it breaks any loan to anon.
 *
 * The handle is the anon's.  It goes when no page of RAM has the anon any more, and when the only one
 * that has it is written to.  There is no table of handles, so nothing to run full or to clean up.
 *
 * All functions run inside the world with no locks held, and may leave the world in between; maps may
 * not be destroyed before they return (they may be retired).
 */
#include "uvm/uvm_map.h"

/*
 * uvm_share_nominate: the page gets a handle, or has one.  A page that nobody ever touched gets a
 * frame.
 * => 0; -EINVAL: no page of RAM; -EBUSY: it is wired; -ENOMEM and others of uvm_fault
 */
int uvm_share_nominate(struct uvm_map *map, uint64_t gfn, uint64_t *handle);

/*
 * uvm_share_pages: the client's page becomes the source's.  Its own bytes are gone, whatever they
 * were: who shares has compared them, and the handles say that they have not changed since.
 * => 0, also when both are the same already
 * => -ESTALE: the source's page has another handle, or none; -ENOENT: likewise the client's
 * => -ENOMEM, -ESRCH: the client is gone; -ENOTRECOVERABLE as uvm_map_show, of the client
 *
 * uvm_share_add: the same for a client's page that nobody has touched (yet, or since it was
 * discarded).  -ENOENT: somebody has
 */
int uvm_share_pages(struct uvm_map *source, uint64_t sgfn, uint64_t shandle, struct uvm_map *client,
    uint64_t cgfn, uint64_t chandle);
int uvm_share_add(
    struct uvm_map *source, uint64_t sgfn, uint64_t shandle, struct uvm_map *client, uint64_t cgfn);

/* uvm_share_refs: how many pages of RAM have the frame of this one.  -EINVAL: it has no handle */
int uvm_share_refs(struct uvm_map *map, uint64_t gfn);

/* uvm_share_untouched: a page of RAM that nobody has touched.  0 or 1, or -errno */
int uvm_share_untouched(struct uvm_map *map, uint64_t gfn);

/*
 * Figures, exact when nothing is under way.
 * uvm_share_counts: frames with a handle, and how many pages of RAM they serve beyond one each.
 * vm_shared of a map: its pages of RAM whose frames have a handle.
 */
void uvm_share_counts(uint64_t *frames, uint64_t *saved);

/*
 * uvm_share_join: a page of RAM has this anon now; it has a handle from then on.
 * uvm_share_leave: it has it no more, or may write to it.  => anon locked, for both
 */
void uvm_share_join(struct uvm_map *map, struct uvm_anon *an);
void uvm_share_leave(struct uvm_map *map, struct uvm_anon *an);

/* For the auditor, with the world stopped: references held by what is under way. */
void uvm_share_visit(void (*visit)(struct uvm_anon *an));

#endif
