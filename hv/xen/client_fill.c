/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A backend's grants: those of one guest only, and pages of a file that they become.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/file_object.h"
#include "uvm/uvm_fill.h"
#include "xen/client_gnttab.h"
#include "xen/grant.h"
#include "xen/only.h"

_Static_assert(XENWIRE_MAX_FILL == UVM_FILL_MAX, "a packet is a call");

/* Pages of the file to look at for each that is lent: more than can become idle meanwhile. */
#define TRIM UINT64_C(2)

void xen_fill_only(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct grants *gr = c->xc_data;

	if (gr->gr_only == NULL && !LIST_EMPTY(&gr->gr_maps))
		rep->head.value = -EBUSY;
	else
		rep->head.value = xen_only_set(&gr->gr_only, req->head.u.id);
}

void xen_fill_file(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct grants *gr = c->xc_data;
	struct failure f;
	uint64_t bytes;

	rep->head.value = -EINVAL;
	if (gr->gr_only == NULL || gr->gr_file != NULL || req->fd < 0)
		return;
	uvm_world_enter();
	rep->head.value = file_object_get(req->fd, &gr->gr_file, &bytes, &f);
	uvm_world_leave();
}

void xen_fill_end(struct grants *gr)
{
	if (gr->gr_file != NULL) {
		uvm_world_enter();
		/* What only this guest had read; others' backends may keep the object. */
		uvm_object_trim(gr->gr_file, gr->gr_file->uo_npages);
		uvm_object_rele(gr->gr_file);
		uvm_world_leave();
	}
	xen_only_drop(&gr->gr_only);
}

/* What one request is about.  Pages without a pin were refused already. */
struct fills {
	unsigned n;
	struct uvm_fill pages[XENWIRE_MAX_FILL];
	struct grant_pin *pins[XENWIRE_MAX_FILL];
	unsigned element[XENWIRE_MAX_FILL]; /* of the request */
};

static void reserve_all(
    uint32_t domid, const struct xen_request *req, struct fills *fs, struct xen_reply *rep)
{
	int status;

	for (unsigned i = 0; i < req->head.n; i++) {
		struct uvm_fill *page = &fs->pages[fs->n];

		page->fl_offset = req->u.fills[i].page;
		status = grant_reserve(
		    domid, req->u.fills[i].ref, GRANT_HOST, &fs->pins[fs->n], &page->fl_gfn);
		rep->u.errors[i] = status == GNTST_eagain ? -EBUSY : grant_errno(status);
		if (status == GNTST_okay)
			fs->element[fs->n++] = i;
	}
}

static void unreserve_all(struct fills *fs)
{
	while (fs->n > 0)
		grant_unreserve(fs->pins[--fs->n]);
}

/* => -ENOTRECOVERABLE as uvm_fill */
static int fill(struct uvm_map *map, struct uvm_object *uo, struct fills *fs, struct xen_reply *rep)
{
	int error;

	uvm_world_enter();
	error = uvm_fill(map, uo, fs->pages, fs->n);
	uvm_object_trim(uo, TRIM * fs->n);
	uvm_world_leave();
	for (unsigned i = 0; error == 0 && i < fs->n; i++)
		rep->u.errors[fs->element[i]] = fs->pages[i].fl_error;
	return error;
}

static int judge(struct guest *g, int error)
{
	if (error != -ENOTRECOVERABLE)
		return error;
	guest_cannot_map(g);
	return -ESRCH;
}

static int fill_granted(struct grants *gr, const struct xen_request *req, struct xen_reply *rep)
{
	struct uvm_map *map = guest_map_get(gr->gr_only);
	struct fills *fs = calloc(1, sizeof(*fs));
	int error = map == NULL ? -ESRCH : fs == NULL ? -ENOMEM : 0;

	if (error == 0) {
		reserve_all(gr->gr_only->g_domid, req, fs, rep);
		error = judge(gr->gr_only, fill(map, gr->gr_file, fs, rep));
		unreserve_all(fs);
	}
	free(fs);
	if (map != NULL) {
		uvm_world_enter();
		uvm_map_rele(map);
		uvm_world_leave();
	}
	return error;
}

void xen_fill_pages(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct grants *gr = c->xc_data;
	int error;

	if (gr->gr_file == NULL || req->head.n == 0 || req->head.n > XENWIRE_MAX_FILL)
		error = -EINVAL;
	else if (!file_object_current(gr->gr_file))
		error = -ESTALE;
	else
		error = xen_only_check(gr->gr_only, gr->gr_only->g_domid);
	if (error == 0)
		error = fill_granted(gr, req, rep);
	rep->head.value = error;
	if (error != 0)
		return;
	rep->head.n = req->head.n;
	rep->element_size = sizeof(rep->u.errors[0]);
}
