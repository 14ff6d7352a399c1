/* SPDX-License-Identifier: BSD-2-Clause */
#include "disks.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "images.h"
#include "xenctl.h"

extern char **environ;

static bool taken(const struct disks *d, const char *name)
{
	for (unsigned i = 0; i < d->n; i++)
		if (strcmp(d->all[i].name, name) == 0)
			return true;
	return false;
}

static bool name_p(const char *name)
{
	return strlen(name) == 4 && strncmp(name, "xvd", 3) == 0 && name[3] >= 'a' &&
	       name[3] < (char)('a' + DISKS_MAX);
}

/* The first one that is free yet. */
static void give_name(const struct disks *d, struct disk_option *o)
{
	unsigned i = 0;

	do
		snprintf(o->name, sizeof(o->name), "xvd%c", (char)('a' + i++ % DISKS_MAX));
	while (taken(d, o->name));
}

/* The last word behind a comma, cut off, if it is one of ours. */
static bool take_word(struct disk_option *o, const struct argp_state *state)
{
	char *comma = strrchr(o->file, ',');

	if (comma && strcmp(comma, ",ro") == 0)
		o->read_only = true;
	else if (comma && strcmp(comma, ",share") == 0)
		o->share = true;
	else if (!comma || strncmp(comma, ",name=", 6) != 0)
		return false;
	else if (!name_p(comma + 6))
		argp_error(state, "--disk: a disk is named xvda to xvdp, not %s", comma + 6);
	else
		snprintf(o->name, sizeof(o->name), "%s", comma + 6);
	*comma = '\0';
	return true;
}

void disks_add(struct disks *d, const char *arg, const struct argp_state *state)
{
	struct disk_option o = {.file = strdup(arg)};

	if (d->n == DISKS_MAX)
		argp_error(state, "a guest has at most %u disks", DISKS_MAX);
	if (!o.file)
		argp_failure(state, CLI_FAILED, ENOMEM, "--disk");
	while (take_word(&o, state))
		continue;
	if (!*o.file)
		argp_error(state, "--disk %s: which file?", arg);
	if (o.share && !o.read_only)
		argp_error(
		    state, "--disk %s: only a disk that is read-only (ro) can be shared", arg);
	if (!*o.name)
		give_name(d, &o);
	else if (taken(d, o.name))
		argp_error(state, "--disk: there are two disks named %s", o.name);
	d->all[d->n++] = o;
}

static int find_program(char **program)
{
	char *dir;
	int err = images_program_dir(&dir);

	if (err)
		return err;
	err = asprintf(program, "%s/lombard-blk", dir) < 0 ? -ENOMEM : 0;
	free(dir);
	return err;
}

/* It takes signals as any program does, whatever we do with ours. */
static int spawn(const char *program, const char *const argv[], pid_t *pid)
{
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	err = posix_spawn(pid, program, NULL, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	if (err)
		cli_error("cannot start %s: %s", program, strerror(err));
	return -err;
}

/* It has said why, if it is not 0. */
static int await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static int start_one(const struct disk_option *o, const char *program, const char *socket,
    const char *domid, const char *log)
{
	const char *argv[13] = {"lombard-blk", "--detach", "--socket", socket};
	unsigned argc = 4;
	pid_t pid;
	int err;

	if (o->read_only)
		argv[argc++] = "--read-only";
	if (o->share)
		argv[argc++] = "--share";
	if (log) {
		argv[argc++] = "--log";
		argv[argc++] = log;
	}
	argv[argc++] = "--";
	argv[argc++] = domid;
	argv[argc++] = o->name;
	argv[argc++] = o->file;
	err = spawn(program, argv, &pid);
	return err ? err : await(pid);
}

/* The cell's, if we may write there: for free.  Nobody who runs us is to wait for its end. */
static char *find_log(const char *socket)
{
	char *log;

	if (asprintf(&log, "%s.log", socket) < 0)
		return NULL;
	if (access(log, W_OK) == 0)
		return log;
	free(log);
	return strdup("/dev/null");
}

static int start_all(const struct disks *d, const char *socket, json_int_t domid, bool detached)
{
	char *program = NULL, *log = detached ? find_log(socket) : NULL, number[24];
	int err = d->n ? find_program(&program) : 0;

	snprintf(number, sizeof(number), "%lld", (long long)domid);
	if (err || (detached && !log))
		cli_error("cannot start lombard-blk: %s", strerror(err ? -err : ENOMEM));
	for (unsigned i = 0; !err && i < d->n; i++)
		err = start_one(&d->all[i], program, socket, number, log);
	free(program);
	free(log);
	return err;
}

/* With its disks it runs; without them it has nothing to run for. */
static int decide(const char *socket, uint32_t domid, bool run)
{
	static const char what[] = "let the guest run with its disks";
	struct xenctl x;
	int err;

	xenctl_init(&x, socket);
	err = xenctl_open(&x, what);
	if (!err) {
		err = run ? xenctl_unpause(&x, domid) : xenctl_destroy(&x, domid);
		if (err)
			xenctl_explain(&x, what, err);
	}
	xenctl_close(&x);
	return err;
}

/* Those that were started end with the guest. */
int disks_give(const struct disks *d, const char *socket, json_int_t domid, bool detached)
{
	int err = start_all(d, socket, domid, detached);
	int decided = decide(socket, (uint32_t)domid, !err);

	return err ? err : decided;
}

void disks_drop(struct disks *d)
{
	while (d->n)
		free(d->all[--d->n].file);
}

json_t *disks_describe(const struct disks *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < d->n; i++)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:b, s:b}", "name", d->all[i].name, "file",
			      d->all[i].file, "read_only", (int)d->all[i].read_only, "share",
			      (int)d->all[i].share));
	return list;
}
