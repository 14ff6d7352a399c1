/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Xen's resources (XENMEM_*resource*, public/memory.h) for the kind "foreignmemory": of those that
 * Xen has, the frames of grant tables are there.
 */
#include <errno.h>
#include <stdlib.h>

#include "uvm/uvm_arena.h"
#include "xen/client_foreign.h"
#include "xen/grant.h"
#include "xen/public.h"

/* Frames that a program has mapped, which outlive their guest. */
struct frames {
	uint32_t fr_n;
	struct uvm_arena *fr_arenas[GRANT_MAX_FRAMES];
};

static void end_frames(void *arg)
{
	struct frames *fr = arg;

	uvm_world_enter();
	for (uint32_t i = 0; i < fr->fr_n; i++)
		uvm_arena_rele(fr->fr_arenas[i]);
	uvm_world_leave();
	free(fr);
}

/* Frames with the status of entries belong to version 2. */
static int check(const struct xen_request *req)
{
	if (req->head.u.resource.type != XENMEM_resource_grant_table)
		return -EOPNOTSUPP;
	return req->head.u.resource.id == XENMEM_resource_grant_table_id_shared ? 0 : -EINVAL;
}

void xen_resource_size(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	int error = check(req);
	uint32_t n;

	(void)c;
	rep->head.value = error;
	if (error != 0)
		return;
	n = grant_frames_max(req->head.u.resource.domid);
	rep->head.value = n > 0 ? (int64_t)(n * UVM_PAGE_SIZE) : -ESRCH;
}

static bool place(struct xen_reply *rep, const struct frames *fr, bool write)
{
	bool room = true;

	uvm_world_enter();
	for (uint32_t i = 0; room && i < fr->fr_n; i++)
		room = xen_foreign_place(
		    rep, &rep->u.pages[i], uvm_arena_page(fr->fr_arenas[i], 0), write);
	uvm_world_leave();
	return room;
}

static int map_frames(struct xen_client *c, const struct xen_request *req, struct xen_reply *rep)
{
	bool write = (req->head.u.resource.prot & XENWIRE_WRITE) != 0;
	uint64_t n = req->head.u.resource.nframes, id = 0;
	struct frames *fr;
	int error = check(req);

	if (error != 0)
		return error;
	if (n == 0 || n > GRANT_MAX_FRAMES)
		return -EINVAL;
	fr = calloc(1, sizeof(*fr));
	if (fr == NULL)
		return -ENOMEM;
	error = grant_frames_get(
	    req->head.u.resource.domid, req->head.u.resource.frame, (uint32_t)n, fr->fr_arenas);
	if (error != 0) {
		free(fr);
		return error;
	}
	fr->fr_n = (uint32_t)n;
	error = place(rep, fr, write) ? xen_foreign_add(c, &id, n, end_frames, fr) : -EMFILE;
	if (error != 0) {
		end_frames(fr);
		return error;
	}
	rep->head.n = fr->fr_n;
	rep->element_size = sizeof(rep->u.pages[0]);
	rep->head.value = (int64_t)id;
	return 0;
}

void xen_resource_map(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	int error = map_frames(c, req, rep);

	if (error != 0) {
		rep->head.value = error;
		rep->nfds = 0;
	}
}
