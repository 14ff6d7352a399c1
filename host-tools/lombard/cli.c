/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "units.h"

void cli_error(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		fputs("lombard: out of memory\n", stderr);
		return;
	}
	text_make_printable(text);
	fprintf(stderr, "lombard: %s\n", text);
	free(text);
}

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
	struct cli *cli = state->input;

	if (key != 's')
		return ARGP_ERR_UNKNOWN;
	if (!*arg)
		argp_error(state, "the socket's path is empty");
	cli->socket = arg;
	return 0;
}

static const struct argp_option global_options[] = {
    {"socket", 's', "PATH", 0,
	"The cell's socket (else $LOMBARD_SOCKET, else /run/lombard/cell.sock)", -1},
    {0},
};

const struct argp cli_global_argp = {.options = global_options, .parser = parse_global};

static error_t parse_json(int key, char *arg, struct argp_state *state)
{
	struct cli *cli = state->input;

	(void)arg;
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	cli->json = true;
	return 0;
}

static const struct argp_option json_options[] = {
    {"json", 'j', NULL, 0, "Print JSON, as docs/control-protocol.md describes it", -1},
    {0},
};

static const struct argp json_argp = {.options = json_options, .parser = parse_json};

/* The root of a subcommand's parsers: hands each child its input and knows no option itself. */
struct parse_inputs {
	struct cli *cli;
	enum cli_flags flags;
	void *own;
};

static error_t parse_root(int key, char *arg, struct argp_state *state)
{
	const struct parse_inputs *in = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = in->own;
	state->child_inputs[1] = in->cli;
	if (in->flags & CLI_WITH_JSON)
		state->child_inputs[2] = in->cli;
	return 0;
}

void cli_parse(struct cli *cli, enum cli_flags flags, const struct argp *own, void *input, int argc,
    char **argv)
{
	const struct argp_child children[] = {
	    {.argp = own},
	    {.argp = &cli_global_argp},
	    {.argp = flags & CLI_WITH_JSON ? &json_argp : NULL},
	    {0},
	};
	const struct argp root = {.parser = parse_root, .children = children};
	struct parse_inputs in = {.cli = cli, .flags = flags, .own = input};

	argp_parse(&root, argc, argv, ARGP_IN_ORDER, NULL, &in);
}

static error_t parse_guests(int key, char *arg, struct argp_state *state)
{
	struct cli_guests *guests = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		return ARGP_ERR_UNKNOWN; /* wanted: all of them, in ARGP_KEY_ARGS */
	case ARGP_KEY_ARGS:
		guests->names = state->argv + state->next;
		guests->n = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which GUEST? `lombard list` shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void cli_parse_guests(struct cli *cli, enum cli_flags flags, const char *doc,
    struct cli_guests *guests, int argc, char **argv)
{
	const struct argp argp = {.parser = parse_guests, .args_doc = "GUEST...", .doc = doc};

	*guests = (struct cli_guests){0};
	cli_parse(cli, flags, &argp, guests, argc, argv);
}

void cli_parse_plain(struct cli *cli, enum cli_flags flags, const char *doc, int argc, char **argv)
{
	const struct argp own = {.doc = doc};

	cli_parse(cli, flags, &own, NULL, argc, argv);
}

int cli_print_json(json_t *answer)
{
	json_object_del(answer, "ok");
	if (json_dumpf(answer, stdout, JSON_INDENT(2)) != 0)
		return CLI_FAILED;
	putchar('\n');
	return CLI_OK;
}

json_t *cli_guest(const char *arg)
{
	uint64_t domid;

	if (arg[strspn(arg, "0123456789")] == '\0' && units_parse_number(arg, &domid) == 0)
		return json_integer((json_int_t)domid);
	return json_string(arg);
}
