/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_XEN_ENV_H
#define LOMBARD_CLI_XEN_ENV_H
/*
 * The environment in which programs that were built for Xen find a cell: our libraries before
 * Xen's, Xen's tools themselves before Debian's wrappers of them (which do nothing without Xen),
 * the cell's socket, and the directory of its xenstore if it has one.
 */
#include <stddef.h>

#define XEN_ENV_MAX 8

struct xen_env {
	size_t n;
	struct {
		const char *name;
		char *value;
	} vars[XEN_ENV_MAX];
};

/*
 * Find out what is to be set.  -errno, told to the user, when Lombard's libraries are not there.
 * After an error there is nothing to drop.
 */
int xen_env_make(struct xen_env *env, const char *socket);

void xen_env_drop(struct xen_env *env);

/*
 * The directory that has Lombard's libraries in place of Xen's, an absolute path, the caller's to free.
 * NULL when they are not there.
 */
char *xen_env_libraries(void);

#endif
