/* SPDX-License-Identifier: BSD-2-Clause */
#include "mapper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "view.h"

void mapper_init(struct mapper *mp, struct xentoollog_logger *logger, const char *library,
    const char *kind, uint32_t end_op)
{
	mp->mp_logger = logger;
	mp->mp_library = library;
	mp->mp_kind = kind;
	mp->mp_end_op = end_op;
	mp->mp_link = LINK_NONE;
	LIST_INIT(&mp->mp_maps);
	pthread_mutex_init(&mp->mp_mutex, NULL);
	active_add(&mp->mp_active);
}

void mapper_fini(struct mapper *mp)
{
	active_remove(&mp->mp_active);
	link_close(&mp->mp_link);
	maps_forget(&mp->mp_maps);
	pthread_mutex_destroy(&mp->mp_mutex);
}

/* => mp_mutex */
static int connect_link(struct mapper *mp)
{
	int error = mp->mp_link.fd >= 0 ? 0 : link_open(&mp->mp_link, mp->mp_kind, NULL);

	if (error != 0)
		link_explain(mp->mp_logger, mp->mp_library, error);
	return error;
}

int mapper_connect(struct mapper *mp)
{
	int error;

	pthread_mutex_lock(&mp->mp_mutex);
	error = connect_link(mp);
	pthread_mutex_unlock(&mp->mp_mutex);
	return error;
}

static void end_map(void *arg, uint64_t id)
{
	struct mapper *mp = arg;
	struct xenwire_request req = {.op = mp->mp_end_op, .u.id = id};

	(void)link_tell(&mp->mp_link, &req);
}

/* => mp_mutex */
static int make_map(struct mapper *mp, void *hint, int flags, size_t npages, mapper_fill *fill,
    void *arg, void **at)
{
	uint64_t id = 0;
	struct map *ma;
	int error = view_reserve(hint, flags, npages, at);

	if (error != 0)
		return error;
	maps_cut(&mp->mp_maps, *at, npages, end_map, mp);
	ma = maps_new(npages);
	error = ma != NULL ? fill(mp, *at, &id, arg) : -ENOMEM;
	if (error == 0) {
		maps_add(&mp->mp_maps, ma, id, *at);
		return 0;
	}
	free(ma);
	view_drop(*at, npages);
	if (id != 0)
		end_map(mp, id);
	return error;
}

int mapper_map(struct mapper *mp, void *hint, int flags, size_t npages, mapper_fill *fill,
    void *arg, void **at)
{
	int error;

	pthread_mutex_lock(&mp->mp_mutex);
	error = connect_link(mp);
	if (error == 0)
		error = make_map(mp, hint, flags, npages, fill, arg, at);
	pthread_mutex_unlock(&mp->mp_mutex);
	return error;
}

int mapper_unmap(struct mapper *mp, void *at, size_t npages, bool exactly)
{
	int error = 0;

	pthread_mutex_lock(&mp->mp_mutex);
	if (exactly && !maps_whole_p(&mp->mp_maps, at, npages))
		error = -EINVAL;
	else if (munmap(at, npages * XENWIRE_PAGE) < 0)
		error = -errno;
	else
		maps_cut(&mp->mp_maps, at, npages, end_map, mp);
	pthread_mutex_unlock(&mp->mp_mutex);
	return error;
}

int64_t mapper_tell(struct mapper *mp, const struct xenwire_request *req)
{
	int64_t value;

	pthread_mutex_lock(&mp->mp_mutex);
	value = connect_link(mp);
	if (value == 0)
		value = link_tell(&mp->mp_link, req);
	pthread_mutex_unlock(&mp->mp_mutex);
	return value;
}
