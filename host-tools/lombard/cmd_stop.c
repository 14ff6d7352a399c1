/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "exit_event.h"

static const char doc[] = "Stop guests at once, and wait until they are gone.\vA guest is named by "
			  "its domid or its name. "
			  " What it had lent keeps its bytes for its borrowers.";

/* => ends: where the exit events are gathered; NULL: print each */
static int take_end(const char *what, json_t *answer, json_t *ends)
{
	struct exit_event event;

	if (exit_event_parse(what, answer, &event))
		return CLI_FAILED;
	if (!ends) {
		exit_event_print(&event);
		return CLI_OK;
	}
	json_object_del(answer, "ok");
	return json_array_append(ends, answer) ? CLI_FAILED : CLI_OK;
}

static int stop_one(struct client *c, const char *guest, json_t *ends)
{
	int status = CLI_FAILED;
	json_t *answer;
	char *what;

	if (asprintf(&what, "stop %s", guest) < 0)
		return CLI_FAILED;
	if (client_call(c, what,
		json_pack("{s:s, s:o, s:b}", "op", "stop", "guest", cli_guest(guest), "force", 1),
		&answer))
		goto out_what;
	status = take_end(what, answer, ends);
	json_decref(answer);
out_what:
	free(what);
	return status;
}

/* Those that could not be stopped are told, and are missing from the list. */
static int print_ends(json_t *ends)
{
	json_t *all = json_pack("{s:O}", "guests", ends);
	int status = all ? cli_print_json(all) : CLI_FAILED;

	json_decref(all);
	return status;
}

int cmd_stop(struct cli *cli, int argc, char **argv)
{
	struct cli_guests guests;
	json_t *ends = NULL;
	int status = CLI_OK;
	struct client c;

	cli_parse_guests(cli, CLI_WITH_JSON, doc, &guests, argc, argv);
	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	if (cli->json)
		ends = json_array();
	for (int i = 0; i < guests.n; i++)
		if (stop_one(&c, guests.names[i], ends))
			status = CLI_FAILED;
	if (cli->json && print_ends(ends))
		status = CLI_FAILED;
	json_decref(ends);
	client_close(&c);
	return status;
}
