/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenprobe: a program as Xen's tools are, linked to Debian's libraries, that says what it gets from
 * them.  `lombard xen xenprobe WHAT [N]`:
 *
 *   version	what Xen this is, by libxenctrl
 *   fork	the same in a child that has its parent's handles, and then in the parent
 *   opens N	N handles of libxenctrl at once: how many descriptors before, with, and after them
 *   churn N	N handles of libxenctrl, one after the other, each with a call
 *   calls	calls until it is killed
 *   hold	a handle of every kind, a bound port and a shared page, until it is killed
 *   events	an event from one handle to another
 *   maps D N	N times: map pages 0x100.. of a domain, unmap them in different ways
 *   states D N	N times: pause a domain, get its context, set it again, unpause
 *   domains N STAGE	make N PVH domains, say their numbers, and leave them: "bare", with "memory", or
 *			"started", without a state
 *   bad-domains	what can't be made or given memory, and the errors that have to come
 *   view D N	map N pages from 0x100 on, once, and hold them until it is killed
 *   lost	a handle of every kind; waits for a byte from stdin, then tries every one
 *
 * Exit status: 0, or 1 when a library failed, and which function, and its errno, are printed.
 */
#include <xenctrl.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#define PAGE 4096u
#define FIRST_GFN 0x100u

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

/* What is printed must be there when the program is killed. */
static void wait_to_be_killed(void)
{
	fflush(stdout);
	for (;;)
		pause();
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static int print_version(xc_interface *xc, const char *who)
{
	int version = xc_version(xc, XENVER_version, NULL);
	xen_extraversion_t extra = "";
	xen_capabilities_info_t caps = "";

	if (version < 0 || xc_version(xc, XENVER_extraversion, extra) < 0 ||
	    xc_version(xc, XENVER_capabilities, caps) < 0)
		return failed("xc_version");
	printf("%s: %d.%d%s, %s\n", who, version >> 16, version & 0xffff, extra, caps);
	fflush(stdout);
	return 0;
}

static int version(void)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	int result;

	if (xc == NULL)
		return failed("xc_interface_open");
	result = print_version(xc, "version");
	xc_interface_close(xc);
	return result;
}

static int in_child(xc_interface *xc)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(print_version(xc, "child"));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return failed("fork");
	return status != 0;
}

static int forked(void)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);

	if (xc == NULL)
		return failed("xc_interface_open");
	if (print_version(xc, "before") != 0 || in_child(xc) != 0 ||
	    print_version(xc, "after") != 0)
		return 1;
	xc_interface_close(xc);
	return 0;
}

static int opens(unsigned n)
{
	xc_interface **all = calloc(n, sizeof(*all));
	unsigned before, with;

	if (all == NULL)
		return failed("calloc");
	before = descriptors();
	for (unsigned i = 0; i < n; i++) {
		all[i] = xc_interface_open(NULL, NULL, 0);
		if (all[i] == NULL || xc_version(all[i], XENVER_version, NULL) < 0)
			return failed("xc_interface_open");
	}
	with = descriptors();
	for (unsigned i = 0; i < n; i++)
		xc_interface_close(all[i]);
	printf("opens: %u descriptors for %u handles, %u left\n", with - before, n,
	    descriptors() - before);
	free(all);
	return 0;
}

static int churn(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		xc_interface *xc = xc_interface_open(NULL, NULL, 0);

		if (xc == NULL || xc_version(xc, XENVER_version, NULL) < 0)
			return failed("xc_interface_open");
		xc_interface_close(xc);
	}
	printf("churn: %u handles\n", n);
	return 0;
}

static int calls(void)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	xen_changeset_info_t text;

	if (xc == NULL)
		return failed("xc_interface_open");
	puts("calls: go");
	fflush(stdout);
	while (xc_version(xc, XENVER_changeset, text) >= 0)
		continue;
	return failed("xc_version");
}

/* A handle of every kind. */
static struct {
	xc_interface *xc;
	xenevtchn_handle *events;
	xengnttab_handle *grants;
	xengntshr_handle *shares;
	uint32_t *page;
	uint32_t ref;
	int port;
} all;

static int open_all(void)
{
	all.xc = xc_interface_open(NULL, NULL, 0);
	all.events = xenevtchn_open(NULL, 0);
	all.grants = xengnttab_open(NULL, 0);
	all.shares = xengntshr_open(NULL, 0);
	if (all.xc == NULL || all.events == NULL || all.grants == NULL || all.shares == NULL)
		return failed("open");
	all.port = xenevtchn_bind_unbound_port(all.events, 0);
	if (all.port < 0)
		return failed("xenevtchn_bind_unbound_port");
	all.page = xengntshr_share_pages(all.shares, 0, 1, &all.ref, 1);
	return all.page == NULL ? failed("xengntshr_share_pages") : 0;
}

static int hold(void)
{
	if (open_all() != 0)
		return 1;
	printf("hold: port %d reference %u\n", all.port, all.ref);
	wait_to_be_killed();
	return 0;
}

/* Each function fails, and nothing crashes. */
static int lost(void)
{
	xen_extraversion_t extra;
	char c;

	if (open_all() != 0)
		return 1;
	puts("lost: ready");
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		return failed("stdin");
	if (xc_version(all.xc, XENVER_version, NULL) >= 0 ||
	    xc_version(all.xc, XENVER_extraversion, extra) >= 0 ||
	    xenevtchn_notify(all.events, (evtchn_port_t)all.port) >= 0 ||
	    xenevtchn_pending(all.events) >= 0 ||
	    xengnttab_map_grant_ref(all.grants, 0, all.ref, PROT_READ) != NULL ||
	    xengntshr_share_pages(all.shares, 0, 1, &all.ref, 1) != NULL) {
		puts("lost: something still worked");
		return 1;
	}
	*all.page = 1; /* what was mapped is memory yet */
	xengntshr_unshare(all.shares, all.page, 1);
	xengntshr_close(all.shares);
	xengnttab_close(all.grants);
	xenevtchn_close(all.events);
	xc_interface_close(all.xc);
	puts("lost: all failed, as they must");
	return 0;
}

static int events(void)
{
	xenevtchn_handle *a = xenevtchn_open(NULL, 0), *b = xenevtchn_open(NULL, 0);
	struct pollfd p = {.events = POLLIN};
	int port, peer;

	if (a == NULL || b == NULL)
		return failed("xenevtchn_open");
	port = xenevtchn_bind_unbound_port(a, 0);
	peer = port < 0 ? -1 : xenevtchn_bind_interdomain(b, 0, (evtchn_port_t)port);
	if (peer < 0)
		return failed("bind");
	/* A new channel is pending on the side that bound last. */
	if (xenevtchn_pending(b) != peer || xenevtchn_unmask(b, (evtchn_port_t)peer) != 0)
		return failed("the first event");
	fcntl(xenevtchn_fd(a), F_SETFL, O_NONBLOCK);
	if (xenevtchn_pending(a) != -1 || errno != EAGAIN)
		return failed("an event that nobody sent");
	if (xenevtchn_notify(b, (evtchn_port_t)peer) != 0)
		return failed("xenevtchn_notify");
	p.fd = xenevtchn_fd(a);
	if (poll(&p, 1, 5000) != 1 || xenevtchn_pending(a) != port ||
	    xenevtchn_unmask(a, (evtchn_port_t)port) != 0)
		return failed("xenevtchn_pending");
	printf("events: from %d to %d\n", peer, port);
	xenevtchn_close(b);
	xenevtchn_close(a);
	return 0;
}

static void *map(xenforeignmemory_handle *h, uint32_t domid, size_t n)
{
	xen_pfn_t *gfns = calloc(n, sizeof(*gfns));
	void *p;

	for (size_t i = 0; gfns != NULL && i < n; i++)
		gfns[i] = FIRST_GFN + i;
	p = gfns != NULL ? xenforeignmemory_map(h, domid, PROT_READ, n, gfns, NULL) : NULL;
	free(gfns);
	return p;
}

static int maps(uint32_t domid, unsigned n)
{
	xenforeignmemory_handle *h = xenforeignmemory_open(NULL, 0);
	uint64_t sum = 0;

	if (h == NULL)
		return failed("xenforeignmemory_open");
	for (unsigned i = 0; i < n; i++) {
		size_t pages = 1 + i % 20;
		char *p = map(h, domid, pages);

		if (p == NULL)
			return failed("xenforeignmemory_map");
		for (size_t j = 0; j < pages; j++)
			sum += (uint8_t)p[j * PAGE];
		/* As most of libxenctrl's users do it, and as they should. */
		if ((i % 2 ? munmap(p, pages * PAGE) : xenforeignmemory_unmap(h, p, pages)) != 0)
			return failed("unmap");
	}
	xenforeignmemory_close(h);
	printf("maps: %u of domain %u, sum %llu\n", n, domid, (unsigned long long)sum);
	return 0;
}

static int view(uint32_t domid, unsigned n)
{
	xenforeignmemory_handle *h = xenforeignmemory_open(NULL, 0);

	if (h == NULL || map(h, domid, n) == NULL)
		return failed("xenforeignmemory_map");
	printf("view: %u pages\n", n);
	wait_to_be_killed();
	return 0;
}

static int states(uint32_t domid, unsigned n)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	uint8_t context[8192];
	int size = 0;

	if (xc == NULL)
		return failed("xc_interface_open");
	for (unsigned i = 0; i < n; i++) {
		/* Else it would be set back to where it was some time ago. */
		if (xc_domain_pause(xc, domid) != 0)
			return failed("xc_domain_pause");
		size = xc_domain_hvm_getcontext(xc, domid, context, sizeof(context));
		if (size <= 0)
			return failed("xc_domain_hvm_getcontext");
		if (xc_domain_hvm_setcontext(xc, domid, context, (uint32_t)size) != 0)
			return failed("xc_domain_hvm_setcontext");
		if (xc_domain_unpause(xc, domid) != 0)
			return failed("xc_domain_unpause");
	}
	xc_interface_close(xc);
	printf("states: %u of domain %u, %d bytes\n", n, domid, size);
	return 0;
}

static struct xen_domctl_createdomain pvh(void)
{
	return (struct xen_domctl_createdomain){
	    .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
	    .max_vcpus = 1,
	    .max_evtchn_port = 1023,
	    .max_grant_frames = 40,
	    .max_maptrack_frames = 1024,
	    .grant_opts = XEN_DOMCTL_GRANT_version(1),
	    .arch = {.emulation_flags = XEN_X86_EMU_LAPIC},
	};
}

#define DOMAIN_KB 8192u

static int give_memory(xc_interface *xc, uint32_t domid)
{
	xen_pfn_t gfns[4] = {0, 1, 0x7ff, 0xfc000};

	if (xc_domain_setmaxmem(xc, domid, DOMAIN_KB) != 0)
		return failed("xc_domain_setmaxmem");
	return xc_domain_populate_physmap_exact(xc, domid, 4, 0, 0, gfns) == 0
		   ? 0
		   : failed("xc_domain_populate_physmap_exact");
}

static int domains(unsigned n, const char *stage)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	int result = 0;

	if (xc == NULL)
		return failed("xc_interface_open");
	for (unsigned i = 0; i < n && result == 0; i++) {
		struct xen_domctl_createdomain config = pvh();
		uint32_t domid = DOMID_INVALID;

		if (xc_domain_create(xc, &domid, &config) != 0)
			return failed("xc_domain_create");
		printf("%u\n", domid);
		if (strcmp(stage, "bare") != 0)
			result = give_memory(xc, domid);
		if (strcmp(stage, "started") == 0 && xc_domain_unpause(xc, domid) != 0)
			result = failed("xc_domain_unpause");
	}
	xc_interface_close(xc);
	return result;
}

/* 1 and a word when a call does not fail with this errno. */
static int want(const char *what, int ret, int error)
{
	if (ret < 0 && errno == error)
		return 0;
	printf("%s: value %d, %s, not %s\n", what, ret, ret < 0 ? strerror(errno) : "no error",
	    strerror(error));
	return 1;
}

static int bad_configs(xc_interface *xc)
{
	struct xen_domctl_createdomain config;
	uint32_t domid;
	int bad = 0;

#define BAD(field, value, error)                                                                   \
	do {                                                                                       \
		config = pvh();                                                                    \
		config.field = (value);                                                            \
		domid = DOMID_INVALID;                                                             \
		bad += want(#field " = " #value, xc_domain_create(xc, &domid, &config), error);    \
	} while (0)

	BAD(flags, 0, EOPNOTSUPP); /* PV */
	BAD(flags, XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_iommu, EOPNOTSUPP);
	BAD(flags, XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_nested_virt, EOPNOTSUPP);
	BAD(flags, XEN_DOMCTL_CDF_hvm | 1u << 20, EINVAL);
	BAD(max_vcpus, 0, EINVAL);
	BAD(max_vcpus, 129, EINVAL);
	BAD(max_grant_frames, 0, EINVAL);
	BAD(max_grant_frames, 65, EINVAL);
	BAD(grant_opts, 0, EINVAL);
	BAD(cpupool_id, 7, ENOENT);
	BAD(vmtrace_size, 4096, EOPNOTSUPP);
	BAD(arch.emulation_flags, XEN_X86_EMU_ALL, EOPNOTSUPP); /* HVM with devices */
	domid = 77;
	config = pvh();
	bad += want("a domid of one's choice", xc_domain_create(xc, &domid, &config), EOPNOTSUPP);
	return bad;
}

/* Extents end where one can't be had: their number is what was done. */
static int bad_memory(xc_interface *xc, uint32_t domid)
{
	xen_pfn_t gfns[] = {0, 0x800, 1}, odd = 1, top = UINT64_MAX, window = 0x100000;
	int bad = 0, done;

	bad += want("two vCPUs", xc_domain_max_vcpus(xc, domid, 2), EINVAL);
	bad += want("unpause without memory", xc_domain_unpause(xc, domid), EAGAIN);
	bad += want("memory of 1 MiB",
	    xc_domain_setmaxmem(xc, domid, 1024) != 0
		? -1
		: xc_domain_populate_physmap(xc, domid, 1, 0, 0, gfns),
	    EINVAL);
	bad += give_memory(xc, domid);
	done = xc_domain_populate_physmap(xc, domid, 3, 0, 0, gfns);
	if (done != 1) {
		printf("behind RAM: %d extents\n", done);
		bad++;
	}
	if (xc_domain_populate_physmap(xc, domid, 1, 9, 0, &odd) != 0 ||
	    xc_domain_populate_physmap(xc, domid, 1, 0, 0, &top) != 0 ||
	    xc_domain_populate_physmap(xc, domid, 1, 0, 0, &window) != 0) {
		printf("extents that are not there\n");
		bad++;
	}
	bad += want("order 19", xc_domain_populate_physmap(xc, domid, 1, 19, 0, gfns), EINVAL);
	bad += want("no domain", xc_domain_populate_physmap(xc, 30000, 1, 0, 0, gfns), ESRCH);
	bad += want("a claim of 1 PiB", xc_domain_claim_pages(xc, domid, 1ul << 30), ENOMEM);
	return bad;
}

static int bad_domains(void)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	struct xen_domctl_createdomain config = pvh();
	uint32_t domid = DOMID_INVALID;
	int bad;

	if (xc == NULL)
		return failed("xc_interface_open");
	bad = bad_configs(xc);
	if (xc_domain_create(xc, &domid, &config) != 0)
		return failed("xc_domain_create");
	bad += bad_memory(xc, domid);
	if (xc_domain_destroy(xc, domid) != 0)
		return failed("xc_domain_destroy");
	bad += want("a domain that was destroyed", xc_domain_pause(xc, domid), ESRCH);
	xc_interface_close(xc);
	printf("bad-domains: %s\n", bad == 0 ? "errors are as they should be" : "wrong");
	return bad != 0;
}

static unsigned number(char **argv, int argc, int i)
{
	return i < argc ? (unsigned)strtoul(argv[i], NULL, 0) : 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "version") == 0)
		return version();
	if (strcmp(what, "fork") == 0)
		return forked();
	if (strcmp(what, "opens") == 0)
		return opens(number(argv, argc, 2));
	if (strcmp(what, "churn") == 0)
		return churn(number(argv, argc, 2));
	if (strcmp(what, "calls") == 0)
		return calls();
	if (strcmp(what, "hold") == 0)
		return hold();
	if (strcmp(what, "events") == 0)
		return events();
	if (strcmp(what, "lost") == 0)
		return lost();
	if (strcmp(what, "maps") == 0)
		return maps(number(argv, argc, 2), number(argv, argc, 3));
	if (strcmp(what, "domains") == 0)
		return domains(number(argv, argc, 2), argc > 3 ? argv[3] : "bare");
	if (strcmp(what, "bad-domains") == 0)
		return bad_domains();
	if (strcmp(what, "states") == 0)
		return states(number(argv, argc, 2), number(argv, argc, 3));
	if (strcmp(what, "view") == 0)
		return view(number(argv, argc, 2), number(argv, argc, 3));
	fprintf(stderr, "xenprobe: there is no '%s'\n", what);
	return 2;
}
