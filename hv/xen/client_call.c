/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kind "call": hypercalls of a host program.
 *
 * What these point to lies in buffers: memfds that the program has mapped, and that are read and
 * written here by pread and pwrite.  So nothing that the program does with them, shrinking them or
 * punching holes included, can do more than make a copy fail.
 */
#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "xen/call.h"
#include "xen/client.h"

#define MAX_BUFFERS 4096u
#define MAX_BUFFER_PAGES ((uint64_t)1 << 18) /* 1 GiB */

struct buffer {
	LIST_ENTRY(buffer) bu_all;
	uint64_t bu_address, bu_bytes; /* in the program */
	int bu_fd;
};

struct calls {
	struct xen_caller ca_caller;
	int ca_fd; /* the client's connection */
	unsigned ca_nbuffers;
	LIST_HEAD(, buffer) ca_buffers; /* those used last come first */
};

static struct calls *calls_of(struct xen_caller *c)
{
	return (struct calls *)((char *)c - offsetof(struct calls, ca_caller));
}

/* The buffer that has all of [address, address + len), or NULL. */
static struct buffer *find(struct calls *ca, uint64_t address, size_t len)
{
	struct buffer *bu;

	LIST_FOREACH (bu, &ca->ca_buffers, bu_all)
		if (address >= bu->bu_address && address - bu->bu_address < bu->bu_bytes &&
		    len <= bu->bu_bytes - (address - bu->bu_address))
			break;
	if (bu != NULL && bu != LIST_FIRST(&ca->ca_buffers)) {
		LIST_REMOVE(bu, bu_all);
		LIST_INSERT_HEAD(&ca->ca_buffers, bu, bu_all);
	}
	return bu;
}

static int host_copy_in(struct xen_caller *c, void *to, uint64_t from, size_t len)
{
	const struct buffer *bu = len > 0 ? find(calls_of(c), from, len) : NULL;

	if (len == 0)
		return 0;
	if (bu == NULL)
		return -EFAULT;
	return pread(bu->bu_fd, to, len, (off_t)(from - bu->bu_address)) == (ssize_t)len ? 0
											 : -EFAULT;
}

static int host_copy_out(struct xen_caller *c, uint64_t to, const void *from, size_t len)
{
	const struct buffer *bu = len > 0 ? find(calls_of(c), to, len) : NULL;

	if (len == 0)
		return 0;
	if (bu == NULL)
		return -EFAULT;
	return pwrite(bu->bu_fd, from, len, (off_t)(to - bu->bu_address)) == (ssize_t)len ? 0
											  : -EFAULT;
}

/* It hung up, or the cell ends and did. */
static bool host_gone(struct xen_caller *c)
{
	struct pollfd p = {.fd = calls_of(c)->ca_fd};

	return poll(&p, 1, 0) > 0;
}

static const struct xen_access host_access = {
    .copy_in = host_copy_in,
    .copy_out = host_copy_out,
    .gone = host_gone,
};

static void drop(struct calls *ca, struct buffer *bu)
{
	LIST_REMOVE(bu, bu_all);
	ca->ca_nbuffers--;
	close(bu->bu_fd);
	free(bu);
}

static int call_open(struct xen_client *c, int *fd)
{
	struct calls *ca = calloc(1, sizeof(*ca));

	(void)fd;
	if (ca == NULL)
		return -ENOMEM;
	ca->ca_caller.xa = &host_access;
	ca->ca_fd = c->xc_fd;
	LIST_INIT(&ca->ca_buffers);
	c->xc_data = ca;
	return 0;
}

static void call_close(struct xen_client *c)
{
	struct calls *ca = c->xc_data;

	while (!LIST_EMPTY(&ca->ca_buffers))
		drop(ca, LIST_FIRST(&ca->ca_buffers));
	free(ca);
}

static void do_call(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct calls *ca = c->xc_data;

	rep->head.value = xen_call(&ca->ca_caller, req->head.u.call.nr, req->head.u.call.arg);
}

/* Only a memfd: reading and writing other files could block, or reach things outside. */
static int check_buffer(const struct calls *ca, const struct xen_request *req)
{
	uint64_t address = req->head.u.buffer.address, npages = req->head.u.buffer.npages;

	if (npages == 0 || npages > MAX_BUFFER_PAGES || address % XENWIRE_PAGE != 0 ||
	    address > UINT64_MAX - npages * XENWIRE_PAGE)
		return -EINVAL;
	if (req->fd < 0 || fcntl(req->fd, F_GET_SEALS) < 0)
		return -EBADF;
	return ca->ca_nbuffers < MAX_BUFFERS ? 0 : -ENOSPC;
}

static bool overlaps(const struct calls *ca, uint64_t address, uint64_t bytes)
{
	const struct buffer *bu;

	LIST_FOREACH (bu, &ca->ca_buffers, bu_all)
		if (address < bu->bu_address + bu->bu_bytes && bu->bu_address < address + bytes)
			return true;
	return false;
}

static int add(struct calls *ca, struct xen_request *req)
{
	uint64_t bytes = req->head.u.buffer.npages * XENWIRE_PAGE;
	struct buffer *bu;

	if (overlaps(ca, req->head.u.buffer.address, bytes))
		return -EEXIST;
	bu = calloc(1, sizeof(*bu));
	if (bu == NULL)
		return -ENOMEM;
	bu->bu_address = req->head.u.buffer.address;
	bu->bu_bytes = bytes;
	bu->bu_fd = req->fd;
	req->fd = -1;
	LIST_INSERT_HEAD(&ca->ca_buffers, bu, bu_all);
	ca->ca_nbuffers++;
	return 0;
}

static void do_buffer(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	int error = check_buffer(c->xc_data, req);

	rep->head.value = error != 0 ? error : add(c->xc_data, req);
}

static void do_unbuffer(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	uint64_t address = req->head.u.buffer.address;
	struct calls *ca = c->xc_data;
	struct buffer *bu;

	LIST_FOREACH (bu, &ca->ca_buffers, bu_all)
		if (bu->bu_address == address &&
		    bu->bu_bytes / XENWIRE_PAGE == req->head.u.buffer.npages)
			break;
	rep->head.value = bu != NULL ? 0 : -EINVAL;
	if (bu != NULL)
		drop(ca, bu);
}

static const struct xen_client_op ops[] = {
    {XENWIRE_CALL, 0, do_call},
    {XENWIRE_BUFFER, 0, do_buffer},
    {XENWIRE_UNBUFFER, 0, do_unbuffer},
    {0, 0, NULL},
};

const struct xen_client_kind xen_call_kind = {
    .name = "call",
    .open = call_open,
    .close = call_close,
    .ops = ops,
};
