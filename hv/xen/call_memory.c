/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENMEM_*: which operations there are, and those that only inform (Xen public/memory.h).
 */
#include "xen/call_memory.h"

#include <errno.h>

#include "uvm/uvm_share.h"
#include "xen/domain.h"

int xen_memory_domain(const struct xen_caller *c, domid_t domid, uint32_t *who)
{
	*who = domid == DOMID_SELF ? c->domid : domid;
	return c->domid == 0 || *who == c->domid ? 0 : -EPERM;
}

/* What the operation that begins with a domid is about.  *gp: NULL for the host. */
static int domain_of(struct xen_caller *c, uint64_t arg, struct guest **gp)
{
	uint32_t who;
	domid_t domid;
	int error;

	if (xen_copy_in(c, &domid, arg, sizeof(domid)) != 0)
		return -EFAULT;
	error = xen_memory_domain(c, domid, &who);
	*gp = error == 0 && who != 0 ? xen_domain_find(who) : NULL;
	return error == 0 && who != 0 && *gp == NULL ? -ESRCH : error;
}

static int64_t reservation(struct xen_caller *c, uint64_t arg, bool most)
{
	struct xen_domctl_getdomaininfo info;
	struct guest *g;
	int error = domain_of(c, arg, &g);

	if (error != 0)
		return error;
	xen_domain_info(g, &info);
	if (g != NULL)
		guest_put(g);
	return (int64_t)(most ? info.max_pages : info.tot_pages);
}

static int64_t current_reservation(struct xen_caller *c, uint64_t arg)
{
	return reservation(c, arg, false);
}

static int64_t maximum_reservation(struct xen_caller *c, uint64_t arg)
{
	return reservation(c, arg, true);
}

/* The host is no guest of ours: all of its pages, as far as anybody needs to know. */
static int64_t maximum_gpfn(struct xen_caller *c, uint64_t arg)
{
	struct uvm_map *map;
	struct guest *g;
	uint64_t last, ram;
	int error = domain_of(c, arg, &g);

	if (error != 0)
		return error;
	if (g == NULL)
		return reservation(c, arg, false) - 1;
	map = guest_map_get(g);
	ram = guest_high_pages(g) > 0 ? GUEST_HIGH_GFN + g->g_ram_pages - GUEST_LOW_RAM_PAGES : 0;
	guest_put(g);
	if (map == NULL)
		return -ESRCH;
	uvm_world_enter();
	last = uvm_map_last_ram(map);
	uvm_map_rele(map);
	uvm_world_leave();
	return (int64_t)(ram > last ? ram - 1 : last);
}

static int64_t get_sharing_freed_pages(struct xen_caller *c, uint64_t arg)
{
	uint64_t frames, saved;

	(void)c;
	(void)arg;
	uvm_share_counts(&frames, &saved);
	return (int64_t)saved;
}

static int64_t get_sharing_shared_pages(struct xen_caller *c, uint64_t arg)
{
	uint64_t frames, saved;

	(void)c;
	(void)arg;
	uvm_share_counts(&frames, &saved);
	return (int64_t)frames;
}

/* Guests have no NUMA nodes; tools want to hear it in these words. */
static int64_t get_vnumainfo(struct xen_caller *c, uint64_t arg)
{
	(void)c;
	(void)arg;
	return -EOPNOTSUPP;
}

static xen_memory_fn *const rows[] = {
    [XENMEM_decrease_reservation] = xen_memory_decrease,
    [XENMEM_populate_physmap] = xen_memory_populate,
    [XENMEM_set_memory_map] = xen_memory_set_map,
    [XENMEM_claim_pages] = xen_memory_claim,
    [XENMEM_current_reservation] = current_reservation,
    [XENMEM_maximum_reservation] = maximum_reservation,
    [XENMEM_maximum_gpfn] = maximum_gpfn,
    [XENMEM_get_sharing_freed_pages] = get_sharing_freed_pages,
    [XENMEM_get_sharing_shared_pages] = get_sharing_shared_pages,
    [XENMEM_sharing_op] = xen_memory_sharing,
    [XENMEM_get_vnumainfo] = get_vnumainfo,
};

int64_t xen_call_memory(struct xen_caller *c, const uint64_t arg[5])
{
	if (arg[0] >= sizeof(rows) / sizeof(rows[0]) || rows[arg[0]] == NULL)
		return -ENOSYS;
	return rows[arg[0]](c, arg[1]);
}
