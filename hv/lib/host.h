/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_HOST_H
#define LOMBARD_LIB_HOST_H
/*
 * The machine we run on, as Linux describes it in /proc and /sys.
 *
 * Nothing here fails: what the kernel does not tell is 0, or HOST_UNKNOWN where it is said.
 */
#include <stdbool.h>
#include <stdint.h>

#define HOST_UNKNOWN UINT32_MAX
#define HOST_MAX_CPUS 1024u /* CPU_SETSIZE */
#define HOST_MAX_NODES 64u

struct host_cpu {
	uint32_t hc_core, hc_socket, hc_node; /* HOST_UNKNOWN */
};

/* host_cpus: how many CPUs are possible, their numbers being 0 on; at least 1, at most HOST_MAX_CPUS
 */
unsigned host_cpus(void);
bool host_cpu_online(unsigned cpu);
void host_cpu(unsigned cpu, struct host_cpu *hc);

/* host_threads: SMT siblings of CPU 0, itself included.  host_nodes: NUMA nodes. */
unsigned host_threads(void);
unsigned host_nodes(void);

/* Distance between two nodes, 10 being none. */
uint32_t host_distance(unsigned from, unsigned to);

/*
 * host_pci_node: the node of a PCI device, HOST_UNKNOWN if it belongs to none.
 * => false: there is no such device
 */
bool host_pci_node(unsigned segment, unsigned bus, unsigned devfn, uint32_t *node);

/* The clock of CPU 0. */
uint32_t host_khz(void);

/*
 * Memory in bytes.  Available: what could be had without swapping.
 * => node: all with HOST_UNKNOWN; of one node only what is free is told as available
 */
struct host_memory {
	uint64_t hm_total, hm_free, hm_available;
};
void host_memory(uint32_t node, struct host_memory *hm);

/* The highest physical page number of memory, and one more. */
uint64_t host_end_page(void);

/* How long a CPU (all: HOST_UNKNOWN) has been busy, and idle, since the host's start. */
void host_cpu_times(uint32_t cpu, uint64_t *busy_ns, uint64_t *idle_ns);

#endif
