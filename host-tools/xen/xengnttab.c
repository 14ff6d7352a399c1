/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxengnttab, the half that uses what others have granted.
 */
#include <xengnttab.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "gntdev.h"
#include "view.h"

/* What a map is to be made of: references, each with the domid of its domain or all with one. */
struct wanted {
	uint32_t count;
	const uint32_t *domids, *refs;
	size_t domid_step; /* 0: one for all */
	int prot;
	uint32_t notify_offset, notify_port;
};

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)open_flags;
	return gntdev_open(logger, "xengnttab", "gnttab", XENWIRE_GRANT_UNMAP);
}

int xengnttab_close(xengnttab_handle *xgt)
{
	gntdev_close(xgt);
	return 0;
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	return gntdev_fd(xgt);
}

/* The cell has no such limit. */
int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants;
	return 0;
}

/* One packet's worth of pages, from `first` on: all of them, or none. */
static int fill_chunk(
    struct mapper *mp, void *at, uint64_t *id, const struct wanted *w, uint32_t first, uint32_t n)
{
	struct link_request req;
	struct link_answer a;
	int64_t value;

	req.head = (struct xenwire_request){.op = XENWIRE_GRANT_MAP,
	    .n = n,
	    .u.grant = {.prot = view_prot(w->prot),
		.notify_offset = first == 0 ? w->notify_offset : XENWIRE_NO_OFFSET,
		.notify_port = first == 0 ? w->notify_port : XENWIRE_NO_PORT,
		.more = *id}};
	for (uint32_t i = 0; i < n; i++)
		req.u.refs[i] = (struct xenwire_ref){
		    w->domids[(first + i) * w->domid_step], w->refs[first + i]};
	value = link_ask(&mp->mp_link, &req, sizeof(req.u.refs[0]), -1, &a, sizeof(a.u.pages[0]));
	if (value < 0)
		return (int)value;
	*id = (uint64_t)value;
	if (a.head.n != n) {
		link_drop_fds(&a);
		return -EPROTO;
	}
	return view_place((char *)at + first * (size_t)XENWIRE_PAGE, w->prot, 0, &a);
}

static int fill_refs(struct mapper *mp, void *at, uint64_t *id, void *arg)
{
	const struct wanted *w = arg;
	uint32_t n;
	int error = 0;

	for (uint32_t first = 0; first < w->count && error == 0; first += n) {
		n = w->count - first < XENWIRE_MAX_ELEMENTS ? w->count - first
							    : XENWIRE_MAX_ELEMENTS;
		error = fill_chunk(mp, at, id, w, first, n);
	}
	return error;
}

static int map_wanted(xengnttab_handle *xgt, struct wanted *w, void **at)
{
	return mapper_map(&xgt->gh_mapper, NULL, 0, w->count, fill_refs, w, at);
}

static void *map_or_explain(xengnttab_handle *xgt, struct wanted *w)
{
	void *at;
	int error = map_wanted(xgt, w, &at);

	if (error == 0)
		return at;
	gntdev_explain(xgt, "map grants", error);
	return NULL;
}

void *xengnttab_map_grant_refs(
    xengnttab_handle *xgt, uint32_t count, uint32_t *domids, uint32_t *refs, int prot)
{
	struct wanted w = {count, domids, refs, 1, prot, XENWIRE_NO_OFFSET, XENWIRE_NO_PORT};

	return map_or_explain(xgt, &w);
}

void *xengnttab_map_domain_grant_refs(
    xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	struct wanted w = {count, &domid, refs, 0, prot, XENWIRE_NO_OFFSET, XENWIRE_NO_PORT};

	return map_or_explain(xgt, &w);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot,
    uint32_t notify_offset, evtchn_port_t notify_port)
{
	struct wanted w = {
	    1, &domid, &ref, 0, prot, gntdev_notify_offset(notify_offset, 1), notify_port};

	return map_or_explain(xgt, &w);
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	return xengnttab_map_domain_grant_refs(xgt, 1, domid, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	int error = mapper_unmap(&xgt->gh_mapper, start_address, count, true);

	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}

static int16_t status_of(int error)
{
	switch (-error) {
	case 0:
		return GNTST_okay;
	case ESRCH:
		return GNTST_bad_domain;
	case EINVAL:
		return GNTST_bad_gntref;
	case EPERM:
	case EACCES:
		return GNTST_permission_denied;
	case EAGAIN:
		return GNTST_eagain;
	case ENOSPC:
	case ENOMEM:
		return GNTST_no_space;
	default:
		return GNTST_general_error;
	}
}

/* One end of a copy: *address, in a map of its own that begins at *map, or NULL. */
static int find_end(xengnttab_handle *xgt, const union xengnttab_copy_ptr *end, bool granted,
    int prot, void **map, char **address)
{
	const uint32_t domid = end->foreign.domid, ref = end->foreign.ref;
	struct wanted w = {1, &domid, &ref, 0, prot, XENWIRE_NO_OFFSET, XENWIRE_NO_PORT};
	int error;

	*map = NULL;
	*address = end->virt;
	if (!granted)
		return 0;
	error = map_wanted(xgt, &w, map);
	if (error != 0)
		*map = NULL;
	else
		*address = (char *)*map + end->foreign.offset;
	return error;
}

static bool fits(const union xengnttab_copy_ptr *end, bool granted, uint16_t len)
{
	return !granted || (uint32_t)end->foreign.offset + len <= XENWIRE_PAGE;
}

/* => *status; an error only if the connection is lost */
static int copy_segment(
    xengnttab_handle *xgt, const xengnttab_grant_copy_segment_t *s, int16_t *status)
{
	bool from = s->flags & GNTCOPY_source_gref, to = s->flags & GNTCOPY_dest_gref;
	void *source_map = NULL, *dest_map = NULL;
	char *source, *dest;
	int error;

	if ((!from && !to) || !fits(&s->source, from, s->len) || !fits(&s->dest, to, s->len)) {
		*status = GNTST_bad_copy_arg;
		return 0;
	}
	error = find_end(xgt, &s->source, from, PROT_READ, &source_map, &source);
	if (error == 0)
		error = find_end(xgt, &s->dest, to, PROT_READ | PROT_WRITE, &dest_map, &dest);
	if (error == 0)
		memmove(dest, source, s->len);
	if (source_map != NULL)
		(void)mapper_unmap(&xgt->gh_mapper, source_map, 1, true);
	if (dest_map != NULL)
		(void)mapper_unmap(&xgt->gh_mapper, dest_map, 1, true);
	*status = status_of(error);
	return error == -EPIPE ? error : 0;
}

int xengnttab_grant_copy(
    xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
	int error = 0;

	for (uint32_t i = 0; i < count && error == 0; i++)
		error = copy_segment(xgt, &segs[i], &segs[i].status);
	if (error == 0)
		return 0;
	gntdev_explain(xgt, "copy grants", error);
	return -1;
}

static int no_dmabuf(void)
{
	errno = EOPNOTSUPP;
	return -1;
}

int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t flags,
    uint32_t count, const uint32_t *refs, uint32_t *fd)
{
	(void)xgt;
	(void)domid;
	(void)flags;
	(void)count;
	(void)refs;
	(void)fd;
	return no_dmabuf();
}

int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd, uint32_t wait_to_ms)
{
	(void)xgt;
	(void)fd;
	(void)wait_to_ms;
	return no_dmabuf();
}

int xengnttab_dmabuf_imp_to_refs(
    xengnttab_handle *xgt, uint32_t domid, uint32_t fd, uint32_t count, uint32_t *refs)
{
	(void)xgt;
	(void)domid;
	(void)fd;
	(void)count;
	(void)refs;
	return no_dmabuf();
}

int xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd)
{
	(void)xgt;
	(void)fd;
	return no_dmabuf();
}
