/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_CLI_H
#define LOMBARD_CLI_CLI_H
/*
 * What every part of the `lombard` command shares: exit statuses, messages, options that all
 * subcommands take, and the subcommands themselves.
 */
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#define CLI_PAGE_SIZE 4096U

/* Exit statuses; `run` and `wait` pass a guest's own status on (docs/control-protocol.md). */
enum cli_status {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_GUEST_CRASHED = 124,
	CLI_GUEST_ERROR = 125,
	CLI_GUEST_STOPPED = 126,
};

/* Options that stand before or after the subcommand. */
struct cli {
	const char *socket; /* the cell's socket; never NULL */
	bool json;	    /* print the cell's answer instead of a text for people */
};

/*
 * Print "lombard: ", the message and a newline on stderr.  Control characters become '?': parts of
 * the message may come from a guest, and a terminal would obey them.
 */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The global options alone; its input is a struct cli. */
extern const struct argp cli_global_argp;

enum cli_flags { CLI_PLAIN = 0, CLI_WITH_JSON = 1 };

/*
 * Parse one subcommand's arguments with its own argp (which gets `input`) and the common options
 * (which go to `cli`); --json is one of them with CLI_WITH_JSON.  Ends the process with CLI_USAGE
 * after a wrong argument, and with 0 after --help.
 */
void cli_parse(struct cli *cli, enum cli_flags flags, const struct argp *own, void *input, int argc,
    char **argv);

/* cli_parse_guests: parse a subcommand that takes guests, at least one, and the common options. */
struct cli_guests {
	char **names; /* of argv */
	int n;
};
void cli_parse_guests(struct cli *cli, enum cli_flags flags, const char *doc,
    struct cli_guests *guests, int argc, char **argv);

/* Parse a subcommand that takes nothing but the common options. */
void cli_parse_plain(struct cli *cli, enum cli_flags flags, const char *doc, int argc, char **argv);

/* The object as indented JSON on stdout, without the `ok` of the protocol; an exit status. */
int cli_print_json(json_t *answer);

/* A guest as the user named it: a domid when all digits, else a name.  New reference or NULL. */
json_t *cli_guest(const char *arg);

/* Subcommands: argv[0] is "lombard NAME"; each returns the exit status. */
int cmd_console(struct cli *cli, int argc, char **argv);
int cmd_dump(struct cli *cli, int argc, char **argv);
int cmd_env(struct cli *cli, int argc, char **argv);
int cmd_lend(struct cli *cli, int argc, char **argv);
int cmd_list(struct cli *cli, int argc, char **argv);
int cmd_loans(struct cli *cli, int argc, char **argv);
int cmd_pause(struct cli *cli, int argc, char **argv);
int cmd_pipe(struct cli *cli, int argc, char **argv);
int cmd_return(struct cli *cli, int argc, char **argv);
int cmd_run(struct cli *cli, int argc, char **argv);
int cmd_shutdown(struct cli *cli, int argc, char **argv);
int cmd_start(struct cli *cli, int argc, char **argv);
int cmd_stats(struct cli *cli, int argc, char **argv);
int cmd_stop(struct cli *cli, int argc, char **argv);
int cmd_unpause(struct cli *cli, int argc, char **argv);
int cmd_wait(struct cli *cli, int argc, char **argv);
int cmd_xen(struct cli *cli, int argc, char **argv);

#endif
