/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "exit_event.h"
#include "relay.h"
#include "signals.h"
#include "terminal.h"

struct console_options {
	const char *guest;
	const char *log;
	int escape;
	bool new_only;
	bool raw;
};

/* Somebody at a guest's console. */
struct visit {
	struct client *c;
	const char *what;
	const char *name;
	struct relay relay;
	bool ended;
	bool detached;
	int status;
};

enum { KEY_LOG = 0x100 };

static const struct argp_option options[] = {
    {"escape", 'e', "KEY", 0, "The key that detaches (^]); or none", 0},
    {"raw", 'r', NULL, 0, "Every key is the guest's, as with Linux", 0},
    {"new", 'n', NULL, 0, "Do not show what the guest has written before", 0},
    {"log", KEY_LOG, "FILE", 0, "Write the output to FILE, too", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct console_options *o = state->input;

	switch (key) {
	case 'e':
		if (!relay_parse_escape(arg, &o->escape))
			argp_error(state, "--escape %s: give one key, as ^], or none", arg);
		return 0;
	case 'r':
		o->raw = true;
		return 0;
	case 'n':
		o->new_only = true;
		return 0;
	case KEY_LOG:
		o->log = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->guest)
			argp_error(state, "%s: one GUEST at a time", arg);
		o->guest = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which GUEST? `lombard list` shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "GUEST",
    .doc = "Look at a guest's console, and type there.\vFirst comes what the guest has written "
	   "lately.  Ctrl-] at a terminal detaches; the guest goes on.  Several may be at one "
	   "console.  When the guest ends, this says why and exits with its status.",
};

/* => 0: the stream is open, and the end of the guest will be told on the connection */
static int attach(struct visit *v, const struct console_options *o, bool *raw)
{
	json_t *answer;
	int err = client_call(v->c, v->what,
	    json_pack("{s:s, s:o, s:b}", "op", "console", "guest", cli_guest(o->guest), "history",
		(int)!o->new_only),
	    &answer);

	if (err)
		return err;
	*raw = json_is_true(json_object_get(answer, "raw"));
	if (v->c->nfds == 1)
		v->relay.stream = fcntl(v->c->fds[0], F_DUPFD_CLOEXEC, 0);
	if (v->relay.stream < 0) {
		cli_error("cannot %s: the cell's answer was not understood", v->what);
		err = -EPROTO;
	}
	if (!err)
		err = client_send(v->c, v->what,
		    json_pack(
			"{s:s, s:O}", "op", "wait", "guest", json_object_get(answer, "domid")),
		    NULL, 0);
	json_decref(answer);
	return err;
}

/* The guest has ended. */
static int take_packet(struct visit *v)
{
	struct exit_event event;
	json_t *packet;
	int err = client_recv(v->c, v->what, &packet);

	if (err)
		return err;
	if (!exit_event_p(packet))
		err = client_check(v->what, packet);
	if (!err)
		err = exit_event_parse(v->what, packet, &event);
	if (!err) {
		v->status = event.status;
		v->ended = true;
		terminal_release();
		cli_error("%s has ended: %s, status %d%s%s", event.name, event.reason, event.status,
		    *event.message ? ": " : "", event.message);
	}
	json_decref(packet);
	return err;
}

/* The guest's last words come before the reason of its end: the stream ends first, or as soon. */
static int follow_once(struct visit *v, const sigset_t *unblocked)
{
	struct pollfd p[1 + RELAY_NPOLL] = {
	    {.fd = v->relay.stream < 0 && v->relay.nout == 0 ? v->c->fd : -1, .events = POLLIN}};

	relay_watch(&v->relay, p + 1);
	if (ppoll(p, 1 + RELAY_NPOLL, NULL, unblocked) < 0) {
		if (errno != EINTR)
			return -errno;
		terminal_again();
		return 0;
	}
	v->detached = relay_serve(&v->relay, p + 1, unblocked) == RELAY_DETACH;
	return p[0].revents ? take_packet(v) : 0;
}

static int follow(struct visit *v)
{
	sigset_t unblocked;
	int err = 0;

	signals_catch(&unblocked);
	signal(SIGPIPE, SIG_IGN);
	while (!err && !v->ended && !v->detached && !v->relay.out_over && !signals_seen())
		err = follow_once(v, &unblocked);
	terminal_release();
	if (signals_seen())
		return 128 + signals_last();
	if (err)
		return CLI_FAILED;
	if (v->detached)
		cli_error("detached from %s, which goes on", v->name);
	return v->ended ? v->status : CLI_OK;
}

static int visit(struct cli *cli, const struct console_options *o, const char *what, int log)
{
	struct client c;
	struct visit v = {.c = &c, .what = what, .name = o->guest};
	int status = CLI_FAILED;
	bool raw;

	if (client_open(&c, cli->socket))
		return CLI_FAILED;
	relay_open(&v.relay, -1, o->escape, log);
	if (attach(&v, o, &raw) == 0) {
		terminal_take(raw || o->raw, o->escape);
		status = follow(&v);
	}
	relay_close(&v.relay);
	client_close(&c);
	return status;
}

int cmd_console(struct cli *cli, int argc, char **argv)
{
	struct console_options o = {.escape = RELAY_ESCAPE};
	int status, log = -1;
	char *what;

	cli_parse(cli, CLI_PLAIN, &argp, &o, argc, argv);
	if (o.log && relay_log(o.log, &log))
		return CLI_FAILED;
	if (asprintf(&what, "look at the console of %s", o.guest) < 0)
		return CLI_FAILED;
	status = visit(cli, &o, what, log);
	free(what);
	if (log >= 0)
		close(log);
	return status;
}
