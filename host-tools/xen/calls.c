/* SPDX-License-Identifier: BSD-2-Clause */
#include "calls.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "link.h"

/* Free buffers that are kept: programs take and give back one or two for every hypercall. */
#define CACHE_BUFFERS 8u
#define CACHE_PAGES 32u /* the largest that is kept */

struct buffer {
	LIST_ENTRY(buffer) bu_all;
	void *bu_address;
	size_t bu_npages;
	bool bu_free; /* in the cache */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* All of it: mutex. */
static struct {
	unsigned handles;
	pid_t pid; /* whose connection and buffers these are */
	struct link link;
	unsigned ncached;
	LIST_HEAD(, buffer) buffers;
} calls = {.link = {.fd = -1}};

static void lock(void)
{
	pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

/* A child must not find the lock taken by a thread that it does not have. */
static void watch_forks(void)
{
	pthread_atfork(lock, unlock, unlock);
}

/* A memfd of this many pages, mapped at *address, or anywhere when that is NULL. */
static int map_pages(size_t npages, void **address, int *fd)
{
	size_t bytes = npages * CALLS_PAGE;
	void *p = MAP_FAILED;
	int error = 0;

	*fd = memfd_create("lombard-xencall", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (ftruncate(*fd, (off_t)bytes) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		p = mmap(*address, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | (*address != NULL ? MAP_FIXED : 0), *fd, 0);
	if (p == MAP_FAILED) {
		error = -errno;
		close(*fd);
	} else {
		*address = p;
	}
	return error;
}

/* => fd is closed */
static int tell_of_buffer(struct link *l, void *address, size_t npages, int fd)
{
	struct link_request req = {
	    .head = {.op = XENWIRE_BUFFER, .u.buffer = {(uintptr_t)address, npages}}};
	struct link_answer a;
	int64_t value = link_ask(l, &req, 0, fd, &a, 0);

	link_drop_fds(&a);
	close(fd);
	return value < 0 ? (int)value : 0;
}

static void drop(struct buffer *bu)
{
	LIST_REMOVE(bu, bu_all);
	munmap(bu->bu_address, bu->bu_npages * CALLS_PAGE);
	free(bu);
}

/* Make a buffer's pages this process's own, and the connection's. */
static int renew(struct link *l, struct buffer *bu)
{
	size_t bytes = bu->bu_npages * CALLS_PAGE;
	void *copy = NULL;
	int fd, error = map_pages(bu->bu_npages, &copy, &fd);

	if (error != 0)
		return error;
	memcpy(copy, bu->bu_address, bytes);
	if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, bu->bu_address) ==
	    MAP_FAILED) {
		error = -errno;
		munmap(copy, bytes);
		close(fd);
		return error;
	}
	return tell_of_buffer(l, bu->bu_address, bu->bu_npages, fd);
}

static void drop_cached(void)
{
	struct buffer *bu, *next;

	LIST_FOREACH_SAFE (bu, &calls.buffers, bu_all, next)
		if (bu->bu_free)
			drop(bu);
	calls.ncached = 0;
}

/* A connection of this process's own, that knows of all buffers there are.  => mutex */
static int attach(struct link *l)
{
	struct buffer *bu;
	int error = link_open(l, "call", NULL);

	if (error != 0)
		return error;
	drop_cached();
	LIST_FOREACH (bu, &calls.buffers, bu_all) {
		error = renew(l, bu);
		if (error != 0)
			break;
	}
	if (error != 0)
		link_close(l);
	else
		calls.pid = getpid();
	return error;
}

/* The first call of a child: what it has is its parent's.  => mutex */
static int adopt(void)
{
	struct link new;
	int error, number = calls.link.fd;

	if (calls.pid == getpid())
		return 0;
	error = attach(&new);
	if (error != 0)
		return error;
	/* The number is known to whoever asked for it. */
	if (dup3(new.fd, number, O_CLOEXEC) < 0) {
		error = -errno;
		link_close(&new);
		calls.pid = 0;
		return error;
	}
	close(new.fd);
	new.fd = number;
	calls.link.fd = -1;
	link_close(&calls.link);
	calls.link = new;
	return 0;
}

int calls_open(void)
{
	int error;

	pthread_once(&once, watch_forks);
	lock();
	error = calls.handles == 0 ? attach(&calls.link) : adopt();
	if (error == 0)
		calls.handles++;
	unlock();
	return error;
}

/* Buffers that somebody still has stay where they are, as memory. */
void calls_close(void)
{
	lock();
	if (--calls.handles == 0) {
		drop_cached();
		link_close(&calls.link);
	}
	unlock();
}

int calls_fd(void)
{
	int fd;

	lock();
	fd = calls.link.fd;
	unlock();
	return fd;
}

int64_t calls_make(uint64_t nr, const uint64_t arg[5])
{
	struct xenwire_request req = {.op = XENWIRE_CALL, .u.call.nr = nr};
	int64_t value;

	memcpy(req.u.call.arg, arg, sizeof(req.u.call.arg));
	lock();
	value = adopt();
	if (value == 0)
		value = link_tell(&calls.link, &req);
	unlock();
	return value;
}

/* => mutex */
static struct buffer *take_cached(size_t npages)
{
	struct buffer *bu;

	LIST_FOREACH (bu, &calls.buffers, bu_all)
		if (bu->bu_free && bu->bu_npages == npages)
			break;
	if (bu != NULL) {
		bu->bu_free = false;
		calls.ncached--;
		memset(bu->bu_address, 0, npages * CALLS_PAGE);
	}
	return bu;
}

/* => mutex */
static int make_buffer(size_t npages, struct buffer **bup)
{
	struct buffer *bu = calloc(1, sizeof(*bu));
	int fd, error;

	if (bu == NULL)
		return -ENOMEM;
	bu->bu_npages = npages;
	error = map_pages(npages, &bu->bu_address, &fd);
	if (error != 0) {
		free(bu);
		return error;
	}
	LIST_INSERT_HEAD(&calls.buffers, bu, bu_all);
	error = tell_of_buffer(&calls.link, bu->bu_address, npages, fd);
	if (error != 0)
		drop(bu);
	else
		*bup = bu;
	return error;
}

int calls_alloc(size_t npages, void **address)
{
	struct buffer *bu = NULL;
	int error;

	if (npages == 0 || npages > PTRDIFF_MAX / CALLS_PAGE)
		return -EINVAL;
	lock();
	error = adopt();
	if (error == 0)
		bu = take_cached(npages);
	if (error == 0 && bu == NULL)
		error = make_buffer(npages, &bu);
	unlock();
	if (error == 0)
		*address = bu->bu_address;
	return error;
}

/* => mutex */
static void give_back(struct buffer *bu)
{
	struct xenwire_request req = {
	    .op = XENWIRE_UNBUFFER, .u.buffer = {(uintptr_t)bu->bu_address, bu->bu_npages}};

	/* A child that never got a connection has nothing to take back. */
	if (adopt() == 0 && calls.ncached < CACHE_BUFFERS && bu->bu_npages <= CACHE_PAGES) {
		bu->bu_free = true;
		calls.ncached++;
		return;
	}
	if (calls.pid == getpid())
		(void)link_tell(&calls.link, &req);
	drop(bu);
}

void calls_free(void *address)
{
	int saved = errno;
	struct buffer *bu;

	lock();
	LIST_FOREACH (bu, &calls.buffers, bu_all)
		if (bu->bu_address == address && !bu->bu_free)
			break;
	if (bu != NULL)
		give_back(bu);
	unlock();
	errno = saved;
}
