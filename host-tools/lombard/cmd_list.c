/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "table.h"
#include "units.h"

static const char what[] = "list the guests";

static int add_guest(struct table *t, json_t *guest)
{
	char memory_text[UNITS_TEXT_LEN], age_text[UNITS_TEXT_LEN];
	json_int_t domid, pid, memory, vcpus;
	const char *name, *state, *image;
	double age;

	if (client_unpack(what, guest, "{s:I, s:s, s:I, s:s, s:I, s:I, s:s, s:F}", "domid", &domid,
		"name", &name, "pid", &pid, "state", &state, "memory", &memory, "vcpus", &vcpus,
		"image", &image, "age", &age))
		return CLI_FAILED;
	units_format_age(age_text, age > 0 && age < 1e15 ? (uint64_t)age : 0);
	units_format_size(memory_text, (uint64_t)memory);
	table_cell(t, "%lld", (long long)domid);
	table_cell(t, "%s", name);
	table_cell(t, "%s", state);
	table_cell(t, "%lld", (long long)pid);
	table_cell(t, "%s", memory_text);
	table_cell(t, "%lld", (long long)vcpus);
	table_cell(t, "%s", age_text);
	table_cell(t, "%s", image);
	table_cell(t, "%s", client_text(guest, "console"));
	return CLI_OK;
}

static int print_guests(json_t *answer)
{
	static const char *const headings[] = {
	    "DOMID", "NAME", "STATE", "PID", "MEMORY", "VCPUS", "AGE", "IMAGE", "CONSOLE"};
	struct table *t = table_new("rllrrrrll", headings);
	json_t *guests, *guest;
	size_t i;
	int status;

	if (!t)
		return CLI_FAILED;
	status = client_unpack(what, answer, "{s:o}", "guests", &guests) ? CLI_FAILED : CLI_OK;
	if (!status)
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
	json_t *answer;
	int status;

	cli_parse_plain(cli, CLI_WITH_JSON,
	    "Show the guests of the cell.\vCONSOLE is the file that a detached guest prints to.",
	    argc, argv);
	if (client_ask(cli->socket, what, json_pack("{s:s}", "op", "list"), &answer))
		return CLI_FAILED;
	status = cli->json ? cli_print_json(answer) : print_guests(answer);
	json_decref(answer);
	return status;
}
