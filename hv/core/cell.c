/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/cell.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sys.h"

struct console {
	SLIST_ENTRY(console) next;
	char path[];
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int end_fd = -1, lock_fd = -1;
static gid_t group_of_clients;
static char lock_path[sizeof(address.sun_path) + 8];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static SLIST_HEAD(, console) consoles = SLIST_HEAD_INITIALIZER(consoles);
static unsigned nconsoles;

const char *cell_socket(void)
{
	return address.sun_path;
}

int cell_end_fd(void)
{
	return end_fd;
}

void cell_end(void)
{
	uint64_t one = 1;

	if (write(end_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		perror("lombardd: can't end the cell");
}

int cell_give(const char *path)
{
	return chown(path, (uid_t)-1, group_of_clients) != 0 ? -errno : 0;
}

/* The directory part of the socket's path, with its slash, or "". */
static int directory(char *buf, size_t len)
{
	const char *slash = strrchr(address.sun_path, '/');

	return snprintf(buf, len, "%.*s", slash != NULL ? (int)(slash - address.sun_path) + 1 : 0,
	    address.sun_path);
}

/* Is what we have locked still what others will find there?  A cell that ends removes its file. */
static bool lock_counts(void)
{
	struct stat ours, there;

	return fstat(lock_fd, &ours) == 0 && stat(lock_path, &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* One cell at a time for each socket path: who holds the lock file's lock may replace the socket.
 */
static int take_lock(struct failure *f)
{
	int error;

	snprintf(lock_path, sizeof(lock_path), "%s.lock", address.sun_path);
	for (;;) {
		lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (lock_fd < 0)
			return failure_sys(f, -errno, "can't make %s", lock_path);
		error = flock(lock_fd, LOCK_EX | LOCK_NB) != 0 ? -errno : 0;
		if (error == 0 && lock_counts())
			return 0;
		close(lock_fd);
		if (error == -EWOULDBLOCK)
			return failure_set(
			    f, -EADDRINUSE, "another cell runs at %s", address.sun_path);
		if (error != 0)
			return failure_sys(f, error, "can't lock %s", lock_path);
	}
}

static int listen_there(int *listener, struct failure *f)
{
	mode_t old;
	int fd, error;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failure_sys(f, -errno, "can't make a socket");
	unlink(address.sun_path);
	/* Who may connect is who may write to the socket: its owner and its group. */
	old = umask(0117);
	error = bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ? -errno : 0;
	umask(old);
	/* Nobody can connect before we listen. */
	if (error == 0)
		error = cell_give(address.sun_path);
	if (error == 0 && listen(fd, 128) != 0)
		error = -errno;
	if (error != 0) {
		close(fd);
		return failure_sys(f, error, "can't listen at %s", address.sun_path);
	}
	*listener = fd;
	return 0;
}

/* The socket's directory, if it is not there yet. */
static int make_directory(struct failure *f)
{
	char dir[sizeof(address.sun_path)];
	int error = 0;

	if (directory(dir, sizeof(dir)) == 0)
		return 0;
	if (mkdir(dir, 0750) != 0)
		return errno == EEXIST ? 0 : failure_sys(f, -errno, "can't make %s", dir);
	error = cell_give(dir);
	if (error != 0) {
		rmdir(dir);
		return failure_sys(f, error, "can't give %s to the cell's group", dir);
	}
	return 0;
}

int cell_open(const char *path, gid_t group, int *listener, struct failure *f)
{
	int error;

	group_of_clients = group;
	if (strlen(path) + sizeof(".lock") > sizeof(address.sun_path))
		return failure_set(f, -ENAMETOOLONG, "the socket's path is too long: %s", path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	error = make_directory(f);
	if (error != 0)
		return error;
	end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (end_fd < 0)
		return failure_sys(f, -errno, "can't make an eventfd");
	error = take_lock(f);
	if (error != 0)
		return error;
	error = listen_there(listener, f);
	if (error != 0)
		cell_close();
	return error;
}

void cell_close(void)
{
	struct console *c;

	while ((c = SLIST_FIRST(&consoles)) != NULL) {
		SLIST_REMOVE_HEAD(&consoles, next);
		unlink(c->path);
		free(c);
	}
	unlink(address.sun_path);
	unlink(lock_path);
	close(lock_fd);
}

int cell_console(const char *name, char *path, size_t len, int *fd, struct failure *f)
{
	char dir[sizeof(address.sun_path)];
	struct console *c;
	unsigned number;

	pthread_mutex_lock(&mutex);
	number = ++nconsoles;
	pthread_mutex_unlock(&mutex);
	directory(dir, sizeof(dir));
	snprintf(path, len, "%s%s.%u.console", dir, name[0] != '\0' ? name : "guest", number);
	c = SYS_ALLOC(malloc(sizeof(*c) + strlen(path) + 1));
	if (c == NULL)
		return failure_set(f, -ENOMEM, "out of memory");
	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (*fd < 0) {
		free(c);
		return failure_sys(f, -errno, "can't make the console file %s", path);
	}
	memcpy(c->path, path, strlen(path) + 1);
	/* To read it is all that its mode lets the group do. */
	(void)cell_give(path);
	pthread_mutex_lock(&mutex);
	SLIST_INSERT_HEAD(&consoles, c, next);
	pthread_mutex_unlock(&mutex);
	return 0;
}

void cell_console_drop(const char *path)
{
	struct console *c;

	pthread_mutex_lock(&mutex);
	SLIST_FOREACH (c, &consoles, next) {
		if (strcmp(c->path, path) == 0) {
			SLIST_REMOVE(&consoles, c, console, next);
			break;
		}
	}
	pthread_mutex_unlock(&mutex);
	unlink(path);
	free(c);
}
