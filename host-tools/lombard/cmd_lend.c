/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "units.h"

static const char what[] = "lend the pages";

struct lend_options {
	const char *file;
	const char *from;
	const char *to;
	bool cow;
	uint64_t gfn, first, pages, tag;
	bool has_gfn, has_first, has_pages, has_tag;
};

static const struct argp_option options[] = {
    {"file", 'F', "FILE", 0, "Lend pages of this host file", 1},
    {"first", 'S', "PAGE", 0, "First page of the file to lend (0)", 1},
    {"from", 'f', "GUEST", 0, "Lend this guest's memory (domid or name)", 2},
    {"gfn", 'g', "GFN", 0, "First guest page to lend", 2},
    {"to", 't', "GUEST", 0, "The borrower: a guest, `any`, or `host` for a guest's memory", 3},
    {"pages", 'p', "N", 0, "How many pages (of a file: to its end)", 3},
    {"cow", 'c', NULL, 0, "A borrower that writes gets a copy (else it may only read)", 3},
    {"tag", 'T', "NUMBER", 0, "Shown to the borrower (0)", 3},
    {0},
};

static void take_number(
    const char *arg, const char *option, uint64_t *value, bool *has, struct argp_state *state)
{
	int err = units_parse_number(arg, value);

	if (err == -ERANGE)
		argp_error(state, "%s %s: more than 0x7fffffffffffffff", option, arg);
	if (err)
		argp_error(state, "%s %s: not a number", option, arg);
	*has = true;
}

/* One source, its range, one borrower. */
static void check(const struct lend_options *o, struct argp_state *state)
{
	if (!o->file == !o->from)
		argp_error(state, "give --file FILE or --from GUEST");
	if (!o->to)
		argp_error(state, "who borrows? give --to GUEST, or --to any");
	if (o->has_pages && !o->pages)
		argp_error(state, "--pages 0: nothing to lend");
	if (o->from && (!o->has_gfn || !o->has_pages || o->has_first))
		argp_error(state, "--from goes with --gfn GFN --pages N");
	if (o->file && o->has_gfn)
		argp_error(
		    state, "--gfn goes with --from; a file's range is --first PAGE --pages N");
	if (o->file && o->to && strcmp(o->to, "host") == 0)
		argp_error(state, "the host has the file already: lend it to a guest or to `any`");
}

static error_t parse_number_option(
    struct lend_options *o, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'S':
		take_number(arg, "--first", &o->first, &o->has_first, state);
		return 0;
	case 'g':
		take_number(arg, "--gfn", &o->gfn, &o->has_gfn, state);
		return 0;
	case 'p':
		take_number(arg, "--pages", &o->pages, &o->has_pages, state);
		return 0;
	case 'T':
		take_number(arg, "--tag", &o->tag, &o->has_tag, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct lend_options *o = state->input;

	switch (key) {
	case 'F':
		o->file = arg;
		return 0;
	case 'f':
		o->from = arg;
		return 0;
	case 't':
		o->to = arg;
		return 0;
	case 'c':
		o->cow = true;
		return 0;
	case ARGP_KEY_END:
		check(o, state);
		return 0;
	default:
		return parse_number_option(o, key, arg, state);
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "--file FILE --to GUEST\n--from GUEST --gfn GFN --pages N --to GUEST",
    .doc = "Lend pages of a host file or of a guest, and print the loan's number.\vA page keeps "
	   "the bytes it has now for as long as it is lent, whatever its owner does.  A loan "
	   "to the host lasts as long as this command, which then waits for Ctrl-C.",
};

static json_t *borrower(const char *to)
{
	if (strcmp(to, "host") == 0)
		return json_integer(0);
	return cli_guest(to);
}

static json_t *make_request(const struct lend_options *o)
{
	json_t *request = json_pack("{s:s, s:o, s:s}", "op", "lend", "to", borrower(o->to), "kind",
	    o->cow ? "anon" : "page");
	int err = 0;

	if (o->from) {
		err |= json_object_set_new(request, "from", cli_guest(o->from));
		err |= json_object_set_new(request, "gfn", json_integer((json_int_t)o->gfn));
	} else {
		err |= json_object_set_new(request, "first", json_integer((json_int_t)o->first));
	}
	if (o->has_pages)
		err |= json_object_set_new(request, "pages", json_integer((json_int_t)o->pages));
	if (o->has_tag)
		err |= json_object_set_new(request, "tag", json_integer((json_int_t)o->tag));
	if (err) {
		json_decref(request);
		return NULL;
	}
	return request;
}

static int open_file(const char *path, int *fd)
{
	int err;

	/* Not to wait for a FIFO's writer: the cell refuses what is no regular file. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		return 0;
	err = -errno;
	cli_error("cannot open %s: %s", path, strerror(-err));
	return err;
}

/* The cell lends what there is; who has said how much he wants may rely on that. */
static int check_range(const struct lend_options *o, int fd)
{
	uint64_t pages;
	struct stat st;

	if (!o->has_pages || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	pages = ((uint64_t)st.st_size + CLI_PAGE_SIZE - 1) / CLI_PAGE_SIZE;
	if (o->first > pages || o->pages <= pages - o->first)
		return 0;
	cli_error("cannot lend %" PRIu64 " pages of %s: it has %" PRIu64 " from page %" PRIu64
		  " on; without --pages, all of them are lent",
	    o->pages, o->file, pages - o->first, o->first);
	return -ERANGE;
}

static int print_loan(struct cli *cli, json_t *answer)
{
	json_int_t id;

	if (cli->json)
		return cli_print_json(answer);
	if (client_unpack(what, answer, "{s:I}", "id", &id))
		return CLI_FAILED;
	printf("%lld\n", (long long)id);
	return CLI_OK;
}

/* A loan to the host ends with the connection that made it, so keep that until we are ended. */
static int hold(struct client *c)
{
	struct pollfd pfd = {.fd = c->fd};

	fflush(stdout);
	cli_error("the host holds this loan until this command ends (Ctrl-C)");
	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	cli_error("the cell ended, and the loan with it");
	return CLI_FAILED;
}

int cmd_lend(struct cli *cli, int argc, char **argv)
{
	struct lend_options o = {0};
	int status = CLI_FAILED, fd = -1;
	struct client c;
	json_t *answer;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (o.file && open_file(o.file, &fd))
		return CLI_FAILED;
	if (o.file && check_range(&o, fd))
		goto out_file;
	if (client_open(&c, cli->socket))
		goto out_file;
	if (client_call_fds(&c, what, make_request(&o), &fd, o.file ? 1 : 0, &answer))
		goto out_client;
	status = print_loan(cli, answer);
	json_decref(answer);
	if (!status && strcmp(o.to, "host") == 0)
		status = hold(&c);
out_client:
	client_close(&c);
out_file:
	if (fd >= 0)
		close(fd);
	return status;
}
