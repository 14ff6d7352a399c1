/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_ARENA_PRIVATE_H
#define HV_UVM_ARENA_PRIVATE_H
/* What uvm_arena.c (frames and seals) and uvm_view.c (who maps them) share. */
#include "uvm/uvm_arena.h"

/* A frame that a view's process is being told to map. */
struct coming {
	struct uvm_page *co_page; /* held; NULL: the frame stays as it is */
	bool co_lent;		  /* on loan to the view: it is not the arena's, or sealed */
};

struct uvm_view {
	LIST_ENTRY(uvm_view) vw_all;
	struct uvm_arena *vw_arena; /* s: a reference */
	struct uvm_map *vw_map;	    /* s */
	uint64_t vw_gfn;	    /* s */
	unsigned vw_flags;	    /* s: UVM_VIEW_* */
	/* By frame: the old frame that it shows, on loan to it; NULL: the arena's own. */
	union uvm_loaned *vw_old;
	uint64_t vw_nold;
	/* While the process maps, when nobody has the arena: frames [from, from + n); else NULL. */
	struct coming *vw_coming;
	uint64_t vw_from, vw_n;
};

struct seal {
	uint64_t se_first, se_n;    /* of the last use, for thawing */
	union uvm_loaned *se_loans; /* NULL: not in use */
	bool se_frozen;		    /* its frames may still be protected for it */
};

/*
 * Fields without a mark belong to who has the arena.  The auditor looks at them when the world is
 * stopped: they are consistent whenever the owner leaves the world.
 */
struct uvm_arena {
	struct uvm_object ua_object;
	struct uvm_lock ua_lock;
	uint32_t ua_holder; /* ua_lock: the thread that has the arena (uvm_self), 0: nobody */
	_Atomic uint32_t ua_refs;
	const struct uvm_arena_ops *ua_ops; /* s */
	void *ua_arg;			    /* s */
	LIST_HEAD(, uvm_view) ua_views;
	struct uvm_view *ua_writer, *ua_owner; /* among them, or NULL */
	unsigned ua_nseals;		       /* s */
	unsigned ua_nfrozen;
	struct seal *ua_seals;
	LIST_ENTRY(uvm_arena) ua_all; /* uvm_stores_lock */
};

/* Have the arena; sleeps while another thread has it.  Returns false if we have it already. */
bool uvm_arena_take(struct uvm_arena *ua);
void uvm_arena_drop(struct uvm_arena *ua);

static inline uint64_t arena_frame_pages(const struct uvm_arena *ua)
{
	return ua->ua_object.uo_store->st_frame_pages;
}

/* => inside.  Un-protect those of the writer's frames [first, first + n) that are not sealed. */
void uvm_arena_unprotect(struct uvm_arena *ua, uint64_t first, uint64_t n);

/* => inside */
static inline void arena_call_reap(struct uvm_arena *ua)
{
	if (ua->ua_ops->ao_reap != NULL)
		ua->ua_ops->ao_reap(ua->ua_arg);
}

static inline void arena_call_broken(struct uvm_arena *ua, uint64_t frame)
{
	if (ua->ua_ops->ao_broken != NULL)
		ua->ua_ops->ao_broken(ua->ua_arg, frame);
}

static inline void arena_call_stale(struct uvm_arena *ua, const struct uvm_view *vw)
{
	if (ua->ua_ops->ao_stale != NULL)
		ua->ua_ops->ao_stale(ua->ua_arg, vw->vw_map, vw->vw_gfn, vw->vw_nold);
}

#endif
