/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_GRANT_PRIVATE_H
#define HV_XEN_GRANT_PRIVATE_H
/* What grant.c (tables, pins), grant_share.c (the host's pages) and grant_op.c (guests) share. */
#include <pthread.h>
#include <stdatomic.h>

#include "xen/grant.h"
#include "xen/public.h"

#define GRANTS_PER_FRAME (UVM_PAGE_SIZE / sizeof(struct grant_entry_v1))

/* A page of the host that a reference stands for. */
struct grant_shared {
	struct grant_share *gs_share; /* NULL: the reference is free */
	uint32_t gs_index;	      /* of the page in it */
	bool gs_ended;		      /* only what is mapped keeps it */
};

struct grant_frame {
	struct uvm_arena *gf_arena;	   /* NULL: the host's */
	struct grant_entry_v1 *gf_entries; /* the arena's memory, or our own */
	struct grant_shared *gf_shared;	   /* the host's: by reference */
	uint64_t gf_gfn; /* where its guest has it, or UVM_NOGFN: of its thread only */
	struct grant_pin *gf_pins[GRANTS_PER_FRAME];
};

struct grant_pin {
	struct grant_domain *pi_gd; /* NULL: the granter is gone */
	uint32_t pi_ref, pi_mapper; /* s */
	uint32_t pi_readers, pi_writers;
	bool pi_busy; /* the page is being wired or let go */
	struct uvm_page *pi_page;
	struct uvm_map *pi_map;	      /* a guest's page: reference */
	struct grant_share *pi_share; /* the host's: reference */
};

/* A granted page that a guest has mapped: grant_op.c. */
struct grant_handle {
	struct grant_pin *gh_pin; /* NULL: the handle is free */
	uint64_t gh_gfn;
	bool gh_write;
};

extern pthread_mutex_t grant_mutex;
extern struct grant_domain grant_host;

/* The entry's flags (low half) and domain, which change together. */
static inline _Atomic uint32_t *grant_word(struct grant_frame *gf, uint32_t ref)
{
	return (_Atomic uint32_t *)&gf->gf_entries[ref % GRANTS_PER_FRAME];
}

/* => mutex held.  NULL: outside the table */
static inline struct grant_frame *grant_frame_of(const struct grant_domain *gd, uint32_t ref)
{
	return ref / GRANTS_PER_FRAME < gd->gd_nframes ? gd->gd_frames[ref / GRANTS_PER_FRAME]
						       : NULL;
}

/*
 * For grant_share.c: => mutex held.  grant_share_resolve: the share of a reference, with a
 * reference, and which of its pages.  grant_share_unused: nobody maps it any more.
 */
struct grant_share *grant_share_resolve(uint32_t ref, uint32_t *index);
void grant_share_unused(uint32_t ref);
/* => inside the world */
void grant_share_rele(struct grant_share *share);

/* grant_frames_need: make all frames up to n.  => no locks, outside the world.  0 or -errno */
int grant_frames_need(struct grant_domain *gd, uint32_t n);

/* grant_op_copy: GNTTABOP_copy, as grant_op. */
int grant_op_copy(struct grant_domain *gd, void *arg);

/* grant_handles_end: a guest's mappings end with it. */
void grant_handles_end(struct grant_domain *gd);

#endif
