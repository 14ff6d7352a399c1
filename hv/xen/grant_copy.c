/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_copy by guests: bytes of a page, from and to pages of its own and granted ones.
 */
#include <errno.h>
#include <string.h>

#include "uvm/uvm_hostmap.h"
#include "xen/grant_private.h"

/* One end, while it is used. */
struct copy_end {
	bool ce_write;
	struct grant_pin *ce_pin;   /* granted, or NULL */
	struct uvm_hostmap *ce_own; /* the guest's own, or NULL */
	struct uvm_page *ce_page;
};

/* Loans of a page that is only read stay as they are. */
static int open_own(struct grant_domain *gd, uint64_t gfn, struct copy_end *ce)
{
	int error = -ENOMEM;

	uvm_world_enter();
	ce->ce_own = uvm_hostmap_create(gd->gd_map, 1);
	if (ce->ce_own != NULL)
		error = uvm_hostmap_add(ce->ce_own, 0, gfn, ce->ce_write, &ce->ce_page);
	uvm_world_leave();
	return error;
}

static int open_end(struct grant_domain *gd, const struct gnttab_copy_ptr *ptr, bool granted,
    struct copy_end *ce, int16_t *status)
{
	int error;

	if (granted) {
		*status = (int16_t)grant_pin(
		    ptr->domid, ptr->u.ref, gd->gd_domid, ce->ce_write, &ce->ce_pin);
		if (*status != GNTST_okay)
			ce->ce_pin = NULL;
		else
			ce->ce_page = grant_page(ce->ce_pin);
		return 0;
	}
	if (ptr->domid != DOMID_SELF && ptr->domid != gd->gd_domid) {
		*status = GNTST_permission_denied;
		return 0;
	}
	error = open_own(gd, ptr->u.gmfn, ce);
	if (error != 0)
		*status = error == -ENOMEM ? GNTST_no_space : GNTST_bad_page;
	return error == -ENOTRECOVERABLE ? error : 0;
}

static void close_end(struct copy_end *ce)
{
	if (ce->ce_pin != NULL)
		grant_unpin(ce->ce_pin, ce->ce_write);
	if (ce->ce_own != NULL) {
		uvm_world_enter();
		uvm_hostmap_destroy(ce->ce_own);
		uvm_world_leave();
	}
}

static uint8_t *at(const struct copy_end *ce, const struct gnttab_copy_ptr *ptr)
{
	return (uint8_t *)uvm_page_kva(ce->ce_page) + ptr->offset;
}

static int copy(struct grant_domain *gd, struct gnttab_copy *op)
{
	struct copy_end from = {0}, to = {.ce_write = true};
	int error;

	error = open_end(
	    gd, &op->source, (op->flags & GNTCOPY_source_gref) != 0, &from, &op->status);
	if (error == 0 && op->status == GNTST_okay)
		error = open_end(
		    gd, &op->dest, (op->flags & GNTCOPY_dest_gref) != 0, &to, &op->status);
	/* Guests may write to both meanwhile: then it is their bytes that are mixed. */
	if (error == 0 && op->status == GNTST_okay)
		memmove(at(&to, &op->dest), at(&from, &op->source), op->len);
	close_end(&to);
	close_end(&from);
	return error;
}

static bool fits(const struct gnttab_copy_ptr *ptr, uint16_t len)
{
	return (uint32_t)ptr->offset + len <= UVM_PAGE_SIZE;
}

int grant_op_copy(struct grant_domain *gd, void *arg)
{
	struct gnttab_copy *op = arg;

	op->status = GNTST_okay;
	if (!fits(&op->source, op->len) || !fits(&op->dest, op->len) ||
	    (op->flags & ~(GNTCOPY_source_gref | GNTCOPY_dest_gref)) != 0) {
		op->status = GNTST_bad_copy_arg;
		return 0;
	}
	return copy(gd, op);
}
