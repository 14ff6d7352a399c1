/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of calls.c in a libxencall: hypercalls that never reach a cell.  Each fails with the error
 * number in REFUSE_CALL; REFUSE_OPEN: there is no connection either.  Buffers are memory.
 */
#include "../../host-tools/xen/calls.h"

#include <stdlib.h>

static int refusal(const char *name)
{
	const char *number = getenv(name);

	return number != NULL ? -atoi(number) : 0;
}

int calls_open(void)
{
	return refusal("REFUSE_OPEN");
}

void calls_close(void)
{
}

int calls_fd(void)
{
	return -1;
}

int64_t calls_make(uint64_t nr, const uint64_t arg[5])
{
	(void)nr;
	(void)arg;
	return refusal("REFUSE_CALL");
}

int calls_alloc(size_t npages, void **address)
{
	return -posix_memalign(address, CALLS_PAGE, npages * CALLS_PAGE);
}

void calls_free(void *address)
{
	free(address);
}
