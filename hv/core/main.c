/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lombardd: the core of one cell.
 */
#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/session.h"
#include "core/xenstore.h"
#include "lib/log.h"
#include "lib/now.h"
#include "lib/sys.h"
#include "lib/version.h"
#include "uvm/uvm_alloc.h"
#include "xen/public.h"

#define DEFAULT_SOCKET "/run/lombard/cell.sock"

/* An idle cell ends after this long; the first client gets longer to arrive. */
#define IDLE_MS 1000
#define FIRST_MS 10000

/* Without descriptors for another client we look again after this time. */
#define BREATH_MS 100

const char *argp_program_version = "lombardd " LOMBARD_VERSION;

struct options {
	const char *socket;
	gid_t group;
	bool exit_when_idle;
	bool xenstore;
};

static const struct argp_option option_list[] = {
    {"socket", 's', "PATH", 0,
	"Where clients find the cell ($LOMBARD_SOCKET, else " DEFAULT_SOCKET ")", 0},
    {"group", 'g', "GROUP", 0, "Who may use the cell besides us (lombardd's own group)", 0},
    {"exit-when-idle", 'i', NULL, 0, "End when the last guest and the last client are gone", 0},
    {"xenstore", 'x', NULL, 0, "Run Xen's xenstored for the cell, and enter its guests there", 0},
    {0},
};

static gid_t find_group(const char *name, const struct argp_state *state)
{
	const struct group *gr = getgrnam(name);

	if (gr == NULL)
		argp_error(state, "there is no group named %s", name);
	return gr != NULL ? gr->gr_gid : CELL_OWN_GROUP;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 's':
		o->socket = arg;
		return 0;
	case 'g':
		o->group = find_group(arg, state);
		return 0;
	case 'i':
		o->exit_when_idle = true;
		return 0;
	case 'x':
		o->xenstore = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "too many arguments");
		return EINVAL;
	case ARGP_KEY_END:
		/* xenstored is a client that stays. */
		if (o->xenstore && o->exit_when_idle)
			argp_error(state, "a cell with a xenstore is never idle");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {.options = option_list,
    .parser = parse_option,
    .doc = "The core of a Lombard cell: launches guests and keeps the ledger of their memory.\v"
	   "Signals: SIGTERM, SIGINT and SIGHUP stop all guests and end the cell.  See "
	   "lombardd(8)."};

/* A guest takes half a dozen descriptors. */
static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* Those that end the cell, as a descriptor; threads inherit the mask. */
static int take_signals(void)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Unless it was ignored, as by nohup(1): a signalfd would get it all the same. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void log_grew(void)
{
	evtchn_virq(EVTCHN_HOST, VIRQ_CON_RING);
}

static bool idle(void)
{
	return guest_count() == 0 && sessions_count() == 0;
}

/* How long to wait for an event.  => listening: a client may come */
static int patience(const struct options *o, bool listening)
{
	if (!listening)
		return BREATH_MS;
	return o->exit_when_idle ? IDLE_MS / 4 : -1;
}

static void run(const struct options *o, int listener, int signals)
{
	struct pollfd p[] = {{.fd = listener, .events = POLLIN}, {.fd = signals, .events = POLLIN},
	    {.fd = cell_end_fd(), .events = POLLIN}};
	int64_t deadline = now_ms() + FIRST_MS;

	for (;;) {
		if (poll(p, 3, patience(o, p[0].fd >= 0)) < 0 && errno != EINTR)
			return;
		if ((p[1].revents | p[2].revents) & POLLIN)
			return;
		/* Who can't be let in would wake us all the time. */
		if (p[0].fd >= 0 && (p[0].revents & POLLIN)) {
			p[0].fd = sessions_accept(listener) ? listener : -1;
			deadline = 0;
		} else {
			p[0].fd = listener;
		}
		if (!idle())
			deadline = 0;
		else if (deadline == 0)
			deadline = now_ms() + IDLE_MS;
		else if (o->exit_when_idle && now_ms() > deadline)
			return;
	}
}

int main(int argc, char **argv)
{
	const char *env = getenv("LOMBARD_SOCKET");
	struct options o = {
	    .socket = env != NULL && *env != '\0' ? env : DEFAULT_SOCKET, .group = CELL_OWN_GROUP};
	struct failure f;
	int listener, signals;

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	raise_limits();
	signals = take_signals();
	if (signals < 0 || uvm_loan_init() != 0) {
		fprintf(stderr, "lombardd: out of memory or descriptors at the start\n");
		return 1;
	}
#ifdef LOMBARD_FAULTS
	uvm_fault_hook = sys_fails;
#endif
	uvm_ledger_notify_by(guest_notify);
	log_notify_by(log_grew);
	if (cell_open(o.socket, o.group, &listener, &f) != 0) {
		fprintf(stderr, "lombardd: %s\n", f.text);
		return 1;
	}
	log_note("lombardd %s, cell %s", LOMBARD_VERSION, o.socket);
	xenstore_clear(o.socket);
	if (o.xenstore && xenstore_open(o.socket, &f) != 0)
		log_warn("no xenstore: %s", f.text);
	run(&o, listener, signals);
	guest_stop_all();
	xenstore_close();
	close(listener);
	cell_close();
	sessions_stop();
	return 0;
}
