/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENMEM_* by which tools give memory to a domain that they build, and take it away.
 *
 * Such a domain has all of its memory from the first page on that it is given: RAM from 0 to what
 * XEN_DOMCTL_max_mem allows it, and the special area.  Frames come when pages are touched.
 */
#include <errno.h>

#include "lib/host.h"
#include "xen/call_memory.h"
#include "xen/domain.h"

/* Of one extent, as in Xen for tools: 1 GiB. */
#define MAX_ORDER 18u

/* As many entries as a PC's firmware can have: Xen's bound, too. */
#define MAX_MAP_ENTRIES 128u

/* => a reference to *gp, which is a guest */
static int domain_of(const struct xen_caller *c, domid_t domid, struct guest **gp)
{
	if (c->domid != 0)
		return -EPERM;
	if (domid == DOMID_SELF || domid == 0)
		return -EOPNOTSUPP;
	*gp = xen_domain_find(domid);
	return *gp != NULL ? 0 : -ESRCH;
}

static int take_reservation(
    struct xen_caller *c, uint64_t arg, struct xen_memory_reservation *r, struct guest **gp)
{
	if (xen_copy_in(c, r, arg, sizeof(*r)) != 0)
		return -EFAULT;
	if (r->extent_order > MAX_ORDER)
		return -EINVAL;
	/* The value is the number of extents, and must not look like an error. */
	if (r->nr_extents > INT32_MAX)
		return -E2BIG;
	return domain_of(c, r->domid, gp);
}

/* Is all of it memory that the guest has as its own? */
static bool memory_p(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	struct uvm_lookup ul;
	bool yes;

	if (uvm_map_lookup(map, gfn, &ul) != 0)
		return false;
	yes = (ul.ul_entry->me_flags & UVM_ENTRY_RAM) && n <= ul.ul_entry->me_end - gfn;
	uvm_map_unlock(&ul);
	return yes;
}

/* What is done to one extent of n pages: 0 or an error, which ends the operation. */
typedef int extent_fn(struct uvm_map *map, uint64_t gfn, uint64_t n);

static int populate(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	return memory_p(map, gfn, n) ? 0 : -EINVAL;
}

static int take_back(struct uvm_map *map, uint64_t gfn, uint64_t n)
{
	return memory_p(map, gfn, n) ? uvm_map_discard(map, gfn, n) : -EINVAL;
}

/*
 * All extents, up to the first that can't be done.  => the number of those that were
 */
static int64_t each_extent(struct xen_caller *c, struct guest *g, struct uvm_map *map,
    const struct xen_memory_reservation *r, extent_fn *work)
{
	uint64_t n = UINT64_C(1) << r->extent_order;
	xen_pfn_t gfn;
	uint64_t i;
	int error = 0;

	uvm_world_enter();
	for (i = 0; i < r->nr_extents && error == 0; i += error == 0) {
		error = xen_copy_in(
		    c, &gfn, XEN_HANDLE(r->extent_start) + i * sizeof(gfn), sizeof(gfn));
		if (error == 0)
			error = gfn % n == 0 ? work(map, gfn, n) : -EINVAL;
	}
	uvm_world_leave();
	if (error == -ENOTRECOVERABLE)
		guest_cannot_map(g);
	return (int64_t)i;
}

static int64_t reserve(
    struct xen_caller *c, const struct xen_memory_reservation *r, struct guest *g, extent_fn *work)
{
	struct uvm_map *map = guest_map_get(g);
	int64_t done;

	if (map == NULL)
		return -ESRCH;
	done = each_extent(c, g, map, r, work);
	uvm_world_enter();
	uvm_map_rele(map);
	uvm_world_leave();
	return done;
}

/* "As much as there is" is as much as can lie where these tools put it. */
static uint64_t max_pages(struct guest *g)
{
	uint64_t n;

	pthread_mutex_lock(&g->g_mutex);
	n = g->g_xen.xd_max_pages;
	pthread_mutex_unlock(&g->g_mutex);
	return n < GUEST_LOW_RAM_PAGES ? n : GUEST_LOW_RAM_PAGES;
}

int64_t xen_memory_populate(struct xen_caller *c, uint64_t arg)
{
	struct xen_memory_reservation r;
	struct guest *g;
	int64_t ret = take_reservation(c, arg, &r, &g);

	if (ret != 0)
		return ret;
	ret = guest_build(g, max_pages(g));
	if (ret == 0)
		ret = reserve(c, &r, g, populate);
	guest_put(g);
	return ret;
}

int64_t xen_memory_decrease(struct xen_caller *c, uint64_t arg)
{
	struct xen_memory_reservation r;
	struct guest *g;
	int64_t ret = take_reservation(c, arg, &r, &g);

	if (ret != 0)
		return ret;
	ret = reserve(c, &r, g, take_back);
	guest_put(g);
	return ret;
}

/* Frames are found when they are touched, so a claim can only say whether there are enough now. */
int64_t xen_memory_claim(struct xen_caller *c, uint64_t arg)
{
	struct xen_memory_reservation r;
	struct host_memory hm;
	struct guest *g;
	int64_t ret = take_reservation(c, arg, &r, &g);

	if (ret != 0)
		return ret;
	guest_put(g);
	if (XEN_HANDLE(r.extent_start) != 0 || r.extent_order != 0 || r.mem_flags != 0)
		return -EINVAL;
	host_memory(HOST_UNKNOWN, &hm);
	return r.nr_extents <= hm.hm_available >> UVM_PAGE_SHIFT ? 0 : -ENOMEM;
}

/*
 * Guests read their memory map in their start information, which the same tool has written: what it
 * says here is checked, and of no further use.
 */
int64_t xen_memory_set_map(struct xen_caller *c, uint64_t arg)
{
	struct xen_foreign_memory_map fm;
	struct guest *g;
	int ret;

	if (xen_copy_in(c, &fm, arg, sizeof(fm)) != 0)
		return -EFAULT;
	if (fm.map.nr_entries > MAX_MAP_ENTRIES)
		return -EINVAL;
	ret = domain_of(c, fm.domid, &g);
	if (ret == 0)
		guest_put(g);
	return ret;
}
