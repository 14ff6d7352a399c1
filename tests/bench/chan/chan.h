/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_CHAN_CHAN_H
#define TESTS_BENCH_CHAN_CHAN_H
/*
 * What the files of `make bench-chan` share.  Times are nanoseconds.  A bench that breaks says why
 * and exits 1, at once: guests and processes of its end with it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/guest.h"
#include "guest/probe/benchchan.h"

_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ns(void);

/* ---- what is measured ---- */

/* A way for messages, as the report names it. */
enum series {
	SER_SEALED, /* the library, polled */
	SER_SHARED,
	SER_SEALED_SLEEP, /* ... sleeping */
	SER_SHARED_SLEEP,
	SER_LEND,      /* sealed, polled, always lent: to find the crossover */
	SER_COPY,      /* ... always copied */
	SER_RING,      /* guests: the memcpy ring */
	SER_WORD,      /* guests: a word */
	SER_HOST_RING, /* host processes ... */
	SER_STREAM,
	SER_PACKET,
	SER_PIPE,
	SER_HOST_WORD,
	NSERIES,
};

struct series_info {
	const char *name; /* in files */
	const char *title;
	enum bench_via via;
	int channel; /* of the library: which, see pair_open; -1: none */
	bool host;
};
extern const struct series_info series_info[NSERIES];

struct key {
	enum series series;
	bool huge; /* frames of 2 MiB were asked for */
	bool touch, echo;
	uint32_t depth, rewrite;
	uint64_t len;
};

#define MAX_ROUNDS 32u

struct point {
	struct key key;
	unsigned rounds;
	double ns[MAX_ROUNDS];	     /* a message; of an echo: half of a round trip */
	double median, low;	     /* low: the lowest, what it is when nothing disturbs */
	struct bench_result out, in; /* sums of all rounds */
	uint64_t broken, copied;     /* pages: loans broken by the sender's writes */
};

/*
 * point_add: one more round of a point, which is made if it is not there.
 * point_find: NULL if there is none.  point_each: in the order in which they came.
 * points_done: no more rounds; medians are there from now on.
 */
void point_add(const struct key *key, const struct bench_result *out, const struct bench_result *in,
    uint64_t broken, uint64_t copied);
const struct point *point_find(const struct key *key);
const struct point *point_at(unsigned i);
void points_done(void);

extern const uint64_t lens[];
extern const unsigned nlens;

/* Memory in use for one lend with so many readers, in pages. */
struct readers {
	unsigned readers;
	uint64_t arena, ledger, kernel;
	bool equal; /* the ledger's sum was the kernel's */
};

/* What the library has found out: UINT64_MAX is never; and the longest message that can be copied. */
struct crossover {
	uint64_t measured, most;
};

/* What is known besides points. */
struct facts {
	int processors[2];	  /* the sender's and the receiver's; -1: any */
	bool guests;		  /* there were any */
	uint64_t frame_bytes[2];  /* of the arenas: when huge ones were not asked for, and when */
	uint64_t peer_page_bytes; /* of the host processes' memory */
	uint64_t calls[BENCH_PHASES];	/* by enum bench_call */
	uint64_t self[BENCH_SELVES][2]; /* picoseconds: sending, receiving 64 bytes */
	struct crossover crossover[2];	/* with 4 KiB frames, and with 2 MiB */
	struct readers readers[8];
	unsigned nreaders;
};
extern struct facts facts;

/* ---- guests (cell.c) ---- */

struct member {
	struct guest *guest;
	volatile struct bench_mailbox *box;
	uint32_t port;
	bool sender;
};

void cell_start(const char *image_path);
void member_launch(struct member *m, bool sender);
void member_end(struct member *m);
/* member_pin: see pin.h */
int member_pin(const struct member *m, unsigned which);

/*
 * member_ask: have a guest begin something, and wait until it is awake.
 * member_wait: wait until it is done; at least ns will pass.  Dies when it failed, but for *error
 * (may be NULL), which is set then.
 */
void member_ask(
    struct member *m, enum bench_op op, const struct bench_work *w, const struct bench_open *o);
void member_wait(struct member *m, uint64_t ns, struct bench_result *r);

/* member_broken: pages of loans that its writes have broken, and pages copied for that. */
void member_broken(const struct member *m, uint64_t *broken, uint64_t *copied);

/* cell_account: frames that the ledger counts, pages that the kernel does. */
void cell_account(uint64_t *ledger, uint64_t *kernel, bool *equal);

/* ---- host processes (hosts.c) ---- */

void hosts_start(const char *path, bool huge, uint64_t *page_bytes);
void hosts_pass(const struct bench_work *w, struct bench_result *out, struct bench_result *in);
void hosts_stop(void);

/* ---- the plan (plan.c, readers.c) ---- */

struct scope {
	unsigned effort; /* percent of the rounds */
	uint64_t bytes;	 /* only messages of this length; 0: all */
	bool huge;	 /* there are huge pages to be had */
	const char *peer_path;
};

void measure_all(const struct scope *scope);
void measure_readers(struct member *sender);

/* ---- the report (report.c, files.c, verdict.c) ---- */

void report_tables(void);
void report_csv(const char *dir);
void report_verdict(void);

/* How many times as fast as the memcpy ring; 0: not measured. */
double ratio_to_ring(const struct point *p);

/* crossover_used: the shortest message that is lent.  crossover_seen: where the measured lines of
 * messages always lent and always copied cross; 0: nowhere. */
uint64_t crossover_used(const struct crossover *c);
uint64_t crossover_seen(bool touch);

#endif
