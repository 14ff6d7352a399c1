/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "client.h"
#include "launch.h"

struct start_options {
	const char *group; /* or NULL */
	gid_t gid;	   /* its */
	bool xenstore;
};

static const char what[] = "greet the cell";

static void take_group(struct start_options *o, const char *name, const struct argp_state *state)
{
	const struct group *gr = getgrnam(name);

	if (!gr) {
		argp_error(state, "there is no group named %s", name);
		return;
	}
	o->group = name;
	o->gid = gr->gr_gid;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct start_options *o = state->input;

	switch (key) {
	case 'g':
		take_group(o, arg, state);
		return 0;
	case 'x':
		o->xenstore = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
    {"group", 'g', "GROUP", 0, "Let the members of this group use the cell, too", 0},
    {"xenstore", 'x', NULL, 0,
	"Run Xen's xenstored for the cell: guests and Xen's tools share one store", 0},
    {0},
};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Start a cell in the background, and wait until it answers.\vIt runs until `lombard "
	   "shutdown`.  One that runs already is left alone, and counts as success, unless it has "
	   "no xenstore and should have one, or belongs to another group than it should.",
};

/* Both after a start and when there was one already. */
static int say_running(const struct cli *cli, long pid, bool already)
{
	json_t *cell;
	int status;

	if (!cli->json) {
		printf("a cell is running at %s%s, pid %ld\n", cli->socket,
		    already ? " already" : "", pid);
		return CLI_OK;
	}
	cell = json_pack("{s:s, s:I, s:b}", "socket", cli->socket, "pid", (json_int_t)pid,
	    "started", (int)!already);
	status = cell ? cli_print_json(cell) : CLI_FAILED;
	json_decref(cell);
	return status;
}

static int greet_running(const struct cli *cli, struct client *c)
{
	json_int_t pid;
	json_t *answer;
	int status;

	if (client_call(c, what, json_pack("{s:s}", "op", "hello"), &answer))
		return CLI_FAILED;
	status = client_unpack(what, answer, "{s:I}", "pid", &pid) ? CLI_FAILED : CLI_OK;
	json_decref(answer);
	return status ? status : say_running(cli, (long)pid, true);
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

/* Is the running cell the group's that it should be? */
static int check_group(const char *socket, const struct start_options *o)
{
	struct stat st;

	if (!o->group || (stat(socket, &st) == 0 && st.st_gid == o->gid))
		return CLI_OK;
	cli_error("the cell at %s does not belong to the group %s: end it with `lombard shutdown`, "
		  "and start it again",
	    socket, o->group);
	return CLI_FAILED;
}

/* A new cell, which goes again when its store does not come up. */
static int start(const struct cli *cli, struct client *c, const struct start_options *o)
{
	const char *socket = cli->socket;
	json_t *answer;
	int status;
	long pid;

	if (launch_cell(c, socket, o->xenstore ? LAUNCH_XENSTORE : LAUNCH_PLAIN, o->group, &pid))
		return CLI_FAILED;
	if (o->xenstore && check_store(c, socket) != CLI_OK) {
		if (client_call(c, "end the cell", json_pack("{s:s}", "op", "shutdown"), &answer) ==
		    0)
			json_decref(answer);
		client_close(c);
		return CLI_FAILED;
	}
	status = say_running(cli, pid, false);
	client_close(c);
	return status;
}

int cmd_start(struct cli *cli, int argc, char **argv)
{
	struct start_options o = {0};
	int status, err;
	struct client c;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	err = client_try_open(&c, cli->socket);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return start(cli, &c, &o);
	if (err) {
		client_explain_open(cli->socket, err);
		return CLI_FAILED;
	}
	status = greet_running(cli, &c);
	if (status == CLI_OK)
		status = check_group(cli->socket, &o);
	if (status == CLI_OK && o.xenstore)
		status = check_store(&c, cli->socket);
	client_close(&c);
	return status;
}
