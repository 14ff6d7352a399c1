/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_PMAP_REMOTE_H
#define HV_PMAP_REMOTE_H
/*
 * The core's hold on the memory of one guest, which lives in another process.
 *
 * Write-protection goes through the guest's userfaultfd, which works from here; KVM's MMU notifier
 * carries it into EPT/NPT.  Mapping other frames is done by the executor in the guest's process
 * (pmap_local.h), by messages as in proto/wire.h.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "proto/wire.h"
#include "uvm/uvm_map.h"

#define REMOTE_AREAS 4 /* RAM, windows, special, RAM from 4 GiB on */

struct remote_area {
	uint64_t ra_gfn, ra_npages;
	uint64_t ra_hva; /* in the guest's process */
};

struct remote_pmap {
	struct pmap rp_pmap;
	struct uvm_store *rp_store; /* the guest's own */
	int rp_sock;		    /* to the executor; the owner closes it */
	int rp_uffd;		    /* likewise; -1 until the guest is ready */
	struct remote_area rp_areas[REMOTE_AREAS];
	pthread_mutex_t rp_turn; /* who speaks with the executor: may be held while it works */
	uint64_t rp_seq;	 /* rp_turn */
	_Atomic bool
	    rp_lost; /* the executor is gone or spoke nonsense: nothing is known of its mappings */
	_Atomic uint64_t rp_mappings; /* as the executor counted last */
	int rp_error;		      /* of the last extent that could not be mapped: 0 or -errno */
};

/*
 * remote_pmap_init: => once enter has answered -ESRCH, rp_lost is set: the owner kills the process
 */
void remote_pmap_init(struct remote_pmap *rp, struct uvm_store *store, int sock);

/* The guest page of an address of the guest's process; false if it is none. */
bool remote_pmap_gfn(const struct remote_pmap *rp, uint64_t hva, uint64_t *gfn);

#endif
