/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H
/*
 * The reference model: every guest has its own flat memory, every loan is a full copy.  Random
 * operations are done by the core and by the model; results and contents have to agree.
 */
#include "fixture.h"
#include "rng.h"

/* A guest: RAM, then pages of an object (copy-on-write), then room for windows. */
#define RAM_PAGES 40u
#define OBJECT_PAGES 12u
#define WINDOW_PAGES 44u
#define PAGES (RAM_PAGES + OBJECT_PAGES + WINDOW_PAGES)

#define MAXGUESTS 8u
#define MAXOFFERS 24u
#define MAXHOSTLOANS 6u
#define NOBJECTS 2u
#define OBJECT_SIZE 40u /* pages */
#define MAXLEND 12u	/* most pages in one offer */

enum page_kind { P_NONE, P_RAM, P_OBJECT, P_WINDOW, P_COW };

struct mpage {
	enum page_kind kind;
	bool touched; /* RAM: may be read without learning; OBJECT: has a copy of its own */
	struct uvm_page *wired; /* NULL: not wired */
	unsigned window_pages;	/* first page of a window: how many, else 0 */
	uint64_t window_id;	/* ... and of which offer */
	uint64_t handle;	/* RAM: it is nominated, or shared, and nobody wrote to it since */
	bool foreign; /* then: its frame may be somebody else's, even if it has no sharer */
};

struct mguest {
	struct guest g;
	uint32_t domid;
	uint8_t *bytes; /* PAGES */
	struct mpage page[PAGES];
	unsigned object;	/* whose pages lie in the object area ... */
	uint64_t object_offset; /* ... from which page on */
};

struct mobject {
	struct test_object *to;
	uint8_t *bytes; /* what somebody who borrows now gets */
};

struct moffer {
	uint64_t id; /* 0: unused */
	uint32_t lender;
	struct uvm_offer_terms terms;
	uint64_t npages, windows;
	bool recalled;
	uint8_t *copy;		/* a guest's offer: the bytes that were lent */
	struct mobject *object; /* the host's */
	uint64_t offset;
};

struct mhostloan {
	struct uvm_hostloan *hl; /* NULL: unused */
	struct moffer *of;
	uint8_t *copy;
};

struct model {
	uint64_t seed, step;
	const char *op;	 /* what the step does, for messages */
	uint64_t arg[5]; /* its operands */
	unsigned nguests;
	uint32_t last_domid;
	uint64_t last_handle;
	struct rng rng;
	struct mguest guest[MAXGUESTS];
	struct mobject object[NOBJECTS];
	struct moffer offer[MAXOFFERS];
	struct mhostloan hostloan[MAXHOSTLOANS];
};

extern struct model m;

/* Print where we are and what is wrong, exit(1). */
_Noreturn void model_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* An operation came back: with what the model says? */
void model_expect(int got, int wanted);

/* => the step is under way: what it does, with which operands */
void model_says(const char *op, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);

/* state.c */
/* The next domid that can be a guest's: some stand for nobody in particular. */
uint32_t domid_after(uint32_t domid);
void model_init(unsigned nguests, uint64_t seed);
void model_fini(void);
void guest_new(struct mguest *mg);
void guest_end(struct mguest *mg);
uint8_t *bytes_of(struct mguest *mg, uint64_t gfn);
/* Make what an object-backed page shows the guest's own, as a first touch does. */
void touch_page(struct mguest *mg, uint64_t gfn);
/* What the guest would read there now, touched or not. */
const uint8_t *shown_bytes(struct mguest *mg, uint64_t gfn);
void offer_window_gone(uint64_t id);
void offer_recalled(struct moffer *of);

/* compare.c */
void compare_page(struct mguest *mg, uint64_t gfn);
void compare_range(struct mguest *mg, uint64_t gfn, uint64_t n);
void compare_hostloan(struct mhostloan *mh);
void compare_object(struct mobject *mo);
void compare_all(void);

/* ops_memory.c, ops_ledger.c: one step each */
void op_write(void);
void op_read(void);
void op_discard(void);
void op_wire(void);
void op_unwire(void);
void op_object_write(void);
void op_object_flush(void);
void op_object_pageout(void);
void op_destroy(void);

void op_lend(void);
void op_lend_object(void);
void op_borrow(void);
void op_return(void);
void op_recall(void);
void op_query(void);
void op_host_borrow(void);
void op_host_return(void);

/* ops_share.c */
void op_nominate(void);
void op_share(void);
void op_share_add(void);
void compare_sharing(void);
void sharing_crowded_out(struct mguest *mg);

/* ops_fill.c */
void op_fill(void);
void op_object_trim(void);

/* threads.c: the threaded form.  Returns the exit status. */
int threads_run(unsigned nthreads, uint64_t steps, unsigned seconds, uint64_t seed);

#endif
