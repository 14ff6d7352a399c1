/* SPDX-License-Identifier: BSD-2-Clause */
#include "gntfill.h"

#include <errno.h>
#include <string.h>

#include "gntdev.h"

int gntfill_only(xengnttab_handle *xgt, uint32_t domid)
{
	struct xenwire_request req = {.op = XENWIRE_GRANT_ONLY, .u.id = domid};

	return (int)link_tell(&xgt->gh_mapper.mp_link, &req);
}

int gntfill_file(xengnttab_handle *xgt, int fd)
{
	struct link_request req = {.head = {.op = XENWIRE_GRANT_FILE}};
	struct link_answer a;
	int64_t value = link_ask(&xgt->gh_mapper.mp_link, &req, 0, fd, &a, 0);

	link_drop_fds(&a);
	return (int)value;
}

int gntfill_pages(
    xengnttab_handle *xgt, const struct xenwire_fill *fills, uint32_t n, int32_t *errors)
{
	struct link_request req;
	struct link_answer a;
	int64_t value;

	req.head = (struct xenwire_request){.op = XENWIRE_GRANT_FILL, .n = n};
	memcpy(req.u.fills, fills, n * sizeof(*fills));
	value = link_ask(
	    &xgt->gh_mapper.mp_link, &req, sizeof(*fills), -1, &a, sizeof(a.u.errors[0]));
	link_drop_fds(&a);
	if (value < 0)
		return (int)value;
	if (a.head.n != n)
		return -EPROTO;
	memcpy(errors, a.u.errors, n * sizeof(*errors));
	return 0;
}
