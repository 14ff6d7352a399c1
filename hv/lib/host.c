/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/host.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A file of /proc or /sys, or NULL. */
static FILE *open_file(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static FILE *open_file(const char *fmt, ...)
{
	char path[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return fopen(path, "re");
}

/* The first number of a file, closed here. */
static bool read_number(FILE *file, uint64_t *value)
{
	bool ok = file != NULL && fscanf(file, "%" SCNu64, value) == 1;

	if (file != NULL)
		fclose(file);
	return ok;
}

static uint32_t number_or_unknown(FILE *file)
{
	uint64_t value;

	return read_number(file, &value) && value < HOST_UNKNOWN ? (uint32_t)value : HOST_UNKNOWN;
}

/* How many numbers a list as 0-3,8 names, and its highest. */
static unsigned read_list(FILE *file, unsigned *highest)
{
	unsigned first, last, n = 0;
	char sep = '\0';

	*highest = 0;
	while (file != NULL && fscanf(file, "%u", &first) == 1) {
		last = first;
		if (fscanf(file, "%c", &sep) == 1 && sep == '-') {
			if (fscanf(file, "%u", &last) != 1)
				break;
			if (fscanf(file, "%c", &sep) != 1)
				sep = '\0';
		}
		n += last >= first ? last - first + 1 : 0;
		*highest = last;
		if (sep != ',')
			break;
	}
	if (file != NULL)
		fclose(file);
	return n;
}

unsigned host_cpus(void)
{
	unsigned highest;

	if (read_list(open_file("/sys/devices/system/cpu/present"), &highest) == 0) {
		long n = sysconf(_SC_NPROCESSORS_CONF);

		highest = n > 0 ? (unsigned)n - 1 : 0;
	}
	return highest < HOST_MAX_CPUS ? highest + 1 : HOST_MAX_CPUS;
}

unsigned host_nodes(void)
{
	unsigned highest;

	(void)read_list(open_file("/sys/devices/system/node/online"), &highest);
	return highest < HOST_MAX_NODES ? highest + 1 : HOST_MAX_NODES;
}

static uint32_t node_of(unsigned cpu)
{
	const unsigned n = host_nodes();
	char path[96];

	for (unsigned node = 0; node < n; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/node%u", cpu, node);
		if (access(path, F_OK) == 0)
			return node;
	}
	return HOST_UNKNOWN;
}

/* CPU 0 of many machines can't be taken offline, and has no such file. */
bool host_cpu_online(unsigned cpu)
{
	uint64_t online;

	if (read_number(open_file("/sys/devices/system/cpu/cpu%u/online", cpu), &online))
		return online != 0;
	return cpu == 0;
}

#define TOPOLOGY "/sys/devices/system/cpu/cpu%u/topology/"

void host_cpu(unsigned cpu, struct host_cpu *hc)
{
	hc->hc_core = number_or_unknown(open_file(TOPOLOGY "core_id", cpu));
	hc->hc_socket = number_or_unknown(open_file(TOPOLOGY "physical_package_id", cpu));
	hc->hc_node = node_of(cpu);
}

unsigned host_threads(void)
{
	unsigned highest, n = read_list(open_file(TOPOLOGY "thread_siblings_list", 0), &highest);

	return n > 0 ? n : 1;
}

uint32_t host_distance(unsigned from, unsigned to)
{
	FILE *file = open_file("/sys/devices/system/node/node%u/distance", from);
	uint32_t distance = 0;
	bool ok = file != NULL;

	for (unsigned i = 0; ok && i <= to; i++)
		ok = fscanf(file, "%" SCNu32, &distance) == 1;
	if (file != NULL)
		fclose(file);
	return ok ? distance : HOST_UNKNOWN;
}

bool host_pci_node(unsigned segment, unsigned bus, unsigned devfn, uint32_t *node)
{
	FILE *file = open_file("/sys/bus/pci/devices/%04x:%02x:%02x.%x/numa_node", segment, bus,
	    devfn >> 3, devfn & 7);
	int value;

	if (file == NULL)
		return false;
	*node = fscanf(file, "%d", &value) == 1 && value >= 0 ? (uint32_t)value : HOST_UNKNOWN;
	fclose(file);
	return true;
}

uint32_t host_khz(void)
{
	FILE *file = open_file("/proc/cpuinfo");
	char line[256];
	double mhz = 0;

	while (file != NULL && mhz == 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "cpu MHz : %lf", &mhz) != 1)
			mhz = 0;
	if (file != NULL)
		fclose(file);
	return mhz > 0 && mhz < 1e6 ? (uint32_t)(mhz * 1000) : 0;
}

/* Lines as "MemTotal:  123 kB", or behind "Node 0 ". */
static void take_line(const char *line, struct host_memory *hm)
{
	unsigned node;
	int skip = 0;
	uint64_t kb;

	if (sscanf(line, "Node %u %n", &node, &skip) == 1)
		line += skip;
	if (sscanf(line, "MemTotal: %" SCNu64, &kb) == 1)
		hm->hm_total = kb << 10;
	else if (sscanf(line, "MemFree: %" SCNu64, &kb) == 1)
		hm->hm_free = kb << 10;
	else if (sscanf(line, "MemAvailable: %" SCNu64, &kb) == 1)
		hm->hm_available = kb << 10;
}

void host_memory(uint32_t node, struct host_memory *hm)
{
	FILE *file = node == HOST_UNKNOWN
			 ? open_file("/proc/meminfo")
			 : open_file("/sys/devices/system/node/node%u/meminfo", node);
	char line[256];

	*hm = (struct host_memory){0};
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		take_line(line, hm);
	if (file != NULL)
		fclose(file);
	if (hm->hm_available == 0)
		hm->hm_available = hm->hm_free;
}

uint64_t host_end_page(void)
{
	FILE *file = open_file("/proc/zoneinfo");
	uint64_t start, spanned = 0, present = 0, end = 0;
	char line[256];

	/* Each zone says how much it spans, and then where it starts. */
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, " spanned %" SCNu64, &spanned) == 1 ||
		    sscanf(line, " present %" SCNu64, &present) == 1)
			continue;
		if (sscanf(line, " start_pfn: %" SCNu64, &start) == 1 && present > 0 &&
		    start + spanned > end)
			end = start + spanned;
	}
	if (file != NULL)
		fclose(file);
	return end;
}

static uint64_t ticks_ns(uint64_t ticks)
{
	long hz = sysconf(_SC_CLK_TCK);

	return ticks * (UINT64_C(1000000000) / (uint64_t)(hz > 0 ? hz : 100));
}

/* A line of /proc/stat: user nice system idle iowait irq softirq steal, in ticks. */
static void add_times(const char *numbers, uint64_t *busy_ns, uint64_t *idle_ns)
{
	uint64_t t[8] = {0};

	(void)sscanf(numbers,
	    "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64,
	    &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
	*busy_ns = ticks_ns(t[0] + t[1] + t[2] + t[5] + t[6]);
	*idle_ns = ticks_ns(t[3] + t[4]);
}

void host_cpu_times(uint32_t cpu, uint64_t *busy_ns, uint64_t *idle_ns)
{
	FILE *file = open_file("/proc/stat");
	char line[512], name[24];
	size_t len;

	if (cpu == HOST_UNKNOWN)
		snprintf(name, sizeof(name), "cpu ");
	else
		snprintf(name, sizeof(name), "cpu%" PRIu32 " ", cpu);
	len = strlen(name);
	*busy_ns = *idle_ns = 0;
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, len) == 0)
			add_times(line + len, busy_ns, idle_ns);
	if (file != NULL)
		fclose(file);
}
