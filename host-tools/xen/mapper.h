/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_MAPPER_H
#define LOMBARD_XEN_MAPPER_H
/*
 * What the handles that map memory have in common: a connection, and what they have mapped where.
 *
 * Errors: 0 or -errno.  All functions may be called by any thread.
 */
#include <pthread.h>
#include <stdbool.h>

#include "active.h"
#include "link.h"
#include "maps.h"

struct mapper {
	struct active mp_active;
	struct xentoollog_logger *mp_logger;
	const char *mp_library, *mp_kind;
	uint32_t mp_end_op;	  /* the request by which a map ends */
	pthread_mutex_t mp_mutex; /* what follows, and that addresses and mp_maps agree */
	struct link mp_link;
	struct maps mp_maps;
};

/* Not connected yet: mapper_connect, or mapper_map does that. */
void mapper_init(struct mapper *mp, struct xentoollog_logger *logger, const char *library,
    const char *kind, uint32_t end_op);

/* mapper_fini: what is mapped stays: the program may have put other things at these addresses. */
void mapper_fini(struct mapper *mp);

/* mapper_connect: unless that is done.  A failure is reported. */
int mapper_connect(struct mapper *mp);

/*
 * mapper_map: a new map of npages, filled by a function.
 * => hint, flags: as for mmap
 * => fill: puts pages at `at`, and sets *id as soon as the cell has a map of this number
 */
typedef int mapper_fill(struct mapper *mp, void *at, uint64_t *id, void *arg);
int mapper_map(struct mapper *mp, void *hint, int flags, size_t npages, mapper_fill *fill,
    void *arg, void **at);

/*
 * mapper_unmap: these pages.
 * => exactly: only what was mapped as these and is there yet; else -EINVAL
 */
int mapper_unmap(struct mapper *mp, void *at, size_t npages, bool exactly);

/* mapper_tell: a request that maps nothing.  => its value, or a negative error */
int64_t mapper_tell(struct mapper *mp, const struct xenwire_request *req);

#endif
