/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_CALLS_H
#define LOMBARD_XEN_CALLS_H
/*
 * This process's hypercalls: one connection for all handles of libxencall, because a hypercall may
 * point into the buffers of any of them.
 *
 * Buffers are memfds, so that the cell can read and write them.  A child after a fork has to have
 * its own: it gets a connection and copies of the buffers, at the same addresses, with its first
 * call.
 *
 * All functions may be called by any thread.  Errors: 0 or -errno.
 */
#include <stddef.h>
#include <stdint.h>

#define CALLS_PAGE 4096u

/* calls_open: connect with the first one.  calls_close: with the last one, all of it ends. */
int calls_open(void);
void calls_close(void);

/* calls_fd: the connection.  It stays the same number as long as there are handles. */
int calls_fd(void);

/* calls_make: => the hypercall's value, or -errno */
int64_t calls_make(uint64_t nr, const uint64_t arg[5]);

/*
 * calls_alloc: a buffer of whole pages, zeroes.  calls_free: by its address; anything else is left
 * alone, and errno is kept.
 */
int calls_alloc(size_t npages, void **address);
void calls_free(void *address);

#endif
