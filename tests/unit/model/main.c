/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model --steps N --seed S --guests G --threads T --seconds X
 *
 * One thread: after every step all contents are compared with the reference model's and the auditor
 * looks at all invariants; a mismatch replays with the seed printed.  More threads: each has a guest
 * of its own and knows what its memory and windows must hold, while the auditor runs beside them; the
 * steps of a run are then not the same twice.
 */
#include "model.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "uvm/uvm_loan.h"

struct model m;

static const struct {
	void (*op)(void);
	unsigned weight;
} ops[] = {
    {op_write, 30},
    {op_read, 12},
    {op_lend, 14},
    {op_borrow, 18},
    {op_return, 8},
    {op_recall, 7},
    {op_discard, 5},
    {op_wire, 3},
    {op_unwire, 3},
    {op_query, 2},
    {op_host_borrow, 4},
    {op_host_return, 2},
    {op_lend_object, 3},
    {op_object_write, 4},
    {op_object_flush, 2},
    {op_object_pageout, 3},
    {op_nominate, 3},
    {op_share, 8},
    {op_share_add, 3},
    {op_fill, 8},
    {op_object_trim, 3},
    {op_destroy, 1},
};

#define NOPS (sizeof(ops) / sizeof(ops[0]))

struct options {
	uint64_t steps, seed;
	unsigned guests, threads, seconds;
};

void model_says(const char *op, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	m.op = op;
	memcpy(m.arg, (const uint64_t[5]){a, b, c, d, e}, sizeof(m.arg));
}

static int where_we_are(char *buf, size_t len)
{
	return snprintf(buf, len,
	    "model: seed %ju guests %u step %ju: %s(%#jx, %#jx, %#jx, %#jx, %#jx)\n",
	    (uintmax_t)m.seed, m.nguests, (uintmax_t)m.step, m.op != NULL ? m.op : "start",
	    (uintmax_t)m.arg[0], (uintmax_t)m.arg[1], (uintmax_t)m.arg[2], (uintmax_t)m.arg[3],
	    (uintmax_t)m.arg[4]);
}

void model_fail(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	(void)where_we_are(line, sizeof(line));
	fputs(line, stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	/* Not exit: what the core and the model hold at this point is not a leak. */
	fflush(stderr);
	_exit(1);
}

void model_expect(int got, int wanted)
{
	if (got != wanted)
		model_fail("returned %d, the model says %d", got, wanted);
}

/* The core or a sanitizer has given up: say where, so that it replays. */
static void on_abort(int sig)
{
	char line[512];
	int n = where_we_are(line, sizeof(line));

	(void)!write(STDERR_FILENO, line, (size_t)n);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void step(unsigned total_weight)
{
	uint64_t pick = rng_below(&m.rng, total_weight);

	for (unsigned i = 0; i < NOPS; i++) {
		if (pick < ops[i].weight) {
			ops[i].op();
			return;
		}
		pick -= ops[i].weight;
	}
}

static void run(uint64_t steps)
{
	unsigned total = 0;

	for (unsigned i = 0; i < NOPS; i++)
		total += ops[i].weight;
	for (m.step = 1; m.step <= steps; m.step++) {
		step(total);
		compare_all();
	}
}

static uint64_t fresh_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 40) &
	       UINT32_MAX;
}

static void usage(void)
{
	fprintf(stderr,
	    "usage: model [--steps N] [--seed S] [--guests 1..%u] [--threads T] "
	    "[--seconds X]\n",
	    MAXGUESTS);
	exit(2);
}

static uint64_t number(const char *s, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 0);

	if (*s == '\0' || *s == '-' || *end != '\0' || n < min || n > max)
		usage();
	return n;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longopts[] = {
	    {"steps", required_argument, NULL, 'n'},
	    {"seed", required_argument, NULL, 's'},
	    {"guests", required_argument, NULL, 'g'},
	    {"threads", required_argument, NULL, 't'},
	    {"seconds", required_argument, NULL, 'x'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'n')
			o->steps = number(optarg, 0, UINT64_MAX);
		else if (c == 's')
			o->seed = number(optarg, 0, UINT64_MAX);
		else if (c == 'g')
			o->guests = (unsigned)number(optarg, 1, MAXGUESTS);
		else if (c == 't')
			o->threads = (unsigned)number(optarg, 1, MAXGUESTS);
		else if (c == 'x')
			o->seconds = (unsigned)number(optarg, 1, 1000000);
		else
			usage();
	}
	if (optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {.steps = 200000, .seed = fresh_seed(), .guests = 4, .threads = 1};

	parse(argc, argv, &o);
	if (o.threads > 1)
		o.guests = o.threads;
	printf("model: seed %ju, %u guests, %u threads, %ju steps\n", (uintmax_t)o.seed, o.guests,
	    o.threads, (uintmax_t)o.steps);
	fflush(stdout);
	signal(SIGABRT, on_abort);
	if (o.threads > 1)
		return threads_run(o.threads, o.steps, o.seconds, o.seed);
	if (uvm_loan_init() != 0)
		model_fail("no zero frame");
	uvm_world_enter();
	model_init(o.guests, o.seed);
	run(o.steps);
	model_fini();
	uvm_world_leave();
	uvm_loan_fini();
	printf("model: %ju steps agree\n", (uintmax_t)o.steps);
	return 0;
}
