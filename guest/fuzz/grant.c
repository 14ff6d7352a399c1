/* SPDX-License-Identifier: BSD-2-Clause */
/* Grants. */
#include "fuzz.h"

static void map_fill(void *arg)
{
	struct gnttab_map_grant_ref *op = arg;
	struct thing t;

	op->host_addr = (one_in(16) ? any_gfn() : spot()) * PAGE_SIZE;
	op->flags = GNTMAP_host_map | (one_in(2) ? GNTMAP_readonly : 0);
	if (!one_in(3) && hoard_any(GIVEN, &t)) {
		op->ref = (uint32_t)t.a;
		op->dom = (uint16_t)t.b;
		return;
	}
	op->ref = any_ref();
	op->dom = any_domid();
}

static void unmap(struct thing handle)
{
	struct gnttab_unmap_grant_ref op = {
	    .host_addr = handle.b * PAGE_SIZE, .handle = (uint32_t)handle.a};

	(void)hypercall(
	    __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&op, 1, 0, 0);
}

static void map_done(const void *arg, int64_t ret)
{
	const struct gnttab_map_grant_ref *op = arg;
	bool writable = (op->flags & GNTMAP_readonly) == 0;
	struct thing lost;

	(void)ret;
	if (!hoard_add(
		HANDLES, op->handle, op->host_addr / PAGE_SIZE | (writable ? HOARD_BIT : 0), &lost))
		unmap((struct thing){lost.a, lost.b & ~HOARD_BIT});
}

static void unmap_fill(void *arg)
{
	struct gnttab_unmap_grant_ref *op = arg;
	struct thing t = {below(64), spot()};

	(void)hoard_any(HANDLES, &t);
	op->handle = (uint32_t)t.a;
	op->host_addr = (t.b & ~HOARD_BIT) * PAGE_SIZE;
	if (one_in(10))
		op->handle = (uint32_t)wild();
	else if (one_in(10))
		op->host_addr = spot() * PAGE_SIZE;
}

static void unmap_done(const void *arg, int64_t ret)
{
	(void)ret;
	hoard_drop(HANDLES, ((const struct gnttab_unmap_grant_ref *)arg)->handle);
}

static bool copy_end(struct gnttab_copy_ptr *end)
{
	struct thing t;

	end->offset = (uint16_t)below(one_in(16) ? 5000 : 2048);
	if (one_in(2)) {
		end->domid = one_in(8) ? any_domid() : DOMID_SELF;
		end->u.gmfn = one_in(6) ? any_gfn() : our_gfn();
		return false;
	}
	if (one_in(2) && hoard_any(GIVEN, &t)) {
		end->u.ref = (uint32_t)t.a;
		end->domid = (uint16_t)t.b;
	} else {
		end->u.ref = any_ref();
		end->domid = any_domid();
	}
	return true;
}

static void copy_fill(void *arg)
{
	struct gnttab_copy *op = arg;

	op->flags = (copy_end(&op->source) ? GNTCOPY_source_gref : 0) |
		    (copy_end(&op->dest) ? GNTCOPY_dest_gref : 0);
	op->len = (uint16_t)below(one_in(16) ? 5000 : 2048);
}

/* Bytes of somebody else's into the program. */
static bool copy_hurts(const void *arg)
{
	const struct gnttab_copy *op = arg;

	return (op->flags & GNTCOPY_dest_gref) == 0 && vital(op->dest.u.gmfn, 1);
}

static void query_fill(void *arg)
{
	((struct gnttab_query_size *)arg)->dom = one_in(4) ? any_domid() : DOMID_SELF;
}

static void set_version_fill(void *arg)
{
	((struct gnttab_set_version *)arg)->version = one_in(3) ? below(4) : 1;
}

static void get_version_fill(void *arg)
{
	((struct gnttab_get_version *)arg)->dom = one_in(4) ? any_domid() : DOMID_SELF;
}

#define GRANT(n, op, w, ...)                                                                       \
	{                                                                                          \
		.name = "grant." #n, .nr = __HYPERVISOR_grant_table_op, .cmd = GNTTABOP_##op,      \
		.size = sizeof(struct gnttab_##op), .weight = w, .results = true, __VA_ARGS__      \
	}

const struct op ops_grant[] = {
    GRANT(map, map_grant_ref, 60, .fill = map_fill, .done = map_done),
    GRANT(unmap, unmap_grant_ref, 50, .fill = unmap_fill, .done = unmap_done),
    GRANT(copy, copy, 60, .fill = copy_fill, .hurts = copy_hurts),
    GRANT(query_size, query_size, 4, .fill = query_fill),
    GRANT(set_version, set_version, 4, .fill = set_version_fill),
    GRANT(get_version, get_version, 4, .fill = get_version_fill),
};
const unsigned nr_ops_grant = ARRAY_SIZE(ops_grant);
