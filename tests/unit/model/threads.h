/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_MODEL_THREADS_H
#define TESTS_UNIT_MODEL_THREADS_H
/* What the workers (threads.c) and the host's thread (threads_host.c) share. */
#include <pthread.h>

#include "model.h"

extern _Atomic bool threads_stop;

/* Print what is wrong and where, and end the process. */
_Noreturn void complain(uint32_t domid, const char *what, uint64_t where, int error);

uint64_t hash(const void *bytes, size_t len, uint64_t h);

/* A page of an object says itself whether it is whole: its first word is a hash of the others. */
void seal(uint64_t *page);
bool sealed(const void *page);

/* An offer from somewhere in the list of those for domid; false: there is none. */
bool pick_offer(struct rng *rng, uint32_t domid, struct uvm_offer_info *info);

/* The host maps pages below this one: they may be wired at any time. */
#define HOST_MAPS_BELOW 6u

/*
 * A worker's guest, for others: its map with a reference.  Its pmap may be called until it is let
 * go.  => outside the world
 */
struct uvm_map *threads_hold(unsigned i);
void threads_let_go(unsigned i);
unsigned threads_count(void);

/* threads_share.c: steps of a worker; share_end: after all of them. */
void share_nominate(struct mguest *mg, struct rng *rng);
void share_with(struct mguest *mg, struct rng *rng);
void share_add(struct mguest *mg, uint64_t gfn, struct rng *rng);
void share_end(void);

/* threads_fill.c: likewise. */
void fill_setup(void);
void fill_pages(struct mguest *mg, struct rng *rng);
void fill_end(void);

/* The host's thread.  host_end: after it has been joined; returns what the host had borrowed. */
void host_setup(uint64_t seed);
void *host_work(void *arg);
void host_end_loans(void);
void host_end_objects(void);

#endif
