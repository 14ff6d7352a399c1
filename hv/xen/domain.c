/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests, and the host, as Xen's domains.
 */
#include "xen/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/guest.h"
#include "lib/host.h"
#include "lib/sys.h"
#include "xen/schedule.h"

#define INVALID_FRAME UINT64_MAX
#define DEFAULT_POOL (UINT64_C(1) << 20) /* Xen's for a new domain */

int xen_domain_init(struct xen_domain *xd, uint64_t ram_pages)
{
	xd->xd_max_pages = ram_pages;
	xd->xd_shared_gfn = INVALID_FRAME;
	xd->xd_pool = DEFAULT_POOL;
	xd->xd_nodes = xen_online_nodes();
	xd->xd_weight = XEN_DEFAULT_WEIGHT;
	if (SYS(getrandom(xd->xd_handle, sizeof(xd->xd_handle), 0)) != sizeof(xd->xd_handle))
		return -EAGAIN;
	/* A random one, of the usual kind (RFC 9562, version 4). */
	xd->xd_handle[6] = (uint8_t)((xd->xd_handle[6] & 0x0f) | 0x40);
	xd->xd_handle[8] = (uint8_t)((xd->xd_handle[8] & 0x3f) | 0x80);
	return 0;
}

void xen_domain_fini(struct xen_domain *xd)
{
	free(xd->xd_affinity);
	free(xd->xd_policy);
}

struct guest *xen_domain_next(uint32_t from)
{
	struct guest *g = guest_next(from);

	while (g != NULL && g->g_program) {
		from = g->g_domid + 1;
		guest_put(g);
		g = guest_next(from);
	}
	return g;
}

struct guest *xen_domain_find(uint32_t domid)
{
	struct guest *g = xen_domain_next(domid);

	if (g == NULL || g->g_domid == domid)
		return g;
	guest_put(g);
	return NULL;
}

int xen_domain_memory(uint32_t domid, struct guest **gp, struct uvm_map **mapp)
{
	struct guest *g = domid != 0 ? xen_domain_find(domid) : NULL;
	int error;

	if (g == NULL)
		return -ESRCH;
	pthread_mutex_lock(&g->g_mutex);
	error = g->g_state == GUEST_STARTING ? -EBUSY : 0;
	pthread_mutex_unlock(&g->g_mutex);
	*mapp = error == 0 ? guest_map_get(g) : NULL;
	if (error == 0 && *mapp == NULL)
		error = -ESRCH;
	if (error != 0)
		guest_put(g);
	else
		*gp = g;
	return error;
}

void xen_domain_memory_put(struct guest *g, struct uvm_map *map)
{
	uvm_world_enter();
	uvm_map_rele(map);
	uvm_world_leave();
	guest_put(g);
}

static uint32_t shutdown_reason(const struct guest *g)
{
	switch (g->g_end) {
	case GUEST_END_POWEROFF:
		return SHUTDOWN_poweroff;
	case GUEST_END_REBOOT:
		return SHUTDOWN_reboot;
	default:
		return SHUTDOWN_crash;
	}
}

/* => guest locked.  Those that tools have built wait for their tools once they have shut down. */
static uint32_t state_flags(const struct guest *g)
{
	if (g->g_built && g->g_end_known && !g->g_unwanted)
		return XEN_DOMINF_shutdown | shutdown_reason(g) << XEN_DOMINF_shutdownshift;
	switch (g->g_state) {
	case GUEST_STARTING:
		return XEN_DOMINF_paused;
	case GUEST_RUNNING:
		return guest_paused_p(g) ? XEN_DOMINF_paused : 0;
	default:
		return XEN_DOMINF_dying;
	}
}

/* Running if one of its vCPUs is, else blocked; a paused one sleeps for another reason. */
static uint32_t activity_flags(struct guest *g)
{
	struct guest_vcpu v;
	uint32_t flags = 0;

	for (unsigned i = 0; i < g->g_vcpus && !guest_paused_p(g); i++)
		if (guest_vcpu(g, i, &v))
			flags |= v.gv_running ? XEN_DOMINF_running : XEN_DOMINF_blocked;
	return flags & XEN_DOMINF_running ? XEN_DOMINF_running : flags;
}

static uint64_t shared_pages(struct guest *g)
{
	struct uvm_map *map = guest_map_get(g);
	uint64_t n = 0;

	if (map != NULL) {
		n = map->vm_shared;
		uvm_world_enter();
		uvm_map_rele(map);
		uvm_world_leave();
	}
	return n;
}

static void guest_info(struct guest *g, struct xen_domctl_getdomaininfo *info)
{
	const struct xen_domain *xd = &g->g_xen;

	info->domain = (domid_t)g->g_domid;
	info->tot_pages = guest_frames(g);
	info->shr_pages = shared_pages(g);
	info->cpu_time = guest_cpu_ns(g);
	info->flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap | activity_flags(g);
	info->nr_online_vcpus = g->g_vcpus;
	info->max_vcpu_id = g->g_vcpus - 1;
	pthread_mutex_lock(&g->g_mutex);
	info->flags |= state_flags(g);
	info->max_pages = xd->xd_max_pages;
	info->shared_info_frame = xd->xd_shared_gfn;
	memcpy(info->handle, xd->xd_handle, sizeof(info->handle));
	pthread_mutex_unlock(&g->g_mutex);
}

/*
 * What all guests use: the rest is the host's own.  A guest that ends meanwhile is counted twice,
 * never left out: see host_time.
 */
static void add_guests(uint64_t *frames, uint64_t *cpu_ns)
{
	struct guest *g;

	*frames = 0;
	*cpu_ns = 0;
	for (uint32_t from = 1; (g = xen_domain_next(from)) != NULL; guest_put(g)) {
		*frames += guest_frames(g);
		*cpu_ns += guest_cpu_ns(g);
		from = g->g_domid + 1;
	}
	*cpu_ns += guest_ended_cpu_ns();
}

static uint64_t minus(uint64_t all, uint64_t part)
{
	return all > part ? all - part : 0;
}

/*
 * The host's CPU time is what is left of the machine's, which the kernel counts in coarser steps
 * than a guest's.  Tools rely on its never going back.
 */
static uint64_t host_time(uint64_t busy, uint64_t guests)
{
	static _Atomic uint64_t latest;
	uint64_t now = minus(busy, guests), before = atomic_load(&latest);

	while (before < now && !atomic_compare_exchange_weak(&latest, &before, now))
		continue;
	return before > now ? before : now;
}

static void host_info(struct xen_domctl_getdomaininfo *info)
{
	uint64_t frames, cpu_ns, busy, idle;
	struct host_memory hm;

	add_guests(&frames, &cpu_ns);
	host_memory(HOST_UNKNOWN, &hm);
	host_cpu_times(HOST_UNKNOWN, &busy, &idle);
	info->tot_pages = minus((hm.hm_total - hm.hm_free) >> UVM_PAGE_SHIFT, frames);
	info->max_pages = UINT32_MAX; /* no limit, to tools */
	info->cpu_time = host_time(busy, cpu_ns);
	info->flags = XEN_DOMINF_running;
	info->nr_online_vcpus = host_cpus();
	info->max_vcpu_id = host_cpus() - 1;
	info->shared_info_frame = INVALID_FRAME;
}

void xen_domain_info(struct guest *g, struct xen_domctl_getdomaininfo *info)
{
	*info = (struct xen_domctl_getdomaininfo){.gpaddr_bits = 0};
	if (g != NULL)
		guest_info(g, info);
	else
		host_info(info);
}
