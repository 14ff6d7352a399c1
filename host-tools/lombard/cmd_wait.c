/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "exit_event.h"

struct wait_options {
	const char *guest;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct wait_options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->guest)
			argp_error(state, "%s: one GUEST at a time", arg);
		o->guest = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which GUEST? `lombard list` shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "GUEST",
    .doc = "Wait until a guest ends, print why, and exit with its status.\vThe status is the one "
	   "that `lombard run` would have given.  Guests that have ended lately count too.",
};

/* The event itself is the answer, unless there is no such guest. */
static int take_event(struct cli *cli, const char *what, json_t *packet)
{
	struct exit_event event;

	if (!exit_event_p(packet) && client_check(what, packet))
		return CLI_FAILED;
	if (exit_event_parse(what, packet, &event))
		return CLI_FAILED;
	if (!cli->json)
		exit_event_print(&event);
	else if (cli_print_json(packet))
		return CLI_FAILED;
	return event.status;
}

static int wait_guest(struct cli *cli, const char *guest, const char *what)
{
	int status = CLI_FAILED;
	struct client c;
	json_t *packet;

	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	if (client_send(&c, what, json_pack("{s:s, s:o}", "op", "wait", "guest", cli_guest(guest)),
		NULL, 0))
		goto out_client;
	if (client_recv(&c, what, &packet))
		goto out_client;
	status = take_event(cli, what, packet);
	json_decref(packet);
out_client:
	client_close(&c);
	return status;
}

int cmd_wait(struct cli *cli, int argc, char **argv)
{
	struct wait_options o = {0};
	int status;
	char *what;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (asprintf(&what, "wait for %s", o.guest) < 0)
		return CLI_FAILED;
	status = wait_guest(cli, o.guest, what);
	free(what);
	return status;
}
