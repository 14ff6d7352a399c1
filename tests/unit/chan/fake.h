/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_CHAN_FAKE_H
#define TESTS_UNIT_CHAN_FAKE_H
/*
 * The hypervisor's half of channels, played in one process: endpoints are memfds, mapped writable
 * for their owner and read-only for peers; the status pages read-only for everybody.
 *
 * What is sealed is hashed, and must have the same hash when it is unsealed: the library hands no
 * sealed frame out, or the test that writes there is told.  A write that breaks a seal has to be
 * announced by fake_break, since nothing here traps.
 *
 * Many threads may be in here at once, each with endpoints of its own.
 */
#include "chan/private.h"

/*
 * fake_start: nothing is there.  FAKE_HUGE: there are frames of 2 MiB for who wants them.
 * FAKE_ONE_ADDRESS: peers see an area where its owner does, writable: ThreadSanitizer compares
 * addresses.
 * fake_end: complains of endpoints and mappings that are left; how many.
 */
#define FAKE_HUGE 1U
#define FAKE_ONE_ADDRESS 2U
void fake_start(unsigned flags);
unsigned fake_end(void);

/* fake_kill: the owner dies; chan_close frees what the library has. */
void fake_kill(struct chan *ch);

/* fake_break: the owner is about to write to a frame of its arena. */
void fake_break(struct chan *ch, uint32_t frame);

/* fake_fail: the n-th call from now (1: the next) of this kind fails.  0: none does any more. */
enum fake_call {
	FAKE_CREATE,
	FAKE_CONNECT,
	FAKE_ACCEPT,
	FAKE_SEAL,
	FAKE_REAP,
	FAKE_REFRESH,
	FAKE_PLACE,
	FAKE_ALLOC,
	FAKE_NCALLS
};
void fake_fail(enum fake_call call, unsigned n, int error);

/* Time that a hypercall takes, and that sealing a frame does on top: for the crossover. */
void fake_slow(uint64_t call_ns, uint64_t frame_ns);

/* Seals of an endpoint that are in force. */
unsigned fake_seals(struct chan *ch);

/* How often the library went to sleep or rang somebody, of all endpoints since fake_start. */
uint64_t fake_calls(enum fake_call call);

#endif
