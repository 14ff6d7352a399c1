/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_ARENA_H
#define HV_UVM_ARENA_H
/*
 * Arenas: memory that one guest writes and others look at, parts of which can be sealed.
 *
 * An arena is an object whose frames are all there from the start.  Whoever maps it has a view:
 * the writer's is writable, all others are read-only and show what he writes as he writes it.
 * A seal is a loan of some frames (to page): the writer's mapping is protected, and his write to a
 * sealed frame breaks the loan: the arena gets a new frame, which the writer's view shows; the
 * other views go on showing the old one, and have it on loan themselves, until they are refreshed.
 * So nobody ever waits for another guest's process.  A view that is never refreshed keeps at most one
 * old frame for each frame of the arena, a seal another: a store with 2 + views banks is enough.
 *
 * Frames are numbered from 0, and are as long as the store's are.
 *
 * All functions run inside the world with no locks held, and may leave it meanwhile.  Calls for one
 * arena exclude each other: whoever is in one "has" the arena.  The ops are called by a thread that
 * has it, and may call the functions marked "inside" only.  A view's pmap is entered only by the
 * view's own guest (show, refresh, hide, fault), protected and un-protected by anybody.
 */
#include "uvm/uvm_loan.h"

struct uvm_arena;

struct uvm_arena_ops {
	/*
	 * The writer is about to break a loan, or sealing found a frame taken: end what has been
	 * released (uvm_arena_unseal).  May be NULL.
	 */
	void (*ao_reap)(void *arg);
	/*
	 * The view of map at gfn shows this many frames as they were before the writer broke a
	 * seal: after a break, before the writer goes on; or after a refresh.  Not called for a view
	 * that ends.  May be NULL.
	 */
	void (*ao_stale)(void *arg, struct uvm_map *map, uint64_t gfn, uint64_t frames);
	/*
	 * The writer has broken the loan of a frame: seals that cover it have the old one, which who
	 * looks at the arena from now on does not see without a refresh.  Before ao_stale, and before
	 * the writer goes on.  May be NULL.
	 */
	void (*ao_broken)(void *arg, uint64_t frame);
};

/*
 * uvm_arena_create: nframes frames of st, one reference for the caller; st's reference is taken
 * over on success.  Seals are numbered 0 .. nseals - 1.
 * => 0; -ENOMEM (also: the store has no memory for that many frames)
 */
int uvm_arena_create(struct uvm_store *st, uint64_t nframes, unsigned nseals,
    const struct uvm_arena_ops *ops, void *arg, struct uvm_arena **uap);
void uvm_arena_ref(struct uvm_arena *ua);
void uvm_arena_rele(struct uvm_arena *ua);

/*
 * uvm_arena_kva: the core's own address of a frame, valid until it is broken or the arena ends.
 * Inside, too.
 */
void *uvm_arena_kva(struct uvm_arena *ua, uint64_t frame);

/* uvm_arena_page: the page of a frame: it changes only when the writer breaks a loan.  Inside, too. */
struct uvm_page *uvm_arena_page(struct uvm_arena *ua, uint64_t frame);
uint64_t uvm_arena_frames(const struct uvm_arena *ua);

/*
 * uvm_arena_show: map all of the arena into a guest at gfn, a multiple of a frame.
 * => owner: the frames count as this guest's; writer: it may write (one at most, the owner)
 * => errors as uvm_map_enter_new; -ENOTRECOVERABLE: the guest's process may have done half of it
 *
 * uvm_arena_hide: take it away again.  -ENOENT: no arena is shown at gfn; -ENOTRECOVERABLE.
 * uvm_map_destroy does the same for a guest that is gone.
 */
#define UVM_VIEW_WRITER 0x1u
#define UVM_VIEW_OWNER 0x2u
int uvm_arena_show(struct uvm_arena *ua, struct uvm_map *map, uint64_t gfn, unsigned flags);
int uvm_arena_hide(struct uvm_map *map, uint64_t gfn);

/*
 * uvm_arena_seal: frames [first, first + n) keep their bytes until the seal ends.
 * => -EBUSY: the seal is in use, or one of the frames is sealed; -EINVAL; -ENOMEM
 */
int uvm_arena_seal(struct uvm_arena *ua, unsigned seal, uint64_t first, uint64_t n);

/*
 * uvm_arena_unseal: end a seal (inside, too).  Frames stay protected until uvm_arena_thaw, or until
 * the writer's next write: sealing them again meanwhile costs nothing.
 * => the seal is in use
 */
void uvm_arena_unseal(struct uvm_arena *ua, unsigned seal);
bool uvm_arena_sealed(const struct uvm_arena *ua, unsigned seal); /* inside, too */

/* uvm_arena_reap: call ao_reap.  uvm_arena_thaw: un-protect frames that no seal has any more. */
void uvm_arena_reap(struct uvm_arena *ua);
void uvm_arena_thaw(struct uvm_arena *ua);

/*
 * uvm_arena_refresh: have the view at gfn show the frames of a seal as they were sealed; with
 * UVM_NOSEAL what the arena has in [first, first + n) now.  Old frames it had are let go.
 * => -ENOENT: no arena is shown there; -EINVAL; -ENOTRECOVERABLE
 */
#define UVM_NOSEAL UINT32_MAX
int uvm_arena_refresh(struct uvm_map *map, uint64_t gfn, uint32_t seal, uint64_t first, uint64_t n);

/*
 * For uvm_fault: an access to an entry of kind ARENA.  => map locked (lookup); unlocked on return
 * For uvm_map_remove: the end of such an entry, with nothing locked.
 */
int uvm_arena_fault(struct uvm_lookup *ul, uint64_t gfn, bool write);
void uvm_arena_entry_gone(struct uvm_entry *e);

/*
 * For the auditor, with the world stopped.  uvm_arena_visit: every loan that arenas and views hold.
 * uvm_arena_claim: say whose frames those of an entry are; returns how many pages the guest only
 * looks at.  uvm_arena_exposed: sealed frames that the writer of this entry could write.
 */
void uvm_arena_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind));
uint64_t uvm_arena_claim(struct uvm_map *map, const struct uvm_entry *e);
uint64_t uvm_arena_exposed(const struct uvm_entry *e);

#endif
