/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that host programs share: the host's own table of grants.
 */
#include <errno.h>

#include "pmap/store_memfd.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena.h"
#include "xen/grant_private.h"

#define HOST_FRAMES 128u /* 65536 references */
#define HOST_REFS (HOST_FRAMES * (uint32_t)GRANTS_PER_FRAME)

struct grant_share {
	uint32_t sh_holders; /* mutex: the maker, and each pin */
	struct uvm_arena *sh_arena;
	uint32_t sh_n;
	uint32_t sh_refs[];
};

static struct grant_frame *host_frames[HOST_FRAMES];

struct grant_domain grant_host = {
    .gd_domid = GRANT_HOST, .gd_max_frames = HOST_FRAMES, .gd_frames = host_frames};

/* Everything static below is called with the mutex held, but for making and ending memory. */

static uint32_t next_ref = GRANT_FIRST_REF; /* where the search for a free one goes on */

static int host_grow(void)
{
	struct grant_frame *gf = uvm_zalloc(sizeof(*gf));

	if (gf == NULL)
		return -ENOMEM;
	gf->gf_gfn = UVM_NOGFN;
	gf->gf_entries = uvm_zalloc(GRANTS_PER_FRAME * sizeof(*gf->gf_entries));
	gf->gf_shared = uvm_zalloc(GRANTS_PER_FRAME * sizeof(*gf->gf_shared));
	if (gf->gf_entries == NULL || gf->gf_shared == NULL) {
		uvm_free(gf->gf_entries);
		uvm_free(gf->gf_shared);
		uvm_free(gf);
		return -ENOMEM;
	}
	host_frames[grant_host.gd_nframes++] = gf;
	return 0;
}

static struct grant_shared *shared_of(uint32_t ref)
{
	return &grant_frame_of(&grant_host, ref)->gf_shared[ref % GRANTS_PER_FRAME];
}

/* A free reference.  -ENOSPC, -ENOMEM */
static int free_ref(uint32_t *ref)
{
	int error;

	for (uint32_t tries = GRANT_FIRST_REF; tries < HOST_REFS; tries++) {
		*ref = next_ref;
		next_ref = next_ref + 1 < HOST_REFS ? next_ref + 1 : GRANT_FIRST_REF;
		if (grant_frame_of(&grant_host, *ref) == NULL) {
			error = host_grow();
			if (error != 0)
				return error;
		}
		if (shared_of(*ref)->gs_share == NULL)
			return 0;
	}
	return -ENOSPC;
}

static void end_ref(uint32_t ref)
{
	struct grant_frame *gf = grant_frame_of(&grant_host, ref);

	atomic_store(grant_word(gf, ref), 0);
	if (gf->gf_pins[ref % GRANTS_PER_FRAME] != NULL)
		shared_of(ref)->gs_ended = true;
	else
		*shared_of(ref) = (struct grant_shared){0};
}

static int grant_all(struct grant_share *sh, uint32_t domid, bool writable)
{
	uint32_t flags = GTF_permit_access | (writable ? 0 : GTF_readonly), ref;
	int error;

	for (uint32_t i = 0; i < sh->sh_n; i++) {
		error = free_ref(&ref);
		if (error != 0) {
			while (i > 0)
				end_ref(sh->sh_refs[--i]);
			return error;
		}
		sh->sh_refs[i] = ref;
		*shared_of(ref) = (struct grant_shared){.gs_share = sh, .gs_index = i};
		atomic_store(
		    grant_word(grant_frame_of(&grant_host, ref), ref), flags | domid << 16);
	}
	return 0;
}

/* => inside the world */
static int make_memory(struct grant_share *sh)
{
	struct memfd_store *ms;
	struct failure f;
	int error = memfd_store_create("shared by the host", sh->sh_n, 1, GRANT_HOST, &ms, &f);

	if (error != 0)
		return error;
	error = uvm_arena_create(&ms->ms_store, sh->sh_n, 0, NULL, NULL, &sh->sh_arena);
	if (error != 0)
		uvm_store_rele(&ms->ms_store);
	return error;
}

int grant_share_create(
    uint32_t domid, uint32_t n, bool writable, uint32_t *refs, struct grant_share **sp)
{
	struct grant_share *sh;
	int error;

	if (n == 0 || n > HOST_REFS || domid > UINT16_MAX)
		return -EINVAL;
	sh = uvm_zalloc(sizeof(*sh) + n * sizeof(sh->sh_refs[0]));
	if (sh == NULL)
		return -ENOMEM;
	sh->sh_holders = 1;
	sh->sh_n = n;
	uvm_world_enter();
	error = make_memory(sh);
	uvm_world_leave();
	if (error != 0) {
		uvm_free(sh);
		return error;
	}
	pthread_mutex_lock(&grant_mutex);
	error = grant_all(sh, domid, writable);
	for (uint32_t i = 0; error == 0 && i < n; i++)
		refs[i] = sh->sh_refs[i];
	pthread_mutex_unlock(&grant_mutex);
	if (error == 0) {
		*sp = sh;
		return 0;
	}
	uvm_world_enter();
	grant_share_rele(sh);
	uvm_world_leave();
	return error;
}

void grant_share_rele(struct grant_share *sh)
{
	bool last;

	pthread_mutex_lock(&grant_mutex);
	last = --sh->sh_holders == 0;
	pthread_mutex_unlock(&grant_mutex);
	if (!last)
		return;
	uvm_arena_rele(sh->sh_arena);
	uvm_free(sh);
}

void grant_share_end(struct grant_share *sh)
{
	pthread_mutex_lock(&grant_mutex);
	for (uint32_t i = 0; i < sh->sh_n; i++)
		end_ref(sh->sh_refs[i]);
	pthread_mutex_unlock(&grant_mutex);
	uvm_world_enter();
	grant_share_rele(sh);
	uvm_world_leave();
}

struct uvm_page *grant_share_page(struct grant_share *sh, uint32_t i)
{
	struct uvm_page *pg;

	KASSERT(i < sh->sh_n);
	uvm_world_enter();
	pg = uvm_arena_page(sh->sh_arena, i);
	uvm_world_leave();
	return pg;
}

struct grant_share *grant_share_resolve(uint32_t ref, uint32_t *index)
{
	struct grant_shared *gs = shared_of(ref);

	if (gs->gs_share == NULL || gs->gs_ended)
		return NULL;
	gs->gs_share->sh_holders++;
	*index = gs->gs_index;
	return gs->gs_share;
}

void grant_share_unused(uint32_t ref)
{
	if (shared_of(ref)->gs_ended)
		*shared_of(ref) = (struct grant_shared){0};
}
