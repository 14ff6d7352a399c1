/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kind "foreignmemory": guests' pages that host programs map (uvm/uvm_hostmap.h says what they
 * see), and Xen's resources.
 */
#include "xen/client_foreign.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>

#include "core/guest.h"
#include "uvm/uvm_hostmap.h"
#include "xen/domain.h"

/* Of one client: 16 GiB. */
#define MAX_PAGES ((uint64_t)1 << 22)

struct part {
	SLIST_ENTRY(part) pa_next;
	uint64_t pa_npages;
	void (*pa_end)(void *arg);
	void *pa_arg;
};

struct foreign {
	LIST_ENTRY(foreign) fo_all;
	uint64_t fo_id;
	SLIST_HEAD(, part) fo_parts;
};

struct foreigns {
	LIST_HEAD(, foreign) fs_all;
	uint64_t fs_last_id, fs_npages;
};

static struct foreign *find(struct foreigns *fs, uint64_t id)
{
	struct foreign *fo;

	LIST_FOREACH (fo, &fs->fs_all, fo_all)
		if (fo->fo_id == id)
			break;
	return fo;
}

static struct foreign *new_map(struct foreigns *fs)
{
	struct foreign *fo = calloc(1, sizeof(*fo));

	if (fo != NULL) {
		fo->fo_id = ++fs->fs_last_id;
		SLIST_INIT(&fo->fo_parts);
		LIST_INSERT_HEAD(&fs->fs_all, fo, fo_all);
	}
	return fo;
}

int xen_foreign_add(
    struct xen_client *c, uint64_t *id, uint64_t npages, void (*end)(void *arg), void *arg)
{
	struct foreigns *fs = c->xc_data;
	struct foreign *fo = *id != 0 ? find(fs, *id) : NULL;
	struct part *pa;

	if (*id != 0 && fo == NULL)
		return -EINVAL;
	if (npages > MAX_PAGES - fs->fs_npages)
		return -ENOSPC;
	pa = calloc(1, sizeof(*pa));
	if (pa != NULL && fo == NULL)
		fo = new_map(fs);
	if (fo == NULL || pa == NULL) {
		free(pa);
		return -ENOMEM;
	}
	pa->pa_npages = npages;
	pa->pa_end = end;
	pa->pa_arg = arg;
	SLIST_INSERT_HEAD(&fo->fo_parts, pa, pa_next);
	fs->fs_npages += npages;
	*id = fo->fo_id;
	return 0;
}

static void end_map(struct foreigns *fs, struct foreign *fo)
{
	struct part *pa;

	while ((pa = SLIST_FIRST(&fo->fo_parts)) != NULL) {
		SLIST_REMOVE_HEAD(&fo->fo_parts, pa_next);
		fs->fs_npages -= pa->pa_npages;
		pa->pa_end(pa->pa_arg);
		free(pa);
	}
	LIST_REMOVE(fo, fo_all);
	free(fo);
}

static void end_hostmap(void *arg)
{
	uvm_world_enter();
	uvm_hostmap_destroy(arg);
	uvm_world_leave();
}

/* Xen's answer for what is no memory of the domain. */
static int32_t page_error(struct guest *g, int error)
{
	if (error == -ENOTRECOVERABLE)
		guest_end_with(g, GUEST_END_ERROR, 125,
		    "%s (domain %u) could not map a page of its own for a program of the host",
		    g->g_name, g->g_domid);
	return error == -EFAULT ? -EINVAL : error;
}

/*
 * All pages that can be had, and, in the answer, why the others can not.  It ends early where it has
 * no room for another store's descriptor.
 */
static void add_pages(
    struct guest *g, struct uvm_hostmap *hm, const struct xen_request *req, struct xen_reply *rep)
{
	bool write = (req->head.u.map.prot & XENWIRE_WRITE) != 0;
	struct uvm_page *pg;
	uint32_t i;
	int error;

	uvm_world_enter();
	for (i = 0; i < req->head.n; i++) {
		error = uvm_hostmap_add(hm, i, req->u.gfns[i], write, &pg);
		if (error != 0)
			rep->u.pages[i] = (struct xenwire_page){.error = page_error(g, error)};
		else if (!xen_foreign_place(rep, &rep->u.pages[i], pg, write))
			break;
	}
	uvm_world_leave();
	rep->head.n = i;
}

/* => the guest, and so its pmap, stays while its reference is held */
static int map_pages(struct xen_client *c, struct guest *g, struct uvm_map *map,
    const struct xen_request *req, struct xen_reply *rep)
{
	uint64_t id = req->head.u.map.more;
	struct uvm_hostmap *hm;
	int error;

	uvm_world_enter();
	hm = uvm_hostmap_create(map, req->head.n);
	uvm_world_leave();
	if (hm == NULL)
		return -ENOMEM;
	error = xen_foreign_add(c, &id, req->head.n, end_hostmap, hm);
	if (error != 0) {
		end_hostmap(hm);
		return error;
	}
	add_pages(g, hm, req, rep);
	rep->element_size = sizeof(rep->u.pages[0]);
	rep->head.value = (int64_t)id;
	return 0;
}

static void do_map(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	uint32_t prot = req->head.u.map.prot;
	struct uvm_map *map;
	struct guest *g;
	int error;

	if (req->head.n == 0 || (prot & ~(XENWIRE_READ | XENWIRE_WRITE)) != 0) {
		rep->head.value = -EINVAL;
		return;
	}
	error = xen_domain_memory(req->head.u.map.domid, &g, &map);
	if (error == 0) {
		error = map_pages(c, g, map, req, rep);
		xen_domain_memory_put(g, map);
	}
	if (error != 0)
		rep->head.value = error;
}

static void do_unmap(struct xen_client *c, struct xen_request *req, struct xen_reply *rep)
{
	struct foreign *fo = find(c->xc_data, req->head.u.id);

	rep->head.value = fo != NULL ? 0 : -EINVAL;
	if (fo != NULL)
		end_map(c->xc_data, fo);
}

static int foreign_open(struct xen_client *c, int *fd)
{
	struct foreigns *fs = calloc(1, sizeof(*fs));

	(void)fd;
	if (fs == NULL)
		return -ENOMEM;
	LIST_INIT(&fs->fs_all);
	c->xc_data = fs;
	return 0;
}

static void foreign_close(struct xen_client *c)
{
	struct foreigns *fs = c->xc_data;
	struct foreign *fo;

	while ((fo = LIST_FIRST(&fs->fs_all)) != NULL)
		end_map(fs, fo);
	free(fs);
}

static const struct xen_client_op ops[] = {
    {XENWIRE_FOREIGN_MAP, sizeof(uint64_t), do_map},
    {XENWIRE_FOREIGN_UNMAP, 0, do_unmap},
    {XENWIRE_RESOURCE_SIZE, 0, xen_resource_size},
    {XENWIRE_RESOURCE_MAP, 0, xen_resource_map},
    {0, 0, NULL},
};

const struct xen_client_kind xen_foreign_kind = {
    .name = "foreignmemory",
    .open = foreign_open,
    .close = foreign_close,
    .ops = ops,
};
