/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_CALL_H
#define HV_XEN_CALL_H
/*
 * Hypercalls with Xen's numbers, structures and errors (Xen 4.17's public headers), whoever
 * makes them: who calls, and how its pointers are followed, is in struct xen_caller.
 *
 * A handler copies what it is given in, once; checks it; acts; copies results out.  Its value is 0 or
 * more, or a negative Xen error, which are Linux' numbers.  An unknown operation is -ENOSYS, a wrong
 * interface version -EACCES.
 *
 * One file for each hypercall: call_NAME.c, or call_NAME_PART.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xen_caller;

/* 0 or -EFAULT.  A copy may have been done in part. */
struct xen_access {
	int (*copy_in)(struct xen_caller *c, void *to, uint64_t from, size_t len);
	int (*copy_out)(struct xen_caller *c, uint64_t to, const void *from, size_t len);
	/* Nobody waits for the result any more: calls that may take very long ask, and end early. */
	bool (*gone)(struct xen_caller *c);
};

struct xen_caller {
	const struct xen_access *xa;
	uint32_t domid; /* 0: a host program */
};

static inline int xen_copy_in(struct xen_caller *c, void *to, uint64_t from, size_t len)
{
	return c->xa->copy_in(c, to, from, len);
}

static inline int xen_copy_out(struct xen_caller *c, uint64_t to, const void *from, size_t len)
{
	return c->xa->copy_out(c, to, from, len);
}

static inline bool xen_caller_gone(struct xen_caller *c)
{
	return c->xa->gone(c);
}

/* A pointer in one of Xen's structures, as a number (XEN_GUEST_HANDLE, XEN_GUEST_HANDLE_64). */
#define XEN_HANDLE(h) ((uint64_t)(uintptr_t)(h).p)

/* xen_call: any hypercall.  => no locks held, not inside the world; may block */
int64_t xen_call(struct xen_caller *c, uint64_t nr, const uint64_t arg[5]);

/* Its handlers, by file. */
typedef int64_t xen_handler(struct xen_caller *c, const uint64_t arg[5]);
xen_handler xen_call_version, xen_call_multicall, xen_call_memory, xen_call_domctl, xen_call_sysctl;
xen_handler xen_call_hvm, xen_call_sched;
xen_handler xen_call_event_channel, xen_call_grant_table;

#endif
