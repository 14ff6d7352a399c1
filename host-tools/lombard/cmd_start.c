/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "launch.h"

struct start_options {
	bool xenstore;
};

static const char what[] = "greet the cell";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct start_options *o = state->input;

	(void)arg;
	switch (key) {
	case 'x':
		o->xenstore = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
    {"xenstore", 'x', NULL, 0,
	"Run Xen's xenstored for the cell: guests and Xen's tools share one store", 0},
    {0},
};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Start a cell in the background, and wait until it answers.\vIt runs until `lombard "
	   "shutdown`.  One that runs already is left alone, and counts as success, unless it has "
	   "no xenstore and should have one.",
};

static int greet_running(struct client *c)
{
	json_int_t pid;
	json_t *answer;
	int err;

	if (client_call(c, what, json_pack("{s:s}", "op", "hello"), &answer))
		return CLI_FAILED;
	err = client_unpack(what, answer, "{s:I}", "pid", &pid);
	if (!err)
		printf("a cell is running at %s already, pid %lld\n", c->path, (long long)pid);
	json_decref(answer);
	return err ? CLI_FAILED : CLI_OK;
}

/* Wait until its store is there, or will not be. */
static int check_store(struct client *c, const char *socket)
{
	static const char asks[] = "ask for the cell's xenstore";
	json_t *answer;
	const char *state;
	int status = CLI_OK;

	if (client_call(c, asks, json_pack("{s:s, s:b}", "op", "xenstore", "wait", 1), &answer))
		return CLI_FAILED;
	state = client_text(answer, "state");
	if (strcmp(state, "none") == 0) {
		cli_error("the cell at %s runs without a xenstore: end it with `lombard shutdown`, "
			  "and start it again",
		    socket);
		status = CLI_FAILED;
	} else if (strcmp(state, "running") != 0) {
		cli_error("no xenstore: %s (%s.log may say more)", client_text(answer, "message"),
		    socket);
		status = CLI_FAILED;
	}
	json_decref(answer);
	return status;
}

/* A new cell, which goes again when its store does not come up. */
static int start(struct client *c, const char *socket, const struct start_options *o)
{
	json_t *answer;
	long pid;

	if (launch_cell(c, socket, o->xenstore ? LAUNCH_XENSTORE : LAUNCH_PLAIN, &pid))
		return CLI_FAILED;
	if (o->xenstore && check_store(c, socket) != CLI_OK) {
		if (client_call(c, "end the cell", json_pack("{s:s}", "op", "shutdown"), &answer) ==
		    0)
			json_decref(answer);
		client_close(c);
		return CLI_FAILED;
	}
	printf("a cell is running at %s, pid %ld\n", socket, pid);
	client_close(c);
	return CLI_OK;
}

int cmd_start(struct cli *cli, int argc, char **argv)
{
	struct start_options o = {0};
	int status, err;
	struct client c;

	cli_parse(cli, CLI_PLAIN, &argp, &o, argc, argv);
	err = client_try_open(&c, cli->socket);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return start(&c, cli->socket, &o);
	if (err) {
		client_explain_open(cli->socket, err);
		return CLI_FAILED;
	}
	status = greet_running(&c);
	if (status == CLI_OK && o.xenstore)
		status = check_store(&c, cli->socket);
	client_close(&c);
	return status;
}
