/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a Linux guest: shares pages and sends events by /dev/xen/gntalloc, gntdev and evtchn, as any program
 * could.  Says what it sees on standard output; exit status 0: all was as it should be.
 *
 *   linuxxen self                     with itself, both ways
 *   linuxxen offer                    a page for the guest with the next number, and a port: says
 *                                     "offers DOMID REF PORT", its own number first; waits until the
 *                                     other has answered
 *   linuxxen take DOMID REF PORT      the other side
 *   linuxxen calls                    hypercalls of a program: refused, but by /dev/xen/privcmd; and interrupts
 *                                     while one takes long
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/grant_table.h> /* the next ones need it, and xen.h */
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>
#include <xen/sys/privcmd.h>
#include <xen/xen.h>

#define PAGE 4096
#define ROUNDS 200
#define PATIENCE_MS 300000
#define BATCH 2000
#define LEAF_XEN 0x40000000u
#define LEAF_NUMBERS (LEAF_XEN + 4)

static const char greeting[] = "whoever maps this page can read it";
static const char reply[] = "and can write to it";

__attribute__((noreturn)) static void failed(const char *what)
{
	printf("linuxxen: %s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((noreturn)) static void wrong(const char *what)
{
	printf("linuxxen: %s\n", what);
	exit(1);
}

static uint16_t own_domid(void)
{
	unsigned eax, ebx, ecx, edx;

	__cpuid_count(LEAF_NUMBERS, 0, eax, ebx, ecx, edx);
	return (uint16_t)ecx;
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		failed(path);
	return fd;
}

static void *map_at(int fd, uint64_t index)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index);

	if (p == MAP_FAILED)
		failed("mmap");
	return p;
}

/* A page of our own that the other may write to. */
static char *grant(int gntalloc, uint16_t domid, uint32_t *ref)
{
	struct ioctl_gntalloc_alloc_gref op = {
	    .domid = domid, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1};

	if (ioctl(gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, &op) != 0)
		failed("IOCTL_GNTALLOC_ALLOC_GREF");
	*ref = op.gref_ids[0];
	return map_at(gntalloc, op.index);
}

static char *map_grant(int gntdev, uint32_t domid, uint32_t ref, uint64_t *index)
{
	struct ioctl_gntdev_map_grant_ref op = {.count = 1, .refs = {{.domid = domid, .ref = ref}}};

	if (ioctl(gntdev, IOCTL_GNTDEV_MAP_GRANT_REF, &op) != 0)
		failed("IOCTL_GNTDEV_MAP_GRANT_REF");
	*index = op.index;
	return map_at(gntdev, op.index);
}

static void unmap_grant(int gntdev, char *page, uint64_t index)
{
	struct ioctl_gntdev_unmap_grant_ref op = {.index = index, .count = 1};

	if (munmap(page, PAGE) != 0 || ioctl(gntdev, IOCTL_GNTDEV_UNMAP_GRANT_REF, &op) != 0)
		failed("IOCTL_GNTDEV_UNMAP_GRANT_REF");
}

static uint32_t listen_for(int evtchn, uint32_t domid)
{
	struct ioctl_evtchn_bind_unbound_port op = {.remote_domain = domid};
	int port = ioctl(evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &op);

	if (port < 0)
		failed("IOCTL_EVTCHN_BIND_UNBOUND_PORT");
	return (uint32_t)port;
}

static uint32_t bind_to(int evtchn, uint32_t domid, uint32_t remote)
{
	struct ioctl_evtchn_bind_interdomain op = {.remote_domain = domid, .remote_port = remote};
	int port = ioctl(evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN, &op);

	if (port < 0)
		failed("IOCTL_EVTCHN_BIND_INTERDOMAIN");
	return (uint32_t)port;
}

static void notify(int evtchn, uint32_t port)
{
	struct ioctl_evtchn_notify op = {.port = port};

	if (ioctl(evtchn, IOCTL_EVTCHN_NOTIFY, &op) != 0)
		failed("IOCTL_EVTCHN_NOTIFY");
}

/* The next event is of this port; it is taken. */
static void await(int evtchn, uint32_t port)
{
	struct pollfd p = {.fd = evtchn, .events = POLLIN};
	uint32_t got;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		wrong("no event came");
	if (read(evtchn, &got, sizeof(got)) != (ssize_t)sizeof(got))
		failed("/dev/xen/evtchn: read");
	if (got != port)
		wrong("the event is of another port");
	if (write(evtchn, &got, sizeof(got)) != (ssize_t)sizeof(got))
		failed("/dev/xen/evtchn: write");
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void self(void)
{
	int gntalloc = open_node("/dev/xen/gntalloc"), gntdev = open_node("/dev/xen/gntdev");
	int ours = open_node("/dev/xen/evtchn"), theirs = open_node("/dev/xen/evtchn");
	uint16_t me = own_domid();
	uint32_t ref, a, b;
	uint64_t index;
	char *page = grant(gntalloc, me, &ref), *mapped;
	double start;

	memcpy(page, greeting, sizeof(greeting));
	for (unsigned i = 0; i < ROUNDS; i++) {
		mapped = map_grant(gntdev, me, ref, &index);
		if (memcmp(mapped, greeting, sizeof(greeting)) != 0)
			wrong("the mapping shows something else");
		snprintf(mapped + PAGE / 2, PAGE / 2, "%s %u", reply, i);
		if (memcmp(page + PAGE / 2, mapped + PAGE / 2, sizeof(reply) + 2) != 0)
			wrong("what is written to the mapping is not in the page");
		unmap_grant(gntdev, mapped, index);
	}
	printf("linuxxen: grants: %u maps\n", ROUNDS);
	a = listen_for(ours, me);
	b = bind_to(theirs, me, a);
	await(theirs, b); /* with a new port it may have come already */
	start = now_us();
	for (unsigned i = 0; i < ROUNDS; i++) {
		notify(theirs, b);
		await(ours, a);
		notify(ours, a);
		await(theirs, b);
	}
	printf("linuxxen: events: %u rounds, %.0f us each\n", ROUNDS, (now_us() - start) / ROUNDS);
}

static void offer(void)
{
	uint16_t me = own_domid(), other = (uint16_t)(me + 1);
	int gntalloc = open_node("/dev/xen/gntalloc"), evtchn = open_node("/dev/xen/evtchn");
	uint32_t ref, port = listen_for(evtchn, other);
	char *page = grant(gntalloc, other, &ref);

	memcpy(page, greeting, sizeof(greeting));
	printf("linuxxen: offers %u %u %u\n", me, ref, port);
	for (unsigned i = 0; i < ROUNDS; i++) {
		await(evtchn, port);
		snprintf(page + PAGE / 2, PAGE / 2, "%u of %u", i, ROUNDS);
		notify(evtchn, port);
	}
	await(evtchn, port);
	if (memcmp(page, reply, sizeof(reply)) != 0)
		wrong("the other's answer is not in the page");
	puts("linuxxen: the other has answered");
}

static void take(uint16_t other, uint32_t ref, uint32_t remote)
{
	int gntdev = open_node("/dev/xen/gntdev"), evtchn = open_node("/dev/xen/evtchn");
	uint64_t index;
	char *page = map_grant(gntdev, other, ref, &index), want[64];
	uint32_t port;
	double start;

	if (memcmp(page, greeting, sizeof(greeting)) != 0)
		wrong("the other's greeting is not in the page");
	port = bind_to(evtchn, other, remote);
	await(evtchn, port);
	start = now_us();
	for (unsigned i = 0; i < ROUNDS; i++) {
		notify(evtchn, port);
		await(evtchn, port);
		snprintf(want, sizeof(want), "%u of %u", i, ROUNDS);
		if (strcmp(page + PAGE / 2, want) != 0)
			wrong("what the other has just written is not in the page");
	}
	printf("linuxxen: took %u events, %.0f us each way and back\n", ROUNDS,
	    (now_us() - start) / ROUNDS);
	memcpy(page, reply, sizeof(reply));
	unmap_grant(gntdev, page, index);
	notify(evtchn, port);
}

/* As a kernel makes it, here for the version. */
static long call_directly(void)
{
	long ret = __HYPERVISOR_xen_version;
	unsigned eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	if (ebx == signature_AMD_ebx)
		__asm__ volatile("vmmcall" : "+a"(ret) : "D"(0), "S"(0) : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(ret) : "D"(0), "S"(0) : "memory");
	return ret;
}

/* How often hypervisors' events have interrupted the first CPU. */
static unsigned long interrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "re");
	unsigned long n = 0;
	char line[512];

	if (f == NULL)
		failed("/proc/interrupts");
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, " HYP: %lu", &n) == 1)
			break;
	fclose(f);
	return n;
}

static void calls(void)
{
	static struct gnttab_query_size ops[BATCH];
	struct privcmd_hypercall call = {
	    .op = __HYPERVISOR_grant_table_op, .arg = {GNTTABOP_query_size, (uintptr_t)ops, BATCH}};
	int privcmd = open_node("/dev/xen/privcmd");
	unsigned long before;
	double start;

	printf("linuxxen: a program's own hypercall: %ld\n", call_directly());
	for (unsigned i = 0; i < BATCH; i++)
		ops[i] = (struct gnttab_query_size){.dom = DOMID_SELF, .status = -1};
	before = interrupts();
	start = now_us();
	if (ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call) != 0)
		failed("a long hypercall");
	printf("linuxxen: %u in one call: %.0f us, %lu interrupts\n", BATCH, now_us() - start,
	    interrupts() - before);
	for (unsigned i = 0; i < BATCH; i++)
		if (ops[i].status != GNTST_okay)
			wrong("not all of it has been done");
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "self") == 0)
		self();
	else if (argc == 2 && strcmp(argv[1], "offer") == 0)
		offer();
	else if (argc == 5 && strcmp(argv[1], "take") == 0)
		take((uint16_t)number(argv[2]), number(argv[3]), number(argv[4]));
	else if (argc == 2 && strcmp(argv[1], "calls") == 0)
		calls();
	else
		wrong("usage: linuxxen self | offer | take DOMID REF PORT | calls");
	puts("linuxxen: ok");
	return 0;
}
