/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxengnttab, the half that grants pages to others.
 */
#include <xengnttab.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gntdev.h"

struct wanted {
	uint32_t domid, count;
	bool writable;
	uint32_t notify_offset, notify_port;
	uint32_t *refs; /* the caller's, to be filled */
};

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)open_flags;
	return gntdev_open(logger, "xengntshr", "gntshr", XENWIRE_UNSHARE);
}

int xengntshr_close(xengntshr_handle *xgs)
{
	gntdev_close(xgs);
	return 0;
}

int xengntshr_fd(xengntshr_handle *xgs)
{
	return gntdev_fd(xgs);
}

static int map_share(void *at, const struct wanted *w, const struct link_answer *a)
{
	if (a->head.n != w->count || a->nfds != 1)
		return -EPROTO;
	if (mmap(at, w->count * (size_t)XENWIRE_PAGE, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, a->fds[0], 0) == MAP_FAILED)
		return -errno;
	memcpy(w->refs, a->u.refs, w->count * sizeof(w->refs[0]));
	return 0;
}

static int fill_share(struct mapper *mp, void *at, uint64_t *id, void *arg)
{
	const struct wanted *w = arg;
	struct link_request req;
	struct link_answer a;
	int64_t value;
	int error;

	req.head = (struct xenwire_request){.op = XENWIRE_SHARE,
	    .u.share = {.domid = w->domid,
		.npages = w->count,
		.writable = w->writable,
		.notify_offset = w->notify_offset,
		.notify_port = w->notify_port}};
	value = link_ask(&mp->mp_link, &req, 0, -1, &a, sizeof(a.u.refs[0]));
	if (value < 0)
		return (int)value;
	*id = (uint64_t)value;
	error = map_share(at, w, &a);
	link_drop_fds(&a);
	return error;
}

static void *share(xengntshr_handle *xgs, struct wanted *w)
{
	void *at;
	int error = w->count > XENWIRE_MAX_ELEMENTS
			? -ENOSPC
			: mapper_map(&xgs->gh_mapper, NULL, 0, w->count, fill_share, w, &at);

	if (error == 0)
		return at;
	gntdev_explain(xgs, "share pages", error);
	return NULL;
}

void *xengntshr_share_pages(
    xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable)
{
	struct wanted w = {
	    domid, (uint32_t)count, writable != 0, XENWIRE_NO_OFFSET, XENWIRE_NO_PORT, refs};

	return share(xgs, &w);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
    int writable, uint32_t notify_offset, evtchn_port_t notify_port)
{
	struct wanted w = {
	    domid, 1, writable != 0, gntdev_notify_offset(notify_offset, 1), notify_port, ref};

	return share(xgs, &w);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	int error = mapper_unmap(&xgs->gh_mapper, start_address, count, true);

	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}
