/* SPDX-License-Identifier: BSD-2-Clause */
/* What has been measured. */
#include "chan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POINTS 2048u

const struct series_info series_info[NSERIES] = {
    [SER_SEALED] = {"sealed", "sealed", VIA_SEALED, 0, false},
    [SER_SHARED] = {"shared", "shared", VIA_SHARED, 0, false},
    [SER_SEALED_SLEEP] = {"sealed-sleeping", "sealed, sleeping", VIA_SEALED, 1, false},
    [SER_SHARED_SLEEP] = {"shared-sleeping", "shared, sleeping", VIA_SHARED, 1, false},
    [SER_LEND] = {"always-lent", "always lent", VIA_SEALED, 2, false},
    [SER_COPY] = {"always-copied", "always copied", VIA_SEALED, 3, false},
    [SER_RING] = {"ring", "ring", VIA_RING, -1, false},
    [SER_WORD] = {"word", "a word", VIA_WORD, -1, false},
    [SER_HOST_RING] = {"host-ring", "host: ring", VIA_RING, -1, true},
    [SER_STREAM] = {"host-stream", "host: stream", VIA_STREAM, -1, true},
    [SER_PACKET] = {"host-packet", "host: packet", VIA_PACKET, -1, true},
    [SER_PIPE] = {"host-pipe", "host: pipe", VIA_PIPE, -1, true},
    [SER_HOST_WORD] = {"host-word", "host: a word", VIA_WORD, -1, true},
};

#define KIB 1024ull
#define MIB (1024 * KIB)
const uint64_t lens[] = {64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 2 * MIB,
    4 * MIB, 16 * MIB, 64 * MIB};
const unsigned nlens = sizeof(lens) / sizeof(lens[0]);

struct facts facts;
static struct point points[MAX_POINTS];
static unsigned npoints;

static bool same(const struct key *a, const struct key *b)
{
	return a->series == b->series && a->huge == b->huge && a->touch == b->touch &&
	       a->echo == b->echo && a->depth == b->depth && a->rewrite == b->rewrite &&
	       a->len == b->len;
}

static struct point *find(const struct key *key)
{
	for (unsigned i = 0; i < npoints; i++)
		if (same(&points[i].key, key))
			return &points[i];
	return NULL;
}

static struct point *get(const struct key *key)
{
	struct point *p = find(key);

	if (p != NULL)
		return p;
	if (npoints == MAX_POINTS)
		bench_die("too many points");
	p = &points[npoints++];
	p->key = *key;
	return p;
}

static void sum(struct bench_result *to, const struct bench_result *r)
{
	to->messages += r->messages;
	to->ns += r->ns;
	to->rewritten += r->rewritten;
	to->lent += r->lent;
	to->copied += r->copied;
	to->seals += r->seals;
	to->reaps += r->reaps;
	to->refreshes += r->refreshes;
	to->notifies += r->notifies;
	to->sleeps += r->sleeps;
	for (unsigned i = 0; i < BENCH_PHASES; i++)
		to->phase[i] += r->phase[i];
}

void point_add(const struct key *key, const struct bench_result *out, const struct bench_result *in,
    uint64_t broken, uint64_t copied)
{
	struct point *p = get(key);

	if (out->messages == 0 || out->messages != in->messages)
		bench_die("%s: %ju messages sent, %ju received", series_info[key->series].title,
		    (uintmax_t)out->messages, (uintmax_t)in->messages);
	/* Who writes again before a copied message is taken has sent what he wrote last. */
	if (out->wrong + in->wrong != 0 && (key->rewrite == 0 || out->copied == 0))
		bench_die("%s: %ju messages of %ju bytes were not what was sent",
		    series_info[key->series].title, (uintmax_t)(out->wrong + in->wrong),
		    (uintmax_t)key->len);
	if (p->rounds == MAX_ROUNDS)
		bench_die("too many rounds");
	p->ns[p->rounds++] = (double)out->ns / (double)out->messages / (key->echo ? 2.0 : 1.0);
	sum(&p->out, out);
	sum(&p->in, in);
	p->broken += broken;
	p->copied += copied;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void points_done(void)
{
	for (struct point *p = points; p < points + npoints; p++) {
		qsort(p->ns, p->rounds, sizeof(p->ns[0]), compare);
		p->median = p->ns[p->rounds / 2];
		p->low = p->ns[p->rounds / 10];
	}
}

const struct point *point_find(const struct key *key)
{
	return find(key);
}

const struct point *point_at(unsigned i)
{
	return i < npoints ? &points[i] : NULL;
}

uint64_t crossover_used(const struct crossover *c)
{
	return c->measured <= c->most ? c->measured : c->most + 1;
}

/* How much longer lending takes than copying, as a logarithm; NAN: not measured. */
static double lending_loss(struct key key, uint64_t len)
{
	const struct point *lent, *copied;

	key.len = len;
	key.series = SER_LEND;
	lent = find(&key);
	key.series = SER_COPY;
	copied = find(&key);
	return lent != NULL && copied != NULL ? log(lent->median / copied->median) : NAN;
}

/* Lines are straight on logarithmic scales. */
uint64_t crossover_seen(bool touch)
{
	const struct key key = {.huge = true, .touch = touch, .depth = 8};
	double before, here;

	for (unsigned i = 1; i < nlens; i++) {
		before = lending_loss(key, lens[i - 1]);
		here = lending_loss(key, lens[i]);
		if (before > 0 && here <= 0)
			return (uint64_t)exp(log((double)lens[i - 1]) +
					     (log((double)lens[i]) - log((double)lens[i - 1])) *
						 before / (before - here));
	}
	return 0;
}
