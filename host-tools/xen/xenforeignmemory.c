/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxenforeignmemory: pages of guests in this program's address space.
 *
 * Each libxenctrl handle has one of ours, and few of them ever map anything: so a handle connects
 * with its first request.
 */
#include <xenforeignmemory.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mapper.h"
#include "view.h"

struct xenforeignmemory_handle {
	struct mapper fh_mapper;
};

struct xenforeignmemory_resource_handle {
	void *address;
	size_t npages;
};

/* What a map is to be made of. */
struct wanted {
	uint32_t domid;
	int prot, flags;
	size_t npages;
	const xen_pfn_t *gfns;
	int *err; /* the caller's, or NULL */
	struct xenwire_request resource;
};

static int fail(int error)
{
	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}

xenforeignmemory_handle *xenforeignmemory_open(
    struct xentoollog_logger *logger, unsigned open_flags)
{
	xenforeignmemory_handle *fmem = calloc(1, sizeof(*fmem));

	(void)open_flags;
	if (fmem != NULL)
		mapper_init(&fmem->fh_mapper, logger, "xenforeignmemory", "foreignmemory",
		    XENWIRE_FOREIGN_UNMAP);
	return fmem;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	if (fmem != NULL)
		mapper_fini(&fmem->fh_mapper);
	free(fmem);
	return 0;
}

/* Take over the errors of an answer's pages.  => the first of them */
static int note_errors(const struct link_answer *a, int *err)
{
	int first = 0;

	for (uint32_t i = 0; i < a->head.n; i++) {
		if (err != NULL)
			err[i] = a->u.pages[i].error;
		if (first == 0)
			first = a->u.pages[i].error;
	}
	return first;
}

/* Ask for as many pages as one packet takes.  => *np: how many were answered */
static int fill_chunk(
    struct mapper *mp, void *at, uint64_t *id, const struct wanted *w, size_t first, size_t *np)
{
	size_t left = w->npages - first;
	struct link_request req;
	struct link_answer a;
	int64_t value;
	int error;

	req.head = (struct xenwire_request){.op = XENWIRE_FOREIGN_MAP,
	    .n = left < XENWIRE_MAX_ELEMENTS ? (uint32_t)left : XENWIRE_MAX_ELEMENTS,
	    .u.map = {w->domid, view_prot(w->prot), *id}};
	for (uint32_t i = 0; i < req.head.n; i++)
		req.u.gfns[i] = w->gfns[first + i];
	value = link_ask(&mp->mp_link, &req, sizeof(req.u.gfns[0]), -1, &a, sizeof(a.u.pages[0]));
	if (value < 0)
		return (int)value;
	*id = (uint64_t)value;
	*np = a.head.n;
	error = a.head.n == 0 || a.head.n > req.head.n ? -EPROTO : 0;
	if (error == 0 && note_errors(&a, w->err != NULL ? w->err + first : NULL) != 0 &&
	    w->err == NULL)
		error = note_errors(&a, NULL);
	if (error == 0)
		return view_place((char *)at + first * XENWIRE_PAGE, w->prot, w->flags, &a);
	link_drop_fds(&a);
	return error;
}

static int fill_pages(struct mapper *mp, void *at, uint64_t *id, void *arg)
{
	const struct wanted *w = arg;
	size_t n = 0;
	int error = 0;

	for (size_t first = 0; first < w->npages && error == 0; first += n)
		error = fill_chunk(mp, at, id, w, first, &n);
	return error;
}

/* A resource is there as a whole, or not at all. */
static int fill_resource(struct mapper *mp, void *at, uint64_t *id, void *arg)
{
	const struct wanted *w = arg;
	struct link_request req;
	struct link_answer a;
	int64_t value;
	int error;

	req.head = w->resource;
	value = link_ask(&mp->mp_link, &req, 0, -1, &a, sizeof(a.u.pages[0]));
	if (value < 0)
		return (int)value;
	*id = (uint64_t)value;
	error = note_errors(&a, NULL);
	if (error == 0 && a.head.n != w->npages)
		error = -EPROTO;
	if (error == 0)
		return view_place(at, w->prot, w->flags, &a);
	link_drop_fds(&a);
	return error;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot,
    int flags, size_t pages, const xen_pfn_t arr[], int err[])
{
	struct wanted w = {
	    .domid = dom,
	    .prot = prot,
	    .flags = flags,
	    .npages = pages,
	    .gfns = arr,
	    .err = err,
	};
	void *at;

	if (fail(mapper_map(&fmem->fh_mapper, addr, flags, pages, fill_pages, &w, &at)) != 0)
		return NULL;
	return at;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
    const xen_pfn_t arr[], int err[])
{
	return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

/* As munmap() would, parts of maps, too. */
int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
	return fail(mapper_unmap(&fmem->fh_mapper, addr, pages, false));
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
	(void)fmem;
	(void)domid;
	return fail(-EOPNOTSUPP);
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *fmem,
    domid_t domid, unsigned type, unsigned id, unsigned long frame, unsigned long nr_frames,
    void **paddr, int prot, int flags)
{
	xenforeignmemory_resource_handle *fres = calloc(1, sizeof(*fres));
	struct wanted w = {
	    .prot = prot,
	    .flags = flags,
	    .npages = nr_frames,
	    .resource = {.op = XENWIRE_RESOURCE_MAP,
		.u.resource = {domid, type, id, view_prot(prot), frame, nr_frames}},
	};
	int error = fres == NULL ? -ENOMEM : 0;

	if (error == 0 && (flags & ~(MAP_SHARED | MAP_PRIVATE)) != 0)
		error = -EINVAL;
	if (error == 0)
		error = mapper_map(
		    &fmem->fh_mapper, *paddr, flags, nr_frames, fill_resource, &w, &fres->address);
	if (error != 0) {
		free(fres);
		errno = -error;
		return NULL;
	}
	fres->npages = nr_frames;
	*paddr = fres->address;
	return fres;
}

int xenforeignmemory_unmap_resource(
    xenforeignmemory_handle *fmem, xenforeignmemory_resource_handle *fres)
{
	int result = fres != NULL ? xenforeignmemory_unmap(fmem, fres->address, fres->npages) : 0;

	free(fres);
	return result;
}

int xenforeignmemory_resource_size(
    xenforeignmemory_handle *fmem, domid_t domid, unsigned type, unsigned id, size_t *size)
{
	const struct xenwire_request req = {
	    .op = XENWIRE_RESOURCE_SIZE, .u.resource = {.domid = domid, .type = type, .id = id}};
	int64_t value = mapper_tell(&fmem->fh_mapper, &req);

	if (value >= 0)
		*size = (size_t)value;
	return value >= 0 ? 0 : fail((int)value);
}
