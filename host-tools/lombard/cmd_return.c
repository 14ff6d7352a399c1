/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "units.h"

static const char what[] = "return the loan";

struct return_options {
	uint64_t id;
	bool has_id;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct return_options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->has_id)
			argp_error(state, "%s: one loan at a time", arg);
		if (units_parse_number(arg, &o->id) || !o->id)
			argp_error(state, "%s: a loan is a number, see `lombard loans`", arg);
		o->has_id = true;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which loan? `lombard loans` lists them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "ID",
    .doc = "Recall a loan, whoever made it.\vNobody can borrow it any more; what is borrowed "
	   "already keeps its bytes until it is returned.",
};

static int print_windows(json_t *answer, uint64_t id)
{
	json_int_t windows;

	if (client_unpack(what, answer, "{s:I}", "windows", &windows))
		return CLI_FAILED;
	if (windows)
		printf("loan %llu: recalled; %lld windows are still borrowed\n",
		    (unsigned long long)id, (long long)windows);
	else
		printf("loan %llu: returned\n", (unsigned long long)id);
	return CLI_OK;
}

int cmd_return(struct cli *cli, int argc, char **argv)
{
	struct return_options o = {0};
	json_t *answer;
	int status;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (client_ask(cli->socket, what,
		json_pack("{s:s, s:I}", "op", "return", "id", (json_int_t)o.id), &answer))
		return CLI_FAILED;
	status = cli->json ? cli_print_json(answer) : print_windows(answer, o.id);
	json_decref(answer);
	return status;
}
