/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_grant SECONDS [SEED]: two guests, two programs of the host that use grants, one that makes
 * them, and the auditor, each a thread.  A plain program, because TSan and Criterion do not go together.
 *
 * Guests grant and revoke their pages to each other and to the host, map what they find, and die and
 * come back.  Nobody looks at the bytes of pages: guests race for those, as they may.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "uvm/uvm_arena.h"
#include "xen/grant.h"
#include "xen/public.h"

#define GUESTS 2u
#define PROGRAMS 2u
#define RAM 16u
#define WINDOW 16u
#define REFS 12u /* used of each table, from GRANT_FIRST_REF on */
#define SHARES 8u
#define LIFE 400u /* steps of a guest, on average */
#define CHECK(e) ((e) ? (void)0 : failed(__LINE__, #e))

static _Atomic bool stop;
static _Atomic uint32_t host_refs[SHARES]; /* what is shared just now; 0: nothing */
static _Atomic uint64_t mapped, pinned, lives, shared, audits;

static _Noreturn void failed(int line, const char *what)
{
	fprintf(stderr, "stress_grant: line %d: %s\n", line, what);
	_exit(1);
}

static void on_alarm(int sig)
{
	static const char words[] = "stress_grant: nothing moves\n";

	(void)sig;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(1);
}

/* ---- guests ---- */

struct domain {
	struct grant_domain grants;
	struct guest guest;
	struct uvm_arena *frame;
	uint32_t domid, handles[WINDOW];
	bool used[WINDOW];
	unsigned seed;
};

static void not_broken(struct grant_domain *gd)
{
	(void)gd;
	failed(__LINE__, "a guest is broken");
}

static void be_born(struct domain *d)
{
	uvm_world_enter();
	CHECK(guest_create(&d->guest, d->domid, RAM, WINDOW) == 0);
	uvm_world_leave();
	d->grants = (struct grant_domain){.gd_broken = not_broken};
	CHECK(grant_domain_add(&d->grants, d->domid, d->guest.map) == 0);
	CHECK(grant_frames_get(d->domid, 0, 1, &d->frame) == 0);
	memset(d->used, 0, sizeof(d->used));
}

/* Its process goes first, with all that it had mapped. */
static void die(struct domain *d)
{
	struct soft_pmap *sp = d->guest.pmap;

	uvm_world_enter();
	pthread_mutex_lock(&sp->sp_mutex);
	sp->sp_gone = true;
	memset(sp->sp_ptes, 0, sp->sp_npages * sizeof(*sp->sp_ptes));
	pthread_mutex_unlock(&sp->sp_mutex);
	uvm_world_leave();
	grant_domain_gone(&d->grants);
	uvm_world_enter();
	uvm_arena_rele(d->frame);
	guest_destroy(&d->guest);
	uvm_world_leave();
	atomic_fetch_add(&lives, 1);
}

/* The entry's two words, as a guest that does not care who uses it. */
static void set_entry(struct domain *d, uint32_t ref, uint32_t flags, uint32_t domid, uint32_t gfn)
{
	_Atomic uint32_t *entry;

	uvm_world_enter();
	entry = (_Atomic uint32_t *)uvm_arena_kva(d->frame, 0) + 2 * ref;
	uvm_world_leave();
	atomic_store(entry + 1, gfn);
	atomic_store(entry, flags | domid << 16);
}

static uint32_t any_ref(unsigned *seed)
{
	return GRANT_FIRST_REF + (uint32_t)rand_r(seed) % REFS;
}

static void map_one(struct domain *d, unsigned slot)
{
	bool of_host = rand_r(&d->seed) % 4 == 0;
	struct gnttab_map_grant_ref op = {.host_addr = (RAM + slot) * UVM_PAGE_SIZE,
	    .flags = GNTMAP_host_map | (rand_r(&d->seed) % 2 ? GNTMAP_readonly : 0),
	    .ref = of_host ? atomic_load(&host_refs[(unsigned)rand_r(&d->seed) % SHARES])
			   : any_ref(&d->seed),
	    .dom = of_host ? 0 : (domid_t)(rand_r(&d->seed) % GUESTS + 1)};

	CHECK(grant_op(&d->grants, GNTTABOP_map_grant_ref, &op, sizeof(op)) == 0);
	d->used[slot] = op.status == GNTST_okay;
	d->handles[slot] = op.handle;
	atomic_fetch_add(&mapped, d->used[slot]);
}

static void unmap_one(struct domain *d, unsigned slot)
{
	struct gnttab_unmap_grant_ref op = {
	    .host_addr = (RAM + slot) * UVM_PAGE_SIZE, .handle = d->handles[slot]};

	CHECK(grant_op(&d->grants, GNTTABOP_unmap_grant_ref, &op, sizeof(op)) == 0);
	CHECK(op.status == GNTST_okay);
	d->used[slot] = false;
}

static void step(struct domain *d)
{
	unsigned slot = (unsigned)rand_r(&d->seed) % WINDOW;
	uint32_t whom = (uint32_t)rand_r(&d->seed) % (GUESTS + 1);

	if (rand_r(&d->seed) % 3 == 0)
		set_entry(d, any_ref(&d->seed),
		    rand_r(&d->seed) % 4
			? GTF_permit_access | ((rand_r(&d->seed) % 2) * GTF_readonly)
			: 0,
		    whom, (uint32_t)rand_r(&d->seed) % (RAM + 2));
	else if (d->used[slot])
		unmap_one(d, slot);
	else
		map_one(d, slot);
}

static void *live(void *arg)
{
	struct domain *d = arg;

	be_born(d);
	while (!atomic_load(&stop)) {
		step(d);
		if ((unsigned)rand_r(&d->seed) % LIFE != 0)
			continue;
		die(d);
		be_born(d);
	}
	die(d);
	return NULL;
}

/* ---- programs ---- */

static void *use(void *arg)
{
	unsigned seed = *(unsigned *)arg, kept = 0;
	struct grant_pin *pins[4];
	bool write[4];
	uint32_t domid, ref;

	while (!atomic_load(&stop) || kept > 0) {
		if (kept == 4 || atomic_load(&stop) || (kept > 0 && rand_r(&seed) % 2)) {
			kept--;
			grant_unpin(pins[kept], write[kept]);
			continue;
		}
		domid = (uint32_t)rand_r(&seed) % (GUESTS + 1);
		ref = domid == 0 ? atomic_load(&host_refs[(unsigned)rand_r(&seed) % SHARES])
				 : any_ref(&seed);
		write[kept] = rand_r(&seed) % 2;
		if (grant_pin(domid, ref, GRANT_HOST, write[kept], &pins[kept]) != GNTST_okay)
			continue;
		CHECK(uvm_page_kva(grant_page(pins[kept])) != NULL);
		kept++;
		atomic_fetch_add(&pinned, 1);
	}
	return NULL;
}

static void *give(void *arg)
{
	struct grant_share *shares[SHARES] = {NULL};
	unsigned seed = *(unsigned *)arg, i;
	uint32_t refs[3];

	while (!atomic_load(&stop)) {
		i = (unsigned)rand_r(&seed) % SHARES;
		if (shares[i] != NULL)
			grant_share_end(shares[i]);
		CHECK(grant_share_create((uint32_t)rand_r(&seed) % (GUESTS + 1), 3,
			  rand_r(&seed) % 2, refs, &shares[i]) == 0);
		atomic_store(&host_refs[i], refs[(unsigned)rand_r(&seed) % 3]);
		atomic_fetch_add(&shared, 1);
	}
	for (i = 0; i < SHARES; i++)
		if (shares[i] != NULL)
			grant_share_end(shares[i]);
	return NULL;
}

static void *audit(void *arg)
{
	const struct timespec nap = {.tv_nsec = 2000000};

	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_world_enter();
		CHECK(world_check() == 0);
		uvm_world_leave();
		atomic_fetch_add(&audits, 1);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct timespec nap = {.tv_sec = argc > 1 ? atoi(argv[1]) : 5};
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
	unsigned seeds[PROGRAMS + 1];
	pthread_t threads[GUESTS + PROGRAMS + 2];
	static struct domain domains[GUESTS];
	unsigned n = 0;

	signal(SIGALRM, on_alarm);
	alarm((unsigned)nap.tv_sec + 60);
	printf("stress_grant: seed %u\n", seed);
	CHECK(uvm_loan_init() == 0);
	for (unsigned i = 0; i < GUESTS; i++) {
		domains[i].domid = i + 1;
		domains[i].seed = seed + i;
		CHECK(pthread_create(&threads[n++], NULL, live, &domains[i]) == 0);
	}
	for (unsigned i = 0; i <= PROGRAMS; i++) {
		seeds[i] = seed + 100 + i;
		CHECK(
		    pthread_create(&threads[n++], NULL, i < PROGRAMS ? use : give, &seeds[i]) == 0);
	}
	CHECK(pthread_create(&threads[n++], NULL, audit, NULL) == 0);
	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	while (n > 0)
		CHECK(pthread_join(threads[--n], NULL) == 0);
	uvm_world_enter();
	CHECK(world_check() == 0);
	CHECK(world_leftovers() == 0);
	uvm_world_leave();
	printf("stress_grant: %ju mapped, %ju pinned, %ju shared, %ju lives, %ju audits\n",
	    (uintmax_t)mapped, (uintmax_t)pinned, (uintmax_t)shared, (uintmax_t)lives,
	    (uintmax_t)audits);
	CHECK(mapped > 10 && pinned > 10 && shared > 10 && lives > 2 && audits > 1);
	return 0;
}
