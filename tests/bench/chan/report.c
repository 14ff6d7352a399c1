/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables. */
#include "chan.h"

#include <string.h>

#define MIB (1024ull * 1024)

static const enum series with_huge[] = {SER_SEALED, SER_SHARED, SER_SEALED_SLEEP, SER_SHARED_SLEEP,
    SER_RING, SER_HOST_RING, SER_STREAM, SER_PACKET, SER_PIPE};
static const enum series with_base[] = {SER_SEALED, SER_SHARED, SER_RING};

static const char *len_text(uint64_t len)
{
	static char buf[4][24];
	static unsigned next;
	char *s = buf[next++ % 4];

	if (len >= MIB)
		snprintf(s, sizeof(buf[0]), "%ju MiB", (uintmax_t)(len / MIB));
	else if (len >= 1024)
		snprintf(s, sizeof(buf[0]), "%ju KiB", (uintmax_t)(len / 1024));
	else
		snprintf(s, sizeof(buf[0]), "%ju B", (uintmax_t)len);
	return s;
}

static const char *frames_text(uint64_t bytes)
{
	return bytes == 2 * MIB ? "2 MiB" : "4 KiB";
}

double ratio_to_ring(const struct point *p)
{
	struct key key = p->key;
	const struct point *ring;

	key.series = SER_RING;
	ring = point_find(&key);
	return ring != NULL ? ring->median / p->median : 0;
}

static double quiet_ratio(const struct point *p)
{
	struct key key = p->key;
	const struct point *ring;

	key.series = SER_RING;
	ring = point_find(&key);
	return ring != NULL ? ring->low / p->low : 0;
}

/* A title may have two parts, which stand above each other. */
static void print_title(const char *title, unsigned line)
{
	size_t first = strcspn(title, ",:");
	const char *second = title[first] != '\0' ? title + first + 2 : "";

	if (*second == '\0')
		printf("%10s", line == 0 ? "" : title);
	else if (line == 0)
		printf("%10.*s", (int)first, title);
	else
		printf("%10s", second);
}

static void print_heading(const enum series *series, unsigned n)
{
	for (unsigned line = 0; line < 2; line++) {
		printf("%-8s", "");
		for (unsigned i = 0; i < n; i++)
			print_title(series_info[series[i]].title, line);
		printf("%s\n", line == 0 ? "  sealed / ring" : "  median   quiet");
	}
}

/* What is not moved at all has rates that say little: in short, then. */
static void print_figure(double x)
{
	printf(x < 1e5 ? "%10.3f" : "%10.1e", x);
}

static void print_row(const struct key *first, const enum series *series, unsigned n)
{
	struct key key = *first;
	const struct point *p;

	printf("%-8s", len_text(key.len));
	for (unsigned i = 0; i < n; i++) {
		key.series = series[i];
		p = point_find(&key);
		if (p == NULL)
			printf("%10s", "-");
		else
			print_figure(key.depth > 1 ? (double)key.len / p->median : p->median / 1e3);
	}
	key.series = SER_SEALED;
	p = point_find(&key);
	if (p != NULL)
		printf("%8.2f%8.2f", ratio_to_ring(p), quiet_ratio(p));
	printf("\n");
}

/* Rates at depth 8, where it matters how much gets through; times at depth 1. */
static void print_table(struct key key, const enum series *series, unsigned n)
{
	bool any = false;

	for (unsigned i = 0; i < nlens; i++) {
		key.len = lens[i];
		key.series = SER_RING;
		if (point_find(&key) == NULL)
			continue;
		if (!any) {
			printf("\n%s, depth %u, %s frames: %s\n",
			    key.touch ? "End to end" : "Transport only", key.depth,
			    frames_text(facts.frame_bytes[key.huge]),
			    key.depth > 1 ? "GB/s" : "us from sending to release");
			print_heading(series, n);
			any = true;
		}
		print_row(&key, series, n);
	}
}

static void print_passing(bool huge)
{
	static const uint32_t depths[] = {8, 1};
	struct key key = {.huge = huge};

	for (unsigned touch = 0; touch <= 1; touch++)
		for (unsigned d = 0; d < 2; d++) {
			key.touch = touch;
			key.depth = depths[d];
			if (huge)
				print_table(
				    key, with_huge, sizeof(with_huge) / sizeof(with_huge[0]));
			else
				print_table(
				    key, with_base, sizeof(with_base) / sizeof(with_base[0]));
		}
}

static void print_latency(void)
{
	struct key key = {.huge = true, .echo = true, .depth = 1, .len = 64};
	const struct point *p;

	printf("\nOne-way latency of 64 bytes, half of a round trip: median and lowest, us\n");
	for (unsigned i = 0; i < NSERIES; i++) {
		key.series = i;
		p = point_find(&key);
		if (p != NULL)
			printf("%-24s %9.3f %9.3f\n", series_info[i].title, p->median / 1e3,
			    p->low / 1e3);
	}
}

static void print_breaks(bool huge)
{
	static const uint32_t rewrites[] = {0, 10, 100};
	struct key key = {.huge = huge, .touch = true, .depth = 8};
	const struct point *p, *ring;

	if (facts.frame_bytes[huge] == 0)
		return;
	printf(
	    "\nEnd to end, depth 8, %s frames, one word of each page written again after sending:\n"
	    "us a message; in brackets, KiB copied for broken loans, a message\n%-8s",
	    frames_text(facts.frame_bytes[huge]), "");
	for (unsigned r = 0; r < 3; r++)
		printf("   sealed, %3u %%          ring", rewrites[r]);
	printf("\n");
	for (unsigned i = 0; i < nlens; i++) {
		key.len = lens[i];
		if (key.len < 64 * 1024 || key.len > 16 * MIB)
			continue;
		printf("%-8s", len_text(key.len));
		for (unsigned r = 0; r < 3; r++) {
			key.rewrite = rewrites[r];
			key.series = SER_SEALED;
			p = point_find(&key);
			key.series = SER_RING;
			ring = point_find(&key);
			if (p == NULL || ring == NULL)
				continue;
			printf("%9.1f (%6.0f)%10.1f", p->median / 1e3,
			    4.0 * (double)p->copied / (double)p->out.messages, ring->median / 1e3);
		}
		printf("\n");
	}
}

static void print_crossover_rows(void)
{
	struct key key = {.huge = true, .depth = 8};
	const struct point *lent, *copied;

	for (unsigned i = 0; i < nlens; i++) {
		key.len = lens[i];
		for (unsigned touch = 0; touch <= 1; touch++) {
			key.touch = touch;
			key.series = SER_LEND;
			lent = point_find(&key);
			key.series = SER_COPY;
			copied = point_find(&key);
			if (lent == NULL || copied == NULL)
				continue;
			if (touch == 0)
				printf("%-8s", len_text(key.len));
			printf("%18.2f%8.2f%s", lent->median / 1e3, copied->median / 1e3,
			    touch ? "\n" : "");
		}
	}
}

static void print_crossover(bool huge)
{
	const struct crossover *c = &facts.crossover[huge];

	if (facts.frame_bytes[huge] == 0)
		return;
	printf("%s frames: messages of %ju bytes and more are lent; ",
	    frames_text(facts.frame_bytes[huge]), (uintmax_t)crossover_used(c));
	if (c->measured == UINT64_MAX)
		printf("the library finds that lending never pays");
	else
		printf("the library finds that lending pays from %ju bytes on",
		    (uintmax_t)c->measured);
	printf(", and the receiver takes copies of up to %ju\n", (uintmax_t)c->most);
}

static void print_crossovers(void)
{
	printf("\nThe crossover\n");
	print_crossover(true);
	print_crossover(false);
	printf("Measured: the lines cross at %ju bytes (transport), %ju bytes (end to end)\n"
	       "Depth 8, us a message:\n%-8s%26s%26s\n",
	    (uintmax_t)crossover_seen(false), (uintmax_t)crossover_seen(true), "",
	    "transport: lent  copied", "end to end: lent  copied");
	print_crossover_rows();
}

static void print_readers(void)
{
	printf(
	    "\nOne lend of %ju MiB, memory in use by channel and readers' ends, MiB\n%8s%10s%10s\n",
	    (uintmax_t)(facts.readers[0].arena * UVM_PAGE_SIZE / MIB), "readers", "ledger",
	    "kernel");
	for (unsigned i = 0; i < facts.nreaders; i++) {
		const struct readers *rd = &facts.readers[i];

		printf("%8u%10.2f%10.2f%s\n", rd->readers, (double)rd->ledger * UVM_PAGE_SIZE / MIB,
		    (double)rd->kernel * UVM_PAGE_SIZE / MIB,
		    rd->equal ? "" : "  (the sums differ)");
	}
}

static void print_facts(void)
{
	static const char *const names[BENCH_SELVES] = {"sealed", "shared", "memcpy ring"};

	printf("frames:  %s; the host processes' memory: pages of %s\n",
	    facts.frame_bytes[1] > UVM_PAGE_SIZE ? "2 MiB, and 4 KiB beside them"
						 : "4 KiB: there are no free huge pages",
	    frames_text(facts.peer_page_bytes));
	if (facts.processors[0] >= 0 && facts.processors[1] >= 0)
		printf("pinned:  the sender to processor %d, the receiver to %d\n",
		    facts.processors[0], facts.processors[1]);
	printf("calls:   exit %.1f us, call of the core %.1f us, CHANOP_reap %.1f us (lowest)\n",
	    (double)facts.calls[CALL_EXIT] / 1e3, (double)facts.calls[CALL_CORE] / 1e3,
	    (double)facts.calls[CALL_REAP] / 1e3);
	printf("code:    sending + receiving 64 bytes within one guest, ns:");
	for (unsigned i = 0; i < BENCH_SELVES; i++)
		printf("%s %s %.1f + %.1f", i == 0 ? "" : ",", names[i],
		    (double)facts.self[i][0] / 1e3, (double)facts.self[i][1] / 1e3);
	printf("\n");
}

void report_tables(void)
{
	if (!facts.guests)
		return;
	print_facts();
	printf("\nMedians.  \"sealed / ring\" is how many times as fast as the memcpy ring the "
	       "sealed\n"
	       "channel is; \"quiet\" is the same of the best rounds.\n");
	print_latency();
	print_passing(true);
	print_passing(false);
	print_breaks(true);
	print_breaks(false);
	print_crossovers();
	print_readers();
}
