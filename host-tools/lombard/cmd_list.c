/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cell knows of its guests, and what libxenctrl knows of those that are domains to Xen.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "table.h"
#include "units.h"
#include "xenctl.h"

static const char what[] = "list the guests";

/* ---- putting both together ---- */

static int compare(const void *key, const void *element)
{
	const struct xenctl_domain *d = element;
	json_int_t domid = *(const json_int_t *)key;

	return (domid > d->domid) - (domid < d->domid);
}

static int add_facts(json_t *guest, const char *state, const struct xenctl_domain *d)
{
	json_t *facts = json_pack("{s:s, s:I, s:I, s:I, s:f}", "state", state, "vcpus",
	    (json_int_t)d->vcpus, "used", (json_int_t)(d->pages * CLI_PAGE_SIZE), "shared",
	    (json_int_t)(d->shared * CLI_PAGE_SIZE), "cpu", (double)d->cpu_ns / 1e9);
	int failed = json_object_update(guest, facts);

	json_decref(facts);
	return failed;
}

/* *keep: false when it has ended since the cell was asked */
static int complete(json_t *guest, const struct xenctl_domain *domains, size_t n, bool *keep)
{
	static const struct xenctl_domain no_domain;
	const struct xenctl_domain *d = &no_domain;
	int program, starting;
	json_int_t domid;

	if (client_unpack(what, guest, "{s:I, s:b, s:b}", "domid", &domid, "program", &program,
		"starting", &starting))
		return CLI_FAILED;
	if (!program)
		d = bsearch(&domid, domains, n, sizeof(*domains), compare);
	*keep = d != NULL;
	if (!d)
		return CLI_OK;
	/* To Xen, who has not begun is paused; what it knows nothing of runs. */
	return add_facts(guest, starting ? "starting" : program ? "running" : d->state, d);
}

static int complete_all(json_t *guests, const struct xenctl_domain *domains, size_t n)
{
	size_t i = 0;
	bool keep;

	while (i < json_array_size(guests)) {
		if (complete(json_array_get(guests, i), domains, n, &keep))
			return CLI_FAILED;
		if (keep)
			i++;
		else
			json_array_remove(guests, i);
	}
	return CLI_OK;
}

/* Without domains nobody need be asked for them. */
static bool any_domain(json_t *guests)
{
	json_t *guest;
	size_t i;

	json_array_foreach (guests, i, guest)
		if (!json_is_true(json_object_get(guest, "program")))
			return true;
	return false;
}

static int add_what_xen_knows(const char *socket, json_t *guests)
{
	struct xenctl_domain *domains = NULL;
	int err, status = CLI_FAILED;
	struct xenctl x;
	size_t n = 0;

	xenctl_init(&x, socket);
	if (any_domain(guests)) {
		if (xenctl_open(&x, what))
			return CLI_FAILED;
		err = xenctl_domains(&x, &domains, &n);
		if (err) {
			xenctl_explain(&x, what, err);
			goto out_close;
		}
	}
	status = complete_all(guests, domains, n);
	free(domains);
out_close:
	xenctl_close(&x);
	return status;
}

/* ---- printing ---- */

/* A host program's memory and time are its own affair. */
static void add_usage(struct table *t, bool program, json_int_t used, double cpu)
{
	char text[UNITS_TEXT_LEN];

	table_cell(t, "%s", program ? "" : units_format_size(text, (uint64_t)used));
	if (program)
		table_cell(t, "%s", "");
	else
		table_cell(t, "%.1fs", cpu);
}

static int add_guest(struct table *t, json_t *guest)
{
	char memory_text[UNITS_TEXT_LEN], age_text[UNITS_TEXT_LEN];
	json_int_t domid, pid, memory, vcpus, used;
	const char *name, *state, *image;
	double age, cpu;
	int program;

	if (client_unpack(what, guest, "{s:I, s:s, s:I, s:s, s:I, s:I, s:s, s:F, s:b, s:I, s:F}",
		"domid", &domid, "name", &name, "pid", &pid, "state", &state, "memory", &memory,
		"vcpus", &vcpus, "image", &image, "age", &age, "program", &program, "used", &used,
		"cpu", &cpu))
		return CLI_FAILED;
	units_format_age(age_text, age > 0 && age < 1e15 ? (uint64_t)age : 0);
	units_format_size(memory_text, (uint64_t)memory);
	table_cell(t, "%lld", (long long)domid);
	table_cell(t, "%s", name);
	table_cell(t, "%s", state);
	table_cell(t, "%lld", (long long)pid);
	table_cell(t, "%s", memory_text);
	table_cell(t, "%lld", (long long)vcpus);
	add_usage(t, program, used, cpu);
	table_cell(t, "%s", age_text);
	table_cell(t, "%s", image);
	table_cell(t, "%s", client_text(guest, "console"));
	return CLI_OK;
}

static int print_guests(json_t *guests)
{
	static const char *const headings[] = {"DOMID", "NAME", "STATE", "PID", "MEMORY", "VCPUS",
	    "USED", "CPU", "AGE", "IMAGE", "CONSOLE"};
	struct table *t = table_new("rllrrrrrrll", headings);
	int status = CLI_OK;
	json_t *guest;
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

int cmd_list(struct cli *cli, int argc, char **argv)
{
	json_t *answer, *guests;
	int status = CLI_FAILED;

	cli_parse_plain(cli, CLI_WITH_JSON,
	    "Show the guests of the cell.\vMEMORY is what a guest was given, USED what it takes of "
	    "it, CPU the time of its process.  CONSOLE is the file that a detached guest prints "
	    "to.",
	    argc, argv);
	if (client_ask(cli->socket, what, json_pack("{s:s}", "op", "list"), &answer))
		return CLI_FAILED;
	if (client_unpack(what, answer, "{s:o}", "guests", &guests) == 0 &&
	    add_what_xen_knows(cli->socket, guests) == CLI_OK)
		status = cli->json ? cli_print_json(answer) : print_guests(guests);
	json_decref(answer);
	return status;
}
