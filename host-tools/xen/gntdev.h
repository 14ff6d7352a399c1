/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_GNTDEV_H
#define LOMBARD_XEN_GNTDEV_H
/* What xengnttab_handle and xengntshr_handle are. */
#include <stdint.h>

#include "mapper.h"

struct xengntdev_handle {
	struct mapper gh_mapper;
};

/* Both connect; NULL and errno when that fails. */
struct xengntdev_handle *gntdev_open(
    struct xentoollog_logger *logger, const char *library, const char *kind, uint32_t end_op);
void gntdev_close(struct xengntdev_handle *h);

/* The connection: of no use but for fcntl. */
int gntdev_fd(struct xengntdev_handle *h);

/* Tell the handle's logger, or stderr, and set errno; error is negative. */
void gntdev_explain(struct xengntdev_handle *h, const char *what, int error);

/* As callers say it, -1 or past the end for nothing, and as the cell wants it. */
uint32_t gntdev_notify_offset(uint32_t offset, uint32_t npages);

#endif
