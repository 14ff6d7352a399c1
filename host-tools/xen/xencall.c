/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libxencall: hypercalls, carried to the cell.
 */
#include <xencall.h>

#include <errno.h>
#include <stdlib.h>

#include "active.h"
#include "calls.h"
#include "link.h"

struct xencall_handle {
	struct active ha_active;
};

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xencall_handle *xcall = calloc(1, sizeof(*xcall));
	int error;

	(void)open_flags; /* all handles may be used by any thread */
	if (xcall == NULL)
		return NULL;
	error = calls_open();
	if (error != 0) {
		link_explain(logger, "xencall", error);
		free(xcall);
		errno = -error;
		return NULL;
	}
	active_add(&xcall->ha_active);
	return xcall;
}

int xencall_close(xencall_handle *xcall)
{
	if (xcall == NULL)
		return 0;
	active_remove(&xcall->ha_active);
	calls_close();
	free(xcall);
	return 0;
}

int xencall_fd(xencall_handle *xcall)
{
	(void)xcall;
	return calls_fd();
}

static long call(
    unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
	int64_t value = calls_make(op, (const uint64_t[5]){arg1, arg2, arg3, arg4, arg5});

	if (value >= 0)
		return (long)value;
	errno = (int)-value;
	return -1;
}

int xencall0(xencall_handle *xcall, unsigned op)
{
	(void)xcall;
	return (int)call(op, 0, 0, 0, 0, 0);
}

int xencall1(xencall_handle *xcall, unsigned op, uint64_t arg1)
{
	(void)xcall;
	return (int)call(op, arg1, 0, 0, 0, 0);
}

int xencall2(xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2)
{
	(void)xcall;
	return (int)call(op, arg1, arg2, 0, 0, 0);
}

long xencall2L(xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2)
{
	(void)xcall;
	return call(op, arg1, arg2, 0, 0, 0);
}

int xencall3(xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	(void)xcall;
	return (int)call(op, arg1, arg2, arg3, 0, 0);
}

int xencall4(
    xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4)
{
	(void)xcall;
	return (int)call(op, arg1, arg2, arg3, arg4, 0);
}

int xencall5(xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3,
    uint64_t arg4, uint64_t arg5)
{
	(void)xcall;
	return (int)call(op, arg1, arg2, arg3, arg4, arg5);
}

void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t nr_pages)
{
	void *address;
	int error = calls_alloc(nr_pages, &address);

	(void)xcall;
	if (error == 0)
		return address;
	errno = -error;
	return NULL;
}

void xencall_free_buffer_pages(xencall_handle *xcall, void *p, size_t nr_pages)
{
	(void)xcall;
	(void)nr_pages; /* known by its address */
	if (p != NULL)
		calls_free(p);
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
	return xencall_alloc_buffer_pages(xcall, size / CALLS_PAGE + (size % CALLS_PAGE != 0));
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
	xencall_free_buffer_pages(xcall, p, 0);
}

/* The cell reads and writes them without mapping them; what it cannot have is an error there. */
int xencall_buffers_never_fault(xencall_handle *xcall)
{
	(void)xcall;
	return 1;
}
