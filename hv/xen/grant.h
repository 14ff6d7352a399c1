/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_GRANT_H
#define HV_XEN_GRANT_H
/*
 * Grant tables, version 1 (Xen public/grant_table.h): pages that a domain lets others map, live.
 *
 * A guest's table is memory of the core that the guest has mapped: it writes entries there at any
 * time, and whatever it writes hurts nobody but itself.  An entry is read once, and its word of flags
 * and domain is changed by compare-and-exchange only.  The host's table (domain 0) is not shown to
 * anybody: its entries are the shares of programs.
 *
 * A *pin* is a granted page in use: one for each reference, however often it is mapped.  The granter's
 * page is wired as long as there is one.  The pins of a guest that ends live on, and keep the pages.
 *
 * One mutex covers all of it; nothing else is taken under it.  Functions that may block are called
 * outside the world with no locks held.
 */
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "uvm/uvm_map.h"

struct grant_frame;
struct grant_handle;
struct grant_pin;
struct grant_share;
struct uvm_arena;

#define GRANT_HOST 0u	     /* its domid */
#define GRANT_MAX_FRAMES 64u /* of a guest: Xen's default */
#define GRANT_FIRST_REF 8u   /* those below have meanings (GNTTAB_NR_RESERVED_ENTRIES) */

/* The grants of one domain: those that it makes, and those that it maps. */
struct grant_domain {
	LIST_ENTRY(grant_domain) gd_all;
	uint32_t gd_domid;
	struct uvm_map *gd_map; /* s; NULL: the host, or not added */
	/* Its process did half of a mapping (-ENOTRECOVERABLE): it has to be killed. */
	void (*gd_broken)(struct grant_domain *gd);
	struct uvm_store *gd_store;	    /* mutex: of the table; NULL: there is none yet */
	uint32_t gd_max_frames, gd_nframes; /* mutex */
	struct grant_frame **gd_frames;	    /* mutex: gd_max_frames of them */
	unsigned gd_busy;		    /* mutex: operations that use it without the mutex */
	/* What it has mapped: of its own thread only. */
	uint32_t gd_nhandles;
	struct grant_handle *gd_handles;
};

/*
 * grant_domain_add: a guest whose pages can be mapped; gd is zero but for gd_broken.
 * => 0 or -ENOMEM
 * grant_domain_gone: its process is dead.  Its mappings end, what it granted cannot be mapped any more.
 * => by its own thread, before its map is destroyed; does nothing if it was not added
 */
int grant_domain_add(struct grant_domain *gd, uint32_t domid, struct uvm_map *map);
void grant_domain_gone(struct grant_domain *gd);

/*
 * grant_limit: how many frames a guest's table may have.
 * => 0; -EBUSY: it has some already; -ENOMEM; -EINVAL (0, or more than GRANT_MAX_FRAMES)
 */
int grant_limit(struct grant_domain *gd, uint32_t frames);

/*
 * grant_pin: use a page that `granter` granted to `mapper`.
 * => GNTST_okay and *pinp, or GNTST_*: _bad_domain: no such granter; _bad_gntref: outside its table;
 *    _general_error: not granted, or not like that, or it did not hold still; _bad_page: no memory that
 *    can be granted; _no_space: the host is short
 * => may block
 * grant_unpin: end one use, with the same `write`.  May block.
 * grant_page: => stays until unpin
 */
int grant_pin(uint32_t granter, uint32_t ref, uint32_t mapper, bool write, struct grant_pin **pinp);
void grant_unpin(struct grant_pin *pin, bool write);
struct uvm_page *grant_page(const struct grant_pin *pin);

/*
 * grant_reserve: keep a page of a guest that is granted to `mapper` to be written, while it gets another
 * frame: the entry says that it is in use, and who wants to map it waits.  Nothing is wired.
 * => GNTST_okay, *pinp and *gfn; as grant_pin; or GNTST_eagain: it is in use.  Never blocks
 * grant_unreserve: soon: the granter's end waits for it.
 */
int grant_reserve(
    uint32_t granter, uint32_t ref, uint32_t mapper, struct grant_pin **pinp, uint64_t *gfn);
void grant_unreserve(struct grant_pin *pin);

/* grant_errno: a GNTST_* as an errno for programs of the host. */
int grant_errno(int status);

/*
 * Frames of a guest's table, as resources (XENMEM_*resource*).
 *
 * grant_frames_max: how many there can be; 0: no such domain
 * grant_frames_get: the arenas of n frames from `first` on, one frame each, which are made if need
 * be; a reference to each for the caller.  -ESRCH, -EINVAL (past the limit), -ENOMEM
 */
uint32_t grant_frames_max(uint32_t domid);
int grant_frames_get(uint32_t domid, uint64_t first, uint32_t n, struct uvm_arena **arenas);

/*
 * grant_seed: grant a page in the name of a guest, as its toolstack does for the references below
 * GRANT_FIRST_REF.  => it does not run yet.  0 or -ENOMEM
 */
int grant_seed(struct grant_domain *gd, uint32_t ref, uint32_t domid, uint32_t gfn);

/*
 * grant_show_frame: XENMEM_add_to_physmap of a frame of its own table, for a guest.
 * => 0; -EINVAL, -EEXIST: gfn is not free, not in the window area, or there is no such frame;
 *    -ENOMEM; -ENOTRECOVERABLE
 */
int grant_show_frame(struct grant_domain *gd, uint64_t frame, uint64_t gfn);

/*
 * grant_op: GNTTABOP_* by a guest, on one structure of len bytes, copied already.
 * => 0 and the structure goes back, with its status; or a negative Xen error; -ENOTRECOVERABLE
 *
 * grant_op_size: of its structure; 0: there is no such operation
 */
int grant_op(struct grant_domain *gd, uint32_t cmd, void *arg, uint32_t len);
uint32_t grant_op_size(uint32_t cmd);

/* grant_gfn: the page that a guest grants by a reference.  -ESRCH; -EINVAL: it grants none */
int grant_gfn(uint32_t domid, uint32_t ref, uint64_t *gfn);

/* grant_query: GNTTABOP_query_size of any domain: GNTST_okay or GNTST_bad_domain. */
int grant_query(uint32_t domid, uint32_t *frames, uint32_t *max_frames);

/*
 * grant_share_create: n new pages of the host, zeroes, granted to a domain; refs: one for each.
 * => 0, -ENOMEM, -ENOSPC (no reference is left), -EINVAL (n is 0)
 *
 * grant_share_end: none of it can be mapped any more.  What is mapped stays, and keeps its reference,
 * until it is unmapped.
 *
 * grant_share_page: the i-th.  => stays until grant_share_end
 */
int grant_share_create(
    uint32_t domid, uint32_t n, bool writable, uint32_t *refs, struct grant_share **sp);
void grant_share_end(struct grant_share *share);
struct uvm_page *grant_share_page(struct grant_share *share, uint32_t i);

#endif
