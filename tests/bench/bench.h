/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H
/*
 * What the files of `make bench` share.  Times are nanoseconds.  A bench that breaks says why and
 * exits 1, at once: its guests end with it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/guest.h"

_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);

/*
 * Samples of one figure, and what is kept of them: the median, and the lowest tenth's bound, which
 * says what the figure is when nothing else runs on the machine.
 */
#define MAX_SAMPLES 2048u
struct sample {
	unsigned n;
	uint64_t ns[MAX_SAMPLES];
};
struct value {
	uint64_t median, low;
};
void sample_add(struct sample *s, uint64_t ns);
/* sample_value: => there is at least one sample; sorts them */
struct value sample_value(struct sample *s);
/* value_sum: a + n * b */
struct value value_sum(struct value a, unsigned n, struct value b);

/* What a figure says.  The order is that of the report. */
enum section {
	SECTION_LEDGER,
	SECTION_CORE,
	SECTION_GUEST,
	SECTION_BREAK,
	SECTION_WARM, /* from here on there is no aim */
	SECTION_LEARN,
	SECTION_REFAULT,
	SECTION_CALL,
	SECTION_LAUNCH,
	NSECTIONS,
};

/*
 * report_add: a figure, and the floor it stands on (zero: it has none), both in ns.
 * report_print: the rows of one number of guests, or of all sections without guests (guests 0)
 * report_csv: one file for each section in a directory, which is made.
 * report_verdict: one line for each aim.
 */
void report_add(
    enum section what, unsigned guests, unsigned pages, struct value figure, struct value floor);
void report_heading(void);
void report_print(unsigned guests);
void report_csv(const char *dir);
void report_verdict(void);

/* ledger_measure: lend and return on the soft pmap. */
void ledger_measure(void);

/*
 * The floor: a program of its own, which answers with the least that the task takes (floor.h).
 * floor_start says how long it took until the program had its VM; floor_stop ends it.
 */
struct floor {
	pid_t pid;
	int sock;
};
void floor_start(struct floor *fl, uint64_t *ns);
void floor_stop(struct floor *fl);
/* floor_round_trip: so many echoes, one after the other */
uint64_t floor_round_trip(struct floor *fl, unsigned times);
void floor_breaks(struct floor *fl, struct sample *s);

/*
 * The cell, in this process.  idle_launch, served_launch: ns (may be NULL) is guest_launch's time.
 * served_ask: have the measured guest do one thing (serve.h), then sleep again.
 */
struct served {
	struct guest *sv_guest;
	volatile struct serve_mailbox *sv_box;
	uint64_t sv_arena; /* gfn */
	uint32_t sv_port;
};
void cell_start(const char *image_path);
struct guest *idle_launch(uint64_t *ns);
void guest_end(struct guest *g);
void served_launch(struct served *sv);
void served_ask(struct served *sv, uint32_t op, uint32_t first, uint32_t pages);
/* hypercall_as: the core's answer to a hypercall of the guest; ns grows by how long it took. */
int64_t hypercall_as(
    struct guest *g, uint32_t nr, uint32_t cmd, void *arg, size_t len, uint64_t *ns);

/* measure_level: all that is measured with so many guests alive, of which one is measured. */
struct scope {
	unsigned effort; /* percent of the rounds */
	unsigned pages;	 /* only loans of this size; 0: everything */
};
void measure_level(unsigned guests, const struct scope *scope);

extern const char *floor_path;

/* Pages of the measured guest's arena: those measured over and over, then those touched once. */
#define ARENA_STEADY 4096u
#define ARENA_FRESH (9u * (4096u + 256u))

#endif
