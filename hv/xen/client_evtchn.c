/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kind "evtchn": a host program's event channels.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xen/client.h"
#include "xen/evtchn.h"
#include "xen/only.h"
#include "xen/public.h"

struct events {
	struct evtchn_handle *ev_handle;
	int ev_fd;	       /* our end of the stream */
	bool ev_used;	       /* it has had a port */
	struct guest *ev_only; /* a reference: ports for no other guest; or NULL */
};

static int events_open(struct xen_client *c, int *fd)
{
	struct events *ev = calloc(1, sizeof(*ev));
	int pair[2], error;

	if (ev == NULL)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		error = -errno;
		goto out_free;
	}
	error = evtchn_handle_open(pair[0], &ev->ev_handle);
	if (error != 0)
		goto out_close;
	ev->ev_fd = pair[0];
	*fd = pair[1];
	c->xc_data = ev;
	return 0;

out_close:
	close(pair[0]);
	close(pair[1]);
out_free:
	free(ev);
	return error;
}

static void events_close(struct xen_client *c)
{
	struct events *ev = c->xc_data;

	evtchn_handle_close(ev->ev_handle);
	xen_only_drop(&ev->ev_only);
	close(ev->ev_fd);
	free(ev);
}

static int events_watch(struct xen_client *c, short *events)
{
	const struct events *ev = c->xc_data;

	*events = POLLIN;
	return evtchn_handle_fd(ev->ev_handle);
}

static void events_watched(struct xen_client *c)
{
	struct events *ev = c->xc_data;

	evtchn_handle_serve(ev->ev_handle);
}

static struct evtchn_handle *handle_of(const struct xen_client *c)
{
	return ((const struct events *)c->xc_data)->ev_handle;
}

static void answer_port(struct xen_client *c, struct xen_reply *rep, int error, uint32_t port)
{
	struct events *ev = c->xc_data;

	ev->ev_used |= error == 0;
	rep->head.value = error != 0 ? error : (int64_t)port;
}

static void do_only(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct events *ev = c->xc_data;

	if (ev->ev_only == NULL && ev->ev_used)
		rep->head.value = -EBUSY;
	else
		rep->head.value = xen_only_set(&ev->ev_only, req->head.u.id);
}

static int check_domain(const struct xen_client *c, uint32_t domid)
{
	return xen_only_check(((const struct events *)c->xc_data)->ev_only, domid);
}

static void do_unbound(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	uint32_t port = 0;
	int error = check_domain(c, req->head.u.event.domid);

	if (error == 0)
		error = evtchn_handle_unbound(handle_of(c), req->head.u.event.domid, &port);
	answer_port(c, rep, error, port);
}

static void do_interdomain(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	uint32_t port = 0;
	int error = check_domain(c, req->head.u.event.domid);

	if (error == 0)
		error = evtchn_handle_interdomain(
		    handle_of(c), req->head.u.event.domid, req->head.u.event.port, &port);
	answer_port(c, rep, error, port);
}

/* They tell of all guests. */
static void do_virq(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	uint32_t port = 0;
	int error = check_domain(c, DOMID_SELF);

	if (error == 0)
		error = evtchn_handle_virq(handle_of(c), req->head.u.event.virq, &port);
	answer_port(c, rep, error, port);
}

static void do_unbind(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	rep->head.value = evtchn_handle_unbind(handle_of(c), req->head.u.event.port);
}

static void do_notify(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	rep->head.value = evtchn_handle_notify(handle_of(c), req->head.u.event.port);
}

static const struct xen_client_op ops[] = {
    {XENWIRE_EVENT_UNBOUND, 0, do_unbound},
    {XENWIRE_EVENT_INTERDOMAIN, 0, do_interdomain},
    {XENWIRE_EVENT_VIRQ, 0, do_virq},
    {XENWIRE_EVENT_UNBIND, 0, do_unbind},
    {XENWIRE_EVENT_NOTIFY, 0, do_notify},
    {XENWIRE_EVENT_ONLY, 0, do_only},
    {0, 0, NULL},
};

const struct xen_client_kind xen_evtchn_kind = {
    .name = "evtchn",
    .open = events_open,
    .close = events_close,
    .watch = events_watch,
    .watched = events_watched,
    .ops = ops,
};
