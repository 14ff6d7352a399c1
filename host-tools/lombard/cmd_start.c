/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "launch.h"

static const char what[] = "greet the cell";

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

int cmd_start(struct cli *cli, int argc, char **argv)
{
	int status = CLI_OK, err;
	struct client c;
	long pid;

	cli_parse_plain(cli, CLI_WITH_JSON,
	    "Start a cell in the background, and wait until it answers.\vIt runs until `lombard "
	    "shutdown`.  One that runs already is left alone, and counts as success.",
	    argc, argv);
	err = client_try_open(&c, cli->socket);
	if (!err) {
		status = greet_running(cli, &c);
		goto out_client;
	}
	if (err != -ENOENT && err != -ECONNREFUSED) {
		client_explain_open(cli->socket, err);
		return CLI_FAILED;
	}
	if (launch_cell(&c, cli->socket, false, &pid))
		return CLI_FAILED;
	status = say_running(cli, pid, false);
out_client:
	client_close(&c);
	return status;
}
