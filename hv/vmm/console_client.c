/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Those who look at a guest's console and type at it (`lombard console`).  Their sockets are never
 * waited for: who is too slow misses output, and finds a mark in its place.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/console.h"

static bool room_p(const struct console *c)
{
	return c->ninput < sizeof(c->input);
}

bool client_behind(const struct console *c, const struct console_client *cl)
{
	return cl->fd >= 0 && !cl->out_over && (cl->mark_len > 0 || cl->at < c->scroll.end);
}

int client_events(const struct console *c, const struct console_client *cl)
{
	int events = 0;

	if (cl->fd < 0)
		return -1;
	if (!cl->in_over && room_p(c))
		events |= POLLIN;
	if (client_behind(c, cl))
		events |= POLLOUT;
	/* One that is gone may have said something before: that comes first, when there is room. */
	return events == 0 && !cl->in_over ? -1 : events;
}

/* => as much as the socket takes; 0: no more now, or never */
static size_t send_some(struct console_client *cl, const char *buf, size_t len)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do
		n = sendmsg(cl->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		cl->out_over = true;
	return n > 0 ? (size_t)n : 0;
}

/* Its place is gone: it goes on with the oldest line there is. */
static void skip_lost(const struct console *c, struct console_client *cl)
{
	uint64_t to = scroll_begin(&c->scroll);

	/* One mark for all, as long as none of it has been sent. */
	if (cl->mark_len == 0)
		cl->missed = 0;
	cl->missed += to - cl->at;
	cl->at = to;
	cl->mark_at = 0;
	cl->mark_len = (size_t)snprintf(cl->mark, sizeof(cl->mark),
	    "\r\n[%" PRIu64 " bytes of output were dropped]\r\n", cl->missed);
}

/* => did it take all there was? */
static bool send_piece(const struct console *c, struct console_client *cl)
{
	const char *run;
	size_t len, n;

	if ((cl->mark_len == 0 || cl->mark_at == 0) && scroll_lost(&c->scroll, cl->at) > 0)
		skip_lost(c, cl);
	if (cl->mark_len > 0) {
		n = send_some(cl, cl->mark + cl->mark_at, cl->mark_len);
		cl->mark_at += n;
		cl->mark_len -= n;
		return cl->mark_len == 0;
	}
	len = scroll_run(&c->scroll, cl->at, &run);
	n = send_some(cl, run, len);
	cl->at += n;
	return n == len;
}

static void send_all(const struct console *c, struct console_client *cl)
{
	while (client_behind(c, cl) && send_piece(c, cl))
		continue;
}

/* => is there anything new? */
static bool receive(struct console *c, struct console_client *cl)
{
	struct iovec iov = {
	    .iov_base = c->input + c->ninput, .iov_len = sizeof(c->input) - c->ninput};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(cl->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0)
		c->ninput += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		cl->in_over = true;
	return n > 0;
}

static void forget(struct console *c, struct console_client *cl)
{
	close(cl->fd);
	*cl = (struct console_client){.fd = -1};
	c->nclients--;
}

bool client_serve(struct console *c, struct console_client *cl, int revents)
{
	bool news = false;

	if (!cl->in_over && room_p(c) && (revents & (POLLIN | POLLHUP | POLLERR)))
		news = receive(c, cl);
	else if (cl->in_over && (revents & (POLLHUP | POLLERR)))
		cl->out_over = true;
	send_all(c, cl);
	if (cl->in_over && cl->out_over)
		forget(c, cl);
	return news;
}

int console_attach(struct console *c, int fd, bool history)
{
	struct console_client *cl = NULL;

	pthread_mutex_lock(&c->mutex);
	for (unsigned i = 0; i < CONSOLE_CLIENTS && !cl; i++)
		if (c->clients[i].fd < 0)
			cl = &c->clients[i];
	if (cl) {
		*cl = (struct console_client){
		    .fd = fd, .at = history ? scroll_begin(&c->scroll) : c->scroll.end};
		c->nclients++;
	}
	pthread_mutex_unlock(&c->mutex);
	if (!cl)
		return -EUSERS;
	console_kick(c);
	return 0;
}
