/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_ABI_CHAN_H
#define LOMBARD_ABI_CHAN_H
/*
 * chan_op: channels between guests, and between guests and host programs: the hypercall and the
 * layout of the memory that both sides look at.  Needs C99 and <stdint.h> only.  docs/abi.md is the
 * specification.  Programs use the library (hv/chan/lombard-chan.h), which does what follows.
 *
 * An endpoint owns a public area: pages that it writes and its peers read.
 *
 *	arena		frames with the messages' bytes       its owner writes, peers read
 *	control		struct chan_control                   its owner writes, peers read
 *	status		struct chan_status                    the hypervisor writes, all read
 *
 * in this order, contiguous in everybody's address space.  Frames are 4 KiB or 2 MiB pages; counts
 * named _pages are of 4 KiB.  A channel is two endpoints that see each other's public areas.  One
 * that was created by name may have several peers: each gets all its messages.
 *
 * A message is a range of the sender's arena and a descriptor.  Message number seq (1, 2, ...,
 * modulo 2^32) uses descriptor seq % CHAN_SLOTS; it is published when chan_desc.seq becomes seq,
 * and its descriptor and bytes are the sender's again when every peer has set its release[][] word
 * to seq. No side trusts the other: descriptors are copied once, checked, used.
 */
#include <stdint.h>

#define LOMBARD_HYPERCALL_chan_op 53 /* __HYPERVISOR_arch_5 */

#define CHAN_SLOTS 256U			/* messages under way at once, each way */
#define CHAN_MAX_PEERS 8U		/* of one endpoint */
#define CHAN_NAME_LEN 32		/* with its NUL */
#define CHAN_HUGE_PAGES 512U		/* pages of a 2 MiB frame */
#define CHAN_MAX_ARENA_PAGES (1U << 18) /* 1 GiB */

#define CHAN_ANYWHERE UINT64_MAX /* as a gfn */

/* chan_desc.kind */
#define CHAN_COPY 1U   /* the receiver copies the bytes out and releases at once */
#define CHAN_SEALED 2U /* sealed: see struct chan_sealed */
#define CHAN_SHARED 3U /* read in place, unprotected: for peers that trust each other */

struct chan_desc {
	uint32_t seq; /* written last, with release semantics */
	uint32_t kind;
	uint64_t offset; /* bytes from the arena's start */
	uint64_t len;	 /* bytes; 0 is a message, too */
	uint64_t tag;	 /* the sender's, not interpreted */
};

/*
 * When peer i connects, the hypervisor clears start[i] and release[i]: no word is left of another
 * that had that number before.  A cleared word is 0, but 1 where a message of its slot could have
 * number 0 (slot 0; desc[0].seq of a new endpoint likewise): a number that no message of that slot
 * has.
 */
struct chan_control {
	/*
	 * Set before its owner sleeps: who publishes, or releases, after a full fence looks here
	 * and has the owner's event raised (CHANOP_notify).
	 */
	uint32_t sleeping;
	uint32_t pad0[15];
	/*
	 * start[i]: 1 << 32 | the number of the first message that its owner's peer i gets; 0 until
	 * the owner has accepted that peer.
	 */
	uint64_t start[CHAN_MAX_PEERS];
	/* release[i][seq % CHAN_SLOTS] = seq: its owner has released message seq of its peer i. */
	uint32_t release[CHAN_MAX_PEERS][CHAN_SLOTS];
	struct chan_desc desc[CHAN_SLOTS]; /* at a multiple of 64 */
};

/*
 * What the hypervisor has sealed for message seq: these frames cannot change until it is released.
 * nr is 0 when there is nothing; seq means nothing then.
 */
struct chan_sealed {
	uint32_t seq;
	uint32_t first; /* frame of the arena */
	uint32_t nr;	/* frames */
	uint32_t peers; /* bit i: cannot change until peer i of the owner has released it */
};

/* chan_status.state */
#define CHAN_STATE_OPEN 1U
#define CHAN_STATE_CLOSED 2U /* its owner closed it, or died; nothing changes any more */

struct chan_status {
	uint32_t state;
	uint32_t frame_pages; /* pages of a frame: 1 or CHAN_HUGE_PAGES */
	uint32_t arena_pages;
	uint32_t domid; /* the owner's */
	/*
	 * bit i: peer i is connected, be it accepted or not; cleared when either side drops the
	 * other, closes or dies.  This is how an endpoint learns, in its own status, that a peer is
	 * gone; in the peer's status its number may be another's by then.
	 */
	uint32_t peers;
	uint32_t pad[3];
	/*
	 * stale[i] is not 0 while the owner has written to frames that were sealed for peer i: then
	 * there are frames that i sees as they once were, or not as they were sealed, and i asks
	 * CHANOP_refresh for each message before it looks at the bytes.
	 */
	uint32_t stale[CHAN_MAX_PEERS];
	struct chan_sealed sealed[CHAN_SLOTS];
};

#define CHAN_CONTROL_PAGES 5U
#define CHAN_STATUS_PAGES 2U
#define CHAN_AREA_PAGES(arena_pages) ((arena_pages) + CHAN_CONTROL_PAGES + CHAN_STATUS_PAGES)

/*
 * chan_op(cmd, arg): rax = LOMBARD_HYPERCALL_chan_op, rdi = CHANOP_*, rsi = guest-virtual address
 * of the command's structure, as with loan_op (lombard/loan.h).  gfns lie in the caller's window
 * area, and are multiples of CHAN_HUGE_PAGES; or CHAN_ANYWHERE: the hypervisor takes the highest
 * place that is free and large enough, and tells which (-ENOSPC).  An endpoint's event is raised when a peer connects,
 * when one drops it, closes or dies, and by CHANOP_notify.  -EBADF: id is no open endpoint of the
 * caller's.
 */

/*
 * CHANOP_create: make an endpoint and map its public area at gfn.
 * -EEXIST: the name is taken, or something is mapped there; -ENOMEM; -EINVAL; -ENOSPC: more than 64
 * endpoints, or 4 GiB in their arenas, or no event channel is left
 */
#define CHANOP_create 0
#define CHAN_WANT_HUGE 1U /* flags: 2 MiB frames if the host has them free, else 4 KiB */
/*
 * port is [in]: an event channel of the guest's that nobody has bound to.  It is raised for this
 * endpoint, stays the guest's, and when the guest closes it the endpoint is closed.
 */
#define CHAN_OWN_PORT 2U
struct chan_create {
	char name
	    [CHAN_NAME_LEN];  /* [in] what others connect to, or "" for an endpoint that connects */
	uint64_t gfn;	      /* [in], or CHAN_ANYWHERE and [out] */
	uint32_t arena_pages; /* [in] 1 .. CHAN_MAX_ARENA_PAGES; a multiple of 512 to be huge */
	uint16_t max_peers;   /* [in] 1 .. CHAN_MAX_PEERS */
	uint16_t flags;	      /* [in] CHAN_WANT_HUGE, CHAN_OWN_PORT */
	uint64_t id;	      /* [out] the endpoint's number: unique in the cell, never reused */
	uint32_t port;	      /* [out] its event channel; 0 for host programs, who get an eventfd */
	uint32_t frame_pages; /* [out] 1 or CHAN_HUGE_PAGES */
};

/*
 * CHANOP_connect: become a peer of the endpoint that was created with this name, and map its public
 * area at gfn.  -ENOENT: no such name (yet); -EBUSY: it has all the peers it wants; -EISCONN: this
 * endpoint has its peer (only endpoints without name connect, others are -EINVAL); -ENOSPC: more
 * than room pages; -EEXIST: something is mapped there
 * CHANOP_accept: map the public area of a peer that has connected, the same errors.  -EAGAIN: no
 * new one.  A peer that closes before it is accepted was never there
 */
#define CHANOP_connect 1
#define CHANOP_accept 2
struct chan_connect {
	uint64_t id;		  /* [in] the caller's endpoint */
	char name[CHAN_NAME_LEN]; /* [in] connect only */
	uint64_t gfn;		  /* [in], or CHAN_ANYWHERE and [out] */
	uint32_t room;		  /* [in] pages that may be mapped from gfn on */
	uint32_t arena_pages;	  /* [out] */
	uint32_t frame_pages;	  /* [out] */
	uint32_t peer;		  /* [out] number of the peer at this endpoint */
	uint32_t remote; /* [out] number of this endpoint at the peer: index of release[] */
	uint32_t domid;	 /* [out] the peer's */
};

/* CHANOP_query: how large an area is: of a name, or (name "") of the next peer to accept on id. */
#define CHANOP_query 3
struct chan_query {
	uint64_t id;		  /* [in] */
	char name[CHAN_NAME_LEN]; /* [in] */
	uint32_t arena_pages;	  /* [out] */
	uint32_t frame_pages;	  /* [out] */
};

/*
 * CHANOP_seal: from now on, until every peer has released message seq, these frames keep their
 * bytes for the peers; the owner's write costs him a copy.  Then publishes: sets chan_desc.seq of
 * each message, and raises the event of each peer that sleeps.  All ranges, or none.
 * -EBUSY: a frame, or a slot, is sealed already; -ENOTCONN: no peer; -EINVAL; -ENOMEM
 * First lets go of what has been released, as CHANOP_reap.
 */
#define CHANOP_seal 4
#define CHAN_SEAL_MAX 20U
struct chan_range {
	uint32_t seq;
	uint32_t first; /* frame */
	uint32_t nr;	/* frames, at least 1 */
};
struct chan_seal {
	uint64_t id;
	uint32_t nr; /* ranges */
	uint32_t pad;
	struct chan_range range[CHAN_SEAL_MAX];
};

/* CHANOP_reap: frames whose messages all peers have released become writable.  => seals left */
#define CHANOP_reap 5
/* CHANOP_close: unmap all, tell the peers. */
#define CHANOP_close 6
struct chan_id {
	uint64_t id;
};

/* CHANOP_notify: raise the event of these peers. */
#define CHANOP_notify 7
/*
 * CHANOP_drop: unmap the area of one peer; what it has not released counts as released.  It keeps
 * what it can see, sealed as it was (the caller's frames are replaced by copies where needed,
 * -ENOMEM if there are none), until it drops the caller in turn.
 */
#define CHANOP_drop 8
struct chan_peers {
	uint64_t id;
	uint32_t peers; /* notify: bit i for peer i; drop: the number of one */
	uint32_t pad;
};

/*
 * CHANOP_refresh: see the frames of message seq of a peer as they were sealed; when no seal of that
 * message covers them, the frames as they are now: look at chan_sealed after it, not before.  What
 * the caller saw there before is gone.
 * -EINVAL: no such peer, or outside its arena
 */
#define CHANOP_refresh 9
struct chan_refresh {
	uint64_t id;
	uint32_t peer;
	uint32_t seq;
	uint32_t first; /* frames */
	uint32_t nr;
};

#endif
