/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kind "gnttab": pages that others have granted to the host, mapped by a program.
 */
#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "xen/client_foreign.h"
#include "xen/client_gnttab.h"
#include "xen/grant.h"
#include "xen/notify.h"
#include "xen/only.h"

#define MAX_PAGES ((uint64_t)1 << 20) /* of one client: 4 GiB */

/* What one request has mapped. */
struct part {
	SLIST_ENTRY(part) pa_next;
	uint32_t pa_n;
	bool pa_write;
	struct grant_pin *pa_pins[];
};

struct grants_map {
	LIST_ENTRY(grants_map) gm_all;
	uint64_t gm_id;
	struct xen_notify gm_notify;
	SLIST_HEAD(, part) gm_parts;
};

static int grants_open(struct xen_client *c, int *fd)
{
	struct grants *gr = calloc(1, sizeof(*gr));

	(void)fd;
	if (gr == NULL)
		return -ENOMEM;
	LIST_INIT(&gr->gr_maps);
	c->xc_data = gr;
	return 0;
}

static struct grants_map *find(struct grants *gr, uint64_t id)
{
	struct grants_map *gm;

	LIST_FOREACH (gm, &gr->gr_maps, gm_all)
		if (gm->gm_id == id)
			break;
	return gm;
}

static void end_part(struct part *pa)
{
	while (pa->pa_n > 0)
		grant_unpin(pa->pa_pins[--pa->pa_n], pa->pa_write);
	free(pa);
}

/* The other side is told while the page is still there, and before the program's ports go. */
static void end_map(struct grants *gr, struct grants_map *gm)
{
	struct part *pa;

	xen_notify_fire(&gm->gm_notify);
	while ((pa = SLIST_FIRST(&gm->gm_parts)) != NULL) {
		SLIST_REMOVE_HEAD(&gm->gm_parts, pa_next);
		gr->gr_npages -= pa->pa_n;
		end_part(pa);
	}
	LIST_REMOVE(gm, gm_all);
	free(gm);
}

static void grants_close(struct xen_client *c)
{
	struct grants *gr = c->xc_data;

	while (!LIST_EMPTY(&gr->gr_maps))
		end_map(gr, LIST_FIRST(&gr->gr_maps));
	xen_fill_end(gr);
	free(gr);
}

/* All of a request's references, or none. */
static int pin_all(const struct xen_request *req, struct part *pa)
{
	int status;

	for (uint32_t i = 0; i < req->head.n; i++) {
		status = grant_pin(req->u.refs[i].domid, req->u.refs[i].ref, GRANT_HOST,
		    pa->pa_write, &pa->pa_pins[i]);
		if (status != 0)
			return grant_errno(status);
		pa->pa_n++;
	}
	return 0;
}

static int place_all(const struct part *pa, struct xen_reply *rep)
{
	for (uint32_t i = 0; i < pa->pa_n; i++)
		if (!xen_foreign_place(
			rep, &rep->u.pages[i], grant_page(pa->pa_pins[i]), pa->pa_write))
			return -EMFILE;
	return 0;
}

/* => the offset was checked */
static uint8_t *notify_byte(const struct part *pa, uint32_t offset)
{
	if (offset == XENWIRE_NO_OFFSET)
		return NULL;
	return (uint8_t *)uvm_page_kva(grant_page(pa->pa_pins[offset / XENWIRE_PAGE])) +
	       offset % XENWIRE_PAGE;
}

static struct grants_map *new_map(struct grants *gr)
{
	struct grants_map *gm = calloc(1, sizeof(*gm));

	if (gm == NULL)
		return NULL;
	gm->gm_id = ++gr->gr_last_id;
	gm->gm_notify.no_port = XENWIRE_NO_PORT;
	SLIST_INIT(&gm->gm_parts);
	LIST_INSERT_HEAD(&gr->gr_maps, gm, gm_all);
	return gm;
}

/* => gm: the map that is added to, or NULL: a new one */
static int add_part(struct grants *gr, struct grants_map *gm, struct part *pa,
    const struct xen_request *req, struct xen_reply *rep)
{
	bool made = gm == NULL;
	int error = place_all(pa, rep);

	if (error == 0 && made) {
		gm = new_map(gr);
		error = gm != NULL ? xen_notify_arm(&gm->gm_notify,
					 notify_byte(pa, req->head.u.grant.notify_offset),
					 req->head.u.grant.notify_port)
				   : -ENOMEM;
	}
	if (error != 0) {
		if (made && gm != NULL)
			end_map(gr, gm);
		return error;
	}
	SLIST_INSERT_HEAD(&gm->gm_parts, pa, pa_next);
	gr->gr_npages += pa->pa_n;
	rep->head.n = pa->pa_n;
	rep->element_size = sizeof(rep->u.pages[0]);
	rep->head.value = (int64_t)gm->gm_id;
	return 0;
}

/* What is to happen at the end is said with a map's first pages; a byte there must be writable. */
static int check_map(const struct grants *gr, const struct xen_request *req)
{
	uint32_t prot = req->head.u.grant.prot, offset = req->head.u.grant.notify_offset;
	bool notifies = offset != XENWIRE_NO_OFFSET ||
			req->head.u.grant.notify_port != XENWIRE_NO_PORT;

	if (req->head.n == 0 || (prot & ~(XENWIRE_READ | XENWIRE_WRITE)) != 0)
		return -EINVAL;
	if (notifies && req->head.u.grant.more != 0)
		return -EINVAL;
	if (offset != XENWIRE_NO_OFFSET &&
	    (offset / XENWIRE_PAGE >= req->head.n || (prot & XENWIRE_WRITE) == 0))
		return -EINVAL;
	return req->head.n <= MAX_PAGES - gr->gr_npages ? 0 : -ENOSPC;
}

/* Who serves one guest needs no other's pages, and could send events by others' ports. */
static int check_refs(struct grants *gr, const struct xen_request *req)
{
	int error = 0;

	if (gr->gr_only != NULL && req->head.u.grant.notify_port != XENWIRE_NO_PORT)
		return -EPERM;
	for (uint32_t i = 0; i < req->head.n && error == 0; i++)
		error = xen_only_check(gr->gr_only, req->u.refs[i].domid);
	return error;
}

static int map_refs(struct grants *gr, const struct xen_request *req, struct xen_reply *rep)
{
	uint64_t more = req->head.u.grant.more;
	struct grants_map *gm = more != 0 ? find(gr, more) : NULL;
	int error = more != 0 && gm == NULL ? -EINVAL : check_map(gr, req);
	struct part *pa;

	if (error == 0)
		error = check_refs(gr, req);
	if (error != 0)
		return error;
	pa = calloc(1, sizeof(*pa) + req->head.n * sizeof(struct grant_pin *));
	if (pa == NULL)
		return -ENOMEM;
	pa->pa_write = (req->head.u.grant.prot & XENWIRE_WRITE) != 0;
	error = pin_all(req, pa);
	if (error == 0)
		error = add_part(gr, gm, pa, req, rep);
	if (error != 0)
		end_part(pa);
	return error;
}

static void do_map(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	int error = map_refs(c->xc_data, req, rep);

	if (error != 0) {
		rep->head.value = error;
		rep->nfds = 0;
	}
}

static void do_unmap(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct grants_map *gm = find(c->xc_data, req->head.u.id);

	rep->head.value = gm != NULL ? 0 : -EINVAL;
	if (gm != NULL)
		end_map(c->xc_data, gm);
}

static const struct xen_client_op ops[] = {
    {XENWIRE_GRANT_MAP, sizeof(struct xenwire_ref), do_map},
    {XENWIRE_GRANT_UNMAP, 0, do_unmap},
    {XENWIRE_GRANT_ONLY, 0, xen_fill_only},
    {XENWIRE_GRANT_FILE, 0, xen_fill_file},
    {XENWIRE_GRANT_FILL, sizeof(struct xenwire_fill), xen_fill_pages},
    {0, 0, NULL},
};

const struct xen_client_kind xen_gnttab_kind = {
    .name = "gnttab",
    .open = grants_open,
    .close = grants_close,
    .ops = ops,
};
