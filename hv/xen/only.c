/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/only.h"

#include <errno.h>

#include "core/guest.h"
#include "xen/domain.h"

int xen_only_set(struct guest **only, uint64_t domid)
{
	if (*only != NULL)
		return -EPERM;
	*only = domid <= UINT32_MAX ? xen_domain_find((uint32_t)domid) : NULL;
	return *only != NULL ? 0 : -ESRCH;
}

int xen_only_check(struct guest *only, uint32_t domid)
{
	bool runs;

	if (only == NULL)
		return 0;
	if (domid != only->g_domid)
		return -EPERM;
	pthread_mutex_lock(&only->g_mutex);
	runs = only->g_state == GUEST_RUNNING;
	pthread_mutex_unlock(&only->g_mutex);
	return runs ? 0 : -ESRCH;
}

void xen_only_drop(struct guest **only)
{
	if (*only != NULL)
		guest_put(*only);
	*only = NULL;
}
