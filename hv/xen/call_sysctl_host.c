/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_* that tell what machine this is.
 */
#include <errno.h>
#include <string.h>

#include "lib/host.h"
#include "xen/call_sysctl.h"

#define PAGE_SHIFT 12

static unsigned count_online(void)
{
	struct host_cpu hc;
	unsigned n = 0;

	for (unsigned i = 0; i < host_cpus(); i++) {
		host_cpu(i, &hc);
		n += hc.hc_online;
	}
	return n;
}

static unsigned count_cores(unsigned threads)
{
	unsigned n = 0, socket = HOST_UNKNOWN;
	struct host_cpu hc;

	for (unsigned i = 0; i < host_cpus(); i++) {
		host_cpu(i, &hc);
		if (i == 0)
			socket = hc.hc_socket;
		n += hc.hc_socket == socket;
	}
	return n > threads ? n / threads : 1;
}

int64_t xen_sysctl_physinfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_physinfo *pi = &op->u.physinfo;
	struct host_memory hm;

	(void)c;
	host_memory(HOST_UNKNOWN, &hm);
	*pi = (struct xen_sysctl_physinfo){.threads_per_core = host_threads(),
	    .cores_per_socket = count_cores(host_threads()),
	    .nr_cpus = count_online(),
	    .max_cpu_id = host_cpus() - 1,
	    .nr_nodes = host_nodes(),
	    .max_node_id = host_nodes() - 1,
	    .cpu_khz = host_khz(),
	    .capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap |
			    XEN_SYSCTL_PHYSCAP_gnttab_v1,
	    .total_pages = hm.hm_total >> PAGE_SHIFT,
	    .free_pages = hm.hm_available >> PAGE_SHIFT,
	    .max_mfn = host_end_page() - 1};
	return 0;
}
