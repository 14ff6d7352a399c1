/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's ends of event channels: ports that belong to handles of programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/xenwire.h"
#include "xen/evtchn_private.h"

#define NUMBERS 64u /* read at once */

struct evtchn_handle {
	int eh_fd;
	int eh_epoll;	  /* watches eh_fd: for POLLOUT, too, while there is a backlog */
	bool eh_deaf;	  /* the other end is closed, or breaks: no more numbers are sent */
	uint32_t eh_head; /* the backlog: ports that did not fit into the socket; 0: none */
	uint32_t eh_tail;
	/* What has been read of a number that came in parts: of the serving thread. */
	uint8_t eh_part[sizeof(uint32_t)];
	size_t eh_npart;
};

struct evtchn_domain evtchn_host = {.ed_domid = EVTCHN_HOST, .ed_eventfd = -1, .ed_nvcpus = 1};

/* Everything static below, up to the thread that serves a handle, is called with the mutex held. */

static void watch_for(struct evtchn_handle *h, uint32_t events)
{
	struct epoll_event ev = {.events = events};

	/* It was added before: nothing is allocated. */
	if (epoll_ctl(h->eh_epoll, EPOLL_CTL_MOD, h->eh_fd, &ev) != 0)
		h->eh_deaf = true;
}

/* Write a number.  False: it does not fit now. */
static bool tell(struct evtchn_handle *h, uint32_t port)
{
	ssize_t n;

	if (h->eh_deaf)
		return true;
	n = send(h->eh_fd, &port, sizeof(port), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		return false;
	if (n != (ssize_t)sizeof(port))
		h->eh_deaf = true;
	return true;
}

static void enqueue(struct evtchn_handle *h, struct evtchn_port *p, uint32_t port)
{
	p->queued = true;
	p->next = 0;
	if (h->eh_tail != 0) {
		evtchn_host.ed_ports[h->eh_tail].next = port;
	} else {
		h->eh_head = port;
		watch_for(h, EPOLLIN | EPOLLOUT);
	}
	h->eh_tail = port;
}

static void dequeue(struct evtchn_handle *h, struct evtchn_port *p, uint32_t port)
{
	uint32_t before = 0, i = h->eh_head;

	while (i != port) {
		before = i;
		i = evtchn_host.ed_ports[i].next;
	}
	if (before != 0)
		evtchn_host.ed_ports[before].next = p->next;
	else
		h->eh_head = p->next;
	if (h->eh_tail == port)
		h->eh_tail = before;
	p->queued = false;
	if (h->eh_head == 0)
		watch_for(h, EPOLLIN);
}

void evtchn_host_raise(struct evtchn_port *p, uint32_t port)
{
	if (p->owner == NULL || p->masked) {
		p->pending = true;
		return;
	}
	p->masked = true;
	p->pending = false;
	/* In order: nothing overtakes the backlog. */
	if (p->owner->eh_head != 0 || !tell(p->owner, port))
		enqueue(p->owner, p, port);
}

static void flush(struct evtchn_handle *h)
{
	uint32_t port;

	while ((port = h->eh_head) != 0 && tell(h, port))
		dequeue(h, &evtchn_host.ed_ports[port], port);
}

/* A port of this handle, or NULL. */
static struct evtchn_port *own_port(struct evtchn_handle *h, uint32_t port)
{
	struct evtchn_port *p = evtchn_port_of(&evtchn_host, port);

	return p != NULL && p->owner == h ? p : NULL;
}

/* A new port has an owner now: events may have come already. */
static void give(struct evtchn_handle *h, uint32_t port)
{
	struct evtchn_port *p = &evtchn_host.ed_ports[port];

	p->owner = h;
	if (p->pending)
		evtchn_host_raise(p, port);
}

/* The owner has done with it. */
static void let_go(struct evtchn_port *p, uint32_t port)
{
	if (p->queued)
		dequeue(p->owner, p, port);
	p->owner = NULL;
	if (p->holds == 0)
		(void)evtchn_close_port(&evtchn_host, port);
}

static int notify(struct evtchn_handle *h, uint32_t port)
{
	return own_port(h, port) != NULL ? evtchn_send_event(&evtchn_host, port) : -ENOTCONN;
}

/* While it waits in the backlog, the owner has not been told yet. */
static void unmask(struct evtchn_handle *h, uint32_t port)
{
	struct evtchn_port *p = own_port(h, port);

	if (p == NULL || p->queued)
		return;
	p->masked = false;
	if (p->pending)
		evtchn_host_raise(p, port);
}

static int alloc_for_guest(struct evtchn_alloc_unbound *op)
{
	struct evtchn_domain *ed = evtchn_domain_of(&evtchn_host, op->dom);
	uint32_t remote = op->remote_dom == DOMID_SELF ? EVTCHN_HOST : op->remote_dom;

	if (ed == NULL)
		return -ESRCH;
	if (ed == &evtchn_host)
		return -EPERM;
	return evtchn_new_port(ed, PORT_UNBOUND, remote, 0, &op->port);
}

/* What the core has bound is not the host's to close. */
static int reset(const struct evtchn_reset *op)
{
	struct evtchn_domain *ed = evtchn_domain_of(&evtchn_host, op->dom);

	if (ed == NULL)
		return -ESRCH;
	if (ed == &evtchn_host)
		return -EPERM;
	evtchn_close_ports(ed);
	return 0;
}

static int dispatch(struct evtchn_domain *host, uint32_t cmd, void *arg)
{
	switch (cmd) {
	case EVTCHNOP_alloc_unbound:
		return alloc_for_guest(arg);
	case EVTCHNOP_reset:
		return reset(arg);
	case EVTCHNOP_send:
		return evtchn_send_event(host, ((struct evtchn_send *)arg)->port);
	case EVTCHNOP_status:
		return evtchn_get_status(host, arg);
	default:
		return -EPERM;
	}
}

int evtchn_host_op(uint32_t cmd, void *arg, uint32_t len)
{
	return evtchn_run(dispatch, &evtchn_host, cmd, arg, len);
}

/* The port that xenstored binds to: nobody's, and held for good, so that it is never closed. */
static int make_xenstore_port(void)
{
	uint32_t port;
	int error = 0;

	pthread_mutex_lock(&evtchn_mutex);
	if (evtchn_host.ed_nports == 0) {
		error = evtchn_new_port(&evtchn_host, PORT_UNBOUND, EVTCHN_HOST, 0, &port);
		if (error == 0)
			evtchn_host.ed_ports[port].holds = 1;
	}
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

int evtchn_handle_open(int fd, struct evtchn_handle **hp)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct evtchn_handle *h;
	int error = make_xenstore_port();

	if (error != 0)
		return error;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->eh_fd = fd;
	h->eh_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->eh_epoll >= 0 && epoll_ctl(h->eh_epoll, EPOLL_CTL_ADD, fd, &ev) == 0) {
		*hp = h;
		return 0;
	}
	error = -errno;
	if (h->eh_epoll >= 0)
		close(h->eh_epoll);
	free(h);
	return error;
}

void evtchn_handle_close(struct evtchn_handle *h)
{
	struct evtchn_port *p;

	pthread_mutex_lock(&evtchn_mutex);
	for (uint32_t i = 1; i < evtchn_host.ed_nports; i++) {
		p = own_port(h, i);
		if (p != NULL)
			let_go(p, i);
	}
	pthread_mutex_unlock(&evtchn_mutex);
	close(h->eh_epoll);
	free(h);
}

int evtchn_handle_fd(const struct evtchn_handle *h)
{
	return h->eh_epoll;
}

/* Bytes from the client: numbers of ports, which may come in parts. */
static void take_numbers(struct evtchn_handle *h, const uint8_t *bytes, size_t n)
{
	uint32_t port;

	for (size_t i = 0; i < n; i++) {
		h->eh_part[h->eh_npart++] = bytes[i];
		if (h->eh_npart < sizeof(port))
			continue;
		memcpy(&port, h->eh_part, sizeof(port));
		h->eh_npart = 0;
		if (port & XENWIRE_EVENT_SEND)
			(void)notify(h, port & ~XENWIRE_EVENT_SEND);
		else
			unmask(h, port);
	}
}

void evtchn_handle_serve(struct evtchn_handle *h)
{
	uint8_t bytes[NUMBERS * sizeof(uint32_t)];
	ssize_t n = recv(h->eh_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	bool over = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);

	pthread_mutex_lock(&evtchn_mutex);
	if (n > 0)
		take_numbers(h, bytes, (size_t)n);
	if (over)
		h->eh_deaf = true;
	flush(h);
	/* What is closed is always readable: look away. */
	if (over)
		(void)epoll_ctl(h->eh_epoll, EPOLL_CTL_DEL, h->eh_fd, NULL);
	pthread_mutex_unlock(&evtchn_mutex);
}

int evtchn_handle_unbound(struct evtchn_handle *h, uint32_t domid, uint32_t *port)
{
	uint32_t remote = domid == DOMID_SELF ? EVTCHN_HOST : domid;
	int error;

	pthread_mutex_lock(&evtchn_mutex);
	error = evtchn_new_port(&evtchn_host, PORT_UNBOUND, remote, 0, port);
	if (error == 0)
		give(h, *port);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

int evtchn_handle_interdomain(
    struct evtchn_handle *h, uint32_t domid, uint32_t remote_port, uint32_t *port)
{
	struct evtchn_bind_interdomain op = {.remote_port = remote_port};
	int error;

	if (domid > DOMID_SELF)
		return -ESRCH;
	op.remote_dom = (domid_t)domid;
	pthread_mutex_lock(&evtchn_mutex);
	error = evtchn_bind_interdomain(&evtchn_host, &op);
	if (error == 0) {
		*port = op.local_port;
		give(h, *port);
	}
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

static bool host_virq_p(uint32_t virq)
{
	return virq == VIRQ_DOM_EXC || virq == VIRQ_TBUF || virq == VIRQ_CON_RING ||
	       virq == VIRQ_ENOMEM;
}

int evtchn_handle_virq(struct evtchn_handle *h, uint32_t virq, uint32_t *port)
{
	struct evtchn_bind_virq op = {.virq = virq};
	int error;

	if (!host_virq_p(virq))
		return -EINVAL;
	pthread_mutex_lock(&evtchn_mutex);
	error = evtchn_bind_virq(&evtchn_host, &op);
	if (error == 0) {
		*port = op.port;
		give(h, *port);
	}
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

int evtchn_handle_unbind(struct evtchn_handle *h, uint32_t port)
{
	struct evtchn_port *p;

	pthread_mutex_lock(&evtchn_mutex);
	p = own_port(h, port);
	if (p != NULL)
		let_go(p, port);
	pthread_mutex_unlock(&evtchn_mutex);
	return p != NULL ? 0 : -ENOTCONN;
}

int evtchn_handle_notify(struct evtchn_handle *h, uint32_t port)
{
	int error;

	pthread_mutex_lock(&evtchn_mutex);
	error = notify(h, port);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

int evtchn_host_hold(uint32_t port)
{
	struct evtchn_port *p;

	pthread_mutex_lock(&evtchn_mutex);
	p = evtchn_port_of(&evtchn_host, port);
	if (p != NULL)
		p->holds++;
	pthread_mutex_unlock(&evtchn_mutex);
	return p != NULL ? 0 : -EINVAL;
}

void evtchn_host_put(uint32_t port)
{
	struct evtchn_port *p;

	pthread_mutex_lock(&evtchn_mutex);
	p = evtchn_port_of(&evtchn_host, port);
	/* A virtual interrupt has no other end. */
	(void)evtchn_send_event(&evtchn_host, port);
	p->holds--;
	if (p->holds == 0 && p->owner == NULL)
		(void)evtchn_close_port(&evtchn_host, port);
	pthread_mutex_unlock(&evtchn_mutex);
}
