/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_arena SECONDS [SEED]: one writer, two readers and the auditor, each a thread, at one arena.
 * A plain program, because TSan and Criterion do not go together.
 *
 * The writer fills a slot's frames, seals them, tells the readers, and often writes to them while
 * they are sealed.  Each reader must see what was sealed until it has released it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "uvm/uvm_arena.h"

#define SLOTS 6u
#define EACH 3u /* frames of a slot */
#define READERS 2u
#define AT 16u
#define CHECK(e) ((e) ? (void)0 : failed(__LINE__, #e))

static struct guest writer, readers[READERS];
static struct uvm_arena *ua;
static _Atomic bool stop;
static _Atomic uint64_t sealed_tag[SLOTS];	  /* of what is sealed there */
static _Atomic uint64_t released[READERS][SLOTS]; /* the last tag that a reader has done with */
static _Atomic uint64_t messages, early, audits, looks;

static _Noreturn void failed(int line, const char *what)
{
	fprintf(stderr, "stress_arena: line %d: %s\n", line, what);
	_exit(1);
}

static void on_alarm(int sig)
{
	static const char words[] = "stress_arena: nothing moves\n";

	(void)sig;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(1);
}

/* Called with the arena had, by whoever wants to know what has been released. */
static void reap(void *arg)
{
	uint64_t tag;
	bool all;

	(void)arg;
	for (unsigned s = 0; s < SLOTS; s++) {
		if (!uvm_arena_sealed(ua, s))
			continue;
		tag = atomic_load(&sealed_tag[s]);
		all = true;
		for (unsigned i = 0; i < READERS; i++)
			all = all && atomic_load(&released[i][s]) == tag;
		if (all)
			uvm_arena_unseal(ua, s);
	}
}

static const struct uvm_arena_ops ops = {.ao_reap = reap};

static void send(unsigned slot, uint64_t tag)
{
	int error;

	for (unsigned f = 0; f < EACH; f++)
		CHECK(guest_fill(&writer, AT + slot * EACH + f, tag) == 0);
	/* The tag first: when the seal is there, reap may look at once. */
	atomic_store(&sealed_tag[slot], 0);
	error = uvm_arena_seal(ua, slot, slot * EACH, EACH);
	CHECK(error == 0);
	atomic_store(&sealed_tag[slot], tag);
	atomic_fetch_add(&messages, 1);
}

static bool all_released(unsigned slot)
{
	for (unsigned i = 0; i < READERS; i++)
		if (atomic_load(&released[i][slot]) != atomic_load(&sealed_tag[slot]))
			return false;
	return true;
}

static void *write_and_seal(void *arg)
{
	unsigned seed = *(unsigned *)arg, slot;
	uint64_t tag = 0;

	uvm_world_enter();
	while (!atomic_load(&stop)) {
		slot = (unsigned)rand_r(&seed) % SLOTS;
		if (all_released(slot)) {
			if (rand_r(&seed) % 2 == 0)
				uvm_arena_reap(ua);
			if (uvm_arena_sealed(ua, slot))
				uvm_arena_reap(ua);
			send(slot, ++tag);
		}
		if (rand_r(&seed) % 3 == 0) {
			CHECK(guest_fill(
				  &writer, AT + slot * EACH + tag % EACH, 1ull << 40 | tag) == 0);
			atomic_fetch_add(&early, 1);
		}
		if (rand_r(&seed) % 8 == 0)
			uvm_arena_thaw(ua);
		uvm_world_leave();
		uvm_world_enter();
	}
	uvm_world_leave();
	return NULL;
}

static void *read_and_release(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t tag;

	uvm_world_enter();
	while (!atomic_load(&stop)) {
		for (unsigned s = 0; s < SLOTS; s++) {
			tag = atomic_load(&sealed_tag[s]);
			if (tag == 0 || atomic_load(&released[me][s]) == tag)
				continue;
			CHECK(uvm_arena_refresh(readers[me].map, AT, s, s * EACH, EACH) == 0);
			for (unsigned f = 0; f < EACH; f++)
				CHECK(guest_holds(&readers[me], AT + s * EACH + f, tag));
			atomic_fetch_add(&looks, 1);
			atomic_store(&released[me][s], tag);
		}
		uvm_world_leave();
		uvm_world_enter();
	}
	uvm_world_leave();
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

static void set_up(void)
{
	struct soft_store *ss;

	CHECK(uvm_loan_init() == 0);
	uvm_world_enter();
	CHECK(guest_create(&writer, 1, AT, 64) == 0);
	ss = soft_store_create(SLOTS * EACH, 2 + READERS, 1);
	CHECK(ss != NULL);
	CHECK(uvm_arena_create(&ss->ss_store, SLOTS * EACH, SLOTS, &ops, NULL, &ua) == 0);
	CHECK(uvm_arena_show(ua, writer.map, AT, UVM_VIEW_WRITER | UVM_VIEW_OWNER) == 0);
	for (unsigned i = 0; i < READERS; i++) {
		CHECK(guest_create(&readers[i], 2 + i, AT, 64) == 0);
		CHECK(uvm_arena_show(ua, readers[i].map, AT, 0) == 0);
	}
	uvm_world_leave();
}

static void tear_down(void)
{
	uvm_world_enter();
	guest_destroy(&writer);
	CHECK(world_check() == 0);
	for (unsigned i = 0; i < READERS; i++)
		guest_destroy(&readers[i]);
	uvm_arena_rele(ua);
	CHECK(world_leftovers() == 0);
	uvm_world_leave();
}

int main(int argc, char **argv)
{
	const struct timespec nap = {.tv_sec = argc > 1 ? atoi(argv[1]) : 5};
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL), first = seed;
	pthread_t threads[2 + READERS];

	signal(SIGALRM, on_alarm);
	alarm((unsigned)nap.tv_sec + 60);
	printf("stress_arena: seed %u\n", seed);
	set_up();
	CHECK(pthread_create(&threads[0], NULL, write_and_seal, &first) == 0);
	CHECK(pthread_create(&threads[1], NULL, audit, NULL) == 0);
	for (unsigned i = 0; i < READERS; i++)
		CHECK(pthread_create(
			  &threads[2 + i], NULL, read_and_release, (void *)(uintptr_t)i) == 0);
	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2 + READERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	tear_down();
	printf("stress_arena: %ju messages, %ju early writes, %ju looks, %ju audits\n",
	    (uintmax_t)messages, (uintmax_t)early, (uintmax_t)looks, (uintmax_t)audits);
	CHECK(messages > 10 && early > 10 && looks > 10 && audits > 1);
	return 0;
}
