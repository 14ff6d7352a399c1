/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sys.h"
#include "proto/wire.h"

extern char **environ;

/* Above all numbers that the child wants its descriptors at. */
#define SAFE_FD 10

/* A program that lies beside us. */
static int program_path(const char *program, char path[PATH_MAX], struct failure *f)
{
	ssize_t n;
	char *slash;

	n = SYS(readlink("/proc/self/exe", path, PATH_MAX - 1));
	if (n < 0)
		return failure_sys(f, -errno, "can't find out where lombardd lies");
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL || slash + 1 + strlen(program) + 1 > path + PATH_MAX)
		return failure_set(f, -ENAMETOOLONG, "the path of lombardd is too long");
	memcpy(slash + 1, program, strlen(program) + 1);
	return 0;
}

static int vmm_path(char path[PATH_MAX], struct failure *f)
{
	const char *env = getenv("LOMBARD_VMM");

	if (env == NULL)
		return program_path("lombard-vmm", path, f);
	snprintf(path, PATH_MAX, "%s", env);
	return 0;
}

static void close_pair(int fds[2])
{
	for (unsigned i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A socket pair of which no end has a number that the child's file actions overwrite. */
static int safe_pair(int fds[2])
{
	int raw[2], error = 0;

	fds[0] = fds[1] = -1;
	if (SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw)) != 0)
		return -errno;
	for (unsigned i = 0; i < 2 && error == 0; i++) {
		fds[i] = SYS(fcntl(raw[i], F_DUPFD_CLOEXEC, SAFE_FD));
		if (fds[i] < 0)
			error = -errno;
	}
	close_pair(raw);
	if (error != 0)
		close_pair(fds);
	return error;
}

int spawn_event(int *fd)
{
	int raw = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	if (raw < 0)
		return -errno;
	*fd = SYS(fcntl(raw, F_DUPFD_CLOEXEC, SAFE_FD));
	close(raw);
	return *fd < 0 ? -errno : 0;
}

/* The child's ends of the channels, in the order of their numbers there from WIRE_FD_REQUEST on. */
#define NENDS 4

static int start(const char *path, const int ends[NENDS], pid_t *pid)
{
	char name[] = "lombard-vmm";
	char *argv[] = {name, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int error;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, STDERR_FILENO, STDOUT_FILENO);
	for (int i = 0; i < NENDS; i++)
		posix_spawn_file_actions_adddup2(&fa, ends[i], WIRE_FD_REQUEST + i);
	/* A Ctrl-C at our terminal is for us alone: we stop the guests in order. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	error = SYS(0) != 0 ? errno : posix_spawn(pid, path, &fa, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return -error;
}

_Static_assert(WIRE_FD_PMAP == WIRE_FD_REQUEST + 1 && WIRE_FD_EVENT == WIRE_FD_REQUEST + 2 &&
		   WIRE_FD_CONTROL == WIRE_FD_REQUEST + 3,
    "see start()");

/* => after an error what was made is in the arrays, for the caller to close */
static int make_channels(int request[2], int pmap[2], int control[2])
{
	int error = safe_pair(request);

	if (error == 0)
		error = safe_pair(pmap);
	return error != 0 ? error : safe_pair(control);
}

int spawn_vmm(struct spawned *sp, struct failure *f)
{
	int request[2] = {-1, -1}, pmap[2] = {-1, -1}, control[2] = {-1, -1}, error;
	char path[PATH_MAX];

	error = vmm_path(path, f);
	if (error != 0)
		return error;
	error = make_channels(request, pmap, control);
	if (error != 0) {
		failure_sys(f, error, "can't make the channels for a guest");
		goto out_close;
	}
	error = start(path, (const int[]){request[1], pmap[1], sp->event, control[1]}, &sp->pid);
	if (error != 0) {
		failure_sys(f, error, "can't start %s", path);
		goto out_close;
	}
	close(request[1]);
	close(pmap[1]);
	close(control[1]);
	sp->request = request[0];
	sp->pmap = pmap[0];
	sp->control = control[0];
	return 0;

out_close:
	close_pair(request);
	close_pair(pmap);
	close_pair(control);
	return error;
}

/*
 * In the child.  It goes when we go, however that is: our main thread is the one that made it.  Its
 * own session, as above.
 */
static void __attribute__((noreturn))
become_xenstored(const char *program, const char *socket, const char *pidfile, pid_t parent)
{
	sigset_t none;
	int null;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	setsid();
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(126);
	execl(program, "lombard", "--socket", socket, "xen", "xenstored", "--no-fork", "--pid-file",
	    pidfile, (char *)NULL);
	_exit(126);
}

int spawn_xenstored(const char *socket, const char *dir, pid_t *pid, struct failure *f)
{
	char path[PATH_MAX], pidfile[PATH_MAX];
	pid_t self = getpid();
	int error = program_path("lombard", path, f);

	if (error != 0)
		return error;
	snprintf(pidfile, sizeof(pidfile), "%s/pid", dir);
	*pid = fork();
	if (*pid < 0)
		return failure_sys(f, -errno, "can't make a process for xenstored");
	if (*pid == 0)
		become_xenstored(path, socket, pidfile, self);
	return 0;
}
