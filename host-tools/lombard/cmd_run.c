/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "disks.h"
#include "exit_event.h"
#include "launch.h"
#include "relay.h"
#include "signals.h"
#include "terminal.h"
#include "units.h"
#include "xenctl.h"

struct run_options {
	const char *name;
	const char *image;
	char **args;
	int nargs;
	bool kernel; /* the image is a kernel, and append what it is told */
	const char *initrd;
	const char *append;
	uint64_t memory; /* 0: as much as such a guest gets */
	uint64_t vcpus;
	uint64_t windows;
	bool detach;
	struct disks disks;
	int escape;
	const char *log;
};

struct run_files {
	int image;
	int initrd; /* -1: none */
	int log;    /* -1: none */
};

/* A guest in the foreground. */
struct session {
	struct client *c;
	const char *what;
	const struct cli *cli;
	const struct disks *disks;
	struct relay relay; /* without a stream the guest has stdin and stdout itself */
	json_int_t domid;   /* 0 until the answer is there */
	bool no_disks;	    /* it could not have them, and never ran */
	struct xenctl xen;
	bool stopping; /* by the thread */
	pthread_t stopper;
	bool detaching;
	bool ended; /* or detached */
	int status;
};

static const char stop_what[] = "stop the guest";

enum { KEY_LOG = 0x100 };

#define SMALL_MEMORY (UINT64_C(64) << 20)
#define KERNEL_MEMORY (UINT64_C(256) << 20)

static const struct argp_option options[] = {
    {"kernel", 'k', "FILE", 0, "Launch this Linux kernel: a bzImage, or its vmlinux", 0},
    {"initrd", 'i', "FILE", 0, "Its initrd", 0},
    {"append", 'a', "TEXT", 0, "Its command line", 0},
    {"name", 'n', "NAME", 0, "Call the guest NAME", 0},
    {"memory", 'm', "SIZE", 0, "Memory of the guest (64M, with a kernel 256M); suffixes K, M, G",
	0},
    {"vcpus", 'c', "N", 0, "Virtual CPUs of the guest (1)", 0},
    {"windows", 'w', "SIZE", 0, "Room for what it borrows (256M)", 0},
    {"disk", 'D', "FILE[,ro][,share][,name=xvda]", 0, "Give it a disk; again for more", 0},
    {"escape", 'e', "KEY", 0, "The key that detaches, at a terminal (^]); or none", 0},
    {"console-log", KEY_LOG, "FILE", 0, "Write what the guest says to FILE, too", 0},
    {"detach", 'd', NULL, 0, "Do not wait: print domid, name and console file", 0},
    {0},
};

static uint64_t parse_size(const char *arg, const char *option, struct argp_state *state)
{
	uint64_t bytes = 0;

	if (units_parse_size(arg, &bytes) || !bytes || bytes % CLI_PAGE_SIZE)
		argp_error(
		    state, "%s %s: give a size in whole pages of 4 KiB, as 64M or 1G", option, arg);
	return bytes;
}

static uint64_t parse_count(const char *arg, const char *option, struct argp_state *state)
{
	uint64_t n = 0;

	if (units_parse_number(arg, &n) || n == 0 || n > INT_MAX)
		argp_error(state, "%s %s: give a number, as 2", option, arg);
	return n;
}

/* After the image everything is the guest's, options included. */
static void take_image(struct run_options *o, char *arg, struct argp_state *state)
{
	if (o->kernel)
		argp_error(state,
		    "%s: with --kernel there is no IMAGE; what the kernel is to be told, "
		    "--append says",
		    arg);
	o->image = arg;
	o->args = state->argv + state->next;
	o->nargs = state->argc - state->next;
	state->next = state->argc;
}

static void take_kernel(struct run_options *o, const char *arg)
{
	o->kernel = true;
	o->image = arg;
}

static void check_options(const struct run_options *o, struct argp_state *state)
{
	if (o->image == NULL)
		argp_error(state, "which IMAGE?");
	if (!o->kernel && (o->initrd != NULL || o->append != NULL))
		argp_error(state, "--initrd and --append are for a --kernel");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_options *o = state->input;

	switch (key) {
	case 'k':
		take_kernel(o, arg);
		return 0;
	case 'i':
		o->initrd = arg;
		return 0;
	case 'a':
		o->append = arg;
		return 0;
	case 'n':
		o->name = arg;
		return 0;
	case 'c':
		o->vcpus = parse_count(arg, "--vcpus", state);
		return 0;
	case 'm':
		o->memory = parse_size(arg, "--memory", state);
		return 0;
	case 'w':
		o->windows = parse_size(arg, "--windows", state);
		return 0;
	case 'd':
		o->detach = true;
		return 0;
	case 'D':
		disks_add(&o->disks, arg, state);
		return 0;
	case 'e':
		if (!relay_parse_escape(arg, &o->escape))
			argp_error(state, "--escape %s: give one key, as ^], or none", arg);
		return 0;
	case KEY_LOG:
		o->log = arg;
		return 0;
	case ARGP_KEY_ARG:
		take_image(o, arg, state);
		return 0;
	case ARGP_KEY_END:
		check_options(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[--] IMAGE [ARGUMENT...]\n--kernel FILE",
    .doc = "Launch a guest: a small one from its IMAGE, or Linux.\vThe guest's console is this "
	   "terminal, and the exit status is the "
	   "guest's: its own 0..255, 124 after a crash, 125 after an error, 126 when it was "
	   "stopped.  Ctrl-] detaches from it: it goes on, and `lombard console` comes back.  "
	   "When no cell is running, one is started that ends with its last guest.",
};

static char *join_args(const struct run_options *o)
{
	size_t len = 1;
	char *line, *end;

	if (o->kernel)
		return strdup(o->append != NULL ? o->append : "");
	for (int i = 0; i < o->nargs; i++)
		len += strlen(o->args[i]) + 1;
	line = malloc(len);
	if (!line)
		return NULL;
	*line = '\0';
	end = line;
	for (int i = 0; i < o->nargs; i++)
		end += sprintf(end, "%s%s", i ? " " : "", o->args[i]);
	return line;
}

static json_t *make_request(const struct run_options *o)
{
	char *path = realpath(o->image, NULL);
	char *initrd = o->initrd != NULL ? realpath(o->initrd, NULL) : NULL;
	char *cmdline = join_args(o);
	uint64_t memory = o->memory;
	json_t *request = NULL;

	if (memory == 0)
		memory = o->kernel ? KERNEL_MEMORY : SMALL_MEMORY;
	if (cmdline)
		request = json_pack(
		    "{s:s, s:s*, s:I, s:I, s:I, s:s, s:s*, s:s, s:b, s:b, s:b, s:b}", "op", "run",
		    "name", o->name, "memory", (json_int_t)memory, "windows",
		    (json_int_t)o->windows, "vcpus", (json_int_t)o->vcpus, "image",
		    path ? path : o->image, "initrd", initrd ? initrd : o->initrd, "cmdline",
		    cmdline, "kernel", (int)o->kernel, "detach", (int)o->detach, "log",
		    o->log != NULL, "paused", (int)(o->disks.n > 0));
	free(cmdline);
	free(initrd);
	free(path);
	return request;
}

static int open_file(const char *what, const char *path, const char *hint, int *fd)
{
	int err;

	/* Not to wait for a FIFO's writer: the cell refuses what is no regular file. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		return 0;
	err = -errno;
	cli_error(
	    "cannot open the %s %s: %s; give the path of a %s", what, path, strerror(-err), hint);
	return err;
}

/* => on error, too, for close_files */
static int open_files(const struct run_options *o, struct run_files *files)
{
	int err;

	*files = (struct run_files){.image = -1, .initrd = -1, .log = -1};
	err = o->kernel ? open_file("kernel", o->image, "Linux bzImage", &files->image)
			: open_file("image", o->image, "guest's ELF file", &files->image);
	if (!err && o->initrd != NULL)
		err = open_file("initrd", o->initrd, "cpio archive", &files->initrd);
	if (!err && o->log != NULL)
		err = relay_log(o->log, &files->log);
	return err;
}

static void close_files(const struct run_files *files)
{
	const int fds[] = {files->image, files->initrd, files->log};

	for (unsigned i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A log: the console is there, and not in a file of the cell's. */
static int print_detached(
    struct cli *cli, const char *what, json_t *answer, const struct run_options *o)
{
	json_int_t domid;
	const char *name;

	if (cli->json) {
		if (o->disks.n)
			json_object_set_new(answer, "disks", disks_describe(&o->disks));
		return cli_print_json(answer);
	}
	if (client_unpack(what, answer, "{s:I, s:s}", "domid", &domid, "name", &name))
		return CLI_FAILED;
	printf("%lld %s %s\n", (long long)domid, name,
	    o->log ? o->log : client_text(answer, "console"));
	return CLI_OK;
}

/* A guest that is to have disks is paused so far. */
static int give_disks(const struct cli *cli, const char *what, json_t *answer,
    const struct disks *disks, bool detached)
{
	json_int_t domid;
	int err = client_unpack(what, answer, "{s:I}", "domid", &domid);

	return err || !disks->n ? err : disks_give(disks, cli->socket, domid, detached);
}

static int run_detached(struct cli *cli, struct client *c, const char *what,
    const struct run_options *o, const struct run_files *files)
{
	unsigned nfds = 0;
	json_t *answer;
	int status = CLI_FAILED, fds[3];

	fds[nfds++] = files->image;
	if (files->log >= 0)
		fds[nfds++] = files->log;
	if (files->initrd >= 0)
		fds[nfds++] = files->initrd;
	if (client_call_fds(c, what, make_request(o), fds, nfds, &answer))
		return CLI_FAILED;
	if (!give_disks(cli, what, answer, &o->disks, true))
		status = print_detached(cli, what, answer, o);
	json_decref(answer);
	return status;
}

static int take_exit(struct session *s, json_t *packet)
{
	struct exit_event event;
	int err = exit_event_parse(s->what, packet, &event);

	if (err)
		return err;
	if (event.domid != s->domid)
		return 0;
	terminal_release();
	if (*event.message && !s->no_disks)
		cli_error("%s: %s", event.name, event.message);
	s->status = event.status;
	s->ended = true;
	return 0;
}

/* At a terminal it may be detached from: its disks have to get along without us, too. */
static int take_answer(struct session *s, json_t *answer)
{
	int err = client_check(s->what, answer);
	bool relayed = s->relay.stream >= 0;

	if (!err)
		err = client_unpack(s->what, answer, "{s:I}", "domid", &s->domid);
	if (err)
		return err;
	if (relayed)
		terminal_take(json_is_true(json_object_get(answer, "raw")), s->relay.escape);
	/* One that could not have them is stopped: its end comes as any other's. */
	s->no_disks = give_disks(s->cli, s->what, answer, s->disks, relayed) != 0;
	return 0;
}

static int take_detached(struct session *s, json_t *packet)
{
	const char *name;
	int err = client_check("detach", packet);

	if (!err)
		err = client_unpack("detach", packet, "{s:s}", "name", &name);
	if (err)
		return err;
	terminal_release();
	cli_error("detached from %s, which goes on: `lombard console %s` comes back, `lombard stop "
		  "%s` ends it",
	    name, name, name);
	s->ended = true;
	return 0;
}

/* The answer to `run` comes first, then the exit event, or the answer to `detach`. */
static int take_packet(struct session *s)
{
	json_t *packet;
	int err;

	err = client_recv(s->c, s->what, &packet);
	if (err)
		return err;
	if (!s->domid)
		err = take_answer(s, packet);
	else if (exit_event_p(packet))
		err = take_exit(s, packet);
	else if (s->detaching)
		err = take_detached(s, packet);
	json_decref(packet);
	return err;
}

/* Waits until the guest is gone.  The end of the cell shows elsewhere. */
static void *stop_main(void *arg)
{
	struct session *s = arg;
	int err = xenctl_destroy(&s->xen, (uint32_t)s->domid);

	if (err && err != -EPIPE)
		xenctl_explain(&s->xen, stop_what, err);
	return NULL;
}

/* In a thread: who loses patience need not wait for it. */
static int start_stop(struct session *s)
{
	int err = xenctl_open(&s->xen, stop_what);

	if (err)
		return err;
	err = -pthread_create(&s->stopper, NULL, stop_main, s);
	if (err)
		return xenctl_explain(&s->xen, stop_what, err);
	s->stopping = true;
	return 0;
}

static void end_stop(struct session *s)
{
	if (s->stopping)
		pthread_join(s->stopper, NULL);
	xenctl_close(&s->xen);
}

static int send_detach(struct session *s)
{
	s->detaching = true;
	return client_send(s->c, "detach", json_pack("{s:s}", "op", "detach"), NULL, 0);
}

/* The guest's last words come before the reason of its end. */
static bool listens_p(const struct session *s)
{
	return !s->domid || s->detaching || (s->relay.stream < 0 && s->relay.nout == 0);
}

/* Wait for a packet, the console or a signal; the second signal ends the patience. */
static int follow_once(struct session *s, const sigset_t *unblocked)
{
	struct pollfd p[1 + RELAY_NPOLL] = {{.fd = listens_p(s) ? s->c->fd : -1, .events = POLLIN}};

	if (signals_seen() && s->domid && !s->stopping)
		return start_stop(s);
	if (signals_seen() > 1) {
		cli_error("the guest has not stopped yet; leaving all the same");
		return -EINTR;
	}
	relay_watch(&s->relay, p + 1);
	if (ppoll(p, 1 + RELAY_NPOLL, NULL, unblocked) < 0) {
		if (errno != EINTR)
			return -errno;
		terminal_again();
		return 0;
	}
	if (relay_serve(&s->relay, p + 1, unblocked) == RELAY_DETACH && s->domid && !s->stopping &&
	    !s->detaching)
		return send_detach(s);
	return p[0].revents ? take_packet(s) : 0;
}

/*
 * At a terminal we are between it and the guest, for the sake of the key that detaches; else the guest has
 * our descriptors, and what they are is its own affair.
 */
static int open_relay(struct session *s, const struct run_options *o, int *end)
{
	int ends[2];

	relay_open(&s->relay, -1, o->escape, -1);
	*end = -1;
	if (!s->relay.terminal)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		cli_error("cannot %s: %s", s->what, strerror(errno));
		return -EMFILE;
	}
	signal(SIGPIPE, SIG_IGN);
	s->relay.stream = ends[0];
	*end = ends[1];
	return 0;
}

static int run_foreground(struct cli *cli, struct client *c, const char *what,
    const struct run_options *o, const struct run_files *files)
{
	/* The stopper may outlive us. */
	static struct session s;
	int fds[5] = {files->image, STDIN_FILENO, STDOUT_FILENO}, end, err;
	unsigned nfds = 3;
	sigset_t unblocked;

	s = (struct session){.c = c, .what = what, .cli = cli, .disks = &o->disks};
	err = open_relay(&s, o, &end);
	if (err)
		return CLI_FAILED;
	xenctl_init(&s.xen, c->path);
	signals_catch(&unblocked);
	if (end >= 0)
		fds[1] = fds[2] = end;
	if (files->log >= 0)
		fds[nfds++] = files->log;
	if (files->initrd >= 0)
		fds[nfds++] = files->initrd;
	err = client_send(c, what, make_request(o), fds, nfds);
	if (end >= 0)
		close(end);
	while (!err && !s.ended)
		err = follow_once(&s, &unblocked);
	terminal_release();
	if (err != -EINTR)
		end_stop(&s);
	relay_close(&s.relay);
	if (signals_seen())
		return 128 + signals_last();
	if (s.no_disks)
		return CLI_FAILED;
	if (err)
		return s.domid ? CLI_GUEST_ERROR : CLI_FAILED;
	return s.status;
}

int cmd_run(struct cli *cli, int argc, char **argv)
{
	struct run_options o = {.vcpus = 1, .windows = 256U << 20, .escape = RELAY_ESCAPE};
	struct run_files files;
	int status = CLI_FAILED;
	struct client c;
	char *what;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (open_files(&o, &files))
		goto out_files;
	if (asprintf(&what, "run %s", o.image) < 0)
		goto out_files;
	if (launch_or_open(&c, cli->socket, o.disks.n ? LAUNCH_XENSTORE : LAUNCH_UNTIL_IDLE))
		goto out_what;
	if (o.detach)
		status = run_detached(cli, &c, what, &o, &files);
	else
		status = run_foreground(cli, &c, what, &o, &files);
	client_close(&c);
out_what:
	free(what);
out_files:
	close_files(&files);
	disks_drop(&o.disks);
	return status;
}
