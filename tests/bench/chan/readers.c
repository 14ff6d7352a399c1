/* SPDX-License-Identifier: BSD-2-Clause */
/* One to many: how much memory one lend takes with one reader, and with eight. */
#include "chan.h"

#include <lombard-chan.h>

#define MIB (1024ull * 1024)
#define LENT (64 * MIB)
#define MESSAGES 4u
#define MAX_READERS 8u

static struct member readers[MAX_READERS];

static void ask_all(unsigned n, enum bench_op op, const struct bench_work *w,
    const struct bench_open *o, struct bench_result *sum)
{
	struct bench_result r;

	for (unsigned i = 0; i < n; i++)
		member_ask(&readers[i], op, w, o);
	for (unsigned i = 0; i < n; i++) {
		member_wait(&readers[i], 0, &r);
		sum->wrong += r.wrong;
		sum->messages += r.messages;
	}
}

/* The sender accepts while the readers connect. */
static void connect_all(struct member *sender, unsigned n, const struct bench_work *w)
{
	const struct bench_open big = {.arena_bytes = LENT, .peers = n};
	const struct bench_open small = {.arena_bytes = 4096, .peers = 1};
	struct bench_result r = {0};

	member_ask(sender, BENCH_OPEN, w, &big);
	ask_all(n, BENCH_OPEN, w, &small, &r);
	member_wait(sender, 0, NULL);
}

static void lend_to(struct member *sender, unsigned n)
{
	const struct bench_work w = {
	    .via = VIA_SEALED, .channel = 0, .touch = 1, .len = LENT / MESSAGES, .most = MESSAGES};
	struct readers *rd = &facts.readers[facts.nreaders++];
	uint64_t ledger, kernel;
	struct bench_result r = {0};
	bool equal;

	cell_account(&ledger, &kernel, &equal);
	connect_all(sender, n, &w);
	member_ask(sender, BENCH_SEND, &w, NULL);
	member_wait(sender, 0, NULL);
	ask_all(n, BENCH_TAKE, &w, NULL, &r);
	if (r.wrong != 0 || r.messages != (uint64_t)n * MESSAGES)
		bench_die("%u readers of the same lend do not see it", n);
	*rd = (struct readers){.readers = n, .arena = LENT / UVM_PAGE_SIZE};
	cell_account(&rd->ledger, &rd->kernel, &rd->equal);
	rd->ledger -= ledger;
	rd->kernel -= kernel;
	ask_all(n, BENCH_GIVE, &w, NULL, &r);
	member_ask(sender, BENCH_GIVE, &w, NULL);
	member_wait(sender, 0, NULL);
	ask_all(n, BENCH_CLOSE, &w, NULL, &r);
	member_ask(sender, BENCH_CLOSE, &w, NULL);
	member_wait(sender, 0, NULL);
}

/* New readers each time: what they touched once is theirs for ever. */
void measure_readers(struct member *sender)
{
	for (unsigned n = 1; n <= MAX_READERS; n *= 2) {
		for (unsigned i = 0; i < n; i++)
			member_launch(&readers[i], false);
		lend_to(sender, n);
		for (unsigned i = 0; i < n; i++)
			member_end(&readers[i]);
	}
}
