/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H
/*
 * What the unit tests and the model stand on: guests on the software pmap, and objects with a pager
 * that tests can steer.  Needs no test framework; all functions run inside the world, no locks
 * held.
 */
#include "pmap/pmap_soft.h"
#include "uvm/uvm_audit.h"

/* Guest pages [0, ram) are RAM, [ram, ram + window) are where things can be entered. */
struct guest {
	struct soft_store *store; /* the fixture's reference */
	struct soft_pmap *pmap;
	struct uvm_map *map; /* NULL: not alive */
	uint64_t ram, window;
};

/* Banks of a guest's store: enough for every frame that a test leaves lent. */
#define GUEST_BANKS 12u

/* guest_create: returns 0 or -ENOMEM.  guest_destroy: the guest is gone; g can be used again. */
int guest_create(struct guest *g, uint32_t domid, uint64_t ram, uint64_t window);
void guest_destroy(struct guest *g);

/* The soft pmap of a map that guest_create made. */
struct soft_pmap *fixture_pmap_of(struct uvm_map *map);

/*
 * Contents by number: a page that holds tag t has bytes that no other tag gives; tag 0 is zeroes.
 * => guest_fill, guest_holds: the guest writes or reads the whole page; 0 or soft_write's error;
 *    false also when it cannot be read
 */
void page_fill(void *page, uint64_t tag);
bool page_holds(const void *page, uint64_t tag);
int guest_fill(struct guest *g, uint64_t gfn, uint64_t tag);
bool guest_holds(struct guest *g, uint64_t gfn, uint64_t tag);

/*
 * An object whose pager reads and writes to_disk.  The hooks run where a pager runs: no locks held
 * and outside the world; a hook that returns an error makes the pager fail.
 */
struct test_object {
	struct uvm_object to_object;
	struct soft_store *to_store; /* the object's reference */
	uint8_t *to_disk;
	_Atomic unsigned to_gets, to_puts; /* pager calls */
	int (*to_on_get)(struct test_object *to, uint64_t off, unsigned n);
	int (*to_on_put)(struct test_object *to, uint64_t off);
	bool *to_gone; /* set when the object is freed; may be NULL */
};

/* Page i of the object holds tag first_tag + i.  One reference; NULL: out of memory. */
struct test_object *test_object_create(uint64_t npages, uint64_t first_tag);

/* anon_object_create: the same without a pager: zeroes, and what is written is kept nowhere. */
struct test_object *anon_object_create(uint64_t npages);

/*
 * world_check: the auditor's findings, unequal sums and what soft_pmap_check says of each guest.
 * => prints them to stderr, returns how many; leaves the world for the time
 */
unsigned world_check(void);

/* The zero frame and nothing else is left.  Returns the number of complaints; prints them. */
unsigned world_leftovers(void);

#endif
