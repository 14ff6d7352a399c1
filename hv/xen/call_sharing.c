/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENMEM_sharing_op and XEN_DOMCTL_mem_sharing_op (Xen public/memory.h, public/domctl.h):
 * uvm/uvm_share.h in Xen's words.
 */
#include <errno.h>

#include "uvm/uvm_audit.h"
#include "uvm/uvm_share.h"
#include "xen/call_domctl.h"
#include "xen/call_memory.h"
#include "xen/domain.h"
#include "xen/grant.h"

/* A domain in an operation, with references. */
struct party {
	struct guest *g;
	struct uvm_map *map;
};

static void set_enabled(struct guest *g, bool enabled)
{
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_sharing = enabled;
	pthread_mutex_unlock(&g->g_mutex);
}

static bool enabled(struct guest *g)
{
	bool yes;

	pthread_mutex_lock(&g->g_mutex);
	yes = g->g_xen.xd_sharing;
	pthread_mutex_unlock(&g->g_mutex);
	return yes;
}

/* Tools that share know nothing of windows and arenas, and Xen's domain 0 does not share itself. */
static int find_party(domid_t domid, struct party *p)
{
	return domid == 0 ? -EPERM : xen_domain_memory(domid, &p->g, &p->map);
}

static void drop_party(struct party *p)
{
	xen_domain_memory_put(p->g, p->map);
}

/* The client of an operation: sharing must have been enabled for it. */
static int find_client(domid_t domid, struct party *p)
{
	int error = find_party(domid, p);

	if (error == 0 && !enabled(p->g)) {
		drop_party(p);
		error = -EINVAL;
	}
	return error;
}

/* Xen's error for one of ours.  A guest whose process cannot undo a mapping must go. */
static int64_t answer(struct guest *mapped, int error)
{
	switch (error) {
	case -ESTALE:
		return XENMEM_SHARING_OP_S_HANDLE_INVALID;
	case -ENOENT:
		return XENMEM_SHARING_OP_C_HANDLE_INVALID;
	case -ENOTRECOVERABLE:
		guest_end_with(mapped, GUEST_END_ERROR, 125,
		    "%s (domain %u) could not map a page that it shares, nor undo it",
		    mapped->g_name, mapped->g_domid);
		return -ESRCH;
	default:
		return error;
	}
}

static int64_t nominate(struct party *d, uint64_t gfn, struct xen_mem_sharing_op *mso)
{
	uint64_t handle = 0;
	int error;

	uvm_world_enter();
	error = uvm_share_nominate(d->map, gfn, &handle);
	uvm_world_leave();
	mso->u.nominate.handle = handle;
	return answer(d->g, error);
}

static int64_t nominate_gfn(struct party *d, struct xen_mem_sharing_op *mso)
{
	return nominate(d, mso->u.nominate.u.gfn, mso);
}

/* A page that is granted, and that nobody has mapped. */
static int64_t nominate_gref(struct party *d, struct xen_mem_sharing_op *mso)
{
	uint64_t gfn;
	int error = grant_gfn(d->g->g_domid, mso->u.nominate.u.grant_ref, &gfn);

	return error != 0 ? error : nominate(d, gfn, mso);
}

/* A field that has a gfn, or a grant reference and a bit that says so. */
static int resolve(struct party *d, uint64_t field, uint64_t *gfn)
{
	*gfn = field;
	if (!XENMEM_SHARING_OP_FIELD_IS_GREF(field))
		return 0;
	return grant_gfn(d->g->g_domid, (uint32_t)XENMEM_SHARING_OP_FIELD_GET_GREF(field), gfn);
}

static int64_t share(struct party *d, struct xen_mem_sharing_op *mso)
{
	const struct mem_sharing_op_share *op = &mso->u.share;
	uint64_t sgfn, cgfn;
	struct party cd;
	int64_t ret;
	int error = find_client(op->client_domain, &cd);

	if (error != 0)
		return error;
	error = resolve(d, op->source_gfn, &sgfn);
	if (error == 0)
		error = resolve(&cd, op->client_gfn, &cgfn);
	if (error == 0) {
		uvm_world_enter();
		error = uvm_share_pages(
		    d->map, sgfn, op->source_handle, cd.map, cgfn, op->client_handle);
		uvm_world_leave();
	}
	ret = answer(cd.g, error);
	drop_party(&cd);
	return ret;
}

static int64_t add_physmap(struct party *d, struct xen_mem_sharing_op *mso)
{
	const struct mem_sharing_op_share *op = &mso->u.share;
	struct party cd;
	int64_t ret;
	int error = XENMEM_SHARING_OP_FIELD_IS_GREF(op->source_gfn) ? -EINVAL : 0;

	if (error == 0)
		error = find_client(op->client_domain, &cd);
	if (error != 0)
		return error;
	uvm_world_enter();
	error = uvm_share_add(d->map, op->source_gfn, op->source_handle, cd.map, op->client_gfn);
	uvm_world_leave();
	ret = answer(cd.g, error);
	drop_party(&cd);
	return ret;
}

/*
 * One page of a range.  => inside the world.  Pages that nobody has touched on either side are equal
 * and cost nothing: they stay as they are.
 * => *whose: what was worked on last
 */
static int share_same(struct party *d, struct party *cd, uint64_t gfn, struct party **whose)
{
	uint64_t sh, ch;
	int error;

	if (uvm_share_untouched(d->map, gfn) == 1 && uvm_share_untouched(cd->map, gfn) == 1)
		return 0;
	*whose = d;
	error = uvm_share_nominate(d->map, gfn, &sh);
	if (error != 0)
		return error;
	*whose = cd;
	error = uvm_share_nominate(cd->map, gfn, &ch);
	return error != 0 ? error : uvm_share_pages(d->map, gfn, sh, cd->map, gfn, ch);
}

/* Pages that can't be shared are left out: what ends it is that nothing more would come of it. */
static bool goes_on(int error)
{
	return error == 0 || error == -EINVAL || error == -EBUSY || error == -ESTALE ||
	       error == -ENOENT;
}

static int64_t share_range(struct party *d, struct party *cd, uint64_t first, uint64_t last)
{
	struct party *whose = cd;
	int error = 0;

	for (uint64_t gfn = first; goes_on(error) && gfn <= last; gfn++) {
		uvm_world_enter();
		error = share_same(d, cd, gfn, &whose);
		uvm_world_leave();
	}
	return goes_on(error) ? 0 : answer(whose->g, error);
}

static uint64_t last_ram(struct party *p)
{
	uint64_t last;

	uvm_world_enter();
	last = uvm_map_last_ram(p->map);
	uvm_world_leave();
	return last;
}

static int64_t range_share(struct party *d, struct xen_mem_sharing_op *mso)
{
	struct mem_sharing_op_range *op = &mso->u.range;
	uint64_t first = op->opaque != 0 ? op->opaque : op->first_gfn, last = op->last_gfn;
	struct party cd;
	int64_t ret;
	int error;

	if (op->_pad[0] != 0 || op->_pad[1] != 0 || op->_pad[2] != 0 || first < op->first_gfn ||
	    op->first_gfn > last || first > last)
		return -EINVAL;
	error = find_client(op->client_domain, &cd);
	if (error != 0)
		return error;
	ret = last > last_ram(d) || last > last_ram(&cd) ? -EINVAL
							 : share_range(d, &cd, first, last);
	drop_party(&cd);
	if (ret == 0)
		op->opaque = 0;
	return ret;
}

static int64_t debug_page(struct party *d, uint64_t gfn)
{
	int refs;

	uvm_world_enter();
	refs = uvm_share_refs(d->map, gfn);
	uvm_world_leave();
	return refs;
}

static int64_t debug_gfn(struct party *d, struct xen_mem_sharing_op *mso)
{
	return debug_page(d, mso->u.debug.u.gfn);
}

static int64_t debug_gref(struct party *d, struct xen_mem_sharing_op *mso)
{
	uint64_t gfn;
	int error = grant_gfn(d->g->g_domid, mso->u.debug.u.gref, &gfn);

	return error != 0 ? error : debug_page(d, gfn);
}

/* Tools are not told where frames lie: no number is one. */
static int64_t debug_mfn(struct party *d, struct xen_mem_sharing_op *mso)
{
	(void)d;
	(void)mso;
	return -EINVAL;
}

typedef int64_t sharing_fn(struct party *d, struct xen_mem_sharing_op *mso);

static sharing_fn *const ops[] = {
    [XENMEM_sharing_op_nominate_gfn] = nominate_gfn,
    [XENMEM_sharing_op_nominate_gref] = nominate_gref,
    [XENMEM_sharing_op_share] = share,
    [XENMEM_sharing_op_debug_gfn] = debug_gfn,
    [XENMEM_sharing_op_debug_mfn] = debug_mfn,
    [XENMEM_sharing_op_debug_gref] = debug_gref,
    [XENMEM_sharing_op_add_physmap] = add_physmap,
    [XENMEM_sharing_op_range_share] = range_share,
};

/* How many of the ledger's invariants are broken. */
static int64_t audit(void)
{
	struct uvm_account ac;
	int error = uvm_account(&ac, NULL, NULL);

	return error != 0 ? error : (int64_t)ac.ac_nfindings;
}

int64_t xen_memory_sharing(struct xen_caller *c, uint64_t arg)
{
	struct xen_mem_sharing_op mso;
	struct party d;
	int64_t ret;
	int error;

	if (c->domid != 0)
		return -EPERM;
	if (xen_copy_in(c, &mso, arg, sizeof(mso)) != 0)
		return -EFAULT;
	if (mso.op == XENMEM_sharing_op_audit)
		return audit();
	error = find_party(mso.domain, &d);
	if (error != 0)
		return error;
	/* As in Xen, any of these operations enables sharing for the domain it names first. */
	set_enabled(d.g, true);
	ret = mso.op < sizeof(ops) / sizeof(ops[0]) && ops[mso.op] != NULL ? ops[mso.op](&d, &mso)
									   : -ENOSYS;
	drop_party(&d);
	if (ret == 0 && xen_copy_out(c, arg, &mso, sizeof(mso)) != 0)
		return -EFAULT;
	return ret;
}

int64_t xen_domctl_mem_sharing(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_mem_sharing_op *mec = &op->u.mem_sharing_op;

	(void)c;
	if (mec->op != XEN_DOMCTL_MEM_SHARING_CONTROL)
		return -ENOSYS;
	set_enabled(g, mec->u.enable != 0);
	return 0;
}
