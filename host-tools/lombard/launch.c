/* SPDX-License-Identifier: BSD-2-Clause */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "images.h"

#define READY_TIMEOUT_MS 20000
#define TERM_TIMEOUT_MS 2000
#define POLL_INTERVAL_MS 10
#define LOG_TAIL 2000 /* bytes of lombardd's words to repeat */

struct launch {
	const char *path; /* as the user gave it */
	const char *group;
	char *socket; /* the same, absolute: lombardd runs in another directory */
	char *log_path;
	char *program;
	int log;
	off_t log_start; /* where this start's words begin */
	pid_t pid;	 /* 0 when it was reaped */
};

static int find_program(char **program)
{
	const char *env = getenv("LOMBARDD");
	char *dir;
	int err;

	if (env && *env) {
		if (strchr(env, '/'))
			return images_absolute(env, program);
		*program = strdup(env);
		return *program ? 0 : -ENOMEM;
	}
	err = images_program_dir(&dir);
	if (err)
		return err;
	if (asprintf(program, "%s/lombardd", dir) < 0)
		err = -ENOMEM;
	free(dir);
	return err;
}

/* The socket's directory, when only its last part is missing (/run is empty after each boot). */
static int make_directory(const char *socket)
{
	char *dir = strdup(socket);
	int err = 0;

	if (!dir)
		return -ENOMEM;
	*strrchr(dir, '/') = '\0';
	if (*dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
		err = -errno;
	free(dir);
	return err;
}

static int open_log(struct launch *l)
{
	struct stat st;

	if (asprintf(&l->log_path, "%s.log", l->socket) < 0) {
		l->log_path = NULL;
		return -ENOMEM;
	}
	l->log = open(l->log_path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (l->log < 0 || fstat(l->log, &st) < 0)
		return -errno;
	l->log_start = st.st_size;
	return 0;
}

static int prepare(struct launch *l)
{
	int err;

	err = find_program(&l->program);
	if (!err)
		err = images_absolute(l->path, &l->socket);
	if (err) {
		cli_error("cannot start a cell: %s", strerror(-err));
		return err;
	}
	err = make_directory(l->socket);
	if (!err)
		err = open_log(l);
	if (err)
		cli_error("cannot start a cell at %s: cannot write %s.log: %s; use sudo, or name a "
			  "socket in a directory of yours with --socket",
		    l->path, l->socket, strerror(-err));
	return err;
}

/* In the child.  Its own session: the terminal's Ctrl-C is for us, and its hang-up too. */
static void __attribute__((noreturn)) become_daemon(const struct launch *l, enum launch_flags flags)
{
	const char *argv[8] = {l->program, "--socket", l->socket};
	unsigned argc = 3;
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	if (flags == LAUNCH_UNTIL_IDLE)
		argv[argc++] = "--exit-when-idle";
	else if (flags == LAUNCH_XENSTORE)
		argv[argc++] = "--xenstore";
	if (l->group) {
		argv[argc++] = "--group";
		argv[argc++] = l->group;
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (null < 0 || dup2(null, 0) < 0 || dup2(l->log, 1) < 0 || dup2(l->log, 2) < 0 ||
	    close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(127);
	execvp(l->program, (char *const *)argv);
	dprintf(2, "cannot execute %s: %s; set LOMBARDD to the program's path\n", l->program,
	    strerror(errno));
	_exit(127);
}

/* Repeat what lombardd wrote since it was started, or say where it would be. */
static void print_log_tail(const struct launch *l)
{
	char text[LOG_TAIL + 1], *line, *rest = text;
	off_t end = lseek(l->log, 0, SEEK_END);
	off_t from = end - l->log_start > LOG_TAIL ? end - LOG_TAIL : l->log_start;
	ssize_t len = pread(l->log, text, LOG_TAIL, from);

	if (len <= 0) {
		cli_error("lombardd said nothing (%s)", l->log_path);
		return;
	}
	text[len] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			cli_error("  %s", line);
}

static int explain_death(struct launch *l, int status)
{
	l->pid = 0;
	if (WIFSIGNALED(status))
		cli_error("cannot start a cell at %s: %s was killed by signal %d (%s); it said:",
		    l->path, l->program, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		cli_error("cannot start a cell at %s: %s exited with status %d; it said:", l->path,
		    l->program, WEXITSTATUS(status));
	print_log_tail(l);
	return -ECHILD;
}

static int explain_timeout(const struct launch *l)
{
	cli_error(
	    "cannot start a cell at %s: %s did not answer within %d s and was ended; it said:",
	    l->path, l->program, READY_TIMEOUT_MS / 1000);
	print_log_tail(l);
	return -ETIMEDOUT;
}

/*
 * Until it listens.  When our lombardd is gone, somebody else's may have taken the socket just
 * before: one more try after its death decides.
 */
static int wait_listening(struct launch *l, struct client *c)
{
	const struct timespec pause = {.tv_nsec = POLL_INTERVAL_MS * 1000000L};

	for (int ms = 0; ms < READY_TIMEOUT_MS; ms += POLL_INTERVAL_MS) {
		int status;
		bool dead = waitpid(l->pid, &status, WNOHANG) == l->pid;
		int err = client_try_open(c, l->path);

		if (!err && dead)
			l->pid = 0;
		if (!err)
			return 0;
		if (dead)
			return explain_death(l, status);
		if (err != -ENOENT && err != -ECONNREFUSED) {
			client_explain_open(l->path, err);
			return err;
		}
		nanosleep(&pause, NULL);
	}
	return explain_timeout(l);
}

static int say_hello(struct client *c, long *pid)
{
	static const char what[] = "greet the new cell";
	json_int_t number;
	json_t *answer;
	int err;

	err = client_call(c, what, json_pack("{s:s}", "op", "hello"), &answer);
	if (err)
		return err;
	err = client_unpack(what, answer, "{s:I}", "pid", &number);
	*pid = (long)number;
	json_decref(answer);
	return err;
}

/* A lombardd that never answered may not heed a polite request either. */
static void end_child(pid_t pid)
{
	const struct timespec pause = {.tv_nsec = POLL_INTERVAL_MS * 1000000L};

	kill(pid, SIGTERM);
	for (int ms = 0; ms < TERM_TIMEOUT_MS; ms += POLL_INTERVAL_MS) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		nanosleep(&pause, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int start_and_wait(struct launch *l, struct client *c, enum launch_flags flags, long *pid)
{
	int err;

	l->pid = fork();
	if (l->pid < 0) {
		err = -errno;
		cli_error("cannot start a cell: %s", strerror(-err));
		return err;
	}
	if (l->pid == 0)
		become_daemon(l, flags);
	err = wait_listening(l, c);
	if (!err) {
		err = say_hello(c, pid);
		if (err)
			client_close(c);
	}
	if (err && l->pid > 0)
		end_child(l->pid);
	return err;
}

int launch_cell(
    struct client *c, const char *path, enum launch_flags flags, const char *group, long *pid)
{
	struct launch l = {.path = path, .group = group, .log = -1};
	int err;

	err = prepare(&l);
	if (!err)
		err = start_and_wait(&l, c, flags, pid);
	if (l.log >= 0)
		close(l.log);
	free(l.log_path);
	free(l.socket);
	free(l.program);
	return err;
}

int launch_or_open(struct client *c, const char *path, enum launch_flags flags)
{
	int err = client_try_open(c, path);
	long pid;

	if (err == -ENOENT || err == -ECONNREFUSED) {
		err = launch_cell(c, path, flags, NULL, &pid);
		if (!err && flags == LAUNCH_XENSTORE)
			cli_error("started a cell with a xenstore; `lombard shutdown` ends it");
	} else if (err) {
		client_explain_open(path, err);
	}
	return err;
}
