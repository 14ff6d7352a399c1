/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of a guest's RAM that the core writes to: shared info, and the vcpu_info of each vCPU.  They
 * are wired, so they are never lent, and stay where they are.
 */
#include <errno.h>

#include "core/guest.h"
#include "xen/public.h"

_Static_assert(WIRE_MAX_VCPUS == EVTCHN_MAX_VCPUS, "each has its events");

int guest_place_shared_info(struct guest *g, uint64_t gfn)
{
	struct uvm_page *pg;
	int error;

	if (!guest_ram_p(g, gfn))
		return -EINVAL;
	uvm_world_enter();
	error = uvm_map_wire(g->g_map, gfn, &pg);
	if (error == 0) {
		evtchn_set_shared(&g->g_events, uvm_page_kva(pg));
		if (g->g_shared_info != NULL)
			uvm_map_unwire(g->g_map, g->g_shared_info);
		g->g_shared_info = pg;
		pthread_mutex_lock(&g->g_mutex);
		g->g_xen.xd_shared_gfn = gfn;
		pthread_mutex_unlock(&g->g_mutex);
	}
	uvm_world_leave();
	return error;
}

int guest_place_vcpu_info(struct guest *g, uint32_t vcpu, uint64_t gfn, uint32_t offset)
{
	struct uvm_page *pg;
	int error;

	if (vcpu >= g->g_vcpus)
		return -ENOENT;
	if (!guest_ram_p(g, gfn) || offset > UVM_PAGE_SIZE - sizeof(struct vcpu_info) ||
	    offset % _Alignof(struct vcpu_info) != 0)
		return -EINVAL;
	uvm_world_enter();
	error = uvm_map_wire(g->g_map, gfn, &pg);
	if (error == 0) {
		error = evtchn_set_vcpu_info(
		    &g->g_events, vcpu, (uint8_t *)uvm_page_kva(pg) + offset);
		if (error == 0)
			g->g_vcpu_info[vcpu] = pg;
		else
			uvm_map_unwire(g->g_map, pg);
	}
	uvm_world_leave();
	return error;
}

static void unwire(struct guest *g, struct uvm_page **pgp)
{
	if (*pgp != NULL)
		uvm_map_unwire(g->g_map, *pgp);
	*pgp = NULL;
}

void guest_unplace(struct guest *g)
{
	unwire(g, &g->g_shared_info);
	for (uint32_t i = 0; i < WIRE_MAX_VCPUS; i++)
		unwire(g, &g->g_vcpu_info[i]);
}
