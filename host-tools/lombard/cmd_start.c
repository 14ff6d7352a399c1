/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "launch.h"

static const char what[] = "greet the cell";

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

int cmd_start(struct cli *cli, int argc, char **argv)
{
	int status = CLI_OK, err;
	struct client c;
	long pid;

	cli_parse_plain(cli, CLI_PLAIN,
	    "Start a cell in the background, and wait until it answers.\vIt runs until `lombard "
	    "shutdown`.  One that runs already is left alone, and counts as success.",
	    argc, argv);
	err = client_try_open(&c, cli->socket);
	if (!err) {
		status = greet_running(&c);
		goto out_client;
	}
	if (err != -ENOENT && err != -ECONNREFUSED) {
		client_explain_open(cli->socket, err);
		return CLI_FAILED;
	}
	if (launch_cell(&c, cli->socket, false, &pid))
		return CLI_FAILED;
	printf("a cell is running at %s, pid %ld\n", cli->socket, pid);
out_client:
	client_close(&c);
	return status;
}
