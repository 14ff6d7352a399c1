/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_SYS_H
#define LOMBARD_LIB_SYS_H
/*
 * System calls and allocations that tests make fail.
 *
 * SYS(call) is the call.  In builds with LOMBARD_FAULTS the calls of a process are counted, and one
 * is not made but answers -1 with errno ENOMEM (SYS_MMAP: MAP_FAILED; SYS_ALLOC: NULL): the Nth of
 * the program PROGRAM when $LOMBARD_FAIL_SYS is PROGRAM:N, as lombardd:17.  Used on the paths of
 * launch, lend, borrow, break and return.  All allocations of hv are counted: with SYS_ALLOC, or in
 * uvm_zalloc.
 */
#ifdef LOMBARD_FAULTS
#include <stdbool.h>

/* True when the call about to be made shall fail; errno is set then. */
bool sys_fails(void);

#define SYS(call) (sys_fails() ? -1 : (call))
#define SYS_MMAP(call) (sys_fails() ? MAP_FAILED : (call))
#define SYS_ALLOC(call) (sys_fails() ? NULL : (call))
#else
#define SYS(call) (call)
#define SYS_MMAP(call) (call)
#define SYS_ALLOC(call) (call)
#endif

#endif
