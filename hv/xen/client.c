/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sock.h"

/* Both are sent and received as they are: the elements follow the head. */
_Static_assert(offsetof(struct xen_request, u) == sizeof(struct xenwire_request), "no gap");
_Static_assert(offsetof(struct xen_reply, u) == sizeof(struct xenwire_reply), "no gap");

static const struct xen_client_kind *const kinds[] = {
    &xen_call_kind,
    &xen_foreign_kind,
    &xen_evtchn_kind,
    &xen_gnttab_kind,
    &xen_gntshr_kind,
};

int xen_client_open(const char *kind, int connection, struct xen_client **cp, int *fd)
{
	const struct xen_client_kind *k = NULL;
	struct xen_client *c;
	int error;

	*fd = -1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->name, kind) == 0)
			k = kinds[i];
	if (k == NULL)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->xc_fd = connection;
	c->xc_kind = k;
	error = k->open(c, fd);
	if (error != 0)
		free(c);
	else
		*cp = c;
	return error;
}

void xen_client_close(struct xen_client *c)
{
	c->xc_kind->close(c);
	free(c);
}

static const struct xen_client_op *find_op(const struct xen_client_kind *kind, uint32_t number)
{
	const struct xen_client_op *op = kind->ops;

	while (op->op != 0 && op->op != number)
		op++;
	return op->op != 0 ? op : NULL;
}

/* Take one request.  False: the client is gone, or does not keep to the form. */
static bool receive(struct xen_client *c, struct xen_request *req, const struct xen_client_op **op)
{
	unsigned nfds = 0;
	size_t len;

	req->fd = -1;
	if (sock_recv(c->xc_fd, req, offsetof(struct xen_request, fd), &len, &req->fd, 1, &nfds) !=
	    0)
		return false;
	if (nfds == 0)
		req->fd = -1;
	if (len < sizeof(req->head) || req->head.n > XENWIRE_MAX_ELEMENTS)
		return false;
	*op = find_op(c->xc_kind, req->head.op);
	return *op != NULL && len == sizeof(req->head) + req->head.n * (*op)->element_size;
}

static bool send_reply(struct xen_client *c, const struct xen_reply *rep)
{
	return sock_send(c->xc_fd, rep,
		   offsetof(struct xen_reply, u) + rep->head.n * rep->element_size, rep->fds,
		   rep->nfds) == 0;
}

static bool serve_request(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	const struct xen_client_op *op;
	bool good = receive(c, req, &op);

	if (good) {
		rep->head = (struct xenwire_reply){.value = -ENOSYS};
		rep->element_size = 0;
		rep->nfds = 0;
		op->call(c, req, rep);
		good = send_reply(c, rep);
	}
	if (req->fd >= 0)
		close(req->fd);
	return good;
}

static bool serve_ready(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct pollfd p[2] = {{.fd = c->xc_fd, .events = POLLIN}, {.fd = -1}};

	if (c->xc_kind->watch != NULL)
		p[1].fd = c->xc_kind->watch(c, &p[1].events);
	if (poll(p, 2, -1) < 0)
		return errno == EINTR;
	if (p[1].revents != 0)
		c->xc_kind->watched(c);
	return p[0].revents == 0 || serve_request(c, req, rep);
}

void xen_client_serve(struct xen_client *c)
{
	struct xen_request *req = malloc(sizeof(*req));
	struct xen_reply *rep = malloc(sizeof(*rep));

	if (req != NULL && rep != NULL)
		while (serve_ready(c, req, rep))
			continue;
	free(req);
	free(rep);
}
