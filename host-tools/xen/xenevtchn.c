/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxenevtchn: event channels of this program.
 *
 * A handle has two descriptors: requests go over its connection, events come over a stream socket,
 * which is the one that xenevtchn_fd() gives away.  So whatever the program does to that one, such
 * as making it non-blocking, does not disturb requests.
 */
#include <xenevtchn.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "active.h"
#include "link.h"

struct xenevtchn_handle {
	struct active eh_active;
	struct link eh_link;
	int eh_events;
};

/* Both have to live on in the next program for ports to stay bound. */
static int keep_over_exec(const xenevtchn_handle *h)
{
	if (fcntl(h->eh_link.fd, F_SETFD, 0) < 0 || fcntl(h->eh_events, F_SETFD, 0) < 0)
		return -errno;
	return 0;
}

static int open_handle(xenevtchn_handle *h, struct xentoollog_logger *logger, unsigned flags)
{
	int error = link_open(&h->eh_link, "evtchn", &h->eh_events);

	if (error != 0) {
		link_explain(logger, "xenevtchn", error);
		return error;
	}
	error = flags & XENEVTCHN_NO_CLOEXEC ? keep_over_exec(h) : 0;
	if (error != 0) {
		link_close(&h->eh_link);
		close(h->eh_events);
	}
	return error;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	xenevtchn_handle *h = NULL;
	int error = flags & ~(unsigned)XENEVTCHN_NO_CLOEXEC ? -EINVAL : 0;

	if (error == 0) {
		h = calloc(1, sizeof(*h));
		error = h != NULL ? open_handle(h, logger, flags) : -ENOMEM;
	}
	if (error != 0) {
		free(h);
		errno = -error;
		return NULL;
	}
	active_add(&h->eh_active);
	return h;
}

/*
 * A handle made of a descriptor that another program has left: it is one of the two that a handle
 * needs, and does not say which is the other.
 */
xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned open_flags)
{
	(void)logger;
	(void)fd;
	errno = open_flags != 0 ? EINVAL : ENOSYS;
	return NULL;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	if (h == NULL)
		return 0;
	active_remove(&h->eh_active);
	link_close(&h->eh_link);
	close(h->eh_events);
	free(h);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->eh_events;
}

/* => the answer's value, which is a port or 0; or -1 and errno */
static int ask(xenevtchn_handle *h, const struct xenwire_request *req)
{
	int64_t value = link_tell(&h->eh_link, req);

	if (value >= 0)
		return (int)value;
	errno = (int)-value;
	return -1;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	return ask(h, &(struct xenwire_request){.op = XENWIRE_EVENT_NOTIFY, .u.event.port = port});
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid)
{
	return ask(
	    h, &(struct xenwire_request){.op = XENWIRE_EVENT_UNBOUND, .u.event.domid = domid});
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(
    xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote_port)
{
	return ask(h, &(struct xenwire_request){.op = XENWIRE_EVENT_INTERDOMAIN,
			  .u.event = {.domid = domid, .port = remote_port}});
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned virq)
{
	return ask(h, &(struct xenwire_request){.op = XENWIRE_EVENT_VIRQ, .u.event.virq = virq});
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	return ask(h, &(struct xenwire_request){.op = XENWIRE_EVENT_UNBIND, .u.event.port = port});
}

/* Waits, unless the program has made the descriptor non-blocking. */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	uint32_t port;
	ssize_t n = recv(h->eh_events, &port, sizeof(port), MSG_WAITALL);

	if (n == sizeof(port))
		return (int)port;
	if (n >= 0 || errno == ECONNRESET)
		errno = EPIPE;
	return -1;
}

/* A full socket is soon empty again: the cell does nothing there but take ports. */
int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	struct pollfd p = {.fd = h->eh_events, .events = POLLOUT};
	uint32_t number = port;
	ssize_t n;

	for (;;) {
		n = send(h->eh_events, &number, sizeof(number), MSG_NOSIGNAL);
		if (n == sizeof(number))
			return 0;
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (errno == EAGAIN)
			(void)poll(&p, 1, -1);
	}
	if (n >= 0 || errno == ECONNRESET)
		errno = EPIPE;
	return -1;
}

int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
	(void)h;
	(void)domid;
	errno = EOPNOTSUPP;
	return -1;
}
