/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/sys.h"

#ifdef LOMBARD_FAULTS
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of this program's call that shall fail; 0: none. */
static long victim_of(const char *order)
{
	size_t len = strlen(program_invocation_short_name);

	if (order == NULL || strncmp(order, program_invocation_short_name, len) != 0 ||
	    order[len] != ':')
		return 0;
	return strtol(order + len + 1, NULL, 10);
}

bool sys_fails(void)
{
	static _Atomic long calls;
	static _Atomic long victim = -1;
	long n = atomic_fetch_add(&calls, 1) + 1;

	if (victim < 0)
		victim = victim_of(getenv("LOMBARD_FAIL_SYS"));
	if (n != victim)
		return false;
	fprintf(stderr, "%s: system call %ld fails, as asked\n", program_invocation_short_name, n);
	errno = ENOMEM;
	return true;
}
#endif
