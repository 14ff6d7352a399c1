/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_XEN_GUESTFAKE_H
#define TESTS_XEN_GUESTFAKE_H
/* The one guest that clients of the kind "gnttab" can find, or none. */
#include "core/guest.h"

struct guest_fake {
	struct guest guest; /* g_domid 0: there is none */
	unsigned refs;	    /* that were got and not put */
	unsigned ended;	    /* calls of guest_cannot_map */
};
extern struct guest_fake guest_fake;

#endif
