/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_XENCTL_H
#define LOMBARD_CLI_XENCTL_H
/*
 * Guests as Xen's domains: what libxenctrl can do with them is done by libxenctrl.
 *
 * It is Debian's, on Lombard's libxencall and its like (host-tools/xen), as programs that `lombard xen`
 * runs have it.  It is loaded when it is wanted: commands that say nothing to a domain work where Xen's
 * packages are not installed.
 *
 * Functions return 0 or -errno.
 */
#include <stddef.h>
#include <stdint.h>

struct xc_interface_core;

/* A connection, once it is wanted. */
struct xenctl {
	const char *socket; /* the cell's; borrowed */
	struct xc_interface_core *xc;
};

/* What Xen knows of a guest. */
struct xenctl_domain {
	uint32_t domid;
	const char *state; /* "running", "paused", "stopping", "shutdown"; static */
	uint32_t vcpus;
	uint64_t pages;	 /* frames that it takes */
	uint64_t shared; /* pages that it shares with other domains (XENMEM_sharing_op) */
	uint64_t cpu_ns; /* CPU time */
};

/* xenctl_init: nothing is loaded or connected yet.  xenctl_close: may be called then, too. */
void xenctl_init(struct xenctl *x, const char *socket);
void xenctl_close(struct xenctl *x);

/*
 * xenctl_open: load and connect, if it has not been done.  After an error, which was told to the user as
 * client.h says it, there is nothing to close.
 */
int xenctl_open(struct xenctl *x, const char *what);

/*
 * The rest wants it open, and says nothing to the user.
 *
 * xenctl_pause, xenctl_unpause: pauses count.  -ESRCH: it has ended; -EAGAIN: it is still being started;
 *	-EOVERFLOW: paused as often as the cell can count; -EINVAL: not paused
 * xenctl_destroy: stop a guest, and wait until it is gone; 0 also if it was gone before
 * xenctl_domains: all guests, in order of domid.  *domains is the caller's to free
 */
int xenctl_pause(struct xenctl *x, uint32_t domid);
int xenctl_unpause(struct xenctl *x, uint32_t domid);
int xenctl_destroy(struct xenctl *x, uint32_t domid);
int xenctl_domains(struct xenctl *x, struct xenctl_domain **domains, size_t *n);

/* Tell the user of an error for which there is no better word.  => err */
int xenctl_explain(const struct xenctl *x, const char *what, int err);

#endif
