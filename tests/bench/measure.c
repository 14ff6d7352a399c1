/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is measured with some number of guests alive.  A figure and its floor take turns, so that
 * whatever else the machine does meets both.
 */
#include "bench.h"

#include <string.h>

#include "floor.h"
#include "guest/probe/serve.h"
#include "lib/uffd.h"
#include "lombard/loan.h"

#define BREAK_ROUNDS 20u
#define LAUNCHES 9u
#define LEARN_ROUNDS 9u
#define WARM_ROUNDS 100u

static const struct {
	unsigned pages, rounds;
} sizes[] = {{1, 400}, {16, 300}, {256, 150}, {4096, 40}};

/* Rounds of a full run for an effort in percent, at least 5. */
static unsigned rounds_of(unsigned full, unsigned effort)
{
	unsigned n = full * effort / 100;

	return n < 5 ? 5 : n;
}

static uint64_t core_lend(struct served *sv, uint32_t first, uint32_t pages, uint64_t *id)
{
	struct loan_lend op = {.gfn = sv->sv_arena + first,
	    .nr_pages = pages,
	    .domid = LOAN_DOMID_ANY,
	    .kind = LOAN_TO_PAGE};
	uint64_t ns = 0;

	if (hypercall_as(
		sv->sv_guest, LOMBARD_HYPERCALL_loan_op, LOANOP_lend, &op, sizeof(op), &ns) != 0)
		bench_die("the core refuses to lend");
	*id = op.id;
	return ns;
}

static uint64_t core_recall(struct served *sv, uint64_t id)
{
	struct loan_recall op = {.id = id};
	uint64_t ns = 0;

	if (hypercall_as(
		sv->sv_guest, LOMBARD_HYPERCALL_loan_op, LOANOP_recall, &op, sizeof(op), &ns) != 0)
		bench_die("the core refuses to recall");
	return ns;
}

/* The bare pair over the same pages; *protect (may be NULL) is the first half of it. */
static uint64_t bare_pair(struct served *sv, uint32_t first, uint32_t pages, uint64_t *protect)
{
	const struct remote_pmap *rp = &sv->sv_guest->g_pmap;
	void *at = (void *)(uintptr_t)(rp->rp_areas[0].ra_hva +
				       (sv->sv_arena + first) * UVM_PAGE_SIZE);
	uint64_t start = now_ns(), between;

	if (uffd_protect(rp->rp_uffd, at, pages * UVM_PAGE_SIZE) != 0)
		bench_die("UFFDIO_WRITEPROTECT fails");
	between = now_ns();
	if (uffd_unprotect(rp->rp_uffd, at, pages * UVM_PAGE_SIZE) != 0)
		bench_die("UFFDIO_WRITEPROTECT fails");
	if (protect != NULL)
		*protect = between - start;
	return now_ns() - start;
}

/* All that one round of lending and returning gives. */
struct lend_samples {
	struct sample core, bare, guest;
	struct sample refault, bare_refault; /* the guest writes to all pages again */
	struct sample exit, info;
	struct sample first_trip, trips; /* one after a sleep, as for info; the next two */
};

static void lend_round(struct served *sv, struct floor *fl, uint32_t pages, struct lend_samples *ls)
{
	volatile uint64_t *times = sv->sv_box->times;
	uint64_t id, ns;

	served_ask(sv, SERVE_TOUCH, 0, pages);
	ns = core_lend(sv, 0, pages, &id);
	sample_add(&ls->core, ns + core_recall(sv, id));
	served_ask(sv, SERVE_TOUCH, 0, pages);
	sample_add(&ls->refault, times[0]);
	sample_add(&ls->bare, bare_pair(sv, 0, pages, NULL));
	served_ask(sv, SERVE_LEND, 0, pages);
	sample_add(&ls->bare_refault, times[0]);
	sample_add(&ls->exit, times[1]);
	sample_add(&ls->info, times[2]);
	sample_add(&ls->guest, times[3]);
	sample_add(&ls->first_trip, floor_round_trip(fl, 1));
	sample_add(&ls->trips, floor_round_trip(fl, 2));
}

/* Without the guest in between: caches are warm, and its pages are not mapped any more. */
static void measure_warm(struct served *sv, unsigned guests, unsigned pages, unsigned effort)
{
	static struct sample figure, bare;
	uint64_t id, ns;

	figure.n = bare.n = 0;
	for (unsigned i = 0; i < rounds_of(WARM_ROUNDS, effort); i++) {
		ns = core_lend(sv, 0, pages, &id);
		sample_add(&figure, ns + core_recall(sv, id));
		sample_add(&bare, bare_pair(sv, 0, pages, NULL));
	}
	report_add(SECTION_WARM, guests, pages, sample_value(&figure), sample_value(&bare));
}

static void measure_lend(
    struct served *sv, struct floor *fl, unsigned guests, const struct scope *scope)
{
	static struct lend_samples ls;
	struct value exit, bare;

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned pages = sizes[s].pages;

		if (scope->pages != 0 && scope->pages != pages)
			continue;
		memset(&ls, 0, sizeof(ls));
		served_ask(sv, SERVE_LEND, 0, pages); /* the first one learns */
		for (unsigned i = 0; i < rounds_of(sizes[s].rounds, scope->effort); i++)
			lend_round(sv, fl, pages, &ls);
		measure_warm(sv, guests, pages, scope->effort);
		exit = sample_value(&ls.exit);
		bare = sample_value(&ls.bare);
		report_add(SECTION_CORE, guests, pages, sample_value(&ls.core), bare);
		report_add(SECTION_GUEST, guests, pages, sample_value(&ls.guest),
		    value_sum(value_sum(sample_value(&ls.trips), 1, bare), 2, exit));
		report_add(SECTION_REFAULT, guests, pages, sample_value(&ls.refault),
		    sample_value(&ls.bare_refault));
		if (pages == 1)
			report_add(SECTION_CALL, guests, 0, sample_value(&ls.info),
			    value_sum(exit, 1, sample_value(&ls.first_trip)));
	}
}

static void measure_breaks(
    struct served *sv, struct floor *fl, unsigned guests, const struct scope *scope)
{
	static struct sample figure, bare;

	figure.n = bare.n = 0;
	for (unsigned i = 0; i < rounds_of(BREAK_ROUNDS, scope->effort); i++) {
		served_ask(sv, SERVE_BREAK, 0, FLOOR_PAGES);
		for (unsigned k = 0; k < FLOOR_PAGES; k++)
			sample_add(&figure, sv->sv_box->times[k]);
		floor_breaks(fl, &bare);
	}
	report_add(SECTION_BREAK, guests, 1, sample_value(&figure), sample_value(&bare));
}

/* Pages that the guest has touched and the core has never heard of; each range serves once. */
static void measure_learning(struct served *sv, unsigned guests)
{
	static struct sample figure, bare;
	static const unsigned learned[] = {256, 4096};
	uint32_t first = ARENA_STEADY;
	uint64_t id, protect;

	for (unsigned s = 0; s < 2; s++) {
		figure.n = bare.n = 0;
		for (unsigned i = 0; i < LEARN_ROUNDS; i++, first += learned[s]) {
			served_ask(sv, SERVE_TOUCH, first, learned[s]);
			bare_pair(sv, first, learned[s], &protect);
			sample_add(&bare, protect);
			served_ask(sv, SERVE_TOUCH, first, learned[s]);
			sample_add(&figure, core_lend(sv, first, learned[s], &id));
			core_recall(sv, id);
		}
		report_add(
		    SECTION_LEARN, guests, learned[s], sample_value(&figure), sample_value(&bare));
	}
}

static void measure_launch(unsigned guests)
{
	static struct sample figure, bare;
	struct floor fl;
	uint64_t ns;

	figure.n = bare.n = 0;
	for (unsigned i = 0; i < LAUNCHES; i++) {
		guest_end(idle_launch(&ns));
		sample_add(&figure, ns);
		floor_start(&fl, &ns);
		sample_add(&bare, ns);
		floor_stop(&fl);
	}
	report_add(SECTION_LAUNCH, guests, 0, sample_value(&figure), sample_value(&bare));
}

void measure_level(unsigned guests, const struct scope *scope)
{
	struct served sv;
	struct floor fl;
	uint64_t ns;

	served_launch(&sv);
	floor_start(&fl, &ns);
	measure_lend(&sv, &fl, guests, scope);
	if (scope->pages == 0) {
		measure_breaks(&sv, &fl, guests, scope);
		measure_learning(&sv, guests);
		measure_launch(guests);
	}
	floor_stop(&fl);
	guest_end(sv.sv_guest);
}
