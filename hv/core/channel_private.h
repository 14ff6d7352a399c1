/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_CHANNEL_PRIVATE_H
#define HV_CORE_CHANNEL_PRIVATE_H
/*
 * What the files channel*.c share.
 *
 * channels_mutex protects everything that is not marked s (stable).  It is a leaf but for the lock
 * of event channels: no function of an arena, of a map or of the world is called with it held.  The hooks of an arena (ao_*) take it with the arena excluded.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "core/guest.h"
#include "lombard/chan.h"
#include "uvm/uvm_arena.h"
#include "uvm/uvm_tree.h"

#define CHANNEL_MAX_ENDPOINTS 64u	      /* of one guest */
#define CHANNEL_MAX_PAGES ((uint64_t)1 << 20) /* in all arenas of one guest: 4 GiB */

enum { AREA_DATA, AREA_CONTROL, AREA_STATUS, AREA_NPARTS };

/*
 * What an endpoint knows of one peer.
 *
 *	FREE -> BUSY -> MAPPED			this side connects
 *	FREE -> RESERVED -> WAITING		the other side connects
 *	WAITING -> BUSY -> MAPPED		this side accepts
 *	MAPPED -> BUSY -> FREE			this side drops it
 *	RESERVED, WAITING -> FREE		the other side failed, closed, or died
 *
 * BUSY is changed by the owner's thread only.
 */
enum link_state { LINK_FREE, LINK_RESERVED, LINK_WAITING, LINK_BUSY, LINK_MAPPED };

struct link {
	enum link_state li_state;
	bool li_gone;		  /* the other side has closed, died, or dropped us */
	struct endpoint *li_peer; /* with a reference, unless FREE */
	uint32_t li_remote;	  /* number of this endpoint there */
	uint64_t li_gfn;	  /* BUSY, MAPPED: where our owner has the peer's area */
	uint32_t li_old;	  /* frames of ours that the peer's view shows as they once were */
};

/* SETUP: being sealed.  ENDING: released, and being unsealed. */
enum seal_state { SEAL_FREE, SEAL_SETUP, SEAL_SEALED, SEAL_ENDING };

struct seal {
	enum seal_state se_state;
	uint32_t se_seq, se_first, se_nr;
	uint32_t se_waiting; /* bit i: peer i has to release it yet */
	bool se_broken;	     /* the owner has written to its frames, and has others there now */
};

struct endpoint {
	LIST_ENTRY(endpoint) ep_all;   /* all there are */
	LIST_ENTRY(endpoint) ep_owned; /* its owner's, until it closes */
	RB_ENTRY(endpoint) ep_tree;    /* by name, if it has one, until it closes */
	_Atomic uint32_t ep_refs;      /* owner, links that lead here */
	uint64_t ep_id;		       /* s */
	char ep_name[CHAN_NAME_LEN];   /* s */
	char ep_owner[WIRE_NAME_LEN];  /* s */
	uint32_t ep_domid;	       /* s */
	struct guest *ep_guest;	       /* s; not to be looked at once it is closed */
	bool ep_closed;
	int ep_event;				/* s: host programs\' eventfd, until it closes */
	uint32_t ep_port;			/* s; 0 for host programs */
	bool ep_own_port;			/* s: it is the guest's: CHAN_OWN_PORT */
	uint64_t ep_gfn;			/* s: where its owner has it */
	uint32_t ep_arena_pages;		/* s */
	uint32_t ep_frame_pages;		/* s */
	uint32_t ep_frames;			/* s */
	unsigned ep_max_peers;			/* s */
	struct uvm_arena *ep_part[AREA_NPARTS]; /* s: a reference to each */
	struct chan_control *ep_control; /* s: the core's address; the owner writes there, too */
	struct chan_status *ep_status;	 /* s: the core's address */
	struct link ep_links[CHAN_MAX_PEERS];
	struct seal ep_seals[CHAN_SLOTS];
	uint32_t ep_nseals;  /* not FREE */
	uint32_t ep_nbroken; /* of them */
};

extern pthread_mutex_t channels_mutex;

static inline void channels_lock(void)
{
	pthread_mutex_lock(&channels_mutex);
}

static inline void channels_unlock(void)
{
	pthread_mutex_unlock(&channels_mutex);
}

/* ---- channel.c: lifetime, names, links ---- */

/* channel_find: a guest's own endpoint, or NULL.  => its thread, which alone could close it */
struct endpoint *channel_find(struct guest *g, uint64_t id);

/* => mutex */
static inline bool channel_link_live(const struct link *l)
{
	return l->li_state == LINK_MAPPED && !l->li_gone;
}

static inline unsigned link_number(const struct endpoint *ep, const struct link *l)
{
	return (unsigned)(l - ep->ep_links);
}

/* channel_place: find a place for CHAN_ANYWHERE; others stay as they are.  0, -ENOSPC or -EINVAL */
int channel_place(struct guest *g, uint64_t *gfn, uint64_t pages);

/* channel_name_p: does it end within its field, and can be printed? */
bool channel_name_p(const char name[CHAN_NAME_LEN]);

/* channel_find_name: an open endpoint.  => mutex; a name that channel_name_p accepts; NULL: none */
struct endpoint *channel_find_name(const char name[CHAN_NAME_LEN]);

/* channel_raise: tell an endpoint's owner that something has happened.  => mutex */
void channel_raise(struct endpoint *ep);

/* channel_rele: let a reference go.  => inside the world, no mutex */
void channel_rele(struct endpoint *ep);

/*
 * All with the mutex held:
 *
 * link_take: give a free link to a peer, with a reference: nothing of the one that was there before
 *	may be taken for its own
 * link_give: make a link free.  => the peer, whose reference is the caller's to release
 * link_set_connected: the bit in the status page that shows it
 * link_sever: nothing comes from this side any more, and nothing is wanted: the other side is told.
 *	If it has not mapped us yet, it never had us
 */
void link_take(struct endpoint *ep, struct link *l, enum link_state state, struct endpoint *peer,
    uint32_t remote, uint64_t gfn);
struct endpoint *link_give(struct endpoint *ep, struct link *l);
void link_set_connected(struct endpoint *ep, unsigned i, bool connected);
void link_sever(struct endpoint *ep, struct link *l);

int64_t channel_create(struct guest *g, struct chan_create *op);
int64_t channel_close(struct guest *g, const struct chan_id *op);

/* ---- channel_link.c ---- */

int64_t channel_connect(struct guest *g, struct chan_connect *op);
int64_t channel_accept(struct guest *g, struct chan_connect *op);
int64_t channel_query(struct guest *g, struct chan_query *op);
int64_t channel_drop(struct guest *g, const struct chan_peers *op);

/* ---- channel_area.c: an endpoint's memory ---- */

/*
 * area_make: arena, control and status, as ep_arena_pages says; huge: with 2 MiB frames if they can
 * be had.  Sets ep_frame_pages, ep_frames, ep_part, ep_control, ep_status.
 * => 0; -ENOMEM and others, then nothing is left
 */
int area_make(struct endpoint *ep, bool huge);
void area_free(struct endpoint *ep);

/*
 * area_show: map the three parts into a guest at gfn; owner: it is its own.  => as uvm_arena_show
 * area_hide: take them away.  0 or -ENOTRECOVERABLE
 */
int area_show(struct endpoint *ep, struct uvm_map *map, uint64_t gfn, bool owner);
int area_hide(struct endpoint *ep, struct uvm_map *map, uint64_t gfn);

/* ---- channel_seal.c ---- */

extern const struct uvm_arena_ops channel_arena_ops;

int64_t channel_seal(struct guest *g, const struct chan_seal *op);
int64_t channel_reap(struct guest *g, const struct chan_id *op);
int64_t channel_refresh(struct guest *g, const struct chan_refresh *op);

/*
 * seals_keep_for: what peer i has not released stays as it is for it, whatever the owner writes
 * from now on, without the seals: the owner has other frames then.  => owner's thread; 0 or
 * -ENOMEM, ...
 */
int seals_keep_for(struct endpoint *ep, unsigned i);

/* => mutex.  Peer i need not release anything any more. */
void seals_forget_peer(struct endpoint *ep, unsigned i);

/* seals_settle: end what has been released, and let the owner write there.  Any thread. */
void seals_settle(struct endpoint *ep);

/* seals_end: end all.  => nobody refers to the endpoint any more */
void seals_end(struct endpoint *ep);

#endif
