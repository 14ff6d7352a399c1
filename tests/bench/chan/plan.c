/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is measured, in which order.  All series of a point take turns, round after round, so that
 * whatever else the machine does meets all of them; a first round is not counted: it touches memory
 * for the first time, and the library may still be learning what its calls cost.
 */
#include "chan.h"

#include <string.h>

#include <lombard-chan.h>

#define MIB (1024ull * 1024)
#define ROUNDS 9u
#define ROUNDS_LONG 5u /* of messages from 16 MiB on: they take long, and vary little */
#define SAMPLE_NS UINT64_C(6000000)
/*
 * At depth 8: half of the messages are written while the others are read.  The ring has nothing to save
 * by batches.
 */
#define BATCH 4u
#define ECHO_ROUNDS 9u
#define ECHO_LEN 64u
#define ECHO_POLLED 20000u
#define ECHO_SLEEPING 400u
/* Depth times the longest message, and one more: short buffers may lie where they part long ones. */
#define CHANNEL_LONG (9 * 64 * MIB)
#define CHANNEL_SHORT (9 * 16 * MIB)
#define CHANNEL_BACK (2 * MIB)

static struct member sender = {0}, receiver = {0};
static const struct scope *scope;

/* ---- a round of a point ---- */

static void pass_guests(
    const struct bench_work *w, struct bench_result *out, struct bench_result *in)
{
	member_ask(&receiver, BENCH_PASS, w, NULL);
	member_ask(&sender, BENCH_PASS, w, NULL);
	member_wait(&sender, w->echo ? 0 : w->ns, out);
	member_wait(&receiver, 0, in);
}

static struct bench_work work_of(const struct key *key)
{
	const struct series_info *si = &series_info[key->series];
	bool sleeping = si->channel == 1 ||
			(si->host && si->via != VIA_RING && si->via != VIA_WORD);
	struct bench_work w = {.via = si->via,
	    .channel = si->channel < 0 ? 0 : (uint32_t)si->channel,
	    .echo = key->echo,
	    .depth = key->depth,
	    .batch = key->depth == 1 || si->via == VIA_RING ? 1 : BATCH,
	    .touch = key->touch,
	    .rewrite = key->rewrite,
	    .credits = si->channel == 1,
	    .len = key->len,
	    .ns = SAMPLE_NS * (scope->effort < 25 ? 25 : scope->effort) / 100,
	    .most = UINT32_MAX};

	if (key->echo)
		w.most = sleeping ? ECHO_SLEEPING : ECHO_POLLED;
	return w;
}

static void measure(const struct key *key, bool counted)
{
	struct bench_work w = work_of(key);
	uint64_t broken = 0, copied = 0, broken_after = 0, copied_after = 0;
	struct bench_result out, in;

	if (series_info[key->series].host) {
		hosts_pass(&w, &out, &in);
	} else {
		member_broken(&sender, &broken, &copied);
		pass_guests(&w, &out, &in);
		member_broken(&sender, &broken_after, &copied_after);
	}
	if (counted)
		point_add(key, &out, &in, broken_after - broken, copied_after - copied);
}

/* ---- series that take turns ---- */

static unsigned rounds_of(unsigned full)
{
	unsigned n = full * scope->effort / 100;

	return n < 3 ? 3 : n;
}

/* The key's series is the first of them in turn. */
static void take_turns(struct key key, const enum series *series, unsigned n, unsigned rounds)
{
	for (unsigned round = 0; round <= rounds; round++)
		for (unsigned i = 0; i < n; i++) {
			key.series = series[i];
			measure(&key, round > 0);
		}
}

static void measure_lens(
    struct key key, const enum series *series, unsigned n, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < nlens; i++) {
		if (lens[i] < from || lens[i] > to ||
		    (scope->bytes != 0 && lens[i] != scope->bytes))
			continue;
		key.len = lens[i];
		take_turns(key, series, n,
		    lens[i] < 16 * MIB ? rounds_of(ROUNDS) : rounds_of(ROUNDS_LONG));
	}
}

static void progress(const char *what, uint64_t start)
{
	fprintf(stderr, "bench-chan: %s in %.1f s\n", what, (double)(now_ns() - start) / 1e9);
}

/* Everything over lengths, for both depths, transport only and end to end. */
static void measure_passing(bool huge, const enum series *series, unsigned n)
{
	uint64_t start = now_ns();
	struct key key = {.huge = huge};

	for (unsigned touch = 0; touch <= 1; touch++) {
		for (key.depth = 1; key.depth <= 8; key.depth += 7) {
			key.touch = touch;
			measure_lens(key, series, n, 0, BENCH_MAX_LEN);
		}
	}
	progress(huge ? "messages with huge frames" : "messages with 4 KiB frames", start);
}

static void measure_breaks(bool huge)
{
	static const enum series series[] = {SER_SEALED, SER_RING};
	static const uint32_t rewrites[] = {10, 100};
	struct key key = {.huge = huge, .touch = true, .depth = 8};
	uint64_t start = now_ns();

	for (unsigned i = 0; i < 2; i++) {
		key.rewrite = rewrites[i];
		measure_lens(key, series, 2, 64 * 1024, 16 * MIB);
	}
	progress("breaks", start);
}

static void measure_crossover(void)
{
	static const enum series series[] = {SER_LEND, SER_COPY};
	struct key key = {.huge = true, .touch = true, .depth = 8};
	uint64_t start = now_ns();

	measure_lens(key, series, 2, 4096, 4 * MIB);
	key.touch = false;
	measure_lens(key, series, 2, 4096, 4 * MIB);
	progress("the crossover", start);
}

static void measure_latency(void)
{
	static const enum series series[] = {SER_HOST_WORD, SER_WORD, SER_SHARED, SER_SEALED,
	    SER_RING, SER_HOST_RING, SER_SHARED_SLEEP, SER_SEALED_SLEEP, SER_STREAM, SER_PACKET,
	    SER_PIPE};
	struct key key = {.huge = true, .echo = true, .depth = 1, .len = ECHO_LEN};
	uint64_t start = now_ns();

	take_turns(key, series, sizeof(series) / sizeof(series[0]), rounds_of(ECHO_ROUNDS));
	progress("latency", start);
}

/* ---- channels ---- */

/* Figures of other frames than the report names would mislead: better none. */
static void check_frames(const char *what, uint64_t bytes, uint64_t wanted)
{
	if (bytes != wanted)
		bench_die(
		    "%s has frames of %ju bytes, others have %ju: too few huge pages, or taken "
		    "by somebody else meanwhile",
		    what, (uintmax_t)bytes, (uintmax_t)wanted);
}

/* Both ends; the receiving end's own arena is for credits and echoes. */
static uint64_t open_both(uint32_t channel, const struct bench_open *o)
{
	const struct bench_work w = {.channel = channel};
	struct bench_open small = *o;
	struct bench_result r;

	small.arena_bytes = CHANNEL_BACK;
	small.lend_from = 0;
	member_ask(&sender, BENCH_OPEN, &w, o);
	member_ask(&receiver, BENCH_OPEN, &w, &small);
	member_wait(&receiver, 0, NULL);
	member_wait(&sender, 0, &r);
	return r.frame_bytes;
}

static void close_both(uint32_t channel)
{
	const struct bench_work w = {.channel = channel};

	member_ask(&sender, BENCH_CLOSE, &w, NULL);
	member_wait(&sender, 0, NULL);
	member_ask(&receiver, BENCH_CLOSE, &w, NULL);
	member_wait(&receiver, 0, NULL);
}

/* Raw arenas, with the same frames as the channels. */
static void open_raw(uint64_t frame_bytes)
{
	const struct bench_open o = {.flags = frame_bytes > UVM_PAGE_SIZE ? 0 : CHAN_BASE_FRAMES};
	struct bench_result out, in;

	member_ask(&sender, BENCH_OPEN_RAW, NULL, &o);
	member_ask(&receiver, BENCH_OPEN_RAW, NULL, &o);
	member_wait(&receiver, 0, &in);
	member_wait(&sender, 0, &out);
	check_frames("the ring", out.frame_bytes, frame_bytes);
	check_frames("the ring", in.frame_bytes, frame_bytes);
}

static void close_raw(void)
{
	member_ask(&sender, BENCH_CLOSE_RAW, NULL, NULL);
	member_wait(&sender, 0, NULL);
	member_ask(&receiver, BENCH_CLOSE_RAW, NULL, NULL);
	member_wait(&receiver, 0, NULL);
}

static void measure_calls(void)
{
	struct bench_result r;

	member_ask(&sender, BENCH_CALLS, NULL, NULL);
	member_wait(&sender, 0, &r);
	memcpy(facts.calls, r.phase, sizeof(facts.calls));
	/* Whichever channel is named: its own two ends. */
	member_ask(&sender, BENCH_SELF, NULL, NULL);
	member_wait(&sender, 0, &r);
	memcpy(facts.self, r.self, sizeof(facts.self));
}

/* ---- the whole ---- */

/* From which length on the library lends, by what it has learned and by what it has to. */
static void note_crossover(struct crossover *c)
{
	struct key key = {.series = SER_SEALED, .depth = 8, .len = 2 * MIB};
	struct bench_work w = work_of(&key);
	struct bench_result out, in;

	pass_guests(&w, &out, &in);
	c->measured = out.lend_from;
	c->most = out.copy_limit;
}

static void measure_huge(void)
{
	static const enum series series[] = {SER_SEALED, SER_RING, SER_SHARED, SER_SEALED_SLEEP,
	    SER_SHARED_SLEEP, SER_HOST_RING, SER_STREAM, SER_PACKET, SER_PIPE};
	/* All have huge frames, or none. */
	const uint32_t frames = scope->huge ? 0 : CHAN_BASE_FRAMES;
	const struct bench_open polled = {
	    .arena_bytes = CHANNEL_LONG, .flags = frames | CHAN_POLLED, .peers = 1};
	const struct bench_open sleeping = {
	    .arena_bytes = CHANNEL_LONG, .flags = frames, .peers = 1};
	const struct bench_open lent = {.arena_bytes = CHANNEL_SHORT,
	    .flags = frames | CHAN_POLLED,
	    .peers = 1,
	    .lend_from = 4096};
	const struct bench_open copied = {.arena_bytes = CHANNEL_SHORT,
	    .flags = frames | CHAN_POLLED,
	    .peers = 1,
	    .lend_from = CHAN_LEND_NEVER,
	    .copy_bytes = 64 * MIB};

	facts.frame_bytes[1] = open_both(0, &polled);
	check_frames("a channel", open_both(1, &sleeping), facts.frame_bytes[1]);
	open_raw(facts.frame_bytes[1]);
	measure_calls();
	measure_latency();
	measure_passing(true, series, sizeof(series) / sizeof(series[0]));
	measure_breaks(true);
	note_crossover(&facts.crossover[1]);
	close_both(0);
	close_both(1);
	check_frames("a channel", open_both(2, &lent), facts.frame_bytes[1]);
	check_frames("a channel", open_both(3, &copied), facts.frame_bytes[1]);
	measure_crossover();
	close_both(2);
	close_both(3);
	close_raw();
}

static void measure_base(void)
{
	static const enum series series[] = {SER_SEALED, SER_RING, SER_SHARED};
	const struct bench_open polled = {
	    .arena_bytes = CHANNEL_LONG, .flags = CHAN_POLLED | CHAN_BASE_FRAMES, .peers = 1};

	facts.frame_bytes[0] = open_both(0, &polled);
	open_raw(facts.frame_bytes[0]);
	measure_passing(false, series, sizeof(series) / sizeof(series[0]));
	measure_breaks(false);
	note_crossover(&facts.crossover[0]);
	close_both(0);
	close_raw();
}

void measure_all(const struct scope *sc)
{
	scope = sc;
	facts.guests = true;
	member_launch(&sender, true);
	member_launch(&receiver, false);
	facts.processors[0] = member_pin(&sender, 0);
	facts.processors[1] = member_pin(&receiver, 1);
	hosts_start(sc->peer_path, sc->huge, &facts.peer_page_bytes);
	measure_huge();
	hosts_stop();
	/* Without huge frames this would be the same once more. */
	if (facts.frame_bytes[1] > UVM_PAGE_SIZE)
		measure_base();
	member_end(&receiver);
	measure_readers(&sender);
	member_end(&sender);
}
