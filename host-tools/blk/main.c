/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lombard-blk: the process behind one disk of one guest.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell.h"
#include "lib/version.h"
#include "only.h"
#include "sandbox.h"
#include "say.h"
#include "server.h"
#include "store.h"

enum { FAILED = 1, WRONG_USE = 2 };

/* xvda to xvdp, each with room for 15 partitions (Xen, docs: vbd-interface). */
#define XVD_MAJOR 202u
#define LAST_DISK 'p'

struct options {
	const char *guest, *disk, *file, *log;
	uint32_t devid;
	bool read_only, share, detach;
};

struct backend {
	struct cell cell;
	struct store store;
	struct disk disk;
	struct server server;
	bool connected;		 /* to a ring */
	enum xenbus_state state; /* ours, as far as we know */
	unsigned said;
	/* Descriptors, or -1: who waits for us, /dev/null, where messages go once the disk is there. */
	int ready, null, log;
};

const char *argp_program_version = "lombard-blk " LOMBARD_VERSION;

static const struct argp_option option_list[] = {
    {"read-only", 'r', NULL, 0, "The guest may not write; others may read FILE, too", 0},
    {"share", 'S', NULL, 0, "With --read-only: lend FILE's pages instead of copying them", 0},
    {"detach", 'd', NULL, 0, "Return when the disk is there, and serve it in the background", 0},
    {"log", 'l', "FILE", 0, "Add messages to FILE once the disk is there", 0},
    {"socket", 's', "PATH", 0, "The cell's socket ($LOMBARD_SOCKET, /run/lombard/cell.sock)", 0},
    {0},
};

static void take_disk(struct options *o, const char *name, const struct argp_state *state)
{
	if (strlen(name) != 4 || strncmp(name, "xvd", 3) != 0 || name[3] < 'a' ||
	    name[3] > LAST_DISK)
		argp_error(state, "a disk is named xvda to xvd%c, not %s", LAST_DISK, name);
	o->disk = name;
	o->devid = XVD_MAJOR << 8 | (uint32_t)(name[3] - 'a') << 4;
}

static error_t take_word(struct options *o, char *arg, struct argp_state *state)
{
	if (state->arg_num == 0)
		o->guest = arg;
	else if (state->arg_num == 1)
		take_disk(o, arg, state);
	else if (state->arg_num == 2)
		o->file = arg;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'r':
		o->read_only = true;
		return 0;
	case 'S':
		o->share = true;
		return 0;
	case 'd':
		o->detach = true;
		return 0;
	case 'l':
		o->log = arg;
		return 0;
	case 's':
		return setenv("LOMBARD_SOCKET", arg, 1) == 0 ? 0 : errno;
	case ARGP_KEY_ARG:
		return take_word(o, arg, state);
	case ARGP_KEY_END:
		if (o->disk == NULL)
			argp_error(state, "which GUEST and which DISK?");
		if (o->share && !o->read_only)
			argp_error(state, "only a disk that is --read-only can be shared");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = option_list,
    .parser = parse,
    .args_doc = "GUEST DISK [FILE]",
    .doc = "Serve FILE, or a block device, as a disk of a guest, until the guest ends.\v"
	   "DISK is xvda to xvdp.  Without FILE a disk that the guest has already is served again, "
	   "whose lombard-blk was killed: the guest goes on where it was.  The guest's cell must "
	   "have a xenstore.  `lombard run --disk` starts this for a new guest.",
};

/* ---- the frontend's states, and ours ---- */

/* => the guest's nodes are gone, or the store is: it is the guest's end that ends us */
static void enter_state(struct backend *b, enum xenbus_state state, int error)
{
	if (error == 0)
		b->state = state;
	else if (error != -ENOENT)
		say_a_few(&b->said, "the xenstore: %s", strerror(-error));
}

static void switch_state(struct backend *b, enum xenbus_state state)
{
	if (b->state != state)
		enter_state(b, state, store_state(&b->store, state));
}

static void connect_front(struct backend *b)
{
	struct vbd_front front;
	struct failure f;
	int error = store_read(&b->store, &front, &f);

	if (error == 0)
		error = server_connect(&b->server, &front, &f);
	if (error == 0) {
		b->connected = true;
		enter_state(b, XenbusStateConnected, store_present(&b->store, &b->disk));
		return;
	}
	/* That there is nobody left to connect is found by serve. */
	if (error == -ESRCH || error == -EPIPE)
		return;
	say_a_few(&b->said, "cannot connect to the guest: %s", f.text);
	switch_state(b, XenbusStateClosing);
}

static void disconnect_front(struct backend *b)
{
	struct failure f;

	if (b->connected)
		(void)server_disconnect(&b->server, &f);
	b->connected = false;
}

static void follow_front(struct backend *b)
{
	switch (store_frontend(&b->store)) {
	case XenbusStateInitialising:
		disconnect_front(b);
		if (b->state != XenbusStateInitWait)
			enter_state(b, XenbusStateInitWait, store_offer(&b->store, &b->disk));
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		if (!b->connected)
			connect_front(b);
		break;
	case XenbusStateClosing:
		disconnect_front(b);
		switch_state(b, XenbusStateClosing);
		break;
	case XenbusStateClosed:
		disconnect_front(b);
		switch_state(b, XenbusStateClosed);
		break;
	default:
		break;
	}
}

/* ---- serving ---- */

static int serve(struct backend *b)
{
	struct pollfd p[] = {
	    {.fd = b->cell.fd, .events = POLLIN},
	    {.fd = b->server.fd, .events = POLLIN},
	    {.fd = store_fd(&b->store), .events = POLLIN},
	};

	for (;;) {
		if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0 && errno != EINTR)
			return -errno;
		if (p[0].revents != 0)
			return 0;
		/* It says nothing unless it is asked. */
		if (p[1].revents != 0)
			return -EPIPE;
		if (p[2].revents != 0) {
			store_changed(&b->store);
			follow_front(b);
		}
	}
}

/* ---- starting ---- */

/* The file as it is found from anywhere.  => *path is for free */
static int find_file(struct backend *b, const struct options *o, char **path, bool *read_only,
    bool *share, struct failure *f)
{
	if (o->file == NULL)
		return store_recall(&b->store, path, read_only, share, f);
	*read_only = o->read_only;
	*share = o->share;
	*path = realpath(o->file, NULL);
	return *path != NULL ? 0 : failure_sys(f, -errno, "cannot open %s", o->file);
}

static int open_disk(struct backend *b, const struct options *o, struct failure *f)
{
	bool read_only, share;
	char *path;
	int error = find_file(b, o, &path, &read_only, &share, f);

	if (error != 0)
		return error;
	error = disk_open(&b->disk, path, read_only, f);
	b->disk.share = share;
	if (error == 0)
		error = store_enter(&b->store, o->disk, path, &b->disk, f);
	free(path);
	return error;
}

/* From now on nobody's terminal is ours.  there: say to who waits that the disk is there. */
static void settle(struct backend *b, bool there)
{
	const char byte = 0;

	if (b->log >= 0)
		(void)dup2(b->log, STDERR_FILENO);
	if (b->ready < 0)
		return;
	(void)dup2(b->null, STDIN_FILENO);
	(void)dup2(b->null, STDOUT_FILENO);
	if (there)
		(void)!write(b->ready, &byte, 1);
	close(b->ready);
}

/* Its descriptors that the process which serves the ring shall not have. */
static void leave(void *backend)
{
	struct backend *b = backend;

	close(b->cell.fd);
	store_leave(&b->store);
	settle(b, false);
}

static int start(struct backend *b, const struct options *o, struct failure *f)
{
	int error = cell_open(&b->cell, o->guest, f);

	if (error != 0)
		return error;
	say_about(b->cell.name, o->disk);
	error = only_one(b->cell.domid, o->devid, f);
	if (error == 0)
		error = store_open(&b->store, b->cell.directory, b->cell.domid, o->devid, f);
	if (error == 0)
		error = open_disk(b, o, f);
	b->server.guest = b->cell.fd;
	if (error == 0)
		error = server_start(&b->server, &b->disk, b->cell.domid, leave, b, f);
	if (error == 0)
		close(b->disk.fd); /* it has it */
	if (error == 0)
		error = store_watch(&b->store, f);
	if (error == 0)
		error = sandbox_enter(b->cell.domid, 0, f);
	if (error == 0)
		follow_front(b);
	return error;
}

/* Until the child says that the disk is there, or has ended.  => our exit status */
static int wait_ready(pid_t child, int ready)
{
	int status;
	char byte;

	if (read(ready, &byte, 1) == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return WEXITSTATUS(status);
	say("it was killed by signal %d", WTERMSIG(status));
	return FAILED;
}

/* => in the child, with *ready to write to */
static int detach(int *ready)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		close(fds[1]);
		_exit(wait_ready(child, fds[0]));
	}
	close(fds[0]);
	setsid();
	*ready = fds[1];
	return 0;
}

/* A closed standard descriptor would be taken by something else, and written to.  => of /dev/null */
static int fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	return fd;
}

/* => its descriptor, -1: there is to be none */
static int open_log(const char *path)
{
	int fd;

	if (path == NULL)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0640);
	if (fd < 0) {
		say("cannot open %s: %s", path, strerror(errno));
		exit(FAILED);
	}
	return fd;
}

static int run(struct backend *b, const struct options *o)
{
	struct failure f;
	int error = start(b, o, &f);

	if (error != 0) {
		say("%s", f.text);
		return FAILED;
	}
	settle(b, true);
	error = serve(b);
	if (error == 0) {
		store_remove(&b->store);
		return 0;
	}
	/* The nodes stay for who takes it over. */
	if (error == -EPIPE)
		say("the process that serves the disk has ended");
	else
		say("poll: %s", strerror(-error));
	return FAILED;
}

int main(int argc, char **argv)
{
	static struct backend backend = {.ready = -1};
	struct options o = {0};

	backend.null = fill_standard_fds();
	argp_err_exit_status = WRONG_USE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	say_about(o.guest, o.disk);
	signal(SIGPIPE, SIG_IGN);
	backend.log = open_log(o.log);
	if (backend.null < 0 || (o.detach && detach(&backend.ready) != 0)) {
		say("cannot start: %s", strerror(errno));
		return FAILED;
	}
	/* Not by exit(): a thread of libxenstore's runs. */
	_exit(run(&backend, &o));
}
