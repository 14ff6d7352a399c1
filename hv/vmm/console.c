/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's ends, and the guest's hypercall (Xen public/xen.h, CONSOLEIO_*).
 */
#include "vmm/console.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/count.h"
#include "lib/sys.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define CHUNK 4096 /* copied at a time, whatever length the guest names */

static bool socket_p(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

int console_init(struct console *c, int in, int out, struct failure *f)
{
	c->in = in;
	c->out = out;
	c->log = -1;
	c->in_socket = socket_p(in);
	c->out_socket = socket_p(out);
	pthread_mutex_init(&c->read_mutex, NULL);
	pthread_mutex_init(&c->write_mutex, NULL);
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->changed, NULL);
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		c->clients[i].fd = -1;
	c->kick = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return c->kick < 0 ? failure_sys(f, -errno, "can't make an eventfd for the console") : 0;
}

void console_log_to(struct console *c, int fd, const char *name)
{
	c->log = fd;
	c->name = name;
}

void console_kick(struct console *c)
{
	count_up(c->kick);
}

void console_ring_told(struct console *c)
{
	atomic_store(&c->ring_used, true);
	if (!atomic_exchange(&c->ring_told, true))
		console_kick(c);
}

void console_ring_used(struct console *c)
{
	if (!atomic_load(&c->ring_used))
		console_ring_told(c);
}

/* In the cell's log. */
static void complain(const struct console *c, const char *which, int error)
{
	fprintf(stderr, "lombard-vmm: the console of %s loses its %s: %s\n",
	    c->name != NULL ? c->name : "a guest", which, strerrordesc_np(error));
}

/* => write_mutex held.  It may be a FIFO, which is waited for. */
static void write_log(struct console *c, const char *buf, size_t len)
{
	while (len > 0 && c->log >= 0) {
		ssize_t n = write(c->log, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain(c, "log", errno);
			c->log = -1;
			return;
		}
		buf += n;
		len -= (size_t)n;
	}
}

void console_keep(struct console *c, const char *buf, size_t len)
{
	bool heard;

	write_log(c, buf, len);
	pthread_mutex_lock(&c->mutex);
	scroll_add(&c->scroll, buf, len);
	heard = c->nclients > 0;
	pthread_mutex_unlock(&c->mutex);
	if (heard)
		console_kick(c);
}

static bool ready_p(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

/*
 * The descriptor is shared with others, so it can't be made one that never waits.  A pipe that has room
 * takes PIPE_BUF bytes.
 */
static ssize_t write_once(struct console *c, int out, const char *buf, size_t len)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len < PIPE_BUF ? len : PIPE_BUF};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (c->out_socket)
		return sendmsg(out, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!ready_p(out, POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(out, buf, iov.iov_len);
}

ssize_t console_write_now(struct console *c, const char *buf, size_t len)
{
	int out = atomic_load(&c->out), error;
	ssize_t n;

	if (out < 0)
		return -EPIPE;
	n = write_once(c, out, buf, len);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	/* A console that nobody reads any more, or that is full, is no reason to stop a guest. */
	atomic_store(&c->out, -1);
	error = errno;
	if (error != EPIPE && error != ECONNRESET && error != EFBIG)
		complain(c, "output", error);
	return -error;
}

size_t console_read_now(struct console *c, char *buf, size_t room)
{
	struct iovec iov = {.iov_base = buf, .iov_len = room};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	int in = atomic_load(&c->in);
	ssize_t n;

	if (in < 0 || (!c->in_socket && !ready_p(in, POLLIN)))
		return 0;
	n = c->in_socket ? recvmsg(in, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : read(in, buf, room);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		atomic_store(&c->in, -1);
	return 0;
}

/* => write_mutex held */
static void write_all(struct console *c, const char *buf, size_t len)
{
	while (len > 0) {
		struct pollfd p = {.fd = atomic_load(&c->out), .events = POLLOUT};
		ssize_t n = console_write_now(c, buf, len);

		if (n < 0)
			return;
		if (n == 0)
			poll(&p, 1, -1);
		buf += n;
		len -= (size_t)n;
	}
}

/* Clients have it before `out` does, which may take its time. */
static void output(struct console *c, const char *buf, size_t len)
{
	pthread_mutex_lock(&c->write_mutex);
	console_keep(c, buf, len);
	write_all(c, buf, len);
	pthread_mutex_unlock(&c->write_mutex);
	if (atomic_exchange(&c->write_wanted, false))
		console_kick(c);
}

static int64_t console_write(struct vmm *vm, struct hypercall *h)
{
	char buf[CHUNK];

	for (unsigned done = 0; h->arg[1] > 0; done++) {
		size_t n = h->arg[1] < sizeof(buf) ? (size_t)h->arg[1] : sizeof(buf);
		int ret;

		if (hypercall_rest_p(vm, done))
			return -ERESTART;
		ret = gmem_copy_in(&vm->mem, &h->paging, buf, h->arg[2], n);
		if (ret)
			return ret;
		output(&vm->console, buf, n);
		h->arg[1] -= n;
		h->arg[2] += n;
	}
	return 0;
}

/* What clients have typed. */
static size_t take_input(struct console *c, char *buf, size_t room)
{
	size_t n;

	pthread_mutex_lock(&c->mutex);
	n = c->ninput < room ? c->ninput : room;
	memcpy(buf, c->input, n);
	c->ninput -= n;
	memmove(c->input, c->input + n, c->ninput);
	pthread_mutex_unlock(&c->mutex);
	if (n > 0)
		console_kick(c);
	return n;
}

/* `in` is looked at only when the guest asks: who shares it may want the rest. */
static size_t read_input(struct console *c, char *buf, size_t room)
{
	size_t n = take_input(c, buf, room);

	if (n > 0 || atomic_load(&c->ring_used))
		return n;
	pthread_mutex_lock(&c->read_mutex);
	n = console_read_now(c, buf, room);
	pthread_mutex_unlock(&c->read_mutex);
	return n;
}

/* What is there now, 0 bytes if nothing: Xen's console never waits. */
static int64_t console_read(struct vmm *vm, const struct hypercall *h)
{
	char buf[CHUNK];
	size_t n = read_input(&vm->console, buf, h->arg[1] < sizeof(buf) ? h->arg[1] : sizeof(buf));
	int ret = n > 0 ? gmem_copy_out(&vm->mem, &h->paging, h->arg[2], buf, n) : 0;

	return ret ? ret : (int64_t)n;
}

int64_t console_op(struct vmm *vm, struct hypercall *h)
{
	switch (h->arg[0]) {
	case CONSOLEIO_write:
		return console_write(vm, h);
	case CONSOLEIO_read:
		return console_read(vm, h);
	default:
		return -ENOSYS;
	}
}
