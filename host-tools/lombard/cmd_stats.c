/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "table.h"

static const char what[] = "show the account";

struct stats_options {
	bool audit;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stats_options *o = state->input;

	(void)arg;
	if (key != 'a')
		return ARGP_ERR_UNKNOWN;
	o->audit = true;
	return 0;
}

static const struct argp_option options[] = {
    {"audit", 'a', NULL, 0, "Check the ledger's invariants too; exit status 1 when one fails", 0},
    {0},
};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Show where every frame is.\vAll figures are pages of 4 KiB, except COPIED and READ "
	   "BYTES (bytes) and MADE, RETURNED, HYPERCALLS, READS (how often).  The exit status is "
	   "1 when the ledger and the kernel disagree.  Of a channel's endpoint: the pages of its "
	   "arena and of each frame of it, peers, and messages that are sealed.",
};

/* The table of guests: one entry per column, in the order of the protocol's fields. */
static const char *const guest_headings[] = {"DOMID", "NAME", "OWNED", "LENT", "BORROWED",
    "ORPHANED", "WIRED", "MADE", "RETURNED", "BRK-WRITE", "BRK-FREE", "BRK-PAGEOUT", "BRK-BORROWER",
    "COPIED", "HYPERCALLS"};
static const char *const guest_counts[] = {
    "owned", "lent", "borrowed", "orphaned", "wired", "loans_made", "loans_returned"};
static const char *const guest_breaks[] = {"write", "free", "pageout", "borrower"};
static const char *const guest_totals[] = {"bytes_copied", "hypercalls"};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static int number_cells(struct table *t, json_t *obj, const char *const *keys, size_t nkeys)
{
	for (size_t i = 0; i < nkeys; i++) {
		json_int_t value;

		if (client_unpack(what, obj, "{s:I}", keys[i], &value))
			return CLI_FAILED;
		table_cell(t, "%lld", (long long)value);
	}
	return CLI_OK;
}

static int add_guest(struct table *t, json_t *guest)
{
	json_int_t domid;
	const char *name;
	json_t *broken;

	if (client_unpack(
		what, guest, "{s:I, s:s, s:o}", "domid", &domid, "name", &name, "broken", &broken))
		return CLI_FAILED;
	table_cell(t, "%lld", (long long)domid);
	table_cell(t, "%s", name);
	return number_cells(t, guest, guest_counts, LENGTH(guest_counts)) ||
	       number_cells(t, broken, guest_breaks, LENGTH(guest_breaks)) ||
	       number_cells(t, guest, guest_totals, LENGTH(guest_totals));
}

static int print_guests(json_t *guests)
{
	struct table *t = table_new("rlrrrrrrrrrrrrr", guest_headings);
	json_t *guest;
	int status = CLI_OK;
	size_t i;

	if (!t)
		return CLI_FAILED;
	json_array_foreach (guests, i, guest)
		if (add_guest(t, guest))
			status = CLI_FAILED;
	if (!status)
		return table_print(t) ? CLI_FAILED : CLI_OK;
	table_free(t);
	return status;
}

/* Guests that make hypercalls that are not there, if there are any.  The host makes none. */
static int print_unknown(json_t *guests)
{
	static const char *const headings[] = {"GUEST", "UNKNOWN", "LAST-HYPERCALL", "ITS-OP"};
	static const char *const counts[] = {"count", "hypercall", "op"};
	struct table *t = NULL;
	json_t *guest;
	int status = CLI_OK;
	size_t i;

	json_array_foreach (guests, i, guest) {
		json_t *unknown = json_object_get(guest, "unknown");

		if (json_integer_value(json_object_get(unknown, "count")) == 0)
			continue;
		if (!t && !(t = table_new("lrrr", headings)))
			return CLI_FAILED;
		table_cell(t, "%s", client_text(guest, "name"));
		if (number_cells(t, unknown, counts, LENGTH(counts)))
			status = CLI_FAILED;
	}
	if (!t)
		return CLI_OK;
	if (!status) {
		printf("\n");
		return table_print(t) ? CLI_FAILED : CLI_OK;
	}
	table_free(t);
	return status;
}

static int print_objects(json_t *objects)
{
	static const char *const headings[] = {
	    "OBJECT", "PAGES", "RESIDENT", "READS", "READ-BYTES"};
	static const char *const counts[] = {"pages", "resident", "reads", "bytes_read"};
	struct table *t = table_new("lrrrr", headings);
	json_t *object;
	int status = CLI_OK;
	size_t i;

	if (!t)
		return CLI_FAILED;
	json_array_foreach (objects, i, object) {
		table_cell(t, "%s", client_text(object, "name"));
		if (number_cells(t, object, counts, LENGTH(counts)))
			status = CLI_FAILED;
	}
	if (!status)
		return table_print(t) ? CLI_FAILED : CLI_OK;
	table_free(t);
	return status;
}

/* What connects has no name: a dash stands for it. */
static int add_channel(struct table *t, json_t *channel)
{
	static const char *const counts[] = {
	    "id", "domid", "arena_pages", "frame_pages", "live", "seals"};
	const char *name = client_text(channel, "name");

	table_cell(t, "%s", *name ? name : "-");
	if (number_cells(t, channel, counts, LENGTH(counts)))
		return CLI_FAILED;
	table_cell(t, "%s", json_is_true(json_object_get(channel, "closed")) ? "closed" : "open");
	return CLI_OK;
}

static int print_channels(json_t *channels)
{
	static const char *const headings[] = {
	    "CHANNEL", "ID", "DOMID", "ARENA", "FRAME", "PEERS", "SEALS", "STATE"};
	struct table *t;
	json_t *channel;
	int status = CLI_OK;
	size_t i;

	if (!json_array_size(channels))
		return CLI_OK;
	t = table_new("lrrrrrrl", headings);
	if (!t)
		return CLI_FAILED;
	json_array_foreach (channels, i, channel)
		if (add_channel(t, channel))
			status = CLI_FAILED;
	if (status) {
		table_free(t);
		return status;
	}
	status = table_print(t) ? CLI_FAILED : CLI_OK;
	putchar('\n');
	return status;
}

/* The account's last line: the ledger's sum beside the kernel's own count. */
static int print_sum(json_t *cell)
{
	json_int_t free_pages, owned, lent, orphaned, wired, total, kernel, zero;
	json_t *objects;
	int equal;

	if (client_unpack(what, cell, "{s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:I, s:b, s:I, s:o}",
		"frames", "free", &free_pages, "owned", &owned, "lent", &lent, "orphaned",
		&orphaned, "wired", &wired, "total", &total, "kernel_pages", &kernel, "equal",
		&equal, "zero_loans", &zero, "objects", &objects))
		return CLI_FAILED;
	if (json_array_size(objects)) {
		if (print_objects(objects))
			return CLI_FAILED;
		putchar('\n');
	}
	printf(
	    "zero frame: %lld loans; free: %lld frames\n", (long long)zero, (long long)free_pages);
	printf("cell: %lld owned + %lld lent + %lld orphaned + %lld wired = %lld frames; "
	       "the kernel counts %lld: %s\n",
	    (long long)owned, (long long)lent, (long long)orphaned, (long long)wired,
	    (long long)total, (long long)kernel, equal ? "equal" : "DIFFERENT");
	return equal ? CLI_OK : CLI_FAILED;
}

/* Also when the answer is printed as JSON: scripts look at the exit status. */
static int judge(json_t *cell, bool audit, bool say)
{
	json_t *findings = json_object_get(cell, "audit"), *finding;
	size_t i;

	if (!json_is_true(json_object_get(cell, "equal")))
		return CLI_FAILED;
	json_array_foreach (findings, i, finding)
		cli_error("audit: %s", json_is_string(finding) ? json_string_value(finding) : "?");
	if (audit && !json_is_array(findings)) {
		cli_error("cannot audit: the cell's answer has no findings");
		return CLI_FAILED;
	}
	if (audit && say && !json_array_size(findings))
		puts("audit: every invariant holds");
	return json_array_size(findings) ? CLI_FAILED : CLI_OK;
}

static int print_account(json_t *cell, json_t *guests, json_t *channels)
{
	if (print_guests(guests) || print_unknown(guests))
		return CLI_FAILED;
	putchar('\n');
	return print_channels(channels) ? CLI_FAILED : print_sum(cell);
}

int cmd_stats(struct cli *cli, int argc, char **argv)
{
	json_t *answer, *cell, *guests, *channels;
	struct stats_options o = {0};
	int status = CLI_FAILED;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (client_ask(cli->socket, what,
		json_pack("{s:s, s:b}", "op", "stats", "audit", (int)o.audit), &answer))
		return CLI_FAILED;
	if (client_unpack(what, answer, "{s:o, s:o, s:o}", "cell", &cell, "guests", &guests,
		"channels", &channels))
		goto out_answer;
	status = cli->json ? cli_print_json(answer) : print_account(cell, guests, channels);
	if (judge(cell, o.audit, !cli->json))
		status = CLI_FAILED;
out_answer:
	json_decref(answer);
	return status;
}
