/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_chan SECONDS [SEED]: a party with a name and two others that connect to it send each other
 * messages of random length, strength and manner, release them in random order, and the two close,
 * die and come back.  Every message says who sent it, its number and what must be in it: none may be
 * lost, doubled, torn or changed.  Half of the time with areas that peers see read-only, half with
 * areas at one address, for ThreadSanitizer.  A wake-up that gets lost ends in the alarm.
 *
 * A plain program, because TSan and Criterion do not go together.  The seed replays what each party
 * decides, not how their steps interleave.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chan/fake.h"
#include "model/rng.h"

#define CHECK(e) ((e) ? (void)0 : failed(__LINE__, #e))
#define NPEERS 2
#define MAX_HELD 40
#define BYE 1 /* tag of a party's last message */

struct head {
	uint64_t session, number, len, seed;
};

/* What has come from one sender. */
struct from {
	uint64_t session, next;
	bool bye;
};

struct party {
	struct chan *ch;
	struct rng rng;
	uint64_t session, sent;
	struct from from[CHAN_MAX_PEERS];
	struct chan_message held[MAX_HELD];
	unsigned nheld;
	void *kept;	 /* sent with CHAN_SEND_KEEP ... */
	size_t kept_len; /* ... and that long */
	bool host;	 /* the one with the name */
};

static _Atomic bool stop;
static _Atomic uint64_t sessions;
static _Atomic unsigned byes; /* that the host has heard */
static uint64_t seed;
static uint64_t received, rebirths;

static _Noreturn void failed(int line, const char *what)
{
	fprintf(stderr, "stress_chan: line %d: %s (seed %ju)\n", line, what, (uintmax_t)seed);
	_exit(1);
}

static void on_alarm(int sig)
{
	static const char words[] = "stress_chan: nothing moves: a wake-up was lost\n";

	(void)sig;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(1);
}

/* ---- messages ---- */

static size_t random_len(struct rng *rng)
{
	uint64_t kind = rng_below(rng, 100);

	if (kind < 70)
		return sizeof(struct head) + rng_below(rng, 500);
	if (kind < 92)
		return sizeof(struct head) + rng_below(rng, 16384);
	return sizeof(struct head) + rng_below(rng, 300000);
}

static void fill(struct party *me, uint8_t *buf, size_t len)
{
	struct head head = {me->session, me->sent, len, rng_next(&me->rng)};
	struct rng bytes = {.state = head.seed};
	uint64_t word;

	memcpy(buf, &head, sizeof(head));
	for (size_t at = sizeof(head); at < len; at += sizeof(word)) {
		word = rng_next(&bytes);
		memcpy(buf + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

static void check_bytes(const struct chan_message *msg)
{
	const uint8_t *data = msg->data;
	struct rng bytes;
	struct head head;
	uint64_t word;

	memcpy(&head, data, sizeof(head));
	CHECK(head.len == msg->len);
	bytes.state = head.seed;
	for (size_t at = sizeof(head); at < msg->len; at += sizeof(word)) {
		word = rng_next(&bytes);
		CHECK(memcmp(data + at, &word,
			  msg->len - at < sizeof(word) ? msg->len - at : sizeof(word)) == 0);
	}
}

static void release_one(struct party *me)
{
	unsigned i = (unsigned)rng_below(&me->rng, me->nheld);

	check_bytes(&me->held[i]);
	CHECK(chan_release(me->ch, &me->held[i]) == 0);
	me->held[i] = me->held[--me->nheld];
}

static void release_all(struct party *me)
{
	while (me->nheld > 0)
		release_one(me);
}

/* Who connects hears from some message on, the host everything from the first. */
static void note(struct party *me, const struct chan_message *msg)
{
	struct from *from = &me->from[msg->peer];
	struct head head;

	memcpy(&head, msg->data, sizeof(head));
	if (from->session != head.session) {
		*from = (struct from){.session = head.session, .next = me->host ? 0 : head.number};
	}
	CHECK(head.number == from->next);
	from->next++;
	if (msg->tag == BYE) {
		from->bye = true;
		atomic_fetch_add(&byes, me->host ? 1 : 0);
	}
}

/* -EAGAIN, -EPIPE, or 0: there was something to do. */
static int receive(struct party *me)
{
	struct chan_message msg;
	int err = chan_recv(me->ch, CHAN_NOW, &msg);

	if (err == -ENOBUFS) {
		release_all(me);
		return 0;
	}
	if (err != 0) {
		CHECK(err == -EAGAIN || err == -EPIPE || err == -ENOTCONN);
		return err;
	}
	check_bytes(&msg);
	note(me, &msg);
	__atomic_fetch_add(&received, 1, __ATOMIC_RELAXED);
	me->held[me->nheld++] = msg;
	if (me->nheld == MAX_HELD || rng_once_in(&me->rng, 3))
		release_one(me);
	return 0;
}

static void accept_all(struct party *me)
{
	int err;

	do {
		err = me->host ? chan_accept(me->ch, CHAN_NOW, NULL) : -EAGAIN;
	} while (err == 0);
	CHECK(err == -EAGAIN || err == -ENOSPC);
}

/* Wait with nothing held: so whoever waits for our release goes on, and we are woken. */
static void wait_for_any(struct party *me, unsigned events)
{
	int ret;

	release_all(me);
	events |= CHAN_READABLE | (me->host ? CHAN_ACCEPTABLE : 0);
	if (me->host && me->ch->in == 0)
		events &= ~CHAN_READABLE;
	if (events == 0)
		return;
	ret = chan_wait(me->ch, events, CHAN_FOREVER);
	CHECK(ret > 0);
	if (ret & CHAN_ACCEPTABLE)
		accept_all(me);
}

/* A buffer; NULL: the peers are gone.  Who waits for room must listen, or all wait for each other. */
static uint8_t *get_buffer(struct party *me, size_t len)
{
	void *buf;
	int err;

	while ((err = chan_alloc(me->ch, len, CHAN_NOW, &buf)) == -EAGAIN) {
		while (receive(me) == 0)
			continue;
		wait_for_any(me, CHAN_WRITABLE);
	}
	CHECK(err == 0 || err == -EPIPE || err == -ENOTCONN);
	return err == 0 ? buf : NULL;
}

static void give_up_kept(struct party *me)
{
	if (me->kept == NULL)
		return;
	CHECK(chan_free(me->ch, me->kept) == 0);
	me->kept = NULL;
}

/* The buffer that was kept, if it can be written again. */
static uint8_t *kept_buffer(struct party *me, size_t *len)
{
	if (me->kept == NULL || chan_sent(me->ch, me->kept) != 1)
		return NULL;
	*len = sizeof(struct head) + rng_below(&me->rng, me->kept_len - sizeof(struct head) + 1);
	return me->kept;
}

static int send_one(struct party *me, uint64_t tag)
{
	size_t len = random_len(&me->rng);
	unsigned flags = rng_once_in(&me->rng, 3) ? CHAN_SEND_SHARED : CHAN_SEND_SEALED;
	uint8_t *buf = tag != BYE && rng_once_in(&me->rng, 5) ? kept_buffer(me, &len) : NULL;
	int err;

	if (buf == NULL)
		buf = get_buffer(me, len);
	if (buf == NULL)
		return -EPIPE;
	if (tag != BYE && rng_once_in(&me->rng, 4))
		flags |= CHAN_SEND_MORE;
	fill(me, buf, len);
	if (buf == me->kept || (me->kept == NULL && rng_once_in(&me->rng, 50)))
		flags |= CHAN_SEND_KEEP;
	err = chan_send(me->ch, buf, len, flags, tag);
	if (err == 0) {
		me->sent++;
		if ((flags & CHAN_SEND_KEEP) && buf != me->kept) {
			me->kept = buf;
			me->kept_len = len;
		}
		return 0;
	}
	CHECK(err == -EPIPE || err == -ENOTCONN || (err == -EAGAIN && buf == me->kept));
	if (buf != me->kept)
		CHECK(chan_free(me->ch, buf) == 0);
	return err;
}

/* ---- parties ---- */

static void be_born(struct party *me)
{
	struct chan_options options = {.arena_bytes = 2 << 20,
	    .max_peers = NPEERS + 1,
	    .lend_from = 8192,
	    .copy_bytes = 256 << 10,
	    .spin_ns = 1 + rng_below(&me->rng, 20000)};
	int err;

	me->session = 1 + atomic_fetch_add(&sessions, 1);
	me->sent = 0;
	me->nheld = 0;
	me->kept = NULL;
	memset(me->from, 0, sizeof(me->from));
	do {
		err = me->host ? chan_create("host", &options, &me->ch)
			       : chan_connect("host", &options, CHAN_FOREVER, &me->ch);
	} while (err == -EBUSY); /* the host has not noticed yet that we are dead */
	CHECK(err == 0);
}

static void be_reborn(struct party *me)
{
	if (rng_once_in(&me->rng, 2))
		fake_kill(me->ch);
	chan_close(me->ch);
	__atomic_fetch_add(&rebirths, 1, __ATOMIC_RELAXED);
	be_born(me);
}

static void step(struct party *me)
{
	uint64_t dice = rng_below(&me->rng, 1000);

	if (dice < 450)
		(void)send_one(me, 0);
	else if (dice < 940)
		(void)receive(me);
	else if (dice < 960)
		give_up_kept(me);
	else if (dice < 980)
		(void)chan_flush(me->ch);
	else if (me->host)
		accept_all(me);
	else if (dice == 980 && rng_once_in(&me->rng, 4))
		be_reborn(me);
	else if (dice < 990 && receive(me) == -EAGAIN)
		wait_for_any(me, 0);
}

static void *connector(void *arg)
{
	struct party me = {.rng = {.state = seed + (uintptr_t)arg}};
	int err;

	be_born(&me);
	while (!atomic_load(&stop))
		step(&me);
	CHECK(send_one(&me, BYE) == 0);
	while ((err = receive(&me)) != -EPIPE)
		if (err == -EAGAIN)
			wait_for_any(&me, 0);
	/* All of what the host sent has come. */
	for (unsigned p = 0; p < CHAN_MAX_PEERS; p++)
		CHECK(me.from[p].session == 0 || me.from[p].bye);
	release_all(&me);
	chan_close(me.ch);
	return NULL;
}

static void *host(void *arg)
{
	struct party me = {.rng = {.state = seed + (uintptr_t)arg}, .host = true};

	be_born(&me);
	while (!atomic_load(&stop))
		step(&me);
	/* Who sleeps until something comes would never see that it is time to stop. */
	while (atomic_load(&byes) < NPEERS) {
		if (receive(&me) == 0)
			continue;
		(void)send_one(&me, 0);
		wait_for_any(&me, 0);
	}
	CHECK(send_one(&me, BYE) == 0);
	release_all(&me);
	chan_close(me.ch);
	return NULL;
}

static void run(unsigned fake_flags, unsigned seconds)
{
	const struct timespec nap = {.tv_sec = seconds};
	pthread_t threads[1 + NPEERS];

	fake_start(fake_flags);
	atomic_store(&stop, false);
	atomic_store(&byes, 0);
	alarm(seconds + 60);
	for (uintptr_t i = 0; i <= NPEERS; i++)
		CHECK(pthread_create(&threads[i], NULL, i == 0 ? host : connector, (void *)i) == 0);
	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i <= NPEERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	alarm(0);
	CHECK(fake_end() == 0);
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 4;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	printf("stress_chan: seed %ju\n", (uintmax_t)seed);
	fflush(stdout);
	signal(SIGALRM, on_alarm);
	run(0, seconds / 2 + 1);
	run(FAKE_ONE_ADDRESS, seconds / 2 + 1);
	printf("stress_chan: %ju messages received, %ju rebirths\n", (uintmax_t)received,
	    (uintmax_t)rebirths);
	return 0;
}
