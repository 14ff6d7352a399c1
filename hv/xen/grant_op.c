/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guests do with grants: GNTTABOP_*, and showing them their table.
 *
 * Everything here is called by the guest's own thread: its handles need no lock.
 */
#include <errno.h>
#include <string.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena.h"
#include "uvm/uvm_mapin.h"
#include "xen/grant_private.h"

#define FIRST_HANDLES 16u
#define MAX_HANDLES 65536u

/* -errno of a mapping as a status; -ENOTRECOVERABLE is the guest's end, and its caller's matter. */
static int16_t map_status(int error)
{
	switch (error) {
	case 0:
		return GNTST_okay;
	case -ENOMEM:
		return GNTST_no_device_space;
	case -EINVAL:
	case -EEXIST:
	case -ENOENT:
		return GNTST_bad_virt_addr;
	default:
		return GNTST_general_error;
	}
}

static int grow_handles(struct grant_domain *gd)
{
	uint32_t n = gd->gd_nhandles == 0 ? FIRST_HANDLES : 2 * gd->gd_nhandles;
	struct grant_handle *array;

	if (n > MAX_HANDLES)
		return -ENOMEM;
	array = uvm_zalloc(n * sizeof(*array));
	if (array == NULL)
		return -ENOMEM;
	if (gd->gd_nhandles > 0)
		memcpy(array, gd->gd_handles, gd->gd_nhandles * sizeof(*array));
	uvm_free(gd->gd_handles);
	gd->gd_handles = array;
	gd->gd_nhandles = n;
	return 0;
}

static int free_handle(struct grant_domain *gd, uint32_t *handle)
{
	uint32_t i = 0;

	while (i < gd->gd_nhandles && gd->gd_handles[i].gh_pin != NULL)
		i++;
	*handle = i;
	return i < gd->gd_nhandles ? 0 : grow_handles(gd);
}

/* => the handle is free.  -ENOTRECOVERABLE: the page stays with it until the guest is gone */
static int map_pinned(
    struct grant_domain *gd, uint32_t handle, uint64_t gfn, struct grant_pin *pin, bool write)
{
	int error;

	uvm_world_enter();
	error = uvm_mapin(gd->gd_map, gfn, grant_page(pin), write);
	uvm_world_leave();
	if (error == 0 || error == -ENOTRECOVERABLE)
		gd->gd_handles[handle] = (struct grant_handle){
		    .gh_pin = pin, .gh_gfn = gfn, .gh_write = write};
	else
		grant_unpin(pin, write);
	return error;
}

static int op_map(struct grant_domain *gd, void *arg)
{
	const uint32_t known = GNTMAP_host_map | GNTMAP_readonly;
	struct gnttab_map_grant_ref *op = arg;
	bool write = (op->flags & GNTMAP_readonly) == 0;
	struct grant_pin *pin;
	uint32_t handle;
	int error = 0;

	if ((op->flags & ~known) != 0 || (op->flags & GNTMAP_host_map) == 0)
		op->status = GNTST_general_error;
	else if (op->host_addr % UVM_PAGE_SIZE != 0)
		op->status = GNTST_bad_virt_addr;
	else if (free_handle(gd, &handle) != 0)
		op->status = GNTST_no_device_space;
	else
		op->status = (int16_t)grant_pin(op->dom, op->ref, gd->gd_domid, write, &pin);
	if (op->status != GNTST_okay)
		return 0;
	error = map_pinned(gd, handle, op->host_addr / UVM_PAGE_SIZE, pin, write);
	op->status = map_status(error);
	op->handle = handle;
	op->dev_bus_addr = 0;
	return error == -ENOTRECOVERABLE ? error : 0;
}

static int op_unmap(struct grant_domain *gd, void *arg)
{
	struct gnttab_unmap_grant_ref *op = arg;
	struct grant_handle *gh = op->handle < gd->gd_nhandles ? &gd->gd_handles[op->handle] : NULL;
	int error;

	if (gh == NULL || gh->gh_pin == NULL) {
		op->status = GNTST_bad_handle;
		return 0;
	}
	if (op->host_addr != gh->gh_gfn * UVM_PAGE_SIZE) {
		op->status = GNTST_bad_virt_addr;
		return 0;
	}
	uvm_world_enter();
	error = uvm_mapout(gd->gd_map, gh->gh_gfn);
	uvm_world_leave();
	op->status = map_status(error);
	if (error != 0)
		return error == -ENOTRECOVERABLE ? error : 0;
	grant_unpin(gh->gh_pin, gh->gh_write);
	gh->gh_pin = NULL;
	return 0;
}

void grant_handles_end(struct grant_domain *gd)
{
	for (uint32_t i = 0; i < gd->gd_nhandles; i++)
		if (gd->gd_handles[i].gh_pin != NULL)
			grant_unpin(gd->gd_handles[i].gh_pin, gd->gd_handles[i].gh_write);
	uvm_free(gd->gd_handles);
	gd->gd_handles = NULL;
	gd->gd_nhandles = 0;
}

/* A domain that an operation names: the caller's own. */
static bool self_p(const struct grant_domain *gd, domid_t domid)
{
	return domid == DOMID_SELF || domid == gd->gd_domid;
}

static int op_query_size(struct grant_domain *gd, void *arg)
{
	struct gnttab_query_size *op = arg;

	if (!self_p(gd, op->dom))
		op->status = GNTST_permission_denied;
	else
		op->status = (int16_t)grant_query(gd->gd_domid, &op->nr_frames, &op->max_nr_frames);
	return 0;
}

/* Only version 1 is there. */
static int op_set_version(struct grant_domain *gd, void *arg)
{
	struct gnttab_set_version *op = arg;

	(void)gd;
	if (op->version == 2)
		return -ENOSYS;
	return op->version == 1 ? 0 : -EINVAL;
}

static int op_get_version(struct grant_domain *gd, void *arg)
{
	struct gnttab_get_version *op = arg;

	if (!self_p(gd, op->dom))
		return -EPERM;
	op->version = 1;
	return 0;
}

static const struct {
	uint32_t size;
	int (*call)(struct grant_domain *gd, void *arg);
} ops[] = {
    [GNTTABOP_map_grant_ref] = {sizeof(struct gnttab_map_grant_ref), op_map},
    [GNTTABOP_unmap_grant_ref] = {sizeof(struct gnttab_unmap_grant_ref), op_unmap},
    [GNTTABOP_copy] = {sizeof(struct gnttab_copy), grant_op_copy},
    [GNTTABOP_query_size] = {sizeof(struct gnttab_query_size), op_query_size},
    [GNTTABOP_set_version] = {sizeof(struct gnttab_set_version), op_set_version},
    [GNTTABOP_get_version] = {sizeof(struct gnttab_get_version), op_get_version},
};

uint32_t grant_op_size(uint32_t cmd)
{
	return cmd < sizeof(ops) / sizeof(ops[0]) ? ops[cmd].size : 0;
}

int grant_op(struct grant_domain *gd, uint32_t cmd, void *arg, uint32_t len)
{
	uint32_t size = grant_op_size(cmd);

	if (size == 0)
		return -ENOSYS;
	if (len != size)
		return -EINVAL;
	return ops[cmd].call(gd, arg);
}

/* => inside the world, the frame is shown nowhere */
static int show_at(struct grant_domain *gd, struct grant_frame *gf, uint64_t gfn)
{
	int error = uvm_arena_show(gf->gf_arena, gd->gd_map, gfn, UVM_VIEW_WRITER | UVM_VIEW_OWNER);

	gf->gf_gfn = error == 0 ? gfn : UVM_NOGFN;
	return error;
}

/* => inside the world.  A frame that can't be shown there is again where it was. */
static int show(struct grant_domain *gd, struct grant_frame *gf, uint64_t gfn)
{
	uint64_t old = gf->gf_gfn;
	int error = 0, undone;

	if (old == gfn)
		return 0;
	if (old != UVM_NOGFN)
		error = uvm_arena_hide(gd->gd_map, old);
	if (error != 0)
		return error;
	error = show_at(gd, gf, gfn);
	if (error == 0 || error == -ENOTRECOVERABLE || old == UVM_NOGFN)
		return error;
	undone = show_at(gd, gf, old);
	return undone == -ENOTRECOVERABLE ? undone : error;
}

int grant_show_frame(struct grant_domain *gd, uint64_t frame, uint64_t gfn)
{
	struct grant_frame *gf;
	int error;

	if (frame >= GRANT_MAX_FRAMES)
		return -EINVAL;
	error = grant_frames_need(gd, (uint32_t)frame + 1);
	if (error != 0)
		return error;
	pthread_mutex_lock(&grant_mutex);
	gf = gd->gd_frames[frame];
	pthread_mutex_unlock(&grant_mutex);
	uvm_world_enter();
	error = show(gd, gf, gfn);
	uvm_world_leave();
	return error;
}
