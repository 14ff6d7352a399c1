/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_XEN_CALLFAKE_H
#define TESTS_UNIT_XEN_CALLFAKE_H
/*
 * A caller of hypercalls whose memory is an array, and guests without a process of their own.
 */
#include "core/guest.h"
#include "xen/call.h"
#include "xen/public.h"

/* The caller's address space: FAKE_BYTES from FAKE_BASE on, nothing else. */
#define FAKE_BASE UINT64_C(0x7f0000001000)
#define FAKE_BYTES 65536u

struct fake {
	struct xen_caller fk_caller;
	uint8_t fk_memory[FAKE_BYTES];
	unsigned fk_reads; /* copies of the first 8 bytes: of a structure that lies there */
	unsigned fk_refused;
	unsigned fk_stays; /* the caller is gone when that was asked so often; 0: never */
};

extern struct fake fake;

/* fake_reset: all zeroes, and the host calls (domid: that guest). */
void fake_reset(uint32_t domid);

/* The address of offset `at`, and what is there. */
static inline uint64_t fake_address(size_t at)
{
	return FAKE_BASE + at;
}

static inline void *fake_at(size_t at)
{
	return fake.fk_memory + at;
}

/* Set a handle in one of Xen's structures. */
#define FAKE_HANDLE(handle, address) ((handle).p = (void *)(uintptr_t)(address))

int64_t fake_call(uint64_t nr, uint64_t arg0, uint64_t arg1);

/* The structure at offset 0, with the right version in it; the operation's value. */
int64_t fake_domctl(uint32_t cmd, uint32_t domid, struct xen_domctl *op);
int64_t fake_sysctl(uint32_t cmd, struct xen_sysctl *op);

/*
 * fake_guest: one that runs, with this many frames of memory; pid 0: nobody's process.
 * fake_program: a host program.  fake_end: it is gone.
 */
struct guest *fake_guest(const char *name, unsigned frames, pid_t pid);
struct guest *fake_program(const char *name);
void fake_end(struct guest *g);

#endif
