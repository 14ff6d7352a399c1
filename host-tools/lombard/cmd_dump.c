/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "find.h"
#include "lombard/loan.h"
#include "picture.h"
#include "sink.h"
#include "units.h"

#define PROGRESS_FROM_PAGES 16384U /* 64 MiB: less is over before anybody reads it */
#define LONGEST_HOLD 86400U	   /* seconds */

struct dump_options {
	const char *guest;
	const char *output;
	uint64_t loan, gfn, pages, hold;
	bool has_loan, has_gfn, has_pages, has_hold;
};

/* One reading of the picture: the first one writes, the second one compares. */
struct reading {
	const struct picture *picture;
	struct sink *sink; /* NULL in the second */
	uint64_t *sums;	   /* one per page; NULL without --hold */
	uint64_t zero_pages;
	uint64_t changed;
	bool progress;
	unsigned percent;
};

static const struct argp_option options[] = {
    {"gfn", 'g', "GFN", 0, "First guest page (0)", 0},
    {"pages", 'p', "N", 0, "How many pages (to the end of the guest's memory there)", 0},
    {"loan", 'l', "ID", 0, "Read this loan, made to the host or to anyone", 0},
    {"output", 'o', "FILE", 0, "Write to FILE, zero pages as holes; - is stdout", 0},
    {"hold", 'H', "SECONDS", 0, "Keep the picture, read it again then, and compare", 0},
    {0},
};

static void take_number(
    const char *arg, const char *option, uint64_t *value, bool *has, struct argp_state *state)
{
	if (units_parse_number(arg, value))
		argp_error(state, "%s %s: not a number", option, arg);
	*has = true;
}

static void check(const struct dump_options *o, struct argp_state *state)
{
	if (!o->guest == !o->has_loan)
		argp_error(state, "give a GUEST or --loan ID");
	if (o->has_loan && (o->has_gfn || o->has_pages))
		argp_error(state, "--loan reads the whole loan: --gfn and --pages go with a GUEST");
	if (o->has_pages && !o->pages)
		argp_error(state, "--pages 0: nothing to dump");
	if (o->hold > LONGEST_HOLD)
		argp_error(state, "--hold: at most %u seconds", LONGEST_HOLD);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct dump_options *o = state->input;

	switch (key) {
	case 'g':
		take_number(arg, "--gfn", &o->gfn, &o->has_gfn, state);
		return 0;
	case 'p':
		take_number(arg, "--pages", &o->pages, &o->has_pages, state);
		return 0;
	case 'l':
		take_number(arg, "--loan", &o->loan, &o->has_loan, state);
		return 0;
	case 'H':
		take_number(arg, "--hold", &o->hold, &o->has_hold, state);
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->guest)
			argp_error(state, "%s: one GUEST at a time", arg);
		o->guest = arg;
		return 0;
	case ARGP_KEY_END:
		check(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "GUEST\n--loan ID",
    .doc = "Write a picture of a guest's memory as it is at one moment.\vThe guest lends the "
	   "range to the host and goes on running: what it writes meanwhile is not in the "
	   "picture.  With --hold the exit status is 1 when the picture changed.",
};

/* Any change of a single word changes the sum: each step is a bijection of the state. */
static uint64_t page_sum(const void *page)
{
	uint64_t sum = 0xcbf29ce484222325U, word;

	for (size_t i = 0; i < CLI_PAGE_SIZE; i += sizeof(word)) {
		memcpy(&word, (const char *)page + i, sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15U;
		sum ^= sum >> 32;
	}
	return sum;
}

static void take_sums(struct reading *r, uint64_t first, uint64_t pages, const void *data)
{
	static const char zero_page[CLI_PAGE_SIZE];

	for (uint64_t i = 0; i < pages; i++) {
		const char *page = data ? (const char *)data + i * CLI_PAGE_SIZE : zero_page;
		uint64_t sum = page_sum(page);

		if (r->sink)
			r->sums[first + i] = sum;
		else if (r->sums[first + i] != sum)
			r->changed++;
	}
}

static void show_progress(struct reading *r, uint64_t done)
{
	unsigned percent = (unsigned)(done * 100 / r->picture->pages);

	if (!r->progress || percent == r->percent)
		return;
	r->percent = percent;
	fprintf(stderr, "\rlombard: %3u %%%s", percent, percent == 100 ? "\n" : "");
}

/* The last page of a lent file is written up to the file's end. */
static uint64_t bytes_until(const struct picture *p, uint64_t page)
{
	uint64_t bytes = page * CLI_PAGE_SIZE;

	return bytes < p->bytes ? bytes : p->bytes;
}

static int read_run(void *arg, uint64_t first, uint64_t pages, const void *data)
{
	struct reading *r = arg;
	uint64_t len = bytes_until(r->picture, first + pages) - bytes_until(r->picture, first);
	int err = 0;

	if (!data)
		r->zero_pages += pages;
	if (r->sink && data)
		err = sink_write(r->sink, data, len);
	else if (r->sink)
		err = sink_zeroes(r->sink, len);
	if (err)
		return err;
	if (r->sums)
		take_sums(r, first, pages, data);
	show_progress(r, first + pages);
	return 0;
}

/* How many pages of this much memory lie from gfn on in one piece; 0: there is none at gfn. */
static uint64_t pages_from(uint64_t gfn, uint64_t memory)
{
	uint64_t low = memory < LOMBARD_LOW_PAGES ? memory : LOMBARD_LOW_PAGES;

	if (gfn < low)
		return low - gfn;
	if (gfn < LOMBARD_HIGH_GFN || gfn - LOMBARD_HIGH_GFN >= memory - low)
		return 0;
	return memory - low - (gfn - LOMBARD_HIGH_GFN);
}

static void say_more(const struct dump_options *o, uint64_t memory)
{
	if (o->gfn < LOMBARD_LOW_PAGES && memory > LOMBARD_LOW_PAGES)
		fprintf(stderr, "lombard: %s has %llu pages more, from --gfn %u on\n", o->guest,
		    (unsigned long long)(memory - LOMBARD_LOW_PAGES), LOMBARD_HIGH_GFN);
}

/* How many pages lie from the first one to the end of the guest's memory there. */
static int find_pages(struct client *c, const struct dump_options *o, uint64_t *pages)
{
	uint64_t all;
	struct found g;
	char *what;
	int err;

	if (asprintf(&what, "dump %s", o->guest) < 0)
		return -ENOMEM;
	err = find_guest(c, what, o->guest, &g);
	free(what);
	if (err)
		return err;
	all = g.memory / CLI_PAGE_SIZE;
	find_drop(&g);
	*pages = pages_from(o->gfn, all);
	if (*pages == 0) {
		cli_error("cannot dump %s: its memory has %llu pages, --gfn must be below that",
		    o->guest, (unsigned long long)all);
		return -ERANGE;
	}
	say_more(o, all);
	return 0;
}

/* Have the guest lend the range to the host: from here on its bytes stand still for us. */
static int take_picture(struct client *c, const struct dump_options *o, struct picture *p)
{
	static const char what[] = "take the picture";
	json_int_t id, pages, bytes;
	uint64_t npages = o->pages;
	json_t *answer;
	int err;

	if (!o->has_pages) {
		err = find_pages(c, o, &npages);
		if (err)
			return err;
	}
	err = client_call(c, what,
	    json_pack("{s:s, s:o, s:I, s:I, s:i, s:s}", "op", "lend", "from", cli_guest(o->guest),
		"gfn", (json_int_t)o->gfn, "pages", (json_int_t)npages, "to", 0, "kind", "page"),
	    &answer);
	if (err)
		return err;
	err = client_unpack(
	    what, answer, "{s:I, s:I, s:I}", "id", &id, "pages", &pages, "bytes", &bytes);
	if (!err)
		err = picture_init(p, c, id, pages, bytes);
	json_decref(answer);
	return err;
}

static int find_loan(struct client *c, uint64_t id, struct picture *p)
{
	static const char what[] = "find the loan";
	json_int_t number, pages, bytes;
	json_t *answer, *loans, *loan;
	int err;

	/* If it exists, it is the first above the one before. */
	err = client_call(c, what,
	    json_pack("{s:s, s:I}", "op", "loans", "above",
		id > 0 && id <= INT64_MAX ? (json_int_t)(id - 1) : 0),
	    &answer);
	if (err)
		return err;
	err = client_unpack(what, answer, "{s:o}", "loans", &loans);
	loan = err ? NULL : json_array_get(loans, 0);
	if (loan)
		err = client_unpack(
		    what, loan, "{s:I, s:I, s:I}", "id", &number, "pages", &pages, "bytes", &bytes);
	if (!err && (!loan || (uint64_t)number != id)) {
		err = -ENOENT;
		cli_error(
		    "cannot dump loan %llu: there is no such loan; `lombard loans` lists them",
		    (unsigned long long)id);
	}
	if (!err)
		err = picture_init(p, c, number, pages, bytes);
	json_decref(answer);
	return err;
}

static int give_back(struct client *c, const struct picture *p)
{
	json_t *answer;
	int err;

	err = client_call(c, "return the picture",
	    json_pack("{s:s, s:I}", "op", "return", "id", (json_int_t)p->id), &answer);
	json_decref(answer);
	return err;
}

static int write_picture(struct reading *r, const char *output)
{
	char size[UNITS_TEXT_LEN];
	struct sink sink;
	int err, close_err;

	err = sink_open(&sink, output);
	if (err)
		return err;
	r->sink = &sink;
	err = picture_walk(r->picture, read_run, r);
	close_err = sink_close(&sink);
	r->sink = NULL;
	if (!err)
		err = close_err;
	if (err)
		return err;
	cli_error("wrote %llu pages, %s; %llu pages of them were never used (zeroes)",
	    (unsigned long long)r->picture->pages, units_format_size(size, r->picture->bytes),
	    (unsigned long long)r->zero_pages);
	return 0;
}

static int compare_later(struct reading *r, uint64_t seconds)
{
	struct timespec left = {.tv_sec = (time_t)seconds};
	int err;

	fflush(stdout);
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	r->percent = 0;
	err = picture_walk(r->picture, read_run, r);
	if (err)
		return err;
	if (r->changed) {
		cli_error("the picture changed: %llu of %llu pages differ after %llu s",
		    (unsigned long long)r->changed, (unsigned long long)r->picture->pages,
		    (unsigned long long)seconds);
		return -EIO;
	}
	cli_error("read again after %llu s: all %llu pages are the same",
	    (unsigned long long)seconds, (unsigned long long)r->picture->pages);
	return 0;
}

static int dump_picture(const struct picture *p, const struct dump_options *o)
{
	struct reading r = {
	    .picture = p,
	    .progress = p->pages >= PROGRESS_FROM_PAGES && isatty(STDERR_FILENO),
	};
	int err;

	if (o->has_hold) {
		r.sums = calloc(p->pages, sizeof(*r.sums));
		if (!r.sums) {
			cli_error("cannot dump: memory is short");
			return -ENOMEM;
		}
	}
	err = write_picture(&r, o->output);
	if (!err && o->has_hold)
		err = compare_later(&r, o->hold);
	free(r.sums);
	return err;
}

int cmd_dump(struct cli *cli, int argc, char **argv)
{
	struct dump_options o = {0};
	struct picture p;
	struct client c;
	int err;

	cli_parse(cli, CLI_PLAIN, &argp, &o, argc, argv);
	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	err = o.has_loan ? find_loan(&c, o.loan, &p) : take_picture(&c, &o, &p);
	if (err)
		goto out_client;
	err = dump_picture(&p, &o);
	if (o.guest && give_back(&c, &p) && !err)
		err = -EIO;
out_client:
	client_close(&c);
	return err ? CLI_FAILED : CLI_OK;
}
