/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures for other programs: one file with all that is known, and one for each plot. */
#include "chan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static FILE *create(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL)
		bench_die("can't write %s: %m", path);
	return f;
}

static void finish(FILE *f, const char *dir)
{
	if (ferror(f) || fclose(f) != 0)
		bench_die("can't write to %s: %m", dir);
}

static void write_result(FILE *f, const struct bench_result *r)
{
	for (unsigned i = 0; i < BENCH_PHASES; i++)
		fprintf(f, ",%ju", (uintmax_t)r->phase[i]);
	fprintf(f, ",%ju,%ju,%ju,%ju,%ju,%ju,%ju", (uintmax_t)r->lent, (uintmax_t)r->copied,
	    (uintmax_t)r->seals, (uintmax_t)r->reaps, (uintmax_t)r->refreshes,
	    (uintmax_t)r->notifies, (uintmax_t)r->sleeps);
}

static void write_all(const char *dir)
{
	FILE *f = create(dir, "channels.csv");
	const struct point *p;

	fprintf(f,
	    "series,frames,what,depth,rewrite_percent,bytes,rounds,median_ns,lowest_ns,messages,"
	    "broken_pages,copied_pages");
	for (unsigned side = 0; side < 2; side++) {
		const char *s = side == 0 ? "sender" : "receiver";

		fprintf(f,
		    ",%s_wait_ns,%s_touch_ns,%s_call_ns,%s_rewrite_ns,%s_lent,%s_copied,%s_seals,"
		    "%s_reaps,%s_refreshes,%s_notifies,%s_sleeps",
		    s, s, s, s, s, s, s, s, s, s, s);
	}
	fprintf(f, "\n");
	for (unsigned i = 0; (p = point_at(i)) != NULL; i++) {
		fprintf(f, "%s,%s,%s,%u,%u,%ju,%u,%.1f,%.1f,%ju,%ju,%ju",
		    series_info[p->key.series].name, p->key.huge ? "huge" : "base",
		    p->key.echo	   ? "echo"
		    : p->key.touch ? "end-to-end"
				   : "transport",
		    p->key.depth, p->key.rewrite, (uintmax_t)p->key.len, p->rounds, p->median,
		    p->low, (uintmax_t)p->out.messages, (uintmax_t)p->broken, (uintmax_t)p->copied);
		write_result(f, &p->out);
		write_result(f, &p->in);
		fprintf(f, "\n");
	}
	finish(f, dir);
}

static void write_readers(const char *dir)
{
	FILE *f = create(dir, "channel-readers.csv");

	fprintf(f, "readers,arena_pages,ledger_pages,kernel_pages\n");
	for (unsigned i = 0; i < facts.nreaders; i++)
		fprintf(f, "%u,%ju,%ju,%ju\n", facts.readers[i].readers,
		    (uintmax_t)facts.readers[i].arena, (uintmax_t)facts.readers[i].ledger,
		    (uintmax_t)facts.readers[i].kernel);
	finish(f, dir);
}

/* Series of the plots; a field stays empty where there is no figure. */
static const enum series plotted[] = {SER_SEALED, SER_SHARED, SER_SEALED_SLEEP, SER_SHARED_SLEEP,
    SER_RING, SER_HOST_RING, SER_STREAM, SER_PACKET, SER_PIPE};
#define NPLOTTED (sizeof(plotted) / sizeof(plotted[0]))

/* Rows of median ns a message by length. */
static void write_rows(FILE *f, struct key key, const enum series *series, unsigned n)
{
	const struct point *p;

	fprintf(f, "bytes");
	for (unsigned i = 0; i < n; i++)
		fprintf(f, ",%s", series_info[series[i]].name);
	fprintf(f, "\n");
	for (unsigned l = 0; l < nlens; l++) {
		key.len = lens[l];
		fprintf(f, "%ju", (uintmax_t)key.len);
		for (unsigned i = 0; i < n; i++) {
			key.series = series[i];
			p = point_find(&key);
			if (p != NULL)
				fprintf(f, ",%.1f", p->median);
			else
				fprintf(f, ",");
		}
		fprintf(f, "\n");
	}
}

static bool any_point(struct key key)
{
	for (unsigned l = 0; l < nlens; l++) {
		key.len = lens[l];
		if (point_find(&key) != NULL)
			return true;
	}
	return false;
}

static void write_plots(const char *dir)
{
	char name[128];
	FILE *f;

	for (unsigned i = 0; i < 8; i++) {
		const struct key key = {.series = SER_SEALED,
		    .huge = (i & 1) == 0,
		    .touch = i >> 1 & 1,
		    .depth = i & 4 ? 1 : 8};

		if (!any_point(key))
			continue;
		snprintf(name, sizeof(name), "plot-%s-%s-depth%u.csv",
		    key.touch ? "end-to-end" : "transport",
		    facts.frame_bytes[key.huge] > UVM_PAGE_SIZE ? "huge" : "base", key.depth);
		f = create(dir, name);
		write_rows(f, key, plotted, NPLOTTED);
		finish(f, dir);
	}
}

static void write_crossover(const char *dir)
{
	static const enum series series[] = {SER_LEND, SER_COPY, SER_SEALED};
	FILE *f = create(dir, "plot-crossover.csv");

	write_rows(f, (struct key){.huge = true, .touch = true, .depth = 8}, series, 3);
	finish(f, dir);
	/* For the plots: with huge frames, with 4 KiB frames, and where the lines cross. */
	f = create(dir, "crossover.txt");
	fprintf(f, "%ju %ju %ju\n", (uintmax_t)crossover_used(&facts.crossover[1]),
	    (uintmax_t)crossover_used(&facts.crossover[0]), (uintmax_t)crossover_seen(true));
	finish(f, dir);
}

void report_csv(const char *dir)
{
	if (mkdir(dir, 0777) != 0 && errno != EEXIST)
		bench_die("can't make %s: %m", dir);
	write_all(dir);
	if (!facts.guests)
		return;
	write_readers(dir);
	write_plots(dir);
	write_crossover(dir);
}
