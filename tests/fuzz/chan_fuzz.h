/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FUZZ_CHAN_FUZZ_H
#define TESTS_FUZZ_CHAN_FUZZ_H
/* The honest hypervisor (chan_fuzz_hv.c) between the endpoint and the peers of chan_fuzz.c. */
#include "chan/private.h"

#define FUZZ_PEERS 2
#define PEER_PAGES 16U
#define PEER_BYTES ((size_t)CHAN_AREA_PAGES(PEER_PAGES) * ARENA_PAGE)
#define PEER_ARENA ((size_t)PEER_PAGES * ARENA_PAGE)
#define OWN_PAGES 24U
#define OWN_BYTES ((size_t)CHAN_AREA_PAGES(OWN_PAGES) * ARENA_PAGE)
#define FUZZ_MAX_HELD 64

struct fuzz_peer {
	uint8_t *area; /* NULL: there is none */
	bool mapped, gone;
	struct chan_control *control;
	struct chan_status *status;
};

/* A message that the endpoint has received and not released. */
struct fuzz_held {
	struct chan_message msg;
	uint64_t hash;
};

extern struct fuzz_peer fuzz_peers[FUZZ_PEERS];
extern uint8_t *fuzz_own; /* the endpoint's area */
extern struct chan_control *fuzz_control;
extern struct chan_status *fuzz_status;
extern struct fuzz_held fuzz_held[FUZZ_MAX_HELD];
extern unsigned fuzz_nheld;
extern unsigned fuzz_calls;   /* hypercalls since somebody set it to 0; too many are an error */
extern unsigned fuzz_fail_in; /* this many calls from now, one fails; 0: none */
extern unsigned fuzz_allocations;
extern uint64_t fuzz_clock;

/* fuzz_must: or the fuzzer has found something. */
void fuzz_must(bool ok, const char *what);

/* fuzz_begin: nothing is sealed or held. */
void fuzz_begin(void);

/* fuzz_sealed_p: is one of these frames of the endpoint sealed? */
bool fuzz_sealed_p(uint32_t first, uint32_t nr);

void fuzz_peer_free(unsigned i);

#endif
