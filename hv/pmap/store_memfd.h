/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_PMAP_STORE_MEMFD_H
#define HV_PMAP_STORE_MEMFD_H
/*
 * A store in a memfd: the core maps it whole, guests' processes map parts of it.
 */
#include "lib/failure.h"
#include "uvm/uvm_page.h"

struct memfd_store {
	struct uvm_store ms_store;
	int ms_fd;	  /* read-write: for the guest it belongs to */
	int ms_ro_fd;	  /* read-only: for whoever borrows from it */
	uint8_t *ms_base; /* the core's mapping */
};

/*
 * memfd_store_create: nbanks banks of bank_pages pages, no memory behind them yet.
 * => name appears in /proc for people; domid in accounts
 * => 0 or -errno, with *f.  One reference, dropped by uvm_store_rele
 */
int memfd_store_create(const char *name, uint64_t bank_pages, unsigned nbanks, uint32_t domid,
    struct memfd_store **msp, struct failure *f);

/*
 * memfd_store_create_huge: the same with frames of 2 MiB, out of those that the host has reserved.
 * => the first bank's frames can be had, or -ENOMEM; those of the others when they are free then
 */
int memfd_store_create_huge(const char *name, uint64_t bank_frames, unsigned nbanks, uint32_t domid,
    struct memfd_store **msp, struct failure *f);

/* The memfd_store around a store: every store of the core is one, but the zero frame's. */
struct memfd_store *memfd_store_of(struct uvm_store *st);

#endif
