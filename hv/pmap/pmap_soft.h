/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_PMAP_SOFT_H
#define HV_PMAP_SOFT_H
/*
 * A pmap and a store of plain memory: a software model of second-level translation, for tests.
 *
 * It behaves like the real one where that matters: a page that the guest touches becomes resident
 * without anybody being told, and a forbidden access turns into uvm_fault and is tried again.
 */
#include <pthread.h>

#include "uvm/uvm_fault.h"

struct soft_store {
	struct uvm_store ss_store;
	uint8_t *ss_memory;
	_Atomic uint8_t *ss_resident; /* by page */
};

/* soft_store_create: NULL when out of memory; freed with its last reference. */
struct soft_store *soft_store_create(uint64_t bank_pages, unsigned nbanks, uint32_t domid);
/* The same with pages of frame_pages * 4 KiB. */
struct soft_store *soft_store_create_frames(
    uint32_t frame_pages, uint64_t bank_pages, unsigned nbanks, uint32_t domid);

struct soft_pte {
	enum pmap_kind kind; /* 0 counts as PMAP_NONE */
	bool writable;
	struct uvm_store *store;
	uint64_t index;
};

struct soft_pmap {
	struct pmap sp_pmap;
	pthread_mutex_t sp_mutex; /* everything below; stands for the TLB and the walkers */
	uint64_t sp_npages;
	struct soft_pte *sp_ptes; /* by gfn */
	bool sp_gone;		  /* the guest's process is dead: enter answers -ESRCH */
	int (*sp_fail)(void); /* consulted by enter and protect: returns 0 or -errno to fail with */
	uint64_t sp_enters, sp_protects, sp_unprotects; /* calls */
};

/* soft_pmap_create: guest pages 0 .. npages - 1; NULL when out of memory. */
struct soft_pmap *soft_pmap_create(uint64_t npages);
void soft_pmap_destroy(struct soft_pmap *sp);

/* soft_pmap_map_ram: what a VMM does at its start: [gfn, gfn + n) lies at `index` on, writable. */
void soft_pmap_map_ram(
    struct soft_pmap *sp, struct uvm_store *st, uint64_t gfn, uint64_t index, uint64_t n);

/*
 * The guest reads or writes len bytes of one page.  Faults are resolved by uvm_fault.
 * => inside the world, no locks held; returns 0 or what uvm_fault said
 */
int soft_read(struct uvm_map *map, uint64_t gfn, size_t at, void *buf, size_t len);
int soft_write(struct uvm_map *map, uint64_t gfn, size_t at, const void *buf, size_t len);

/*
 * soft_pmap_check: no page on loan may be writable here; what is mapped must exist.
 * => world stopped.  Returns the number of broken rules, and prints them to stderr
 */
unsigned soft_pmap_check(struct soft_pmap *sp, struct uvm_map *map);

#endif
