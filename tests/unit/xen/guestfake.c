/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/guestfake.h"

#include "xen/domain.h"

struct guest_fake guest_fake = {.guest.g_mutex = PTHREAD_MUTEX_INITIALIZER};

struct guest *xen_domain_find(uint32_t domid)
{
	if (domid == 0 || domid != guest_fake.guest.g_domid)
		return NULL;
	guest_fake.refs++;
	return &guest_fake.guest;
}

void guest_put(struct guest *g)
{
	(void)g;
	guest_fake.refs--;
}

struct uvm_map *guest_map_get(struct guest *g)
{
	if (g->g_map != NULL)
		uvm_map_ref(g->g_map);
	return g->g_map;
}

void guest_cannot_map(struct guest *g)
{
	(void)g;
	guest_fake.ended++;
}
