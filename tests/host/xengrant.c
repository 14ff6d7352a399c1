/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xengrant ROLE ...: a program of the host at one end of granted pages and event channels, made with
 * Debian's headers for libxengnttab and libxenevtchn.  The other end is another xengrant, or probe's
 * roles in guest/probe/grant.c, which speak as guest/probe/grant.h says.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "../../guest/probe/grant.h"

#define PATIENCE_MS 60000
#define PAGE 4096u
#define STORM_PORTS 64u

static xenevtchn_handle *events;
static xengnttab_handle *grants;
static xengntshr_handle *shares;

static void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	printf("xengrant: ");
	vprintf(fmt, ap);
	printf(" (%s)\n", strerror(error));
	va_end(ap);
	exit(1);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void open_all(void)
{
	events = xenevtchn_open(NULL, 0);
	grants = xengnttab_open(NULL, 0);
	shares = xengntshr_open(NULL, 0);
	if (events == NULL || grants == NULL || shares == NULL)
		fail("no handles");
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (*text == '\0' || *end != '\0')
		fail("%s is no number", text);
	return (uint32_t)n;
}

static uint32_t good_port(xenevtchn_port_or_error_t port, const char *what)
{
	if (port < 0)
		fail("%s", what);
	return (uint32_t)port;
}

/* The next event within ms; 0: none. */
static uint32_t event_within(xenevtchn_handle *h, int ms)
{
	struct pollfd p = {.fd = xenevtchn_fd(h), .events = POLLIN};
	uint32_t port;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	port = good_port(xenevtchn_pending(h), "pending");
	if (xenevtchn_unmask(h, port) != 0)
		fail("unmask");
	return port;
}

static void await(uint32_t port)
{
	uint32_t got = event_within(events, PATIENCE_MS);

	if (got != port)
		fail("an event of port %u instead of %u", got, port);
}

static void notify(uint32_t port)
{
	if (xenevtchn_notify(events, port) != 0)
		fail("notify");
}

static void right(const volatile uint64_t *page, unsigned step)
{
	unsigned wrong = grant_wrong(page, step);

	if (wrong != 0)
		fail("%u words are not as step %u has them", wrong, step);
}

static bool writable(const char *word)
{
	return strcmp(word, "rw") == 0;
}

/* serve DOMID rw|ro */
static void serve(char **arg)
{
	uint32_t domid = number(arg[0]), ref, port;
	bool write = writable(arg[1]);
	volatile uint64_t *page = xengntshr_share_pages(shares, domid, 1, &ref, write);

	if (page == NULL)
		fail("share");
	port = good_port(xenevtchn_bind_unbound_port(events, domid), "port");
	grant_write(page, GRANT_GIVEN);
	say("granted ref=%u port=%u", ref, port);
	await(port);
	right(page, write ? GRANT_USED : GRANT_GIVEN);
	grant_write(page, GRANT_ANSWERED);
	notify(port);
	if (xengntshr_unshare(shares, (void *)(uintptr_t)page, 1) != 0)
		fail("unshare");
}

static uint32_t bind_to(uint32_t domid, uint32_t remote)
{
	uint32_t port = good_port(xenevtchn_bind_interdomain(events, domid, remote), "bind");

	/* Who binds is raised at once. */
	await(port);
	return port;
}

/* use DOMID REF PORT rw|ro */
static void use(char **arg)
{
	uint32_t domid = number(arg[0]), ref = number(arg[1]);
	bool write = writable(arg[3]);
	uint32_t port = bind_to(domid, number(arg[2]));
	volatile uint64_t *page = xengnttab_map_grant_ref(
	    grants, domid, ref, PROT_READ | (write ? PROT_WRITE : 0));

	if (page == NULL)
		fail("map");
	right(page, GRANT_GIVEN);
	if (write)
		grant_write(page, GRANT_USED);
	notify(port);
	await(port);
	right(page, GRANT_ANSWERED);
	if (xengnttab_unmap(grants, (void *)(uintptr_t)page, 1) != 0)
		fail("unmap");
}

/* hold DOMID REF PORT: map a page with our byte in it, live, and stay. */
static void hold(char **arg)
{
	uint32_t domid = number(arg[0]), port = bind_to(domid, number(arg[2]));
	volatile uint8_t *page = xengnttab_map_grant_ref_notify(
	    grants, domid, number(arg[1]), PROT_READ | PROT_WRITE, GRANT_LIVE_OFFSET, port);

	if (page == NULL)
		fail("map");
	page[GRANT_LIVE_OFFSET] = 1;
	notify(port);
	say("holding");
	for (;;)
		pause();
}

/* share DOMID: a page with our byte in it, live, and stay. */
static void share(char **arg)
{
	uint32_t domid = number(arg[0]), ref;
	uint32_t port = good_port(xenevtchn_bind_unbound_port(events, domid), "port");
	volatile uint8_t *page = xengntshr_share_page_notify(
	    shares, domid, &ref, 1, GRANT_LIVE_OFFSET, port);

	if (page == NULL)
		fail("share");
	page[GRANT_LIVE_OFFSET] = 1;
	say("granted ref=%u port=%u", ref, port);
	for (;;)
		pause();
}

/* watch DOMID REF PORT: a page of somebody who dies. */
static void watch(char **arg)
{
	uint32_t domid = number(arg[0]), port = bind_to(domid, number(arg[2]));
	volatile uint8_t *page = xengnttab_map_grant_ref(
	    grants, domid, number(arg[1]), PROT_READ | PROT_WRITE);

	if (page == NULL)
		fail("map");
	if (page[GRANT_LIVE_OFFSET] != 1)
		fail("the byte is %u", page[GRANT_LIVE_OFFSET]);
	say("watching");
	await(port);
	if (page[GRANT_LIVE_OFFSET] != 0)
		fail("the byte is %u after the event", page[GRANT_LIVE_OFFSET]);
	/* What was shared stays as long as we have it. */
	page[0] = 5;
	say("gone");
}

/* keep DOMID REF PORT: go on using a page when its guest is gone, and stay. */
static void keep(char **arg)
{
	uint32_t domid = number(arg[0]), port = bind_to(domid, number(arg[2])), exc, got;
	volatile uint64_t *page = xengnttab_map_grant_ref(
	    grants, domid, number(arg[1]), PROT_READ | PROT_WRITE);

	if (page == NULL)
		fail("map");
	right(page, GRANT_GIVEN);
	exc = good_port(xenevtchn_bind_virq(events, 3), "DOM_EXC");
	if (xenevtchn_bind_virq(events, 3) >= 0 || errno != EEXIST)
		fail("DOM_EXC was bound twice");
	notify(port);
	while ((got = event_within(events, PATIENCE_MS)) != exc)
		if (got == 0)
			fail("no word of the guest's end");
	right(page, GRANT_GIVEN);
	grant_write(page, GRANT_USED);
	right(page, GRANT_USED);
	if (xengnttab_map_grant_ref(grants, domid, number(arg[1]), PROT_READ) != NULL)
		fail("the page of a dead guest could be mapped");
	say("kept");
	for (;;)
		pause();
}

/* loop: events between two handles of ours. */
static void loop(char **arg)
{
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);
	uint32_t ours = good_port(xenevtchn_bind_unbound_port(events, 0), "port"), theirs;

	(void)arg;
	if (other == NULL)
		fail("another handle");
	theirs = good_port(xenevtchn_bind_interdomain(other, 0, ours), "bind");
	if (event_within(other, 1000) != theirs)
		fail("who bound was not raised");
	for (unsigned i = 0; i < 1000; i++) {
		notify(ours);
		if (event_within(other, 1000) != theirs || xenevtchn_notify(other, theirs) != 0 ||
		    event_within(events, 1000) != ours)
			fail("round %u", i);
	}
	/* Masked: remembered, once. */
	notify(ours);
	if ((uint32_t)xenevtchn_pending(other) != theirs)
		fail("pending");
	notify(ours);
	notify(ours);
	if (poll(&(struct pollfd){.fd = xenevtchn_fd(other), .events = POLLIN}, 1, 100) != 0)
		fail("an event of a masked port");
	xenevtchn_unmask(other, theirs);
	if (event_within(other, 1000) != theirs || event_within(other, 100) != 0)
		fail("what was remembered");
	if (xenevtchn_unbind(events, theirs) == 0 || xenevtchn_unbind(events, ours) != 0)
		fail("unbind");
	if (xenevtchn_notify(other, theirs) != 0 || xenevtchn_notify(events, ours) == 0)
		fail("notify without the other end");
	xenevtchn_close(other);
}

/* refused DOMID REF: what cannot be had, and why */
static void refused(char **arg)
{
	uint32_t domid = number(arg[0]), ref = number(arg[1]), mine;
	void *page;

	if (xengnttab_map_grant_ref(grants, 999, ref, PROT_READ) != NULL)
		fail("a page of nobody");
	say("nobody: %d", errno);
	if (xengnttab_map_grant_ref(grants, domid, 4000000, PROT_READ) != NULL)
		fail("a page outside the table");
	say("outside: %d", errno);
	if (xengnttab_map_grant_ref(grants, domid, 500, PROT_READ) != NULL)
		fail("a page that is not granted");
	say("not granted: %d", errno);
	if (xengnttab_map_grant_ref(grants, domid, ref, PROT_READ | PROT_WRITE) != NULL)
		fail("a page to write that is granted to read");
	say("to write: %d", errno);
	page = xengnttab_map_grant_ref(grants, domid, ref, PROT_READ);
	if (page == NULL)
		fail("the page to read");
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0)
		fail("what is mapped to read can be made writable");
	if (xengnttab_unmap(grants, page, 2) == 0 || errno != EINVAL)
		fail("half an unmap");
	page = xengntshr_share_pages(shares, domid, 1, &mine, 1);
	if (page == NULL)
		fail("share");
	if (xengnttab_map_grant_ref(grants, 0, mine, PROT_READ) != NULL)
		fail("a page that is granted to another");
	say("another's: %d", errno);
	if (xenevtchn_bind_interdomain(events, domid, 4000) >= 0)
		fail("a port that is not there");
	say("no port: %d", errno);
}

static void must_refuse(xenevtchn_port_or_error_t port, const char *what)
{
	if (port >= 0 || errno != EPERM)
		fail("%s", what);
}

/* only DOMID PORT OTHER PORT: a backend's handle, which its guest has taken over. */
static void only(char **arg)
{
	uint32_t domid = number(arg[0]), port = number(arg[1]);
	uint32_t other = number(arg[2]), others = number(arg[3]);
	xenevtchn_handle *h = xenevtchn_open(NULL, 0);

	if (h == NULL || xenevtchn_restrict(h, (domid_t)domid) != 0)
		fail("restrict");
	must_refuse(xenevtchn_bind_interdomain(h, other, others), "another guest's port");
	must_refuse(xenevtchn_bind_unbound_port(h, other), "a port for another guest");
	must_refuse(xenevtchn_bind_unbound_port(h, 0), "a port for the host");
	must_refuse(xenevtchn_bind_virq(h, 3), "a virtual interrupt");
	must_refuse(xenevtchn_restrict(h, (domid_t)other), "another guest");
	good_port(xenevtchn_bind_interdomain(h, domid, port), "its own guest's port");
	/* Nobody has bound to it meanwhile. */
	bind_to(other, others);
	say("refused");
}

/* storm DOMID FIRST LAST: events of many ports, none of which may be lost. */
static void storm(char **arg)
{
	static uint32_t ports[STORM_PORTS];
	static unsigned counts[STORM_PORTS];
	uint32_t domid = number(arg[0]), first = number(arg[1]), n = number(arg[2]) - first + 1;
	uint32_t got, all = 0;

	if (n > STORM_PORTS)
		fail("too many ports");
	for (uint32_t i = 0; i < n; i++)
		ports[i] = bind_to(domid, first + i);
	notify(ports[0]);
	while ((got = event_within(events, all < n ? PATIENCE_MS : 500)) != 0)
		for (uint32_t i = 0; i < n; i++)
			if (ports[i] == got && counts[i]++ == 0)
				all++;
	say("%u of %u ports were raised", all, n);
	notify(ports[0]);
}

/* many N: shares of several memfds, mapped in one piece. */
static void many(char **arg)
{
	uint32_t n = number(arg[0]), part = 700, *refs = calloc(n, sizeof(*refs));
	uint8_t *mapped, **ours = calloc(n / part + 1, sizeof(*ours));

	if (refs == NULL || ours == NULL)
		fail("memory");
	for (uint32_t i = 0; i < n; i += part) {
		uint32_t now = n - i < part ? n - i : part;

		ours[i / part] = xengntshr_share_pages(shares, 0, (int)now, refs + i, 1);
		if (ours[i / part] == NULL)
			fail("share");
		for (uint32_t j = 0; j < now; j++)
			*(uint32_t *)(ours[i / part] + j * PAGE + 8) = i + j;
	}
	mapped = xengnttab_map_domain_grant_refs(grants, n, 0, refs, PROT_READ);
	if (mapped == NULL)
		fail("map");
	for (uint32_t i = 0; i < n; i++)
		if (*(uint32_t *)(mapped + i * PAGE + 8) != i)
			fail("page %u holds %u", i, *(uint32_t *)(mapped + i * PAGE + 8));
	ours[0][8] ^= 0xff;
	if (mapped[8] != ours[0][8])
		fail("the map is not live");
	if (xengnttab_unmap(grants, mapped, n) != 0)
		fail("unmap");
	say("%u pages", n);
}

/* table DOMID REF: the guest's table as a resource. */
static void table(char **arg)
{
	xenforeignmemory_handle *h = xenforeignmemory_open(NULL, 0);
	xenforeignmemory_resource_handle *r;
	uint32_t domid = number(arg[0]), ref = number(arg[1]);
	grant_entry_v1_t *entries = NULL;
	size_t size;

	if (h == NULL || xenforeignmemory_resource_size(h, (domid_t)domid, 1, 0, &size) != 0)
		fail("size");
	r = xenforeignmemory_map_resource(
	    h, (domid_t)domid, 1, 0, 0, 1, (void **)&entries, PROT_READ | PROT_WRITE, 0);
	if (r == NULL)
		fail("map");
	say("size=%zu flags=%u domid=%u", size, entries[ref].flags, entries[ref].domid);
	if (xenforeignmemory_map_resource(
		h, (domid_t)domid, 1, 1, 0, 1, (void **)&(void *){NULL}, PROT_READ, 0) != NULL)
		fail("there are frames of version 2");
	say("status frames: %d", errno);
	if (xenforeignmemory_map_resource(
		h, (domid_t)domid, 1, 0, 64, 1, (void **)&(void *){NULL}, PROT_READ, 0) != NULL)
		fail("there is a frame too many");
	say("frame 64: %d", errno);
	xenforeignmemory_unmap_resource(h, r);
	xenforeignmemory_close(h);
}

static const struct {
	const char *name;
	int nargs;
	void (*run)(char **arg);
} roles[] = {
    {"serve", 2, serve},
    {"use", 4, use},
    {"hold", 3, hold},
    {"share", 1, share},
    {"watch", 3, watch},
    {"keep", 3, keep},
    {"loop", 0, loop},
    {"refused", 2, refused},
    {"only", 4, only},
    {"storm", 3, storm},
    {"many", 1, many},
    {"table", 2, table},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (argc != roles[i].nargs + 2 || strcmp(argv[1], roles[i].name) != 0)
			continue;
		open_all();
		roles[i].run(argv + 2);
		say("%s: ok", argv[1]);
		return 0;
	}
	fail("no such role, or not with these words");
}
