/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "table.h"

static const char what[] = "list the loans";

/* A borrower is a domid, or "any". */
static void borrower_cell(struct table *t, const json_t *borrower)
{
	if (json_is_string(borrower))
		table_cell(t, "%s", json_string_value(borrower));
	else if (json_integer_value(borrower) == 0)
		table_cell(t, "host");
	else
		table_cell(t, "%lld", (long long)json_integer_value(borrower));
}

static void lender_cell(struct table *t, json_int_t lender)
{
	if (lender == 0)
		table_cell(t, "host");
	else
		table_cell(t, "%lld", (long long)lender);
}

static int add_loan(struct table *t, json_t *loan)
{
	json_int_t id, lender, pages, bytes, tag, windows;
	const char *kind;
	json_t *borrower;
	int recalled;

	if (client_unpack(what, loan, "{s:I, s:I, s:o, s:s, s:I, s:I, s:I, s:I, s:b}", "id", &id,
		"lender", &lender, "borrower", &borrower, "kind", &kind, "pages", &pages, "bytes",
		&bytes, "tag", &tag, "windows", &windows, "recalled", &recalled))
		return CLI_FAILED;
	table_cell(t, "%lld", (long long)id);
	lender_cell(t, lender);
	borrower_cell(t, borrower);
	table_cell(t, "%s", strcmp(kind, "anon") == 0 ? "copy-on-write" : "read-only");
	table_cell(t, "%lld", (long long)pages);
	table_cell(t, "%lld", (long long)bytes);
	table_cell(t, "%#llx", (unsigned long long)tag);
	table_cell(t, "%lld", (long long)windows);
	table_cell(t, "%s", recalled ? "recalled" : "offered");
	return CLI_OK;
}

static int print_loans(json_t *answer)
{
	static const char *const headings[] = {
	    "ID", "LENDER", "BORROWER", "KIND", "PAGES", "BYTES", "TAG", "WINDOWS", "STATE"};
	struct table *t = table_new("rlllrrrrl", headings);
	json_t *loans, *loan;
	size_t i;
	int status;

	if (!t)
		return CLI_FAILED;
	status = client_unpack(what, answer, "{s:o}", "loans", &loans) ? CLI_FAILED : CLI_OK;
	if (!status)
		json_array_foreach (loans, i, loan)
			if (add_loan(t, loan))
				status = CLI_FAILED;
	if (!status)
		return table_print(t) ? CLI_FAILED : CLI_OK;
	table_free(t);
	return status;
}

/* One answer: its loans go to the others, *last is the last one's number, *more: it was not all. */
static int ask_some(struct client *c, json_t *all, json_int_t *last, int *more)
{
	json_t *answer, *loans;
	int err;

	err = client_call(c, what, json_pack("{s:s, s:I}", "op", "loans", "above", *last), &answer);
	if (err)
		return err;
	err = client_unpack(what, answer, "{s:o, s:b}", "loans", &loans, "more", more);
	if (!err && *more)
		err = client_unpack(
		    what, json_array_get(loans, json_array_size(loans) - 1), "{s:I}", "id", last);
	if (!err && json_array_extend(all, loans))
		err = -ENOMEM;
	json_decref(answer);
	return err;
}

/* => NULL after an error */
static json_t *ask_all(const char *path)
{
	json_t *all;
	json_int_t last = 0;
	int more = 1;
	struct client c;

	if (client_open(&c, path))
		return NULL;
	all = json_array();
	while (more) {
		if (ask_some(&c, all, &last, &more)) {
			json_decref(all);
			all = NULL;
			break;
		}
	}
	client_close(&c);
	return all ? json_pack("{s:o, s:b}", "loans", all, "ok", 1) : NULL;
}

int cmd_loans(struct cli *cli, int argc, char **argv)
{
	json_t *answer;
	int status;

	cli_parse_plain(cli, CLI_WITH_JSON,
	    "Show what is lent in the cell.\vWINDOWS counts the places where a loan is borrowed "
	    "now; a recalled one vanishes with its last window.",
	    argc, argv);
	answer = ask_all(cli->socket);
	if (!answer)
		return CLI_FAILED;
	status = cli->json ? cli_print_json(answer) : print_loans(answer);
	json_decref(answer);
	return status;
}
