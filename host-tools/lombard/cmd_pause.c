/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pause and unpause, which differ in one word.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"

static const char pause_doc[] =
    "Make guests stand still: when the command is done, none of their instructions runs.\vA guest "
    "is named by its domid or its name.  Pauses count: a guest runs again when it was unpaused as "
    "often as it was paused.";

static const char unpause_doc[] =
    "Take back one pause of each guest.\vA guest is named by its domid or its name.  It runs again "
    "when it was unpaused as often as it was paused.";

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

static int change(struct cli *cli, const char *doc, const char *op, int argc, char **argv)
{
	struct cli_guests guests;
	int status = CLI_OK;
	struct client c;

	cli_parse_guests(cli, CLI_PLAIN, doc, &guests, argc, argv);
	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	for (int i = 0; i < guests.n; i++)
		if (change_one(&c, op, guests.names[i]))
			status = CLI_FAILED;
	client_close(&c);
	return status;
}

int cmd_pause(struct cli *cli, int argc, char **argv)
{
	return change(cli, pause_doc, "pause", argc, argv);
}

int cmd_unpause(struct cli *cli, int argc, char **argv)
{
	return change(cli, unpause_doc, "unpause", argc, argv);
}
