/* SPDX-License-Identifier: BSD-2-Clause */
#include "gntdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xentoollog.h>

struct xengntdev_handle *gntdev_open(
    struct xentoollog_logger *logger, const char *library, const char *kind, uint32_t end_op)
{
	struct xengntdev_handle *h = calloc(1, sizeof(*h));
	int error;

	if (h == NULL)
		return NULL;
	mapper_init(&h->gh_mapper, logger, library, kind, end_op);
	error = mapper_connect(&h->gh_mapper);
	if (error == 0)
		return h;
	gntdev_close(h);
	errno = -error;
	return NULL;
}

void gntdev_close(struct xengntdev_handle *h)
{
	if (h != NULL)
		mapper_fini(&h->gh_mapper);
	free(h);
}

int gntdev_fd(struct xengntdev_handle *h)
{
	return h->gh_mapper.mp_link.fd;
}

void gntdev_explain(struct xengntdev_handle *h, const char *what, int error)
{
	struct mapper *mp = &h->gh_mapper;

	if (mp->mp_logger != NULL)
		xtl_log(mp->mp_logger, XTL_ERROR, -error, mp->mp_library, "cannot %s", what);
	else
		fprintf(stderr, "%s: cannot %s: %s\n", mp->mp_library, what, strerror(-error));
	errno = -error;
}

uint32_t gntdev_notify_offset(uint32_t offset, uint32_t npages)
{
	return offset < (uint64_t)npages * XENWIRE_PAGE ? offset : XENWIRE_NO_OFFSET;
}
