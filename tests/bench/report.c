/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples, the table of figures and floors, and the verdicts. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ROWS 128u
#define FLAT_AIM 1.2
#define LEDGER_AIM_NS 150.0

struct row {
	enum section what;
	unsigned guests, pages;
	struct value figure, floor;
};

/* aim: most times its floor that a figure may be, from `from` pages on; 0: no aim. */
static const struct {
	const char *file, *title;
	double aim;
	unsigned from;
} sections[NSECTIONS] = {
    [SECTION_LEDGER] = {"ledger", "ledger alone: lend + return, soft pmap", 0, 0},
    [SECTION_CORE] = {"core", "core: lend + return", 1.5, 16},
    [SECTION_GUEST] = {"guest", "guest: lend + return", 1.2, 1},
    [SECTION_BREAK] = {"break", "guest: a write breaks a loan", 1.6, 1},
    [SECTION_WARM] = {"warm", "core: lend + return, at once again", 0, 0},
    [SECTION_LEARN] = {"learn", "core: first lend of pages (learning)", 0, 0},
    [SECTION_REFAULT] = {"refault", "guest: writes to all pages again", 0, 0},
    [SECTION_CALL] = {"call", "guest: loan_op info", 0, 0},
    [SECTION_LAUNCH] = {"launch", "launch of a guest", 0, 0},
};

static struct row rows[MAX_ROWS];
static unsigned nrows;

void sample_add(struct sample *s, uint64_t ns)
{
	if (s->n == MAX_SAMPLES)
		bench_die("too many samples");
	s->ns[s->n++] = ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct value sample_value(struct sample *s)
{
	qsort(s->ns, s->n, sizeof(s->ns[0]), compare);
	return (struct value){.median = s->ns[s->n / 2], .low = s->ns[s->n / 10]};
}

struct value value_sum(struct value a, unsigned n, struct value b)
{
	return (struct value){.median = a.median + n * b.median, .low = a.low + n * b.low};
}

void report_add(
    enum section what, unsigned guests, unsigned pages, struct value figure, struct value floor)
{
	if (nrows == MAX_ROWS)
		bench_die("too many rows");
	rows[nrows++] = (struct row){
	    .what = what, .guests = guests, .pages = pages, .figure = figure, .floor = floor};
}

static double ratio_of(const struct row *r)
{
	return r->floor.median != 0 ? (double)r->figure.median / (double)r->floor.median : 0;
}

static double quiet_ratio_of(const struct row *r)
{
	return r->floor.low != 0 ? (double)r->figure.low / (double)r->floor.low : 0;
}

static bool has_aim(const struct row *r)
{
	return sections[r->what].aim > 0 && r->pages >= sections[r->what].from;
}

void report_heading(void)
{
	printf("\nMedians in us; \"quiet\" is the ratio of the lowest tenths.\n\n");
	printf("%-40s %6s %6s %11s %11s %7s %7s %6s\n", "", "guests", "pages", "figure", "floor",
	    "ratio", "quiet", "aim");
}

static void print_row(const struct row *r)
{
	char aim[16] = "";

	if (has_aim(r))
		snprintf(aim, sizeof(aim), "%.1f", sections[r->what].aim);
	if (r->floor.median != 0)
		printf("%-40s %6u %6u %11.2f %11.2f %7.2f %7.2f %6s\n", sections[r->what].title,
		    r->guests, r->pages, (double)r->figure.median / 1e3,
		    (double)r->floor.median / 1e3, ratio_of(r), quiet_ratio_of(r), aim);
	else
		printf("%-40s %6s %6u %11.2f\n", sections[r->what].title, "-", r->pages,
		    (double)r->figure.median / 1e3);
}

void report_print(unsigned guests)
{
	for (unsigned what = 0; what < NSECTIONS; what++)
		for (unsigned i = 0; i < nrows; i++)
			if (rows[i].what == what && rows[i].guests == guests)
				print_row(&rows[i]);
	fflush(stdout);
}

static void write_csv(const char *dir, unsigned what)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.csv", dir, sections[what].file);
	f = fopen(path, "w");
	if (f == NULL)
		bench_die("can't write %s: %m", path);
	fprintf(
	    f, "guests,pages,figure_ns,floor_ns,ratio,figure_low_ns,floor_low_ns,quiet_ratio\n");
	for (unsigned i = 0; i < nrows; i++)
		if (rows[i].what == what)
			fprintf(f, "%u,%u,%ju,%ju,%.3f,%ju,%ju,%.3f\n", rows[i].guests,
			    rows[i].pages, (uintmax_t)rows[i].figure.median,
			    (uintmax_t)rows[i].floor.median, ratio_of(&rows[i]),
			    (uintmax_t)rows[i].figure.low, (uintmax_t)rows[i].floor.low,
			    quiet_ratio_of(&rows[i]));
	if (fclose(f) != 0)
		bench_die("can't write %s: %m", path);
}

void report_csv(const char *dir)
{
	if (mkdir(dir, 0777) != 0 && errno != EEXIST)
		bench_die("can't make %s: %m", dir);
	for (unsigned what = 0; what < NSECTIONS; what++)
		write_csv(dir, what);
}

static const char *verdict(bool met)
{
	return met ? "met    " : "NOT MET";
}

static void verdict_ratio(enum section what)
{
	const struct row *worst = NULL;

	for (unsigned i = 0; i < nrows; i++)
		if (rows[i].what == what && has_aim(&rows[i]) &&
		    (worst == NULL || ratio_of(&rows[i]) > ratio_of(worst)))
			worst = &rows[i];
	if (worst == NULL)
		return;
	printf("%s  %s: <= %.1f times its floor", verdict(ratio_of(worst) <= sections[what].aim),
	    sections[what].title, sections[what].aim);
	if (sections[what].from > 1)
		printf(" from %u pages on", sections[what].from);
	printf("; worst: %.2f times (quiet: %.2f), %u pages, %u guests\n", ratio_of(worst),
	    quiet_ratio_of(worst), worst->pages, worst->guests);
}

/* The row of the same figure with the fewest guests, if there were fewer. */
static const struct row *lone(const struct row *r)
{
	for (unsigned i = 0; i < nrows; i++)
		if (rows[i].what == r->what && rows[i].pages == r->pages &&
		    rows[i].guests < r->guests)
			return &rows[i];
	return NULL;
}

/* Also how the floor moved: what the machine itself lost or won in between is in both. */
static void verdict_flat(enum section what, unsigned most)
{
	const struct row *worst = NULL, *r;
	double growth = 0, g;

	for (r = rows; r < rows + nrows; r++) {
		if (r->what != what || r->guests != most || lone(r) == NULL)
			continue;
		g = (double)r->figure.median / (double)lone(r)->figure.median;
		if (g > growth) {
			growth = g;
			worst = r;
		}
	}
	if (worst == NULL)
		return;
	printf("%s  %s: flat, <= %.1f times from %u to %u guests; worst: %.2f times (quiet: "
	       "%.2f), %u pages; its floor: %.2f times\n",
	    verdict(growth <= FLAT_AIM), sections[what].title, FLAT_AIM, lone(worst)->guests, most,
	    growth, (double)worst->figure.low / (double)lone(worst)->figure.low, worst->pages,
	    (double)worst->floor.median / (double)lone(worst)->floor.median);
}

static void verdict_ledger(void)
{
	for (unsigned i = 0; i < nrows; i++) {
		double ns = (double)rows[i].figure.median / rows[i].pages;

		if (rows[i].what == SECTION_LEDGER)
			printf("%s  %s: <= %.0f ns a page; %.1f ns\n", verdict(ns <= LEDGER_AIM_NS),
			    sections[SECTION_LEDGER].title, LEDGER_AIM_NS, ns);
	}
}

void report_verdict(void)
{
	unsigned most = 0;

	for (unsigned i = 0; i < nrows; i++)
		if (rows[i].guests > most)
			most = rows[i].guests;
	printf("\n");
	verdict_ratio(SECTION_CORE);
	verdict_ratio(SECTION_GUEST);
	verdict_ratio(SECTION_BREAK);
	verdict_flat(SECTION_CORE, most);
	verdict_flat(SECTION_GUEST, most);
	verdict_flat(SECTION_BREAK, most);
	verdict_ledger();
}
