/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_FUZZ_H
#define LOMBARD_FUZZ_H
/*
 * What the files of the fuzzing guest share: see fuzz.c.
 */
#include <lombard-guest.h>
#include <start.h>

#include <lombard/chan.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define SECOND 1000000000ULL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- chance: the same for the same seed ---- */

void rnd_seed(uint64_t seed);
uint64_t rnd(void);
uint32_t below(uint32_t n); /* 0 .. n - 1 */
bool one_in(uint32_t n);

/* ---- what there is ---- */

/*
 * Our own memory, in pages.  Only public ones are ever granted: nobody else writes to the others.  What
 * clean ones hold when they are lent is promised.
 */
#define PRIVATE_PAGES 64u
#define PUBLIC_PAGES 128u
#define CLEAN_PAGES 64u

/*
 * Where we map what others have, at places of the window area: single pages and small windows, then
 * areas of channels.  All of it is in the page tables from the start, and nothing else of the window area.
 */
#define SPOT_PAGES 4096u
#define AREA_PAGES 512u
#define AREAS 32u

#define FRAMES 2u /* of our grant table that we look at */
#define REFS (FRAMES * (uint32_t)(PAGE_SIZE / sizeof(struct grant_entry_v1)))

struct field {
	struct loan_info info;
	uint8_t *private, *public, *clean;
	struct grant_entry_v1 *frame[FRAMES]; /* NULL: not shown */
	struct xencons_interface *console;    /* rings; NULL: there are none */
	struct xenstore_domain_interface *store;
	uint32_t console_port, store_port;
};

extern struct field field;

/*
 * A hoard: things of one kind that we have, and what belongs to each.
 *
 *	ports		port; the other domain
 *	calls		port of another domain that we might bind; that domain
 *	given		reference of a grant of another domain's; that domain
 *	handles		of mapped grants; gfn, and bit 63: writable
 *	loans		offers of our own
 *	offers		of others
 *	windows		gfn; pages, and bit 63: copy-on-write
 *	endpoints	id; gfn << 32 | pages of the arena
 *	views		gfn; id << 8 | peer
 *	others		domids
 */
enum hoard {
	PORTS,
	CALLS,
	GIVEN,
	HANDLES,
	LOANS,
	OFFERS,
	WINDOWS,
	ENDPOINTS,
	VIEWS,
	OTHERS,
	NR_HOARDS
};

#define HOARD_BIT (1ULL << 63)

struct thing {
	uint64_t a, b;
};

/*
 * hoard_add: when it is full, one of the others is forgotten: *lost (may be NULL), and the result is
 * false.
 * hoard_any: one by chance, or false.  hoard_drop: those with this a
 */
bool hoard_add(enum hoard kind, uint64_t a, uint64_t b, struct thing *lost);
bool hoard_any(enum hoard kind, struct thing *t);
void hoard_drop(enum hoard kind, uint64_t a);
unsigned hoard_nr(enum hoard kind);
struct thing hoard_at(enum hoard kind, unsigned i);
void hoard_clear(enum hoard kind);

/* ---- values ---- */

uint64_t wild(void); /* anything: small, extreme, an address, a gfn, a random number */
uint16_t any_domid(void);
uint32_t any_port(void);
uint32_t any_ref(void);
uint64_t any_gfn(void);		       /* ours, or next to what is ours, or nowhere */
uint64_t our_gfn(void);		       /* private or public */
uint64_t public_gfn(void);	       /* public */
bool vital(uint64_t gfn, uint64_t nr); /* is one of them RAM that the program needs? */
uint64_t spot(void);		       /* gfn for a window of up to 16 pages */
uint64_t area(void);		       /* gfn for a channel's area */
uint64_t bad_address(void);
void twist(void);	/* new page tables for this: */
uint64_t twisted(void); /* an address that means a public page, or nothing, or nonsense */
bool twisted_p(const void *address);
bool in_tables(uint64_t gfn); /* of the window area: our page tables have it */
void name_of(char name[CHAN_NAME_LEN], uint32_t domid);

/* ---- operations ---- */

/* What has to be seen of an operation in the long run. */
enum kind { BOTH, FAILS, WORKS }; /* BOTH, if nothing is said */

/*
 * fill: a structure that might well be valid.  done: it was done, and these are the results.
 * hurts: what chance has made of it would be the end of the program: not that, then.
 * call: instead of all that.  For grant_table_op the result is the element's status.
 */
struct op {
	const char *name;
	uint8_t nr, kind;
	uint16_t cmd, size;
	uint16_t weight;
	bool results; /* the hypervisor writes the structure back */
	void (*fill)(void *arg);
	void (*done)(const void *arg, int64_t ret);
	int64_t (*call)(void);
	bool (*hurts)(const void *arg);
};

#define MAX_OPS 96u
extern const struct op ops_event[], ops_grant[], ops_loan[], ops_chan[], ops_other[];
extern const unsigned nr_ops_event, nr_ops_grant, nr_ops_loan, nr_ops_chan, nr_ops_other;

/*
 * op_do: once, with whatever chance adds to it.
 * op_count: count a result of the operation of that name.
 * op_print: what has been counted since the last time.
 */
void op_do(void);
void op_init(void);
void op_count(const char *name, int64_t ret);
void op_print(void);

/* port_add, loan_add: into the hoard; one that has no room there is closed, or recalled. */
void port_add(uint32_t port, uint32_t domid);
void loan_add(uint64_t id);

/* A call without chance, for what has to be done with what the hoards have lost. */
int64_t plain(uint8_t nr, unsigned cmd, void *arg);

/* What a grant's status is among results: no errno is as large. */
#define STATUS(s) (-1000 + (s))

/*
 * ---- a second vCPU ----
 *
 * second_begin: let it run from now on.  second_p: it does: then the first must not take away what it
 * uses.  second_print: what it has done since the last time.
 */
extern bool second_p;
void second_begin(uint64_t seed);
void second_print(void);

/* ---- what else a guest can do ---- */

/*
 * act: one of a few, by chance.
 * last_act: says with which status the guest is about to end, and does what it takes.
 */
void act(void);
void last_act(void) __attribute__((noreturn));

#endif
