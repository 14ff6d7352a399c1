/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_DOMAIN_H
#define HV_XEN_DOMAIN_H
/*
 * What a guest is to Xen's tools beside what it is to Lombard: a part of struct guest, under its
 * mutex where nothing else is said.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "xen/cpupolicy.h"

struct guest;

struct xen_affinity {
	cpu_set_t xa_hard, xa_soft;
};

struct xen_domain {
	xen_domain_handle_t xd_handle; /* UUID: random, unless a tool sets another */
	uint64_t xd_max_pages;	       /* what its tools let it have; RAM at the start */
	uint64_t xd_shared_gfn;	       /* of the shared info page; UINT64_MAX: nowhere yet */
	bool xd_sharing;	       /* tools may share its pages */
	uint64_t xd_params[HVM_NR_PARAMS];
	uint64_t xd_pool;		  /* bytes: what tools set for its page tables; no effect */
	uint64_t xd_nodes;		  /* bit for each node; no effect */
	uint16_t xd_weight;		  /* of its vCPUs among all threads; 256: as any other */
	struct xen_affinity *xd_affinity; /* of each vCPU; NULL: any CPU */
	struct cpu_policy *xd_policy;	  /* NULL: as all guests have it */
	uint32_t xd_tsc_mode, xd_tsc_incarnation;
	uint32_t xd_grant_frames; /* of a domain that a tool builds: most; 0: as any other */
	bool xd_ran;		  /* it has run: its processor can't be changed any more */
};

/*
 * xen_domain_init: as every guest begins.  => 0, or -errno: the host has no random numbers
 * xen_domain_fini: free what it has.
 */
int xen_domain_init(struct xen_domain *xd, uint64_t ram_pages);
void xen_domain_fini(struct xen_domain *xd);

/*
 * xen_domain_next: the domain with the lowest number from `from` on, with a reference.
 * => NULL: there is none.  Domain 0 is the host, and never found; nor are host programs
 */
struct guest *xen_domain_next(uint32_t from);

/* xen_domain_find: that very domain, or NULL. */
struct guest *xen_domain_find(uint32_t domid);

/*
 * xen_domain_memory: a domain's memory, to work on from outside, with references to both.
 * => 0; -ESRCH: there is no such domain, or it is going; -EBUSY: its process is still starting
 * => as long as they are held its pmap may be called, whatever becomes of its process
 */
struct uvm_map;
int xen_domain_memory(uint32_t domid, struct guest **gp, struct uvm_map **mapp);
void xen_domain_memory_put(struct guest *g, struct uvm_map *map);

/* xen_domain_info: XEN_DOMCTL_getdomaininfo of a guest, or (NULL) of the host. */
void xen_domain_info(struct guest *g, struct xen_domctl_getdomaininfo *info);

#endif
