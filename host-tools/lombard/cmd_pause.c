/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pause and unpause, which differ in one word.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"

struct pause_options {
	char **guests;
	int nguests;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pause_options *o = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		return ARGP_ERR_UNKNOWN; /* wanted: all of them, in ARGP_KEY_ARGS */
	case ARGP_KEY_ARGS:
		o->guests = state->argv + state->next;
		o->nguests = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which GUEST? `lombard list` shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp pause_argp = {
    .parser = parse,
    .args_doc = "GUEST...",
    .doc = "Make guests stand still: when the command is done, none of their instructions "
	   "runs.\vA guest is named by its domid or its name.  Pauses count: a guest runs again "
	   "when it was unpaused as often as it was paused.",
};

static const struct argp unpause_argp = {
    .parser = parse,
    .args_doc = "GUEST...",
    .doc = "Take back one pause of each guest.\vA guest is named by its domid or its name.  It "
	   "runs again when it was unpaused as often as it was paused.",
};

static int change_one(struct client *c, const char *op, const char *guest)
{
	json_int_t domid, pauses;
	int status = CLI_FAILED;
	const char *name;
	json_t *answer;
	char *what;

	if (asprintf(&what, "%s %s", op, guest) < 0)
		return CLI_FAILED;
	if (client_call(
		c, what, json_pack("{s:s, s:o}", "op", op, "guest", cli_guest(guest)), &answer))
		goto out_what;
	if (client_unpack(what, answer, "{s:I, s:s, s:I}", "domid", &domid, "name", &name, "pauses",
		&pauses) == 0) {
		status = CLI_OK;
		/* The usual case needs no word. */
		if (pauses != (*op == 'p'))
			printf("%s: paused %lld times\n", name, (long long)pauses);
	}
	json_decref(answer);
out_what:
	free(what);
	return status;
}

static int change(struct cli *cli, const struct argp *argp, const char *op, int argc, char **argv)
{
	struct pause_options o = {0};
	int status = CLI_OK;
	struct client c;

	cli_parse(cli, CLI_PLAIN, argp, &o, argc, argv);
	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	for (int i = 0; i < o.nguests; i++)
		if (change_one(&c, op, o.guests[i]))
			status = CLI_FAILED;
	client_close(&c);
	return status;
}

int cmd_pause(struct cli *cli, int argc, char **argv)
{
	return change(cli, &pause_argp, "pause", argc, argv);
}

int cmd_unpause(struct cli *cli, int argc, char **argv)
{
	return change(cli, &unpause_argp, "unpause", argc, argv);
}
