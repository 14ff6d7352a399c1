/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "xen_env.h"

/* As env(1) and the shells have it. */
enum { NOT_RUN = 126, NOT_FOUND = 127 };

struct xen_options {
	char **command; /* NULL at its end */
};

/* Everything from the first plain word on is the command's. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xen_options *o = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		o->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which COMMAND? for example: lombard xen xl list");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Run a program that was built for Xen on the cell.\vIts libraries of Xen's are "
	   "replaced by Lombard's.  Xen's own tools are found in /usr/lib/xen-VERSION/bin, "
	   "whatever PATH "
	   "says.  The exit status is the command's.",
};

/* Somebody may have started an xenstored by hand: that is where it listens. */
static bool store_by_hand(void)
{
	const char *dir = getenv("XENSTORED_RUNDIR");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/socket", dir != NULL ? dir : "/var/run/xenstored");
	return access(path, F_OK) == 0;
}

static bool wants_store(const char *command)
{
	const char *slash = strrchr(command, '/'), *name = slash != NULL ? slash + 1 : command;

	return strcmp(name, "xl") == 0 || strcmp(name, "xentop") == 0 ||
	       strncmp(name, "xenstore-", 9) == 0;
}

/*
 * Programs that find no Xen often crash: better say first that there is no cell.  And what they say
 * without a xenstore does not tell that it has died, or how to have one.
 */
static int check_cell(const char *socket, const char *command)
{
	json_t *answer;
	int err = client_ask(
	    socket, "ask for the cell's xenstore", json_pack("{s:s}", "op", "xenstore"), &answer);

	if (err)
		return err;
	if (strcmp(client_text(answer, "state"), "ended") == 0)
		cli_error("%s", client_text(answer, "message"));
	else if (strcmp(client_text(answer, "state"), "none") == 0 && wants_store(command) &&
		 !store_by_hand())
		cli_error("the cell has no xenstore, which %s wants: `lombard start --xenstore` "
			  "starts a cell with one",
		    command);
	json_decref(answer);
	return 0;
}

/*
 * libxl keeps lock files there, and Xen's packages make it only where Xen runs.  Who may not make it
 * gets told by the tool that misses it.
 */
static void make_run_directory(void)
{
	if (mkdir("/var/run/xen", 0755) < 0 && errno != EEXIST && geteuid() == 0)
		cli_error("cannot make /var/run/xen: %s", strerror(errno));
}

static int set_environment(const struct xen_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		if (setenv(env->vars[i].name, env->vars[i].value, 1) < 0)
			return -errno;
	return 0;
}

int cmd_xen(struct cli *cli, int argc, char **argv)
{
	struct xen_options o = {0};
	struct xen_env env;
	int err;

	cli_parse(cli, CLI_PLAIN, &argp, &o, argc, argv);
	if (check_cell(cli->socket, o.command[0]) || xen_env_make(&env, cli->socket))
		return CLI_FAILED;
	err = set_environment(&env);
	xen_env_drop(&env);
	if (!err) {
		make_run_directory();
		execvp(o.command[0], o.command);
		err = -errno;
	}
	cli_error("cannot run %s: %s%s", o.command[0], strerror(-err),
	    err == -ENOENT ? "; Xen's tools are in the packages xen-utils-4.17 and xenstore-utils"
			   : "");
	return err == -ENOENT ? NOT_FOUND : NOT_RUN;
}

static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*text);
	putchar('\'');
}

int cmd_env(struct cli *cli, int argc, char **argv)
{
	struct xen_env env;

	cli_parse_plain(cli, CLI_PLAIN,
	    "Print what `lombard xen` sets in the environment, for a shell to evaluate.\vAfter\n\n"
	    "  eval \"$(lombard env)\"\n\n"
	    "programs that were built for Xen find the cell by themselves.",
	    argc, argv);
	if (xen_env_make(&env, cli->socket))
		return CLI_FAILED;
	for (size_t i = 0; i < env.n; i++) {
		printf("export %s=", env.vars[i].name);
		print_quoted(env.vars[i].value);
		putchar('\n');
	}
	xen_env_drop(&env);
	return CLI_OK;
}
