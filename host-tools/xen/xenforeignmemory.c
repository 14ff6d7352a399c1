/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxenforeignmemory: pages of guests in this program's address space.
 *
 * Each libxenctrl handle has one of ours, and few of them ever map anything: so a handle connects
 * with its first request.
 */
#include <xenforeignmemory.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "active.h"
#include "link.h"
#include "maps.h"
#include "view.h"

struct xenforeignmemory_handle {
	struct active fh_active;
	struct xentoollog_logger *fh_logger;
	pthread_mutex_t fh_mutex; /* what follows, and that addresses and fh_maps agree */
	struct link fh_link;
	struct maps fh_maps;
};

struct xenforeignmemory_resource_handle {
	void *address;
	size_t npages;
};

/* One map under construction. */
struct mapping {
	uint32_t domid;
	int prot, flags;
	size_t npages;
	const xen_pfn_t *gfns; /* NULL: a resource */
	int *err;	       /* the caller's, or NULL */
	void *at;
	uint64_t id; /* 0: none yet */
	struct map *map;
};

xenforeignmemory_handle *xenforeignmemory_open(
    struct xentoollog_logger *logger, unsigned open_flags)
{
	xenforeignmemory_handle *h = calloc(1, sizeof(*h));

	(void)open_flags;
	if (h == NULL)
		return NULL;
	h->fh_logger = logger;
	h->fh_link = LINK_NONE;
	LIST_INIT(&h->fh_maps);
	pthread_mutex_init(&h->fh_mutex, NULL);
	active_add(&h->fh_active);
	return h;
}

/* What is mapped stays mapped: the program may have put other things at these addresses. */
int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	if (h == NULL)
		return 0;
	active_remove(&h->fh_active);
	link_close(&h->fh_link);
	maps_forget(&h->fh_maps);
	pthread_mutex_destroy(&h->fh_mutex);
	free(h);
	return 0;
}

/* => fh_mutex */
static int connect_handle(xenforeignmemory_handle *h)
{
	int error = h->fh_link.fd >= 0 ? 0 : link_open(&h->fh_link, "foreignmemory", NULL);

	if (error != 0)
		link_explain(h->fh_logger, "xenforeignmemory", error);
	return error;
}

static void tell_gone(void *arg, uint64_t id)
{
	xenforeignmemory_handle *h = arg;
	struct xenwire_request req = {.op = XENWIRE_FOREIGN_UNMAP, .u.id = id};

	(void)link_tell(&h->fh_link, &req);
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
static int map_chunk(xenforeignmemory_handle *h, struct mapping *m, size_t first, size_t *np)
{
	size_t n = m->npages - first < XENWIRE_MAX_ELEMENTS ? m->npages - first
							    : XENWIRE_MAX_ELEMENTS;
	struct link_request req = {.head = {.op = XENWIRE_FOREIGN_MAP,
				       .n = (uint32_t)n,
				       .u.map = {m->domid, view_prot(m->prot), m->id}}};
	struct link_answer a;
	int64_t value;
	int error;

	for (size_t i = 0; i < n; i++)
		req.u.gfns[i] = m->gfns[first + i];
	value = link_ask(&h->fh_link, &req, sizeof(req.u.gfns[0]), -1, &a, sizeof(a.u.pages[0]));
	if (value < 0)
		return (int)value;
	m->id = (uint64_t)value;
	*np = a.head.n;
	if (a.head.n == 0 || a.head.n > n) {
		link_drop_fds(&a);
		return -EPROTO;
	}
	error = note_errors(&a, m->err != NULL ? m->err + first : NULL);
	if (error != 0 && m->err == NULL) {
		link_drop_fds(&a);
		return error;
	}
	return view_place((char *)m->at + first * XENWIRE_PAGE, m->prot, m->flags, &a);
}

static int map_pages(xenforeignmemory_handle *h, struct mapping *m)
{
	size_t n = 0;
	int error = 0;

	for (size_t first = 0; first < m->npages && error == 0; first += n)
		error = map_chunk(h, m, first, &n);
	return error;
}

/* A resource is there as a whole, or not at all. */
static int map_resource(
    xenforeignmemory_handle *h, struct mapping *m, const struct xenwire_request *head)
{
	struct link_request req = {.head = *head};
	struct link_answer a;
	int64_t value = link_ask(&h->fh_link, &req, 0, -1, &a, sizeof(a.u.pages[0]));
	int error;

	if (value < 0)
		return (int)value;
	m->id = (uint64_t)value;
	error = note_errors(&a, NULL);
	if (error == 0 && a.head.n != m->npages)
		error = -EPROTO;
	if (error == 0)
		return view_place(m->at, m->prot, m->flags, &a);
	link_drop_fds(&a);
	return error;
}

/*
 * Everything around the request: addresses, the connection, the memory of it.  => fh_mutex
 * => resource: NULL: m->gfns
 */
static int make_map(
    xenforeignmemory_handle *h, struct mapping *m, const struct xenwire_request *resource)
{
	void *hint = m->at;
	int error = connect_handle(h);

	if (error == 0)
		error = view_reserve(hint, m->flags, m->npages, &m->at);
	if (error != 0)
		return error;
	maps_cut(&h->fh_maps, m->at, m->npages, tell_gone, h);
	m->map = maps_new(m->npages);
	error = m->map == NULL	   ? -ENOMEM
		: resource != NULL ? map_resource(h, m, resource)
				   : map_pages(h, m);
	if (error == 0) {
		maps_add(&h->fh_maps, m->map, m->id, m->at);
		return 0;
	}
	free(m->map);
	view_drop(m->at, m->npages);
	if (m->id != 0)
		tell_gone(h, m->id);
	return error;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *h, uint32_t dom, void *addr, int prot,
    int flags, size_t pages, const xen_pfn_t arr[], int err[])
{
	struct mapping m = {
	    .domid = dom,
	    .prot = prot,
	    .flags = flags,
	    .npages = pages,
	    .gfns = arr,
	    .err = err,
	    .at = addr,
	};
	int error;

	pthread_mutex_lock(&h->fh_mutex);
	error = make_map(h, &m, NULL);
	pthread_mutex_unlock(&h->fh_mutex);
	if (error == 0)
		return m.at;
	errno = -error;
	return NULL;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot, size_t pages,
    const xen_pfn_t arr[], int err[])
{
	return xenforeignmemory_map2(h, dom, NULL, prot, 0, pages, arr, err);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t pages)
{
	int result;

	pthread_mutex_lock(&h->fh_mutex);
	result = munmap(addr, pages * XENWIRE_PAGE);
	if (result == 0)
		maps_cut(&h->fh_maps, addr, pages, tell_gone, h);
	pthread_mutex_unlock(&h->fh_mutex);
	return result;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
	(void)h;
	(void)domid;
	errno = EOPNOTSUPP;
	return -1;
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *h,
    domid_t domid, unsigned type, unsigned id, unsigned long frame, unsigned long nr_frames,
    void **paddr, int prot, int flags)
{
	xenforeignmemory_resource_handle *r = calloc(1, sizeof(*r));
	struct xenwire_request req = {.op = XENWIRE_RESOURCE_MAP,
	    .u.resource = {domid, type, id, view_prot(prot), frame, nr_frames}};
	struct mapping m = {.prot = prot, .flags = flags, .npages = nr_frames, .at = *paddr};
	int error = r == NULL ? -ENOMEM : 0;

	if (error == 0 && (flags & ~(MAP_SHARED | MAP_PRIVATE)) != 0)
		error = -EINVAL;
	if (error == 0) {
		pthread_mutex_lock(&h->fh_mutex);
		error = make_map(h, &m, &req);
		pthread_mutex_unlock(&h->fh_mutex);
	}
	if (error != 0) {
		free(r);
		errno = -error;
		return NULL;
	}
	*paddr = r->address = m.at;
	r->npages = nr_frames;
	return r;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *h, xenforeignmemory_resource_handle *r)
{
	int result = r != NULL ? xenforeignmemory_unmap(h, r->address, r->npages) : 0;

	free(r);
	return result;
}

int xenforeignmemory_resource_size(
    xenforeignmemory_handle *h, domid_t domid, unsigned type, unsigned id, size_t *size)
{
	struct xenwire_request req = {
	    .op = XENWIRE_RESOURCE_SIZE, .u.resource = {.domid = domid, .type = type, .id = id}};
	int64_t value;

	pthread_mutex_lock(&h->fh_mutex);
	value = connect_handle(h);
	if (value == 0)
		value = link_tell(&h->fh_link, &req);
	pthread_mutex_unlock(&h->fh_mutex);
	if (value < 0) {
		errno = (int)-value;
		return -1;
	}
	*size = (size_t)value;
	return 0;
}
