/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threaded form: each worker has a guest of its own, knows what its memory holds, and remembers
 * what it borrowed as it was at that moment.  Offers are everybody's.  The tag of an offer is a
 * hash of the bytes that were lent, so a borrower can tell that it got these and no later ones. One
 * thread works for the host, one audits.
 */
#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "uvm/uvm_loan.h"

#define OWN_OFFERS 6u

struct worker {
	pthread_t thread;
	struct rng rng;
	struct mguest mg;
	uint64_t offer[OWN_OFFERS]; /* 0: none */
	uint64_t done;		    /* steps */
	pthread_mutex_t life;	    /* taken outside the world: the guest does not end meanwhile */
};

static struct worker workers[MAXGUESTS];
static unsigned nworkers;
_Atomic bool threads_stop;
static _Atomic uint32_t domids;
static uint64_t steps_each;
static uint64_t audits, unequal;

void complain(uint32_t domid, const char *what, uint64_t where, int error)
{
	fprintf(stderr, "model: seed %ju: domain %u: %s, at %#jx (%d)\n", (uintmax_t)m.seed, domid,
	    what, (uintmax_t)where, error);
	fflush(stderr);
	_exit(1);
}

uint64_t hash(const void *bytes, size_t len, uint64_t h)
{
	const uint64_t *words = bytes;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		h = (h ^ words[i]) * UINT64_C(0x100000001b3);
	return h;
}

void seal(uint64_t *page)
{
	page[0] = hash(page + 1, UVM_PAGE_SIZE - sizeof(*page), 1);
}

bool sealed(const void *page)
{
	return *(const uint64_t *)page ==
	       hash((const uint64_t *)page + 1, UVM_PAGE_SIZE - sizeof(uint64_t), 1);
}

bool pick_offer(struct rng *rng, uint32_t domid, struct uvm_offer_info *info)
{
	uint64_t from = 0;
	bool found = false;

	for (uint64_t hops = 1 + rng_below(rng, 8); hops > 0; hops--) {
		if (uvm_ledger_next(domid, from, info) != 0)
			break;
		from = info->oi_id;
		found = true;
	}
	return found;
}

static void worker_guest(struct worker *w)
{
	struct mguest *mg = &w->mg;
	uint32_t last = atomic_load(&domids);

	while (!atomic_compare_exchange_weak(&domids, &last, domid_after(last)))
		continue;
	mg->domid = domid_after(last);
	memset(mg->page, 0, sizeof(mg->page));
	memset(mg->bytes, 0, PAGES * UVM_PAGE_SIZE);
	memset(w->offer, 0, sizeof(w->offer));
	if (guest_create(&mg->g, mg->domid, RAM_PAGES, OBJECT_PAGES + WINDOW_PAGES) != 0)
		complain(mg->domid, "no guest", 0, -ENOMEM);
	mg->g.pmap->sp_pmap.pm_crowded = mg->domid % 2 == 0;
	for (unsigned i = 0; i < RAM_PAGES; i++)
		mg->page[i].kind = P_RAM;
	/* The first touch may meet the core's (uvm_page_touch), which only a sanitizer minds. */
	for (unsigned i = 0; i < HOST_MAPS_BELOW; i++)
		if (soft_write(mg->g.map, i, 0, mg->bytes, 1) != 0)
			complain(mg->domid, "first touch", i, 0);
}

static void check_page(struct worker *w, uint64_t gfn)
{
	uint8_t page[UVM_PAGE_SIZE];
	int error;

	if (w->mg.page[gfn].kind == P_NONE)
		return;
	error = soft_read(w->mg.g.map, gfn, 0, page, sizeof(page));
	if (error != 0)
		complain(w->mg.domid, "cannot read", gfn, error);
	if (memcmp(page, bytes_of(&w->mg, gfn), sizeof(page)) != 0)
		complain(w->mg.domid, "other bytes", gfn, w->mg.page[gfn].kind);
}

static void w_write(struct worker *w)
{
	uint64_t gfn = rng_below(&w->rng, PAGES), word = rng_next(&w->rng);
	size_t at = 8 * rng_below(&w->rng, UVM_PAGE_SIZE / 8);
	enum page_kind kind = w->mg.page[gfn].kind;
	int wanted = kind == P_NONE ? -EFAULT : kind == P_WINDOW ? -EACCES : 0;
	int error = soft_write(w->mg.g.map, gfn, at, &word, sizeof(word));

	if (error != wanted)
		complain(w->mg.domid, "write", gfn, error);
	if (error == 0)
		memcpy(bytes_of(&w->mg, gfn) + at, &word, sizeof(word));
	check_page(w, gfn);
}

static void w_check(struct worker *w)
{
	for (unsigned i = 0; i < 4; i++)
		check_page(w, rng_below(&w->rng, PAGES));
}

/* The borrower of an offer: anybody, the host, or a guest that may not live any more. */
static uint32_t w_borrower(struct worker *w)
{
	uint32_t domid = 1 + (uint32_t)rng_below(&w->rng, atomic_load(&domids));

	if (domid == w->mg.domid || rng_once_in(&w->rng, 2))
		return UVM_DOMID_ANY;
	return rng_once_in(&w->rng, 3) ? UVM_DOMID_HOST : domid;
}

static void w_lend(struct worker *w)
{
	uint64_t *slot = &w->offer[rng_below(&w->rng, OWN_OFFERS)];
	uint64_t gfn = rng_below(&w->rng, PAGES), n = 0, most = 1 + rng_below(&w->rng, MAXLEND);
	struct uvm_offer_terms terms = {.ot_borrower = w_borrower(w),
	    .ot_kind = rng_once_in(&w->rng, 2) ? UVM_LOAN_TOPAGE : UVM_LOAN_TOANON};
	bool wired = false;
	int error, wanted = 0;

	while (n < most && gfn + n < PAGES && w->mg.page[gfn + n].kind != P_NONE) {
		if (w->mg.page[gfn + n].kind == P_WINDOW)
			terms.ot_kind = UVM_LOAN_TOPAGE;
		wired |= w->mg.page[gfn + n].wired != NULL;
		n++;
	}
	if (*slot != 0 || n == 0)
		return;
	terms.ot_tag = hash(bytes_of(&w->mg, gfn), n * UVM_PAGE_SIZE, 0);
	/* For the host, which only looks, wired pages are copied. */
	if (wired && (terms.ot_borrower != UVM_DOMID_HOST || terms.ot_kind == UVM_LOAN_TOANON))
		wanted = -EBUSY;
	error = uvm_ledger_lend(w->mg.g.map, gfn, n, &terms, slot);
	if (error != wanted && (error != -EBUSY || gfn >= HOST_MAPS_BELOW))
		complain(w->mg.domid, "lend", gfn, error);
}

static void w_recall(struct worker *w)
{
	uint64_t *slot = &w->offer[rng_below(&w->rng, OWN_OFFERS)], windows;
	int error;

	if (*slot == 0)
		return;
	error = uvm_ledger_recall(w->mg.domid, *slot, &windows);
	if (error != 0)
		complain(w->mg.domid, "recall", *slot, error);
	*slot = 0;
}

/* What was borrowed must be whole, and what the lender lent. */
static void check_borrowed(
    struct worker *w, const struct uvm_offer_info *info, uint64_t gfn, uint64_t n)
{
	const uint8_t *bytes = bytes_of(&w->mg, gfn);

	if (info->oi_lender == UVM_DOMID_HOST) {
		for (uint64_t i = 0; i < n; i++)
			if (!sealed(bytes + i * UVM_PAGE_SIZE))
				complain(w->mg.domid, "a torn page of an object", gfn + i, 0);
	} else if (n == info->oi_npages && hash(bytes, n * UVM_PAGE_SIZE, 0) != info->oi_tag) {
		complain(w->mg.domid, "borrowed other bytes than were lent", gfn, 0);
	}
}

static void w_borrow(struct worker *w)
{
	uint64_t gfn = RAM_PAGES + rng_below(&w->rng, PAGES - RAM_PAGES), first = 0, n;
	struct uvm_offer_info info;
	int error;

	if (!pick_offer(&w->rng, w->mg.domid, &info))
		return;
	n = info.oi_npages;
	if (n > MAXLEND || rng_once_in(&w->rng, 3)) {
		first = rng_below(&w->rng, n);
		n = 1 + rng_below(&w->rng, n - first < MAXLEND ? n - first : MAXLEND);
	}
	for (uint64_t i = gfn; i < gfn + n; i++)
		if (i >= PAGES || w->mg.page[i].kind != P_NONE)
			return;
	error = uvm_ledger_borrow(w->mg.g.map, info.oi_id, first, n, gfn);
	if (error == -ENOENT)
		return; /* recalled meanwhile */
	if (error != 0)
		complain(w->mg.domid, "borrow", info.oi_id, error);
	for (uint64_t i = gfn; i < gfn + n; i++) {
		w->mg.page[i].kind = info.oi_kind == UVM_LOAN_TOANON ? P_COW : P_WINDOW;
		if (soft_read(w->mg.g.map, i, 0, bytes_of(&w->mg, i), UVM_PAGE_SIZE) != 0)
			complain(w->mg.domid, "cannot read what it borrowed", i, 0);
	}
	w->mg.page[gfn].window_pages = (unsigned)n;
	check_borrowed(w, &info, gfn, n);
}

static void w_return(struct worker *w)
{
	uint64_t gfn = RAM_PAGES + rng_below(&w->rng, PAGES - RAM_PAGES), n;
	int error;

	while (gfn < PAGES && w->mg.page[gfn].window_pages == 0)
		gfn++;
	if (gfn == PAGES)
		return;
	n = w->mg.page[gfn].window_pages;
	for (uint64_t i = gfn; i < gfn + n; i++)
		check_page(w, i);
	error = uvm_ledger_return(w->mg.g.map, gfn);
	if (error != 0)
		complain(w->mg.domid, "return", gfn, error);
	memset(&w->mg.page[gfn], 0, n * sizeof(w->mg.page[0]));
}

static void w_discard(struct worker *w)
{
	uint64_t gfn = rng_below(&w->rng, RAM_PAGES), n = 1 + rng_below(&w->rng, 6);
	int error, wanted = 0;

	if (gfn + n > RAM_PAGES)
		n = RAM_PAGES - gfn;
	for (uint64_t i = gfn; i < gfn + n; i++)
		if (w->mg.page[i].wired != NULL)
			wanted = -EBUSY;
	error = uvm_map_discard(w->mg.g.map, gfn, n);
	if (error != wanted && (error != -EBUSY || gfn >= HOST_MAPS_BELOW))
		complain(w->mg.domid, "discard", gfn, error);
	if (error != 0)
		return;
	memset(bytes_of(&w->mg, gfn), 0, n * UVM_PAGE_SIZE);
	if (rng_once_in(&w->rng, 2))
		share_add(&w->mg, gfn, &w->rng);
}

static void w_nominate(struct worker *w)
{
	share_nominate(&w->mg, &w->rng);
}

static void w_share(struct worker *w)
{
	share_with(&w->mg, &w->rng);
}

static void w_fill(struct worker *w)
{
	fill_pages(&w->mg, &w->rng);
}

static void w_wire(struct worker *w)
{
	uint64_t gfn = rng_below(&w->rng, RAM_PAGES);
	struct mpage *mp = &w->mg.page[gfn];
	int error;

	if (mp->wired != NULL) {
		uvm_map_unwire(w->mg.g.map, mp->wired);
		mp->wired = NULL;
		return;
	}
	error = uvm_map_wire(w->mg.g.map, gfn, &mp->wired);
	if (error != 0)
		complain(w->mg.domid, "wire", gfn, error);
}

static void w_die(struct worker *w)
{
	for (unsigned i = 0; i < RAM_PAGES; i++)
		if (w->mg.page[i].wired != NULL)
			uvm_map_unwire(w->mg.g.map, w->mg.page[i].wired);
	guest_destroy(&w->mg.g);
}

static void w_reborn(struct worker *w)
{
	if (!rng_once_in(&w->rng, 8))
		return;
	uvm_world_leave();
	pthread_mutex_lock(&w->life);
	uvm_world_enter();
	w_die(w);
	worker_guest(w);
	pthread_mutex_unlock(&w->life);
}

struct uvm_map *threads_hold(unsigned i)
{
	pthread_mutex_lock(&workers[i].life);
	uvm_map_ref(workers[i].mg.g.map);
	return workers[i].mg.g.map;
}

void threads_let_go(unsigned i)
{
	pthread_mutex_unlock(&workers[i].life);
}

unsigned threads_count(void)
{
	return nworkers;
}

static void *work(void *arg)
{
	static void (*const ops[])(struct worker *) = {w_write, w_write, w_write, w_write, w_write,
	    w_write, w_check, w_check, w_lend, w_lend, w_lend, w_recall, w_recall, w_borrow,
	    w_borrow, w_borrow, w_borrow, w_return, w_return, w_discard, w_wire, w_nominate,
	    w_nominate, w_share, w_share, w_fill, w_fill, w_reborn};
	struct worker *w = arg;

	while (w->done < steps_each && !atomic_load(&threads_stop)) {
		uvm_world_enter();
		ops[rng_below(&w->rng, sizeof(ops) / sizeof(ops[0]))](w);
		uvm_world_leave();
		w->done++;
	}
	return NULL;
}

static void check_guest(void *arg, struct uvm_map *map, const struct uvm_frames *fr)
{
	struct soft_pmap *sp = fixture_pmap_of(map);
	unsigned *complaints = arg;

	(void)fr;
	pthread_mutex_lock(&sp->sp_mutex);
	*complaints += soft_pmap_check(sp, map);
	pthread_mutex_unlock(&sp->sp_mutex);
}

/* Sums can differ in an audit of running guests (uvm_audit.h says when); findings there are none.
 */
static void audit(void)
{
	struct uvm_account ac;
	unsigned complaints = 0;

	if (uvm_account(&ac, check_guest, &complaints) != 0)
		complain(0, "no account", 0, 0);
	if (ac.ac_nfindings > 0 || complaints > 0)
		complain(0, ac.ac_nfindings > 0 ? ac.ac_findings[0] : "a translation", 0, 0);
	audits++;
	unequal += !ac.ac_equal;
}

static void threads_setup(unsigned nthreads, uint64_t seed)
{
	m.seed = seed;
	nworkers = nthreads;
	host_setup(seed);
	fill_setup();
	for (unsigned i = 0; i < nthreads; i++) {
		pthread_mutex_init(&workers[i].life, NULL);
		workers[i].rng.state = seed + 1000 * (i + 1);
		workers[i].mg.bytes = calloc(PAGES, UVM_PAGE_SIZE);
		if (workers[i].mg.bytes == NULL)
			complain(0, "no memory", i, 0);
		worker_guest(&workers[i]);
	}
}

static void threads_end(unsigned nthreads)
{
	host_end_loans();
	share_end();
	if (world_check() != 0)
		complain(0, "the audit at the end", 0, 0);
	for (unsigned i = 0; i < nthreads; i++) {
		for (unsigned gfn = 0; gfn < PAGES; gfn++)
			check_page(&workers[i], gfn);
		w_die(&workers[i]);
		free(workers[i].mg.bytes);
	}
	host_end_objects();
	fill_end();
	if (world_check() != 0 || world_leftovers() != 0)
		complain(0, "the end is not clean", 0, 0);
}

/* Audit until the workers are done or the time is up. */
static void watch(unsigned seconds)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	struct timespec now;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + seconds;
	while (seconds > 0 && now.tv_sec < end) {
		audit();
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (seconds > 0)
		atomic_store(&threads_stop, true);
}

int threads_run(unsigned nthreads, uint64_t steps, unsigned seconds, uint64_t seed)
{
	uint64_t done = 0;
	pthread_t host;

	steps_each = steps / nthreads;
	if (uvm_loan_init() != 0)
		complain(0, "no zero frame", 0, 0);
	uvm_world_enter();
	threads_setup(nthreads, seed);
	uvm_world_leave();
	if (pthread_create(&host, NULL, host_work, NULL) != 0)
		complain(0, "no thread", 0, 0);
	for (unsigned i = 0; i < nthreads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			complain(0, "no thread", i, 0);
	watch(seconds);
	for (unsigned i = 0; i < nthreads; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
	}
	atomic_store(&threads_stop, true);
	pthread_join(host, NULL);
	uvm_world_enter();
	threads_end(nthreads);
	uvm_world_leave();
	uvm_loan_fini();
	printf("model: %ju steps by %u threads agree; %ju audits, %ju of them unequal\n",
	    (uintmax_t)done, nthreads, (uintmax_t)audits, (uintmax_t)unequal);
	return 0;
}
