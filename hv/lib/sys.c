/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/sys.h"

#ifdef LOMBARD_FAULTS
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

bool sys_fails(void)
{
	static _Atomic long calls;
	static _Atomic long victim = -1;
	long n = atomic_fetch_add(&calls, 1) + 1;

	if (victim < 0) {
		const char *s = getenv("LOMBARD_FAIL_SYS");

		victim = s != NULL ? strtol(s, NULL, 10) : 0;
	}
	if (n != victim)
		return false;
	fprintf(stderr, "lombard: system call %ld fails, as asked\n", n);
	errno = ENOMEM;
	return true;
}
#endif
