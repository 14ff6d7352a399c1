/* SPDX-License-Identifier: BSD-2-Clause */
/* Which aims are met, and where the time goes. */
#include "chan.h"

#define MIB (1024ull * 1024)

/* What an exit costs on bare metal, more or less. */
#define BARE_EXIT_NS 1000.0

#define AIM_AT_2M 3.0
#define AIM_AT_16M 10.0
#define AIM_END_TO_END 1.3
#define AIM_ALWAYS 0.9
#define AIM_LATENCY 2.0
#define AIM_SHARED 10.0
#define AIM_READERS 1.2

static void say(bool met, const char *what)
{
	printf("%s  %s", met ? "met    " : "NOT MET", what);
}

/* ---- what bare metal would change: computed, not measured ---- */

static uint64_t exits(const struct bench_result *r)
{
	return r->seals + r->reaps + r->refreshes + r->notifies + r->sleeps;
}

/*
 * With one message under way both sides' exits are waited for; with more, those of the side that has
 * more of them.  What faults would cost less is left out.
 */
static double bare_ns(const struct point *p)
{
	double out = (double)exits(&p->out), in = (double)exits(&p->in);
	double waited = p->key.depth == 1 || p->key.echo ? out + in : out > in ? out : in;
	double each = (double)facts.calls[CALL_EXIT] - BARE_EXIT_NS;

	return p->median - (each > 0 ? each : 0) * waited / (double)p->out.messages;
}

/* ---- profiles ---- */

static double each_us(uint64_t ns, const struct point *p)
{
	return (double)ns / (double)p->out.messages / 1e3;
}

static void print_profile(const struct point *p)
{
	const struct bench_result *out = &p->out, *in = &p->in;
	char len[32];

	if (p->key.len >= MIB)
		snprintf(len, sizeof(len), "%ju MiB", (uintmax_t)(p->key.len / MIB));
	else
		snprintf(len, sizeof(len), "%ju KiB", (uintmax_t)(p->key.len / 1024));
	printf("%-12s%-7s%2u %-8s%9.1f |%8.1f%8.1f%8.1f |%8.1f%8.1f%8.1f |%7.2f%7.2f |%9.1f\n",
	    series_info[p->key.series].name, p->key.touch ? "e2e" : "transp", p->key.depth, len,
	    p->median / 1e3, each_us(out->phase[PHASE_WAIT], p),
	    each_us(out->phase[PHASE_TOUCH], p), each_us(out->phase[PHASE_CALL], p),
	    each_us(in->phase[PHASE_WAIT], p), each_us(in->phase[PHASE_TOUCH], p),
	    each_us(in->phase[PHASE_CALL], p), (double)exits(out) / (double)out->messages,
	    (double)exits(in) / (double)out->messages, bare_ns(p) / 1e3);
}

static void print_rows(struct key key)
{
	static const enum series series[] = {SER_SEALED, SER_LEND, SER_RING};
	static const uint64_t chosen[] = {64 * 1024, 2 * MIB, 16 * MIB};
	const struct point *p;

	for (unsigned l = 0; l < sizeof(chosen) / sizeof(chosen[0]); l++)
		for (unsigned s = 0; s < sizeof(series) / sizeof(series[0]); s++) {
			key.series = series[s];
			key.len = chosen[l];
			p = point_find(&key);
			if (p != NULL)
				print_profile(p);
		}
}

static void print_profiles(bool huge)
{
	static const uint32_t depths[] = {8, 1};

	if (facts.frame_bytes[huge] == 0)
		return;
	printf(
	    "\nWhere the time goes with %s frames: us a message, means; exits a message; and the\n"
	    "median on bare metal, computed: at 1 us an exit\n",
	    facts.frame_bytes[huge] > UVM_PAGE_SIZE ? "2 MiB" : "4 KiB");
	printf("%29s%9s |%24s |%24s |%14s |%9s\n", "", "", "sender", "receiver", "exits", "bare");
	printf("%29s%9s |%8s%8s%8s |%8s%8s%8s |%7s%7s |%9s\n", "", "median", "wait", "write",
	    "send", "wait", "read", "release", "sender", "recvr", "metal");
	for (unsigned d = 0; d < 2; d++)
		for (unsigned touch = 0; touch <= 1; touch++)
			print_rows((struct key){.huge = huge, .touch = touch, .depth = depths[d]});
}

/* ---- aims ---- */

static const struct point *worst_ratio(bool touch_only, uint32_t depth, uint64_t from)
{
	struct key key = {.huge = true, .series = SER_SEALED, .depth = depth};
	const struct point *p, *worst = NULL;

	for (unsigned touch = touch_only; touch <= 1; touch++)
		for (unsigned i = 0; i < nlens; i++) {
			key.touch = touch;
			key.len = lens[i];
			p = lens[i] >= from ? point_find(&key) : NULL;
			if (p != NULL && (worst == NULL || ratio_to_ring(p) < ratio_to_ring(worst)))
				worst = p;
		}
	return worst;
}

static void verdict_at(enum series series, uint64_t len, double aim)
{
	const struct key key = {.huge = true, .series = series, .depth = 8, .len = len};
	const struct key always = {.huge = true, .series = SER_LEND, .depth = 8, .len = len};
	const struct point *p = point_find(&key), *lent;

	if (p == NULL)
		return;
	say(ratio_to_ring(p) >= aim, series_info[series].title);
	printf(", polled, depth 8, transport only: >= %.0f times the memcpy ring at %ju MiB: %.2f "
	       "times",
	    aim, (uintmax_t)(len / MIB), ratio_to_ring(p));
	lent = point_find(&always);
	if (lent != NULL && p->out.copied != 0)
		printf(" (copied; if lent: %.2f times)", ratio_to_ring(lent));
	printf("\n");
}

static void verdict_worst(
    const char *what, bool touch_only, uint32_t depth, uint64_t from, double aim)
{
	const struct point *p = worst_ratio(touch_only, depth, from);

	if (p == NULL)
		return;
	say(ratio_to_ring(p) >= aim, what);
	printf(" >= %.1f times the memcpy ring; worst: %.2f times, %ju bytes, %s\n", aim,
	    ratio_to_ring(p), (uintmax_t)p->key.len,
	    p->key.touch ? "end to end" : "transport only");
}

static void verdict_latency(void)
{
	struct key key = {.huge = true, .echo = true, .depth = 1, .len = 64, .series = SER_SHARED};
	const struct point *shared = point_find(&key), *threads, *guests;

	key.series = SER_HOST_WORD;
	threads = point_find(&key);
	key.series = SER_WORD;
	guests = point_find(&key);
	if (shared == NULL || threads == NULL || guests == NULL)
		return;
	say(shared->median <= AIM_LATENCY * threads->median, "shared, polled: one-way latency");
	printf(" <= %.0f times a bare ping-pong of host threads: %.2f times (quiet: %.2f); of one "
	       "between guests: %.2f times\n",
	    AIM_LATENCY, shared->median / threads->median, shared->low / threads->low,
	    shared->median / guests->median);
}

static void verdict_readers(void)
{
	const struct readers *one = &facts.readers[0], *many = &facts.readers[facts.nreaders - 1];
	double ratio;

	if (facts.nreaders < 2)
		return;
	ratio = (double)many->ledger / (double)one->ledger;
	say(ratio <= AIM_READERS, "one lend:");
	printf(" %u readers <= %.1f times the memory of one: %.3f times\n", many->readers,
	    AIM_READERS, ratio);
}

void report_verdict(void)
{
	if (!facts.guests)
		return;
	print_profiles(true);
	print_profiles(false);
	printf("\n");
	verdict_at(SER_SEALED, 2 * MIB, AIM_AT_2M);
	verdict_at(SER_SEALED, 16 * MIB, AIM_AT_16M);
	verdict_worst("sealed, polled, depth 8, end to end, from 4 MiB on:", true, 8, 4 * MIB,
	    AIM_END_TO_END);
	verdict_worst("sealed, polled, depth 8, any length:", false, 8, 0, AIM_ALWAYS);
	verdict_worst("sealed, polled, depth 1, any length:", false, 1, 0, AIM_ALWAYS);
	verdict_latency();
	verdict_at(SER_SHARED, 2 * MIB, AIM_SHARED);
	verdict_readers();
}
