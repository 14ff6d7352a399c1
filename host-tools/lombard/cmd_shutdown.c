/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"

#define GONE_TIMEOUT_MS 30000

static const char what[] = "shut the cell down";

/* Taken before the cell is asked to end, so that its number cannot mean another process. */
static int open_process(struct client *c, int *pidfd)
{
	json_int_t pid;
	json_t *answer;
	int err;

	err = client_call(c, what, json_pack("{s:s}", "op", "hello"), &answer);
	if (err)
		return err;
	err = client_unpack(what, answer, "{s:I}", "pid", &pid);
	json_decref(answer);
	if (err)
		return err;
	*pidfd = pidfd_open((pid_t)pid, 0);
	return 0;
}

/* The process's end when we can watch it, else the connection's. */
static int wait_gone(struct client *c, int pidfd)
{
	struct pollfd pfd = {.fd = pidfd >= 0 ? pidfd : c->fd, .events = POLLIN};
	int n;

	do {
		n = poll(&pfd, 1, GONE_TIMEOUT_MS);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return CLI_OK;
	cli_error("cannot %s: it stopped its guests but is still there after %d s; see %s.log",
	    what, GONE_TIMEOUT_MS / 1000, c->path);
	return CLI_FAILED;
}

int cmd_shutdown(struct cli *cli, int argc, char **argv)
{
	int status = CLI_FAILED, pidfd = -1;
	struct client c;
	json_t *answer;

	cli_parse_plain(cli, CLI_PLAIN,
	    "Stop every guest, then the cell.\vIt returns when the cell's process is gone.", argc,
	    argv);
	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	if (open_process(&c, &pidfd))
		goto out_client;
	if (client_call(&c, what, json_pack("{s:s}", "op", "shutdown"), &answer))
		goto out_client;
	json_decref(answer);
	status = wait_gone(&c, pidfd);
out_client:
	if (pidfd >= 0)
		close(pidfd);
	client_close(&c);
	return status;
}
