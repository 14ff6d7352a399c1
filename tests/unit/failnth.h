/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_FAILNTH_H
#define TESTS_UNIT_FAILNTH_H
/*
 * Fail the Nth: an operation is done with its 1st, 2nd, ... allocation or call of the pmap failing,
 * until it needs no more of them.  After each failure everything is as before: contents,
 * invariants; and the operation works when it is tried again.  Once with one failure, once with all
 * allocations failing from there on.
 */
#include "lvtest.h"

/*
 * The scene, set anew for each try:
 * a: RAM 0, 1, 4 .. 6 with tags 100 + gfn, 0 and 1 not learned; the rest never touched; an object's
 *    pages (tags 500 on) at 8 .. 11.  5 is lent to page, 6 to anon, and 6 with 7 to the host.
 * b: has 5 at 16 and 6 at 17; 0 holds tag 300.
 */
struct scene {
	struct guest *a, *b;
	struct test_object *to;
	uint64_t page_id, anon_id, host_id;
};
extern struct scene sc;

/* run does it; done looks at what it did and takes back what it made. */
struct operation {
	int (*run)(void);
	void (*done)(void);
	void (*before)(void); /* after the scene is set, or NULL */
	char may_lose; /* 'a' or 'b': it may answer -ENOTRECOVERABLE: then that one is killed */
};

/* at_least: so many calls the operation is known to make; it shows that failures happen at all. */
void fail_each(const struct operation *op, unsigned at_least);

/* For what needs no scene: the nth allocation of one call of run fails. */
int fail_nth_allocation(int (*run)(void), unsigned nth);

#endif
