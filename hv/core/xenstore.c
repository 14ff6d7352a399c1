/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread does all that speaks to xenstored, since that may hang: others only wait for it where
 * they want an answer, and it gives up after a time.
 */
#include "core/xenstore.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

#include "core/cell.h"
#include "core/spawn.h"
#include "lib/log.h"
#include "lib/now.h"

#define START_TIMEOUT_MS 20000
#define END_TIMEOUT_MS 2000
#define POLL_MS 20
#define RETRY_MS 10000 /* after it has not answered */
#define DIR_LEN 128

/* All that xenstored makes in its directory. */
static const char *const files[] = {"socket", "socket_ro", "pid", "tdb"};

struct job {
	STAILQ_ENTRY(job) jb_queue;
	bool jb_waited; /* somebody waits for it, and has its memory */
	bool jb_done;	/* mutex */
	int jb_error;	/* mutex */
	struct xs_guest jb_guest;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static STAILQ_HEAD(jobs, job) jobs = STAILQ_HEAD_INITIALIZER(jobs); /* mutex */
static enum xenstore_state state;				    /* mutex */
static bool closing;						    /* mutex */
static struct failure why;					    /* mutex: ENDED */
static char directory[DIR_LEN];
static pthread_t thread;
static int wake_fd = -1;

/* Of the thread, once there is one. */
static pid_t pid;
static int pid_fd = -1;
static struct xs_client *xs;
static int64_t silent_until; /* it did not answer: it is not asked before this */

const char *xenstore_directory(void)
{
	return directory;
}

/* ---- its files ---- */

static void remove_files(const char *dir)
{
	char path[DIR_LEN + 16];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void name_directory(const char *socket, char *dir)
{
	snprintf(dir, DIR_LEN, "%s.xenstore", socket);
}

void xenstore_clear(const char *socket)
{
	char dir[DIR_LEN];

	name_directory(socket, dir);
	remove_files(dir);
}

/* => the cell's lock is ours, so whoever left files there is gone */
static int make_directory(const char *socket, struct failure *f)
{
	int error;

	xenstore_clear(socket);
	name_directory(socket, directory);
	if (strlen(directory) + sizeof("/socket") > sizeof(((struct sockaddr_un *)0)->sun_path))
		return failure_set(
		    f, -ENAMETOOLONG, "%s is too long for a socket's path", directory);
	if (mkdir(directory, 0750) != 0)
		return failure_sys(f, -errno, "can't make %s", directory);
	error = cell_give(directory);
	if (error != 0)
		return failure_sys(f, error, "can't give %s to the cell's group", directory);
	return 0;
}

/* Who can reach the cell can reach its store: xenstored itself lets its own user in only. */
static void open_to_group(void)
{
	char path[DIR_LEN + 16];
	int error;

	snprintf(path, sizeof(path), "%s/socket", directory);
	error = cell_give(path);
	if (error == 0 && chmod(path, 0660) != 0)
		error = -errno;
	if (error != 0)
		log_warn("can't open %s to the group: %s", path, strerrordesc_np(-error));
}

/* ---- the thread ---- */

static void set_state(enum xenstore_state to)
{
	pthread_mutex_lock(&mutex);
	state = to;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void disconnect(void)
{
	if (xs != NULL)
		xs_close(xs);
	xs = NULL;
}

static int connect_store(void)
{
	if (xs != NULL)
		return 0;
	return now_ms() < silent_until ? -EAGAIN : xs_open(directory, &xs);
}

/* Wait for its death, or (wakes) for something to do.  True: it is dead. */
static bool wait_for(int timeout_ms, bool wakes)
{
	struct pollfd p[2] = {
	    {.fd = pid_fd, .events = POLLIN}, {.fd = wakes ? wake_fd : -1, .events = POLLIN}};
	uint64_t count;

	if (poll(p, 2, timeout_ms) <= 0)
		return false;
	if ((p[1].revents & POLLIN) && read(wake_fd, &count, sizeof(count)) < 0)
		log_warn("xenstore: no wake-up: %s", strerrordesc_np(errno));
	return p[0].revents != 0;
}

static void reap(void)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	pthread_mutex_lock(&mutex);
	if (WIFSIGNALED(status))
		failure_set(&why, -ECHILD,
		    "the cell's xenstored was killed by signal %d: start the cell again to have a "
		    "xenstore",
		    WTERMSIG(status));
	else
		failure_set(&why, -ECHILD, "the cell's xenstored ended with status %d%s",
		    WEXITSTATUS(status),
		    WEXITSTATUS(status) == 127 ? ": is the package xen-utils-4.17 installed?" : "");
	if (!closing)
		log_warn("%s", why.text);
	pthread_mutex_unlock(&mutex);
	pid = 0;
}

static bool closing_p(void)
{
	bool yes;

	pthread_mutex_lock(&mutex);
	yes = closing;
	pthread_mutex_unlock(&mutex);
	return yes;
}

/* False: it is dead, or does not come up. */
static bool start_up(void)
{
	int64_t deadline = now_ms() + START_TIMEOUT_MS;
	int error;

	for (;;) {
		if (wait_for(POLL_MS, false))
			return false;
		error = connect_store();
		if (error == 0 || now_ms() > deadline || closing_p())
			break;
	}
	if (error == 0)
		error = xs_enter_host(xs);
	if (error != 0) {
		log_warn("xenstored can't be used: %s", strerrordesc_np(-error));
		return false;
	}
	open_to_group();
	return true;
}

/* All that is to be done now. */
static void take_jobs(struct jobs *taken)
{
	STAILQ_INIT(taken);
	pthread_mutex_lock(&mutex);
	STAILQ_CONCAT(taken, &jobs);
	pthread_mutex_unlock(&mutex);
}

/* These first, when it is tried again. */
static void put_back(struct jobs *kept)
{
	pthread_mutex_lock(&mutex);
	STAILQ_CONCAT(kept, &jobs);
	STAILQ_CONCAT(&jobs, kept);
	pthread_mutex_unlock(&mutex);
}

static struct job *first_job(struct jobs *from)
{
	struct job *jb = STAILQ_FIRST(from);

	if (jb != NULL)
		STAILQ_REMOVE_HEAD(from, jb_queue);
	return jb;
}

/* => whoever waits has the job back, and may be gone */
static void conclude(struct job *jb, int error)
{
	if (!jb->jb_waited) {
		free(jb);
		return;
	}
	pthread_mutex_lock(&mutex);
	jb->jb_error = error;
	jb->jb_done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static int do_job(struct job *jb)
{
	int error = connect_store();

	if (error == 0)
		error = jb->jb_waited ? xs_enter_guest(xs, &jb->jb_guest)
				      : xs_remove_guest(xs, &jb->jb_guest);
	if (error == 0)
		return 0;
	if (xs != NULL && xs_lost(xs))
		disconnect();
	if (error == -EAGAIN && now_ms() >= silent_until) {
		log_warn("xenstored does not answer");
		silent_until = now_ms() + RETRY_MS;
	}
	return error;
}

static void log_failure(const struct job *jb, int error)
{
	log_warn("xenstore: %s (domain %u) could not be %s: %s", jb->jb_guest.xg_name,
	    jb->jb_guest.xg_domid, jb->jb_waited ? "entered" : "removed", strerrordesc_np(-error));
}

/* All there is to do.  True: what could not be removed has to be tried again. */
static bool do_jobs(void)
{
	struct jobs todo, kept = STAILQ_HEAD_INITIALIZER(kept);
	struct job *jb;
	bool again;
	int error;

	take_jobs(&todo);
	while ((jb = first_job(&todo)) != NULL) {
		error = do_job(jb);
		if (error == -EAGAIN && !jb->jb_waited) {
			STAILQ_INSERT_TAIL(&kept, jb, jb_queue);
			continue;
		}
		if (error != 0)
			log_failure(jb, error);
		conclude(jb, error);
	}
	again = !STAILQ_EMPTY(&kept);
	put_back(&kept);
	return again;
}

/* Until it is dead or the cell ends. */
static void work(void)
{
	bool again = false;

	for (;;) {
		if (wait_for(again ? RETRY_MS : -1, true))
			return;
		again = do_jobs();
		if (closing_p())
			return;
	}
}

static void end_process(void)
{
	disconnect();
	if (pid > 0) {
		kill(pid, SIGTERM);
		if (!wait_for(END_TIMEOUT_MS, false))
			kill(pid, SIGKILL);
		reap();
	}
	close(pid_fd);
}

/* Nobody will do what is left, nor anything that comes later. */
static void refuse_jobs(void)
{
	struct jobs left;
	struct job *jb;

	set_state(XENSTORE_ENDED);
	take_jobs(&left);
	while ((jb = first_job(&left)) != NULL)
		conclude(jb, -ECONNREFUSED);
}

static void *xenstore_main(void *arg)
{
	(void)arg;
	if (start_up()) {
		log_note("xenstored runs, process %d, in %s", (int)pid, directory);
		set_state(XENSTORE_RUNNING);
		work();
	}
	end_process();
	refuse_jobs();
	return NULL;
}

/* ---- for the others ---- */

int xenstore_open(const char *socket, struct failure *f)
{
	int error = make_directory(socket, f);

	if (error != 0)
		goto out_directory;
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0) {
		error = failure_sys(f, -errno, "can't make an eventfd");
		goto out_directory;
	}
	error = spawn_xenstored(socket, directory, &pid, f);
	if (error != 0)
		goto out_directory;
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		error = failure_sys(f, -errno, "can't watch xenstored");
		goto out_process;
	}
	state = XENSTORE_STARTING;
	error = -pthread_create(&thread, NULL, xenstore_main, NULL);
	if (error == 0)
		return 0;
	failure_sys(f, error, "can't make a thread for the xenstore");
	state = XENSTORE_NONE;
	close(pid_fd);
out_process:
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
out_directory:
	if (wake_fd >= 0)
		close(wake_fd);
	remove_files(directory);
	directory[0] = '\0';
	return error;
}

static void wake(void)
{
	uint64_t one = 1;

	if (write(wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_warn("xenstore: no wake-up: %s", strerrordesc_np(errno));
}

void xenstore_close(void)
{
	if (directory[0] == '\0')
		return;
	pthread_mutex_lock(&mutex);
	closing = true;
	pthread_mutex_unlock(&mutex);
	wake();
	pthread_join(thread, NULL);
	close(wake_fd);
	remove_files(directory);
}

enum xenstore_state xenstore_status(bool wait, struct failure *f)
{
	enum xenstore_state now;

	pthread_mutex_lock(&mutex);
	while (wait && state == XENSTORE_STARTING)
		pthread_cond_wait(&changed, &mutex);
	now = state;
	if (now == XENSTORE_ENDED)
		*f = why;
	pthread_mutex_unlock(&mutex);
	return now;
}

/* => mutex held.  False: nobody would do it. */
static bool enqueue(struct job *jb)
{
	if (state != XENSTORE_STARTING && state != XENSTORE_RUNNING)
		return false;
	STAILQ_INSERT_TAIL(&jobs, jb, jb_queue);
	wake();
	return true;
}

int xenstore_add(const struct xs_guest *xg)
{
	struct job jb = {.jb_waited = true, .jb_guest = *xg, .jb_error = -ECONNREFUSED};

	pthread_mutex_lock(&mutex);
	jb.jb_done = !enqueue(&jb);
	while (!jb.jb_done)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	return jb.jb_error;
}

void xenstore_remove(const struct xs_guest *xg)
{
	struct job *jb = calloc(1, sizeof(*jb));

	if (jb == NULL) {
		log_warn("xenstore: out of memory: domain %u stays in it", xg->xg_domid);
		return;
	}
	jb->jb_guest = *xg;
	pthread_mutex_lock(&mutex);
	if (!enqueue(jb))
		free(jb);
	pthread_mutex_unlock(&mutex);
}
