/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(XENLIB_SRCS) tests/unit/xenlib/fake.c */
/* pkgs: jansson xentoollog xentoolcore */
#include <xenforeignmemory.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xentoolcore.h>

#include "xenlib.h"

#define PAGE 4096u
#define MANY 2500u /* more than two packets' worth */

static xenforeignmemory_handle *h;
static xen_pfn_t gfns[MANY];
static int err[MANY];

static void open_one(void)
{
	h = xenforeignmemory_open(NULL, 0);
	cr_assert_not_null(h);
	for (unsigned i = 0; i < MANY; i++)
		gfns[i] = i;
	gfns[FAKE_ZERO] = gfns[FAKE_PAGED] = 0;
}

static char *map(int prot, size_t n)
{
	return xenforeignmemory_map(h, FAKE_DOMID, prot, n, gfns, NULL);
}

static uint64_t word(const char *at, size_t page)
{
	return *(const uint64_t *)(at + page * PAGE);
}

/* How many mappings there are in [at, at + n pages). */
static unsigned mappings(const char *at, size_t n)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	unsigned count = 0;
	char row[512];

	cr_assert_not_null(f);
	while (fgets(row, sizeof(row), f) != NULL)
		if (sscanf(row, "%lx-%lx", &from, &to) == 2 && from < (uintptr_t)at + n * PAGE &&
		    (uintptr_t)at < to)
			count++;
	fclose(f);
	return count;
}

XenTest(foreign, pages_are_live)
{
	char *p;

	open_one();
	p = map(PROT_READ | PROT_WRITE, 10);
	cr_assert_not_null(p);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(word(p, i), i);
	*fake_page(3) = 33;
	cr_assert_eq(word(p, 3), 33);
	*(uint64_t *)(p + 4 * PAGE) = 44;
	cr_assert_eq(*fake_page(4), 44);
	cr_assert_eq(mappings(p, 10), 1);
	cr_assert_eq(fake_maps(), 1);
	cr_assert_eq(xenforeignmemory_unmap(h, p, 10), 0);
	cr_assert_eq(fake_maps(), 0);
	cr_assert(unreadable_p(p));
	cr_assert_eq(xenforeignmemory_close(h), 0);
	cr_assert_eq(xenforeignmemory_close(NULL), 0);
}

/* Nothing is asked of the cell before something is mapped. */
XenTest(foreign, idle_handles_cost_no_connection)
{
	xenforeignmemory_handle *all[100];

	for (unsigned i = 0; i < 100; i++)
		cr_assert_not_null(all[i] = xenforeignmemory_open(NULL, 0));
	cr_assert_eq(fake_connections_ever(), 0);
	for (unsigned i = 0; i < 100; i++)
		xenforeignmemory_close(all[i]);
}

XenTest(foreign, more_than_a_packet)
{
	char *p;

	open_one();
	p = map(PROT_READ, MANY);
	cr_assert_not_null(p);
	for (unsigned i = 0; i < MANY; i++)
		cr_assert_eq(word(p, i), gfns[i]);
	cr_assert_eq(fake_maps_ever(), 1);
	/* Two pages in the middle are others. */
	cr_assert_leq(mappings(p, MANY), 6);
	cr_assert_eq(xenforeignmemory_unmap(h, p, MANY), 0);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

XenTest(foreign, short_answers)
{
	char *p;

	open_one();
	fake_pages_at_once(7);
	p = map(PROT_READ, 100);
	cr_assert_not_null(p);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(word(p, i), i);
	cr_assert_eq(fake_maps_ever(), 1);
	xenforeignmemory_unmap(h, p, 100);
	xenforeignmemory_close(h);
}

XenTest(foreign, pages_in_any_order)
{
	char *p;

	open_one();
	for (unsigned i = 0; i < 16; i++)
		gfns[i] = 50 - i * 3;
	p = map(PROT_READ, 16);
	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(word(p, i), 50 - i * 3);
	cr_assert_eq(mappings(p, 16), 16);
	xenforeignmemory_unmap(h, p, 16);
	xenforeignmemory_close(h);
}

XenTest(foreign, pages_of_zeroes)
{
	char *p;

	open_one();
	gfns[1] = FAKE_ZERO;
	p = map(PROT_READ, 3);
	cr_assert_eq(word(p, 1), 0);
	cr_assert_eq(word(p, 2), 2);
	xenforeignmemory_unmap(h, p, 3);
	xenforeignmemory_close(h);
}

/* With an array for errors there is a map, with holes; without, all or nothing. */
XenTest(foreign, errors_of_pages)
{
	char *p;

	open_one();
	gfns[1] = FAKE_PAGED;
	gfns[2] = FAKE_PAGES;
	NO(map(PROT_READ, 4), ENOENT);
	cr_assert_eq(fake_maps(), 0);
	memset(err, 0x55, sizeof(err));
	p = xenforeignmemory_map(h, FAKE_DOMID, PROT_READ, 4, gfns, err);
	cr_assert_not_null(p);
	cr_assert_eq(err[0], 0);
	cr_assert_eq(err[1], -ENOENT);
	cr_assert_eq(err[2], -EINVAL);
	cr_assert_eq(err[3], 0);
	cr_assert_eq(word(p, 3), 3);
	cr_assert(unreadable_p(p + PAGE));
	cr_assert(unreadable_p(p + 2 * PAGE));
	xenforeignmemory_unmap(h, p, 4);
	/* Even if there is none at all. */
	gfns[0] = gfns[3] = FAKE_PAGED;
	p = xenforeignmemory_map(h, FAKE_DOMID, PROT_READ, 4, gfns, err);
	cr_assert_not_null(p);
	cr_assert_eq(err[0], -ENOENT);
	cr_assert(unreadable_p(p));
	xenforeignmemory_unmap(h, p, 4);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

/* The failure of a later packet takes the earlier ones with it. */
XenTest(foreign, error_late)
{
	open_one();
	gfns[MANY - 1] = FAKE_PAGED;
	NO(map(PROT_READ, MANY), ENOENT);
	cr_assert_eq(fake_maps_ever(), 1);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

XenTest(foreign, odd_requests)
{
	open_one();
	NO(xenforeignmemory_map(h, 9, PROT_READ, 1, gfns, NULL), ESRCH);
	NO(xenforeignmemory_map(h, 9, PROT_READ, 1, gfns, err), ESRCH);
	NO(map(PROT_READ, 0), EINVAL);
	NO(map(PROT_READ, SIZE_MAX / PAGE), EINVAL);
	FAILS(xenforeignmemory_restrict(h, 1), EOPNOTSUPP);
	FAILS(xentoolcore_restrict_all(1), EOPNOTSUPP);
	cr_assert_eq(fake_maps_ever(), 0);
	xenforeignmemory_close(h);
}

XenTest(foreign, at_an_address)
{
	char *room = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;

	cr_assert(room != MAP_FAILED);
	open_one();
	p = xenforeignmemory_map2(
	    h, FAKE_DOMID, room + 2 * PAGE, PROT_READ, MAP_FIXED, 4, gfns, NULL);
	cr_assert_eq(p, room + 2 * PAGE);
	cr_assert_eq(word(p, 3), 3);
	cr_assert_eq(word(room, 0), 0);
	xenforeignmemory_unmap(h, p, 4);
	xenforeignmemory_close(h);
	munmap(room, 8 * PAGE);
}

/* libxenctrl's users unmap with munmap: the map ends when its addresses are used again. */
XenTest(foreign, raw_munmap)
{
	char *p, *q;

	open_one();
	p = map(PROT_READ, 4);
	cr_assert_eq(munmap(p, 4 * PAGE), 0);
	cr_assert_eq(fake_maps(), 1);
	q = xenforeignmemory_map2(h, FAKE_DOMID, p, PROT_READ, MAP_FIXED, 2, gfns, NULL);
	cr_assert_eq(q, p);
	cr_assert_eq(fake_maps(), 2); /* half of the old one may be there yet */
	q = xenforeignmemory_map2(h, FAKE_DOMID, p + 2 * PAGE, PROT_READ, MAP_FIXED, 2, gfns, NULL);
	cr_assert_eq(q, p + 2 * PAGE);
	cr_assert_eq(fake_maps(), 2);
	cr_assert_eq(word(p, 3), 1);
	xenforeignmemory_unmap(h, p, 4);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

/* A program that does that all day does not pile up maps. */
XenTest(foreign, raw_munmap_often)
{
	char *p;

	open_one();
	for (unsigned i = 0; i < 1000; i++) {
		p = map(PROT_READ, 1 + i % 3);
		cr_assert_not_null(p);
		munmap(p, (1 + i % 3) * PAGE);
	}
	cr_assert_eq(fake_maps_ever(), 1000);
	cr_assert_leq(fake_maps(), 8);
	xenforeignmemory_close(h);
}

XenTest(foreign, unmapped_in_parts)
{
	char *p;

	open_one();
	p = map(PROT_READ, 200);
	cr_assert_eq(xenforeignmemory_unmap(h, p + 10 * PAGE, 50), 0);
	cr_assert_eq(xenforeignmemory_unmap(h, p + 10 * PAGE, 50), 0);
	cr_assert_eq(xenforeignmemory_unmap(h, p, 10), 0);
	cr_assert_eq(word(p, 60), 60);
	cr_assert_eq(fake_maps(), 1);
	cr_assert_eq(xenforeignmemory_unmap(h, p + 60 * PAGE, 140), 0);
	cr_assert_eq(fake_maps(), 0);
	FAILS(xenforeignmemory_unmap(h, p + 1, 1), EINVAL);
	xenforeignmemory_close(h);
}

/* The program may have put something else there: closing leaves addresses alone. */
XenTest(foreign, close_unmaps_nothing_here)
{
	char *p;

	open_one();
	p = map(PROT_READ, 2);
	xenforeignmemory_close(h);
	cr_assert(fake_has_connections(0));
	cr_assert_eq(word(p, 1), 1);
	munmap(p, 2 * PAGE);
}

/* ---- resources ---- */

XenTest(foreign, resource)
{
	xenforeignmemory_resource_handle *r;
	void *at = NULL;
	size_t size = 0;

	open_one();
	cr_assert_eq(xenforeignmemory_resource_size(h, FAKE_DOMID, 1, 0, &size), 0);
	cr_assert_eq(size, 3 * PAGE);
	FAILS(xenforeignmemory_resource_size(h, 9, 1, 0, &size), ESRCH);
	r = xenforeignmemory_map_resource(
	    h, FAKE_DOMID, 1, 0, 5, 3, &at, PROT_READ | PROT_WRITE, 0);
	cr_assert_not_null(r);
	cr_assert_eq(word(at, 2), 7);
	cr_assert_eq(xenforeignmemory_unmap_resource(h, r), 0);
	cr_assert(unreadable_p(at));
	cr_assert_eq(fake_maps(), 0);
	cr_assert_eq(xenforeignmemory_unmap_resource(h, NULL), 0);
	at = NULL;
	NO(xenforeignmemory_map_resource(h, 9, 1, 0, 0, 1, &at, PROT_READ, 0), ESRCH);
	NO(xenforeignmemory_map_resource(
	       h, FAKE_DOMID, 1, 0, 0, 1, &at, PROT_READ, MAP_SHARED | MAP_FIXED),
	    EINVAL);
	NO(xenforeignmemory_map_resource(
	       h, FAKE_DOMID, 1, 0, FAKE_PAGES - 1, 2, &at, PROT_READ, MAP_SHARED),
	    EINVAL);
	cr_assert_null(at);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

/* ---- forks ---- */

static char *inherited;

static int child_ends_its_copy(void)
{
	if (xenforeignmemory_unmap(h, inherited, 2) != 0)
		return 1;
	xenforeignmemory_close(h);
	return 0;
}

static int child_opens_its_own(void)
{
	char *p;

	xenforeignmemory_close(h);
	open_one();
	p = map(PROT_READ, 2);
	if (p == NULL || word(p, 1) != 1)
		return 1;
	return xenforeignmemory_unmap(h, p, 2) == 0 ? 0 : 2;
}

XenTest(foreign, child_ends_nothing_of_the_parent)
{
	open_one();
	inherited = map(PROT_READ, 2);
	in_child(child_ends_its_copy);
	in_child(child_opens_its_own);
	cr_assert_eq(fake_maps(), 1);
	cr_assert_eq(word(inherited, 1), 1);
	cr_assert_eq(xenforeignmemory_unmap(h, inherited, 2), 0);
	cr_assert_eq(fake_maps(), 0);
	xenforeignmemory_close(h);
}

/* Parent and child ask over the one connection at the same time: no answer goes astray. */
static int child_maps_often(void)
{
	char *p;

	for (unsigned i = 0; i < 300; i++) {
		gfns[0] = 1000 + i;
		p = map(PROT_READ, 1);
		if (p == NULL || word(p, 0) != 1000 + i)
			return 1;
		xenforeignmemory_unmap(h, p, 1);
	}
	return 0;
}

XenTest(foreign, both_sides_of_a_fork)
{
	int status;
	pid_t pid;

	open_one();
	inherited = map(PROT_READ, 2);
	pid = fork();
	if (pid == 0)
		_exit(child_maps_often());
	gfns[1] = 7;
	for (unsigned i = 0; i < 300; i++) {
		gfns[0] = 2000 + i;
		char *p = map(PROT_READ, 2);
		cr_assert_not_null(p);
		cr_assert_eq(word(p, 0), 2000 + i);
		cr_assert_eq(xenforeignmemory_unmap(h, p, 2), 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	cr_assert_eq(fake_connections_ever(), 1);
	xenforeignmemory_unmap(h, inherited, 2);
	xenforeignmemory_close(h);
}

/* ---- failures ---- */

XenTest(foreign, lost_connection)
{
	size_t size;
	char *p;

	open_one();
	p = map(PROT_READ | PROT_WRITE, 2);
	fake_hang_up();
	NO(map(PROT_READ, 2), EPIPE);
	NO(xenforeignmemory_map(h, FAKE_DOMID, PROT_READ, 2, gfns, err), EPIPE);
	FAILS(xenforeignmemory_resource_size(h, FAKE_DOMID, 1, 0, &size), EPIPE);
	cr_assert_eq(word(p, 1), 1); /* what is mapped is */
	cr_assert_eq(xenforeignmemory_unmap(h, p, 2), 0);
	xenforeignmemory_close(h);
}

XenTest(foreign, bad_answers)
{
	static const enum fake_mood moods[] = {FAKE_SHORT, FAKE_MANY, FAKE_WRONG_FD};

	for (unsigned i = 0; i < 3; i++) {
		open_one();
		fake_mood(moods[i]);
		NO(map(PROT_READ, 4), EPROTO);
		fake_mood(FAKE_GOOD);
		xenforeignmemory_close(h);
	}
	fake_mood(FAKE_FAILS);
	open_one();
	NO(map(PROT_READ, 4), ENOSPC);
	fake_mood(FAKE_GOOD);
	cr_assert_not_null(inherited = map(PROT_READ, 4));
	xenforeignmemory_unmap(h, inherited, 4);
	xenforeignmemory_close(h);
}

XenTest(foreign, no_cell_when_it_is_wanted)
{
	char *path = strdup(getenv("LOMBARD_SOCKET"));

	open_one();
	setenv("LOMBARD_SOCKET", "/nonexistent/cell.sock", 1);
	NO(map(PROT_READ, 1), ENOENT);
	setenv("LOMBARD_SOCKET", path, 1);
	cr_assert_not_null(inherited = map(PROT_READ, 1));
	xenforeignmemory_unmap(h, inherited, 1);
	xenforeignmemory_close(h);
	free(path);
}
