/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xeninfo: what Debian's libxenctrl says of a cell, and sets there, for tests without a xenstore:
 * `lombard xen xeninfo WHAT [ARGUMENT...]`.  Answers are lines of key=value.
 *
 *   host			the machine, the pool, the scheduler
 *   list			all domains, host included
 *   vcpu D V			one vCPU
 *   dmesg [INDEX]		the console, from INDEX on, and where it ended
 *   dmesg-clear		read it all, and clear it
 *   keys TEXT			send debug keys
 *   max-mem D KIB | handle D | pin D V CPU | weight D [W] | mempool D [BYTES] | vcpus D N
 *   param D I [VALUE]		an HVM parameter
 *   policy			how long a guest's CPU policy is, and whether it comes whole
 *   shutdown D REASON
 *   watchdog SECONDS		one that nobody feeds
 *
 * Exit status: 0; 1 when a function failed: its name and errno are printed.
 */
#include <xenctrl.h>
#include <xenguest.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_DOMAINS 1024

static xc_interface *xc;
static int nargs;
static char **args;

static int failed(const char *what)
{
	printf("%s: %s (%d)\n", what, strerror(errno), errno);
	return 1;
}

static uint64_t number(int i)
{
	return i < nargs ? strtoull(args[i], NULL, 0) : 0;
}

static int host(void)
{
	xc_cpupoolinfo_t *pool;
	xc_physinfo_t pi = {0};
	uint64_t heap;
	int sched;

	if (xc_physinfo(xc, &pi) != 0)
		return failed("xc_physinfo");
	if (xc_sched_id(xc, &sched) != 0)
		return failed("xc_sched_id");
	if (xc_availheap(xc, 0, 0, -1, &heap) != 0)
		return failed("xc_availheap");
	pool = xc_cpupool_getinfo(xc, 0);
	if (pool == NULL)
		return failed("xc_cpupool_getinfo");
	printf("cpus=%u nodes=%u total_kb=%" PRIu64 " free_kb=%" PRIu64 " heap_kb=%" PRIu64
	       " khz=%u sched=%d pool=%u pool_domains=%u\n",
	    pi.nr_cpus, pi.nr_nodes, pi.total_pages * 4, pi.free_pages * 4, heap >> 10, pi.cpu_khz,
	    sched, pool->cpupool_id, pool->n_dom);
	xc_cpupool_infofree(xc, pool);
	pool = xc_cpupool_getinfo(xc, 1);
	printf("second_pool=%s\n", pool != NULL ? "yes" : strerrorname_np(errno));
	if (pool != NULL)
		xc_cpupool_infofree(xc, pool);
	return 0;
}

static void print_handle(const xen_domain_handle_t handle)
{
	for (size_t i = 0; i < sizeof(xen_domain_handle_t); i++)
		printf("%02x", handle[i]);
}

static void print_domain(const xc_domaininfo_t *di)
{
	printf("domain=%u vcpus=%u tot_pages=%" PRIu64 " max_pages=%" PRIu64 " shr_pages=%" PRIu64
	       " cpu_ns=%" PRIu64 " running=%d blocked=%d paused=%d dying=%d hvm=%d "
	       "shared_info=%#" PRIx64 " handle=",
	    di->domain, di->nr_online_vcpus, (uint64_t)di->tot_pages, (uint64_t)di->max_pages,
	    (uint64_t)di->shr_pages, (uint64_t)di->cpu_time, (di->flags & XEN_DOMINF_running) != 0,
	    (di->flags & XEN_DOMINF_blocked) != 0, (di->flags & XEN_DOMINF_paused) != 0,
	    (di->flags & XEN_DOMINF_dying) != 0, (di->flags & XEN_DOMINF_hvm_guest) != 0,
	    (uint64_t)di->shared_info_frame);
	print_handle(di->handle);
	printf("\n");
}

/* Both ways to ask for all domains, which have to agree. */
static int list(void)
{
	static xc_domaininfo_t di[MAX_DOMAINS];
	int n = xc_domain_getinfolist(xc, 0, MAX_DOMAINS, di);
	xc_dominfo_t one;
	uint32_t next = 0;

	if (n < 0)
		return failed("xc_domain_getinfolist");
	for (int i = 0; i < n; i++)
		print_domain(&di[i]);
	for (n = 0; xc_domain_getinfo(xc, next, 1, &one) == 1; n++)
		next = one.domid + 1;
	printf("domains=%d\n", n);
	return 0;
}

static int vcpu(void)
{
	uint32_t domid = (uint32_t)number(0), v = (uint32_t)number(1);
	xc_cpumap_t hard = xc_cpumap_alloc(xc), soft = xc_cpumap_alloc(xc);
	xc_vcpuinfo_t vi;

	if (hard == NULL || soft == NULL)
		return failed("xc_cpumap_alloc");
	if (xc_vcpu_getinfo(xc, domid, v, &vi) != 0)
		return failed("xc_vcpu_getinfo");
	if (xc_vcpu_getaffinity(
		xc, domid, (int)v, hard, soft, XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT) != 0)
		return failed("xc_vcpu_getaffinity");
	printf("online=%d blocked=%d running=%d cpu_ns=%" PRIu64 " cpu=%u hard=%#x soft=%#x\n",
	    vi.online, vi.blocked, vi.running, (uint64_t)vi.cpu_time, vi.cpu, hard[0], soft[0]);
	free(hard);
	free(soft);
	return 0;
}

static int read_console(int clear, int incremental)
{
	static char text[1 << 17];
	uint32_t index = (uint32_t)number(0), n = sizeof(text);

	if (xc_readconsolering(xc, text, &n, clear, incremental, &index) != 0)
		return failed("xc_readconsolering");
	fwrite(text, 1, n, stdout);
	printf("index=%u\n", index);
	return 0;
}

static int dmesg(void)
{
	return read_console(0, nargs > 0);
}

static int dmesg_clear(void)
{
	return read_console(1, 0);
}

static int keys(void)
{
	return xc_send_debug_keys(xc, nargs > 0 ? args[0] : "") != 0 ? failed("xc_send_debug_keys")
								     : 0;
}

static int max_mem(void)
{
	return xc_domain_setmaxmem(xc, (uint32_t)number(0), number(1)) != 0
		   ? failed("xc_domain_setmaxmem")
		   : 0;
}

static int handle(void)
{
	xen_domain_handle_t h;

	memset(h, 0xab, sizeof(h));
	return xc_domain_sethandle(xc, (uint32_t)number(0), h) != 0 ? failed("xc_domain_sethandle")
								    : 0;
}

static int pin(void)
{
	xc_cpumap_t hard = xc_cpumap_alloc(xc);

	if (hard == NULL)
		return failed("xc_cpumap_alloc");
	hard[number(2) / 8] = (uint8_t)(1u << number(2) % 8);
	if (xc_vcpu_setaffinity(
		xc, (uint32_t)number(0), (int)number(1), hard, NULL, XEN_VCPUAFFINITY_HARD) != 0)
		return failed("xc_vcpu_setaffinity");
	free(hard);
	return 0;
}

static int weight(void)
{
	struct xen_domctl_sched_credit2 sc = {.weight = (uint16_t)number(1)};

	if (nargs > 1 && xc_sched_credit2_domain_set(xc, (uint32_t)number(0), &sc) != 0)
		return failed("xc_sched_credit2_domain_set");
	if (xc_sched_credit2_domain_get(xc, (uint32_t)number(0), &sc) != 0)
		return failed("xc_sched_credit2_domain_get");
	printf("weight=%u cap=%u\n", sc.weight, sc.cap);
	return 0;
}

static int mempool(void)
{
	uint64_t size;

	if (nargs > 1 && xc_set_paging_mempool_size(xc, (uint32_t)number(0), number(1)) != 0)
		return failed("xc_set_paging_mempool_size");
	if (xc_get_paging_mempool_size(xc, (uint32_t)number(0), &size) != 0)
		return failed("xc_get_paging_mempool_size");
	printf("size=%" PRIu64 "\n", size);
	return 0;
}

static int vcpus(void)
{
	return xc_domain_max_vcpus(xc, (uint32_t)number(0), (unsigned)number(1)) != 0
		   ? failed("xc_domain_max_vcpus")
		   : 0;
}

static int param(void)
{
	uint64_t value = 0;

	if (nargs > 2 &&
	    xc_hvm_param_set(xc, (uint32_t)number(0), (uint32_t)number(1), number(2)) != 0)
		return failed("xc_hvm_param_set");
	if (xc_hvm_param_get(xc, (uint32_t)number(0), (uint32_t)number(1), &value) != 0)
		return failed("xc_hvm_param_get");
	printf("value=%#" PRIx64 "\n", value);
	return 0;
}

/* libxenguest reads a policy only whole, and writes only as many leaves as it was once told of. */
static int policy(void)
{
	xc_cpu_policy_t *p = xc_cpu_policy_init();
	uint32_t nleaves, nmsrs;
	xen_cpuid_leaf_t *leaves;
	xen_msr_entry_t *msrs;

	if (p == NULL || xc_cpu_policy_get_size(xc, &nleaves, &nmsrs) != 0)
		return failed("xc_cpu_policy_get_size");
	printf("leaves=%u msrs=%u\n", nleaves, nmsrs);
	leaves = calloc(nleaves, sizeof(*leaves));
	msrs = calloc(nmsrs, sizeof(*msrs));
	if (leaves == NULL || msrs == NULL)
		return failed("calloc");
	if (xc_cpu_policy_get_system(xc, XEN_SYSCTL_cpu_policy_hvm_default, p) != 0)
		return failed("xc_cpu_policy_get_system");
	if (xc_cpu_policy_serialise(xc, p, leaves, &nleaves, msrs, &nmsrs) != 0)
		return failed("xc_cpu_policy_serialise");
	printf("serialised=%u\n", nleaves);
	free(leaves);
	free(msrs);
	xc_cpu_policy_destroy(p);
	return 0;
}

static int shutdown_domain(void)
{
	return xc_domain_shutdown(xc, (uint32_t)number(0), (int)number(1)) != 0
		   ? failed("xc_domain_shutdown")
		   : 0;
}

static int watchdog(void)
{
	int id = xc_watchdog(xc, 0, (uint32_t)number(0));

	if (id < 0)
		return failed("xc_watchdog");
	printf("watchdog=%d\n", id);
	return 0;
}

static const struct {
	const char *name;
	int (*call)(void);
	int min_args;
} commands[] = {
    {"host", host, 0},
    {"list", list, 0},
    {"vcpu", vcpu, 2},
    {"dmesg", dmesg, 0},
    {"dmesg-clear", dmesg_clear, 0},
    {"keys", keys, 1},
    {"max-mem", max_mem, 2},
    {"handle", handle, 1},
    {"pin", pin, 3},
    {"weight", weight, 1},
    {"mempool", mempool, 1},
    {"vcpus", vcpus, 2},
    {"param", param, 2},
    {"policy", policy, 0},
    {"shutdown", shutdown_domain, 2},
    {"watchdog", watchdog, 1},
};

int main(int argc, char **argv)
{
	nargs = argc - 2;
	args = argv + 2;
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0 || nargs < commands[i].min_args)
			continue;
		xc = xc_interface_open(NULL, NULL, 0);
		return xc == NULL ? failed("xc_interface_open") : commands[i].call();
	}
	fprintf(stderr, "usage: xeninfo WHAT [ARGUMENT...], see its source\n");
	return 2;
}
