/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_* that tell what machine this is.
 */
#include <errno.h>
#include <string.h>

#include "lib/host.h"
#include "xen/call_sysctl.h"
#include "xen/cpupolicy.h"

#define PAGE_SHIFT 12

static unsigned count_online(unsigned ncpus)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ncpus; i++)
		n += host_cpu_online(i);
	return n;
}

/* Cores of the first CPU's socket. */
static unsigned count_cores(unsigned ncpus, unsigned threads)
{
	struct host_cpu first, hc;
	unsigned n = 0;

	host_cpu(0, &first);
	for (unsigned i = 0; i < ncpus; i++) {
		host_cpu(i, &hc);
		n += hc.hc_socket == first.hc_socket;
	}
	return threads > 1 && n > threads ? n / threads : n;
}

/* The first words of the host's featureset. */
static void hardware_words(uint32_t hw_cap[8])
{
	uint32_t words[CPU_POLICY_WORDS];
	struct cpu_policy cp;

	cpu_policy_host(&cp);
	cpu_policy_features(&cp, words);
	memcpy(hw_cap, words, 8 * sizeof(words[0]));
}

int64_t xen_sysctl_physinfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_physinfo *pi = &op->u.physinfo;
	const unsigned ncpus = host_cpus(), threads = host_threads(), nodes = host_nodes();
	struct host_memory hm;

	(void)c;
	host_memory(HOST_UNKNOWN, &hm);
	*pi = (struct xen_sysctl_physinfo){.threads_per_core = threads,
	    .cores_per_socket = count_cores(ncpus, threads),
	    .nr_cpus = count_online(ncpus),
	    .max_cpu_id = ncpus - 1,
	    .nr_nodes = nodes,
	    .max_node_id = nodes - 1,
	    .cpu_khz = host_khz(),
	    .capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap |
			    XEN_SYSCTL_PHYSCAP_gnttab_v1,
	    .total_pages = hm.hm_total >> PAGE_SHIFT,
	    .free_pages = hm.hm_available >> PAGE_SHIFT,
	    .max_mfn = host_end_page() - 1};
	hardware_words(pi->hw_cap);
	return 0;
}

/* How many elements go to the caller, who has room for some, and is told how many there are. */
static uint32_t fit(uint32_t *room, uint32_t n)
{
	uint32_t had = *room;

	*room = n;
	return had < n ? had : n;
}

int64_t xen_sysctl_cputopoinfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_cputopoinfo *ti = &op->u.cputopoinfo;
	uint64_t at = XEN_HANDLE(ti->cputopo);
	uint32_t n = fit(&ti->num_cpus, host_cpus());
	struct xen_sysctl_cputopo topo;
	struct host_cpu hc;

	for (uint32_t i = 0; at != 0 && i < n; i++, at += sizeof(topo)) {
		host_cpu(i, &hc);
		topo = (struct xen_sysctl_cputopo){
		    XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID, XEN_INVALID_NODE_ID};
		if (host_cpu_online(i))
			topo = (struct xen_sysctl_cputopo){hc.hc_core, hc.hc_socket, hc.hc_node};
		if (xen_copy_out(c, at, &topo, sizeof(topo)) != 0)
			return -EFAULT;
	}
	return 0;
}

/* As many devices as a machine can have in one segment. */
#define MAX_DEVICES 65536u

int64_t xen_sysctl_pcitopoinfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_pcitopoinfo *ti = &op->u.pcitopoinfo;
	physdev_pci_device_t dev;
	uint32_t node;

	if (ti->num_devs > MAX_DEVICES)
		return -E2BIG;
	for (uint32_t i = 0; i < ti->num_devs; i++) {
		if (xen_copy_in(c, &dev, XEN_HANDLE(ti->devs) + i * sizeof(dev), sizeof(dev)) != 0)
			return -EFAULT;
		if (!host_pci_node(dev.seg, dev.bus, dev.devfn, &node))
			node = XEN_INVALID_DEV;
		else if (node == HOST_UNKNOWN)
			node = XEN_INVALID_NODE_ID;
		if (xen_copy_out(
			c, XEN_HANDLE(ti->nodes) + i * sizeof(node), &node, sizeof(node)) != 0)
			return -EFAULT;
	}
	return 0;
}

static int give_node(struct xen_caller *c, uint32_t node, uint64_t to)
{
	struct host_memory hm;
	struct xen_sysctl_meminfo mi;

	host_memory(node, &hm);
	mi = (struct xen_sysctl_meminfo){.memsize = hm.hm_total, .memfree = hm.hm_free};
	return xen_copy_out(c, to, &mi, sizeof(mi));
}

static int give_distances(struct xen_caller *c, uint32_t node, uint32_t n, uint64_t to)
{
	uint32_t row[HOST_MAX_NODES];

	for (uint32_t i = 0; i < n; i++)
		row[i] = host_distance(node, i);
	return xen_copy_out(c, to + (uint64_t)node * n * sizeof(row[0]), row, n * sizeof(row[0]));
}

int64_t xen_sysctl_numainfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_numainfo *ni = &op->u.numainfo;
	uint64_t memory = XEN_HANDLE(ni->meminfo), distance = XEN_HANDLE(ni->distance);
	uint32_t n = fit(&ni->num_nodes, host_nodes());

	for (uint32_t i = 0; i < n; i++) {
		if (memory != 0 &&
		    give_node(c, i, memory + i * sizeof(struct xen_sysctl_meminfo)) != 0)
			return -EFAULT;
		if (distance != 0 && give_distances(c, i, n, distance) != 0)
			return -EFAULT;
	}
	return 0;
}

int64_t xen_sysctl_getcpuinfo(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_getcpuinfo *gi = &op->u.getcpuinfo;
	const uint32_t ncpus = host_cpus(), n = ncpus < gi->max_cpus ? ncpus : gi->max_cpus;
	struct xen_sysctl_cpuinfo info;
	uint64_t busy;

	for (gi->nr_cpus = 0; gi->nr_cpus < n; gi->nr_cpus++) {
		host_cpu_times(gi->nr_cpus, &busy, &info.idletime);
		if (xen_copy_out(c, XEN_HANDLE(gi->info) + gi->nr_cpus * sizeof(info), &info,
			sizeof(info)) != 0)
			return -EFAULT;
	}
	return 0;
}

/* Nobody can say how much of it lies below an address. */
int64_t xen_sysctl_availheap(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_availheap *ah = &op->u.availheap;
	struct host_memory hm;

	(void)c;
	if (ah->min_bitwidth != 0 || ah->max_bitwidth != 0)
		return -EOPNOTSUPP;
	if (ah->node < -1 || ah->node >= (int32_t)host_nodes())
		return -EINVAL;
	host_memory(ah->node < 0 ? HOST_UNKNOWN : (uint32_t)ah->node, &hm);
	ah->avail_bytes = hm.hm_available;
	return 0;
}
