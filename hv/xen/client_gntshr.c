/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kind "gntshr": pages that a program shares with others by grants.
 */
#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>

#include "pmap/store_memfd.h"
#include "xen/client.h"
#include "xen/grant.h"
#include "xen/notify.h"

struct shared {
	LIST_ENTRY(shared) sd_all;
	uint64_t sd_id;
	struct grant_share *sd_share;
	struct xen_notify sd_notify;
};

struct shares {
	LIST_HEAD(, shared) sh_all;
	uint64_t sh_last_id;
};

static int shares_open(struct xen_client *c, int *fd)
{
	struct shares *sh = calloc(1, sizeof(*sh));

	(void)fd;
	if (sh == NULL)
		return -ENOMEM;
	LIST_INIT(&sh->sh_all);
	c->xc_data = sh;
	return 0;
}

static void end_shared(struct shared *sd)
{
	xen_notify_fire(&sd->sd_notify);
	grant_share_end(sd->sd_share);
	LIST_REMOVE(sd, sd_all);
	free(sd);
}

static void shares_close(struct xen_client *c)
{
	struct shares *sh = c->xc_data;

	while (!LIST_EMPTY(&sh->sh_all))
		end_shared(LIST_FIRST(&sh->sh_all));
	free(sh);
}

/* => the offset was checked */
static uint8_t *notify_byte(struct grant_share *share, uint32_t offset)
{
	if (offset == XENWIRE_NO_OFFSET)
		return NULL;
	return (uint8_t *)uvm_page_kva(grant_share_page(share, offset / XENWIRE_PAGE)) +
	       offset % XENWIRE_PAGE;
}

static int make_share(const struct xen_request *req, struct xen_reply *rep, struct shared *sd)
{
	uint32_t n = req->head.u.share.npages, offset = req->head.u.share.notify_offset;
	int error;

	if (n == 0 || n > XENWIRE_MAX_ELEMENTS)
		return -EINVAL;
	if (offset != XENWIRE_NO_OFFSET && offset / XENWIRE_PAGE >= n)
		return -EINVAL;
	error = grant_share_create(req->head.u.share.domid, n, req->head.u.share.writable != 0,
	    rep->u.refs, &sd->sd_share);
	if (error != 0)
		return error;
	error = xen_notify_arm(
	    &sd->sd_notify, notify_byte(sd->sd_share, offset), req->head.u.share.notify_port);
	if (error != 0)
		grant_share_end(sd->sd_share);
	return error;
}

static void do_share(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct shared *sd = calloc(1, sizeof(*sd));
	struct shares *sh = c->xc_data;
	int error = sd != NULL ? make_share(req, rep, sd) : -ENOMEM;

	if (error != 0) {
		free(sd);
		rep->head.value = error;
		return;
	}
	sd->sd_id = ++sh->sh_last_id;
	LIST_INSERT_HEAD(&sh->sh_all, sd, sd_all);
	rep->fds[0] = memfd_store_of(grant_share_page(sd->sd_share, 0)->pg_store)->ms_fd;
	rep->nfds = 1;
	rep->head.n = req->head.u.share.npages;
	rep->element_size = sizeof(rep->u.refs[0]);
	rep->head.value = (int64_t)sd->sd_id;
}

static void do_unshare(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct shares *sh = c->xc_data;
	struct shared *sd;

	LIST_FOREACH (sd, &sh->sh_all, sd_all)
		if (sd->sd_id == req->head.u.id)
			break;
	rep->head.value = sd != NULL ? 0 : -EINVAL;
	if (sd != NULL)
		end_shared(sd);
}

static const struct xen_client_op ops[] = {
    {XENWIRE_SHARE, 0, do_share},
    {XENWIRE_UNSHARE, 0, do_unshare},
    {0, 0, NULL},
};

const struct xen_client_kind xen_gntshr_kind = {
    .name = "gntshr",
    .open = shares_open,
    .close = shares_close,
    .ops = ops,
};
