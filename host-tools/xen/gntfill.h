/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_GNTFILL_H
#define LOMBARD_XEN_GNTFILL_H
/*
 * What Xen's libxengnttab does not have: for a backend that serves one guest, and lends it pages of a
 * file (proto/xenwire.h, GRANT_ONLY to GRANT_FILL).  Errors: 0 or -errno.
 */
#include <stdint.h>
#include <xengnttab.h>

#include "proto/xenwire.h"

/* gntfill_only: the handle is for this guest's grants only, for good. */
int gntfill_only(xengnttab_handle *xgt, uint32_t domid);

/* gntfill_file: whose pages are lent.  The descriptor stays the caller's. */
int gntfill_file(xengnttab_handle *xgt, int fd);

/*
 * gntfill_pages: at most XENWIRE_MAX_FILL granted pages shall be pages of the file; errors: for each, 0 or
 * -errno: then it is what it was.
 */
int gntfill_pages(
    xengnttab_handle *xgt, const struct xenwire_fill *fills, uint32_t n, int32_t *errors);

#endif
