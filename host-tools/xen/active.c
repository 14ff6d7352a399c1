/* SPDX-License-Identifier: BSD-2-Clause */
#include "active.h"

#include <errno.h>
#include <stddef.h>

/* libxentoolcore.so.1, VERS_1.0 */
void xentoolcore__register_active_handle(struct active *a);
void xentoolcore__deregister_active_handle(struct active *a);

static int cannot_restrict(struct active *a, unsigned short domid)
{
	(void)a;
	(void)domid;
	errno = EOPNOTSUPP;
	return -1;
}

void active_add(struct active *a)
{
	a->restrict_to = cannot_restrict;
	xentoolcore__register_active_handle(a);
}

void active_remove(struct active *a)
{
	xentoolcore__deregister_active_handle(a);
}
