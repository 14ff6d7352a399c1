/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_MAP_H
#define HV_UVM_MAP_H
/*
 * Guest maps: what is where in a guest's physical address space.  gfns and counts are 4 KiB pages.
 *
 * An entry is memory (an amap over an optional object), a window (pages of a loan, read-only), a
 * view of an arena (uvm_arena.h), or a page of somebody else, live (uvm_mapin.h).
 * A page of a memory entry is looked for in the anon layer first, then in the object, else it is
 * zero-fill.  Memory that the guest touched and the core has not looked at yet ("unlearned") has
 * no anon although its home page in the store is resident; uvm_map_learn_page finds that out.
 */
#include <bsd/sys/tree.h>

#include "uvm/pmap.h"
#include "uvm/uvm_amap.h"
#include "uvm/uvm_object.h"

#define UVM_MAP_MAXRANGES 4

/* Counters only ever grow; they need no lock. */
struct uvm_mapstats {
	_Atomic uint64_t ms_loans_made;	    /* pages this guest lent, by uvm_loan */
	_Atomic uint64_t ms_loans_returned; /* pages of such loans that came back */
	_Atomic uint64_t ms_broken[UVM_NBREAKS];
	_Atomic uint64_t ms_copied; /* pages copied */
	_Atomic uint64_t ms_faults;
};

/* Guest pages [mr_gfn, mr_gfn + mr_npages) are linear pages mr_home on of the store. */
struct uvm_maprange {
	uint64_t mr_gfn;
	uint64_t mr_npages;
	uint64_t mr_home;
};

/* One page on loan, to page or to anon: who holds it knows which. */
union uvm_loaned {
	struct uvm_page *page;
	struct uvm_anon *anon;
};

enum uvm_entry_kind {
	UVM_ENTRY_MEMORY = 1,
	UVM_ENTRY_WINDOW,
	UVM_ENTRY_ARENA,
	UVM_ENTRY_MAPIN, /* uvm_mapin.h */
};

/* me_flags */
#define UVM_ENTRY_RAM 0x1u	 /* pages without anon may be unlearned memory of the guest */
#define UVM_ENTRY_BUSY 0x2u	 /* being mapped or unmapped: not to be used or removed */
#define UVM_ENTRY_BORROWED 0x4u	 /* a window, or copy-on-write memory borrowed by a loan */
#define UVM_ENTRY_VIEW 0x8u	 /* of an arena */
#define UVM_ENTRY_LIVE 0x10u	 /* a page of somebody else who goes on using it: MAPIN */
#define UVM_ENTRY_READONLY 0x20u /* MAPIN: the guest may not write there */

struct uvm_entry {
	RB_ENTRY(uvm_entry) me_tree;
	uint64_t me_start, me_end; /* gfns, end excluded; s */
	enum uvm_entry_kind me_kind;
	unsigned me_flags;	      /* map lock */
	struct uvm_amap *me_amap;     /* MEMORY: slot i is page me_start + i */
	struct uvm_object *me_object; /* MEMORY: below the amap, or NULL; a reference */
	uint64_t me_offset;	      /* of me_start in me_object */
	/* WINDOW: the pages on loan.  MEMORY: while it is being borrowed, the anons that are not
	 * yet in the amap.  NULL elements where there is none. */
	union uvm_loaned *me_loans;
	uint64_t me_loan;	   /* BORROWED: number of the loan, for messages and accounts */
	struct uvm_view *me_view;  /* ARENA: NULL while it is being made */
	uint64_t me_nwired;	   /* map lock: pages that are wired */
	bool me_counted;	   /* BORROWED: the offer counts it as a window */
	struct uvm_map *me_origin; /* BORROWED: the lender's map (reference) or NULL ... */
	uint64_t me_origin_gfn;	   /* ... and where me_start lies there */
};

RB_HEAD(uvm_entrytree, uvm_entry);

/* Frames by state: each frame is in exactly one (uvm_audit.h). */
struct uvm_frames {
	uint64_t fr_owned;    /* an object's or a guest's, not on loan */
	uint64_t fr_lent;     /* owned, and on loan */
	uint64_t fr_orphaned; /* no owner any more, still on loan */
	uint64_t fr_wired;    /* owned, and cannot be lent */
	uint64_t fr_moving;   /* being brought in or let go this moment */
	uint64_t fr_borrowed; /* pages of others that this guest has: not part of the sum */
};

struct uvm_map {
	struct uvm_lock vm_lock;
	struct pmap *vm_pmap;	    /* s; the creator's */
	struct uvm_store *vm_store; /* s: where the guest's own frames lie */
	uint32_t vm_domid;
	unsigned vm_nranges;
	struct uvm_maprange vm_ranges[UVM_MAP_MAXRANGES]; /* s */
	struct uvm_entrytree vm_entries;		  /* vm_lock */
	bool vm_dead;					  /* vm_lock: torn down */
	_Atomic uint32_t vm_refs;
	_Atomic uint64_t vm_shared; /* pages of RAM that are nominated or shared: uvm_share.h */
	struct uvm_mapstats vm_stats;
	uint32_t vm_noffers; /* ledger: offers that the guest made, and the pages in them */
	uint64_t vm_offered;
	struct uvm_frames vm_frames; /* auditor's, world stopped */
	_Atomic uint64_t
	    vm_kept; /* pages of RAM that were freed and whose memory the kernel keeps */
	LIST_ENTRY(uvm_map) vm_all; /* all maps: the auditor walks them */
};

LIST_HEAD(uvm_maplist, uvm_map);
extern struct uvm_maplist uvm_maps; /* under uvm_stores_lock */

/* What uvm_map_lookup found: the map is locked, and so is the amap if there is one. */
struct uvm_lookup {
	struct uvm_map *ul_map;
	struct uvm_entry *ul_entry;
};

/*
 * uvm_map_create: an empty map, one reference.  The caller keeps the pmap alive until
 * uvm_map_destroy has returned; the map takes a reference to the store.
 * => NULL: out of memory
 */
struct uvm_map *uvm_map_create(struct pmap *pm, struct uvm_store *store, uint32_t domid,
    const struct uvm_maprange *ranges, unsigned nranges);
void uvm_map_ref(struct uvm_map *map);
void uvm_map_rele(struct uvm_map *map);

/*
 * uvm_map_destroy: the guest is gone: all entries go, frames on loan become orphans.
 * => its pmap is not called any more; no operation on the map may begin.  Frames that are still wired
 *    live until they are unwired
 *
 * uvm_map_retire: the first half: from now on nothing is found in the map, nothing mapped or lent.
 */
void uvm_map_retire(struct uvm_map *map);
void uvm_map_destroy(struct uvm_map *map);

/*
 * Entries.  All return 0, -ENOMEM, -EINVAL (outside the map's ranges, empty, wraps) or -EEXIST
 * (something is there already).  They do not touch the pmap: the caller maps what is to be seen.
 *
 * uvm_map_enter_ram: memory that is zero-fill and belongs to the guest from the start
 * uvm_map_enter_object: an object's pages (reference taken), copy-on-write.  A guest never maps
 *	a page of an object but by a loan to an anon, made when it first touches the page
 */
int uvm_map_enter_ram(struct uvm_map *map, uint64_t gfn, uint64_t n);
int uvm_map_enter_object(
    struct uvm_map *map, uint64_t gfn, uint64_t n, struct uvm_object *uo, uint64_t off);

/*
 * uvm_map_enter_new: make an entry of any kind, empty and busy, for the caller to fill.
 */
int uvm_map_enter_new(struct uvm_map *map, uint64_t gfn, uint64_t n, enum uvm_entry_kind kind,
    unsigned flags, struct uvm_entry **ep);
void uvm_map_entry_ready(struct uvm_map *map, struct uvm_entry *e);

/*
 * uvm_map_show: have the guest's process map one extent.  Leaves the world meanwhile.
 * => the pages of the extent belong to busy slots or a busy entry; no locks held
 * => 0; -ESRCH: the guest is gone; -ENOTRECOVERABLE: its process may have done half of it, so that
 *    nobody knows what it maps: it must be killed
 */
int uvm_map_show(struct uvm_map *map, const struct pmap_extent *ext);

/*
 * uvm_map_claim: find the entry that starts at gfn and make it busy, so that the caller can take
 * it down: map nothing in its place, then uvm_map_remove.
 * => -ENOENT: none starts there; -EBUSY: busy already (being mapped or removed)
 * => only entries with the flag (BORROWED, VIEW, LIVE) can be claimed, others are -EINVAL; with wired
 *    pages -EBUSY
 */
int uvm_map_claim(struct uvm_map *map, uint64_t gfn, unsigned flag, struct uvm_entry **ep);

/*
 * uvm_map_remove: drop an entry that the caller has busy, with all it holds, then thaw the lender.
 * => no locks held but the world's
 */
void uvm_map_remove(struct uvm_map *map, struct uvm_entry *e);

/* uvm_map_next_start: where the first entry after gfn begins; UINT64_MAX: none, or the map is dead.
 */
uint64_t uvm_map_next_start(struct uvm_map *map, uint64_t gfn);

/*
 * uvm_map_find_room: the highest place in [from, end) where n pages can be entered, at a multiple of
 * align.  0 or -ENOSPC.  => its guest's thread: nobody else enters things there
 */
int uvm_map_find_room(
    struct uvm_map *map, uint64_t from, uint64_t end, uint64_t n, uint64_t align, uint64_t *gfn);

/*
 * uvm_map_lookup: find the entry of a gfn; map and amap locked on success.
 * => -EFAULT: nothing there, or an entry that is being set up or torn down; nothing is locked
 */
int uvm_map_lookup(struct uvm_map *map, uint64_t gfn, struct uvm_lookup *ul);
void uvm_map_unlock(struct uvm_lookup *ul);

/* Linear page of a gfn, which lies in one of the map's ranges. */
uint64_t uvm_map_home(const struct uvm_map *map, uint64_t gfn);

/*
 * uvm_map_last_ram: the highest gfn of RAM; 0 when there is none.  Areas that do not begin at gfn 0 count
 * once something has been touched in them.  => no locks held
 */
uint64_t uvm_map_last_ram(struct uvm_map *map);

/* Pages in all ranges of the map. */
uint64_t uvm_map_size(const struct uvm_map *map);

/* True if [gfn, gfn + n) lies within one range of the map. */
bool uvm_map_inside(const struct uvm_map *map, uint64_t gfn, uint64_t n);

/*
 * uvm_map_learn_page: the anon of a page, learning it when the guest touched it unseen.
 * => looked up (map and amap locked).  0 and *anp (NULL: never touched), or -errno
 * => *ur remembers what the store said about the pages around; zero it after each lookup
 */
#define UVM_RESIDENCY_RUN 512u
struct uvm_residency {
	uint64_t ur_from, ur_first, ur_end; /* asked for [from, end): resident are [first, end) */
	uint64_t ur_framed[UVM_RESIDENCY_RUN / 64]; /* from ur_from on: has a frame */
};
int uvm_map_learn_page(
    struct uvm_lookup *ul, uint64_t gfn, struct uvm_residency *ur, struct uvm_anon **anp);

/* uvm_map_learn: learn all of a map, for exact accounts.  => no locks held but the world's */
int uvm_map_learn(struct uvm_map *map);

/*
 * uvm_map_thaw: pages of the range that are protected but not on loan any more become writable
 * again, run by run.  => no locks held but the world's; a dead map is left alone
 */
void uvm_map_thaw(struct uvm_map *map, uint64_t gfn, uint64_t n);

/*
 * uvm_map_thawable: is the page protected for no reason any more?  => looked up
 */
bool uvm_map_thawable(struct uvm_lookup *ul, uint64_t gfn);

/*
 * uvm_map_wire: make one page present, the guest's own, writable and not lendable, until unwire.
 * Loans of it are broken.  A page can be wired several times.
 * => -EFAULT, -EINVAL (not memory), -ENOMEM, or what uvm_fault says; no locks held but the world's
 *
 * uvm_map_wire_live: for who only looks: wire a page that is not on loan.
 * => -EAGAIN: it is on loan, somebody else's, about to change, or nobody ever touched it
 *
 * uvm_map_unwire: => the map may be destroyed by now: then the last unwire frees the frame
 */
int uvm_map_wire(struct uvm_map *map, uint64_t gfn, struct uvm_page **pgp);
int uvm_map_wire_live(struct uvm_map *map, uint64_t gfn, struct uvm_page **pgp);
void uvm_map_unwire(struct uvm_map *map, struct uvm_page *pg);

/*
 * uvm_map_discard: the guest gives memory up.  Pages on loan become orphans; the next touch finds
 * zeroes.
 * => -EINVAL: not all of it is the guest's memory; -EBUSY: some of it is wired; -ENOMEM: nothing
 * has changed; -ENOTRECOVERABLE: the guest's process may have done half of it: it must be killed
 */
int uvm_map_discard(struct uvm_map *map, uint64_t gfn, uint64_t n);

/*
 * uvm_map_drop_anon: empty a slot that is not busy.
 * => map and amap locked; true when others go on holding the page that this guest owned
 */
bool uvm_map_drop_anon(struct uvm_map *map, struct uvm_entry *e, uint64_t i);

/* uvm_map_entry_of: the entry of a gfn, in whatever state, or NULL.  => map locked */
struct uvm_entry *uvm_map_entry_of(struct uvm_map *map, uint64_t gfn);

/* uvm_map_next_entry: walk the entries in order, from NULL.  => map locked or world stopped */
struct uvm_entry *uvm_map_next_entry(struct uvm_map *map, struct uvm_entry *e);

#endif
