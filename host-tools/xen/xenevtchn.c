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
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "active.h"
#include "evtsend.h"
#include "link.h"

struct xenevtchn_handle {
	struct active eh_active;
	struct link eh_link;
	int eh_events;
	bool eh_told; /* that the cell has ended */
};

#define TOLD_PAUSE_NS 10000000L

/* Both have to live on in the next program for ports to stay bound. */
static int keep_over_exec(const xenevtchn_handle *xce)
{
	if (fcntl(xce->eh_link.fd, F_SETFD, 0) < 0 || fcntl(xce->eh_events, F_SETFD, 0) < 0)
		return -errno;
	return 0;
}

static int open_handle(xenevtchn_handle *xce, struct xentoollog_logger *logger, unsigned flags)
{
	int error = link_open(&xce->eh_link, "evtchn", &xce->eh_events);

	if (error != 0) {
		link_explain(logger, "xenevtchn", error);
		return error;
	}
	error = flags & XENEVTCHN_NO_CLOEXEC ? keep_over_exec(xce) : 0;
	if (error != 0) {
		link_close(&xce->eh_link);
		close(xce->eh_events);
	}
	return error;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	xenevtchn_handle *xce = NULL;
	int error = flags & ~(unsigned)XENEVTCHN_NO_CLOEXEC ? -EINVAL : 0;

	if (error == 0) {
		xce = calloc(1, sizeof(*xce));
		error = xce != NULL ? open_handle(xce, logger, flags) : -ENOMEM;
	}
	if (error != 0) {
		free(xce);
		errno = -error;
		return NULL;
	}
	active_add(&xce->eh_active);
	return xce;
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

int xenevtchn_close(xenevtchn_handle *xce)
{
	if (xce == NULL)
		return 0;
	active_remove(&xce->eh_active);
	link_close(&xce->eh_link);
	close(xce->eh_events);
	free(xce);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->eh_events;
}

/* => the answer's value, which is a port or 0; or -1 and errno */
static int ask(xenevtchn_handle *xce, const struct xenwire_request *req)
{
	int64_t value = link_tell(&xce->eh_link, req);

	if (value >= 0)
		return (int)value;
	errno = (int)-value;
	return -1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	return ask(
	    xce, &(struct xenwire_request){.op = XENWIRE_EVENT_NOTIFY, .u.event.port = port});
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	return ask(
	    xce, &(struct xenwire_request){.op = XENWIRE_EVENT_UNBOUND, .u.event.domid = domid});
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(
    xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
	return ask(xce, &(struct xenwire_request){.op = XENWIRE_EVENT_INTERDOMAIN,
			    .u.event = {.domid = domid, .port = remote_port}});
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned virq)
{
	return ask(xce, &(struct xenwire_request){.op = XENWIRE_EVENT_VIRQ, .u.event.virq = virq});
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	return ask(
	    xce, &(struct xenwire_request){.op = XENWIRE_EVENT_UNBIND, .u.event.port = port});
}

/*
 * The descriptor of a lost handle stays readable.  Programs that do not look at the error (Xen's
 * vchan-socket-proxy is one) come again for ever: not as fast as they can.
 */
static void tell_lost(xenevtchn_handle *xce)
{
	const struct timespec pause = {.tv_nsec = TOLD_PAUSE_NS};

	if (xce->eh_told)
		nanosleep(&pause, NULL);
	xce->eh_told = true;
	errno = EPIPE;
}

/* Waits, unless the program has made the descriptor non-blocking. */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint32_t port;
	ssize_t n = recv(xce->eh_events, &port, sizeof(port), MSG_WAITALL);

	if (n == sizeof(port))
		return (int)port;
	if (n >= 0 || errno == ECONNRESET)
		tell_lost(xce);
	return -1;
}

/* A full socket is soon empty again: the cell does nothing there but take ports. */
static int write_number(xenevtchn_handle *xce, uint32_t number)
{
	struct pollfd p = {.fd = xce->eh_events, .events = POLLOUT};
	ssize_t n;

	for (;;) {
		n = send(xce->eh_events, &number, sizeof(number), MSG_NOSIGNAL);
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

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	return write_number(xce, port);
}

int evtsend(xenevtchn_handle *xce, evtchn_port_t port)
{
	return write_number(xce, port | XENWIRE_EVENT_SEND);
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	return ask(xce, &(struct xenwire_request){.op = XENWIRE_EVENT_ONLY, .u.id = domid});
}
