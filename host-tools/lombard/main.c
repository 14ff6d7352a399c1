/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "lib/version.h"

#define DEFAULT_SOCKET "/run/lombard/cell.sock"

struct command {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv);
};

static const struct command commands[] = {
    {"console", cmd_console},
    {"dump", cmd_dump},
    {"env", cmd_env},
    {"lend", cmd_lend},
    {"list", cmd_list},
    {"loans", cmd_loans},
    {"pause", cmd_pause},
    {"pipe", cmd_pipe},
    {"return", cmd_return},
    {"run", cmd_run},
    {"shutdown", cmd_shutdown},
    {"start", cmd_start},
    {"stats", cmd_stats},
    {"stop", cmd_stop},
    {"unpause", cmd_unpause},
    {"wait", cmd_wait},
    {"xen", cmd_xen},
};

static const char doc[] =
    "Launch virtual machines that lend each other memory, and watch what they lend."
    "\v"
    "Commands:\n"
    "  run       launch a guest from an ELF image\n"
    "  list      show the guests\n"
    "  stop      stop guests\n"
    "  pause     make guests stand still\n"
    "  unpause   let them run again\n"
    "  console   look at a guest's console, and type there\n"
    "  wait      wait for a guest's end\n"
    "  lend      lend pages of a file or of a guest\n"
    "  loans     show what is lent\n"
    "  return    recall a loan or give one back\n"
    "  dump      write a frozen picture of a guest's memory\n"
    "  pipe      stream a file through a channel between two guests\n"
    "  xen       run one of Xen's tools on the cell\n"
    "  env       print what `lombard xen` sets, for a shell\n"
    "  stats     show the account of every frame\n"
    "  start     start a cell in the background\n"
    "  shutdown  stop every guest, then the cell\n"
    "\n"
    "`lombard COMMAND --help` explains one of them.";

const char *argp_program_version = "lombard " LOMBARD_VERSION;

struct top {
	struct cli *cli;
	int command; /* its index in argv; 0 when there is none */
};

/* Everything from the first plain word on belongs to the command. */
static error_t parse_top(int key, char *arg, struct argp_state *state)
{
	struct top *top = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = top->cli;
		return 0;
	case ARGP_KEY_ARG:
		top->command = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char name[32];

		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		snprintf(name, sizeof(name), "lombard %s", commands[i].name);
		argv[0] = name;
		return commands[i].run(cli, argc, argv);
	}
	cli_error("there is no command '%s'; `lombard --help` lists them", argv[0]);
	return CLI_USAGE;
}

/* A closed standard descriptor would be taken by the socket, and printed into. */
static int fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd <= 2);
	close(fd);
	return 0;
}

/* What was printed must have arrived: a full disk is a failure of the command. */
static int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	cli_error("cannot write the output: %s", strerror(errno));
	return status ? status : CLI_FAILED;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {{.argp = &cli_global_argp}, {0}};
	static const struct argp argp = {
	    .parser = parse_top,
	    .args_doc = "COMMAND [ARGUMENT...]",
	    .doc = doc,
	    .children = children,
	};
	struct cli cli = {.socket = getenv("LOMBARD_SOCKET")};
	struct top top = {.cli = &cli};
	int err = fill_standard_fds();

	if (err)
		return CLI_FAILED;
	if (!cli.socket || !*cli.socket)
		cli.socket = DEFAULT_SOCKET;
	argp_err_exit_status = CLI_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &top);
	return finish_output(dispatch(&cli, argc - top.command, argv + top.command));
}
