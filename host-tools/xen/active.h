/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_ACTIVE_H
#define LOMBARD_XEN_ACTIVE_H
/*
 * Handles that xentoolcore_restrict_all() has to know of.  None of ours can be restricted to one
 * domain, so it is told so: it must not believe that it has restricted the process.
 */

/* libxentoolcore's interface for the other libraries; Debian has no header of it. */
struct xentoolcore_entry {
	struct xentoolcore_entry *next, **previous;
};

struct active {
	int (*restrict_to)(struct active *a, unsigned short domid);
	struct xentoolcore_entry entry;
};

void active_add(struct active *a);
void active_remove(struct active *a);

#endif
