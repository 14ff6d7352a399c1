/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_lock SECONDS: threads hammer uvm_lock.h.  A plain program, because TSan and Criterion do
 * not go together.  Each part says what it saw; a wake-up that gets lost ends in the alarm.
 */
#include "uvm/uvm_lock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NTHREADS 6
#define CHECK(e) ((e) ? (void)0 : failed(__LINE__, #e))

static struct uvm_lock lock, inner;
static _Atomic bool stop;

/* Not atomic on purpose: the lock is what makes them right, and TSan looks. */
static uint64_t counter, ring_in, ring_out, world_counter;
static bool ring_done;
static _Atomic uint64_t wanted_counter, wanted_world, tried, refused;

static _Noreturn void failed(int line, const char *what)
{
	fprintf(stderr, "stress_lock: line %d: %s\n", line, what);
	_exit(1);
}

static void on_alarm(int sig)
{
	static const char words[] = "stress_lock: nothing moves: a wake-up was lost\n";

	(void)sig;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(1);
}

static void run(void *(*const fns[])(void *), unsigned n, unsigned seconds)
{
	const struct timespec nap = {.tv_sec = seconds};
	pthread_t threads[NTHREADS];

	atomic_store(&stop, false);
	alarm(seconds + 60);
	for (unsigned i = 0; i < n; i++)
		CHECK(pthread_create(&threads[i], NULL, fns[i], NULL) == 0);
	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < n; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	alarm(0);
}

/* Mutual exclusion: blocking, trying, and nested in the right order. */
static void *count_blocking(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_lock(&lock);
		CHECK(uvm_lock_held(&lock));
		counter++;
		uvm_lock(&inner);
		counter++;
		uvm_unlock(&inner);
		uvm_unlock(&lock);
		CHECK(!uvm_lock_held(&lock));
		atomic_fetch_add(&wanted_counter, 2);
	}
	return NULL;
}

static void *count_trying(void *arg)
{
	unsigned tries = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&tried, 1);
		if (!uvm_trylock(&lock)) {
			atomic_fetch_add(&refused, 1);
			uvm_backoff(tries++);
			continue;
		}
		tries = 0;
		counter++;
		uvm_unlock(&lock);
		atomic_fetch_add(&wanted_counter, 1);
	}
	return NULL;
}

/* Two threads that wait for each other with try-lock from the wrong side: no livelock. */
static void *count_wrong_side(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_lock(&inner);
		for (unsigned tries = 0; !uvm_trylock(&lock); tries++) {
			uvm_unlock(&inner);
			uvm_backoff(tries);
			uvm_lock(&inner);
		}
		counter++;
		uvm_unlock(&lock);
		uvm_unlock(&inner);
		atomic_fetch_add(&wanted_counter, 1);
	}
	return NULL;
}

/* A ring of one slot: each side sleeps until the other has moved. */
#define MOVES_AT_LEAST 100

static void *produce(void *arg)
{
	(void)arg;
	uvm_world_enter();
	while (!atomic_load(&stop) || ring_in < MOVES_AT_LEAST) {
		uvm_lock(&lock);
		if (ring_in == ring_out) {
			ring_in++;
			uvm_wakeup(&ring_in);
			uvm_unlock(&lock);
		} else {
			uvm_sleep(&ring_out, &lock);
		}
	}
	uvm_lock(&lock);
	ring_done = true;
	uvm_wakeup(&ring_in);
	uvm_unlock(&lock);
	uvm_world_leave();
	return NULL;
}

/* Ends when everything that was produced has been taken and the producer is done. */
static void *consume(void *arg)
{
	bool last = false;

	(void)arg;
	uvm_world_enter();
	while (!last) {
		uvm_lock(&lock);
		if (ring_out < ring_in) {
			ring_out++;
			uvm_wakeup(&ring_out);
			uvm_unlock(&lock);
		} else if (!ring_done) {
			uvm_sleep(&ring_in, &lock);
		} else {
			last = true;
			uvm_unlock(&lock);
		}
	}
	uvm_world_leave();
	return NULL;
}

/* Wakes everybody all the time: early returns are allowed, so nothing may depend on one. */
static void *disturb(void *arg)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_world_enter();
		uvm_wakeup(&ring_in);
		uvm_wakeup(&ring_out);
		uvm_world_leave();
		nanosleep(&nap, NULL);
	}
	return NULL;
}

/* The world: many inside, or one that stopped it. */
static void *live(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_world_enter();
		uvm_lock(&lock);
		world_counter++;
		uvm_unlock(&lock);
		uvm_world_leave();
		atomic_fetch_add(&wanted_world, 1);
	}
	return NULL;
}

static void *stop_world(void *arg)
{
	const struct timespec nap = {.tv_nsec = 200000};
	uint64_t seen;

	(void)arg;
	while (!atomic_load(&stop)) {
		uvm_world_stop();
		seen = world_counter;
		nanosleep(&nap, NULL);
		CHECK(seen == world_counter);
		world_counter++;
		uvm_world_resume();
		atomic_fetch_add(&wanted_world, 1);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

/* What the checks are for: each has to end its process by SIGABRT. */
static void wrong_order(void)
{
	uvm_lock(&inner);
	uvm_lock(&lock);
}

static void same_rank_twice(void)
{
	struct uvm_lock other;

	uvm_lock_init(&other, UVM_RANK_OBJECT);
	uvm_lock(&lock);
	uvm_lock(&other);
}

static void recursive(void)
{
	CHECK(uvm_trylock(&lock));
	CHECK(!uvm_trylock(&lock));
	uvm_lock_slow(&lock, uvm_self());
}

static void not_held(void)
{
	uvm_unlock(&lock);
}

static void dies(void (*fn)(void), const char *name)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(freopen("/dev/null", "w", stderr) != NULL);
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
		fprintf(stderr, "stress_lock: %s: no abort: status %#x\n", name, (unsigned)status);
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;

	signal(SIGALRM, on_alarm);
	uvm_lock_init(&lock, UVM_RANK_OBJECT);
	uvm_lock_init(&inner, UVM_RANK_ANON);
	dies(wrong_order, "lock taken below one that is held");
	dies(same_rank_twice, "two locks of one rank");
	dies(recursive, "recursion");
	dies(not_held, "unlock without lock");
	uvm_lock_init(&lock, UVM_RANK_OBJECT);

	run((void *(*const[])(void *)){count_blocking, count_blocking, count_trying, count_trying,
		count_wrong_side, count_wrong_side},
	    6, seconds);
	CHECK(counter == atomic_load(&wanted_counter));
	/* First alone: a wake-up that gets lost is not made good by somebody else's. */
	run((void *(*const[])(void *)){produce, consume}, 2, seconds);
	CHECK(ring_in == ring_out);
	ring_done = false;
	run((void *(*const[])(void *)){produce, consume, disturb}, 3, seconds);
	CHECK(ring_in == ring_out);
	run((void *(*const[])(void *)){live, live, live, stop_world}, 4, seconds);
	CHECK(world_counter == atomic_load(&wanted_world));
	printf("stress_lock: %ju under the lock (%ju of %ju tries refused), %ju moved, %ju in the "
	       "world\n",
	    (uintmax_t)counter, (uintmax_t)refused, (uintmax_t)tried, (uintmax_t)ring_in,
	    (uintmax_t)world_counter);
	return 0;
}
