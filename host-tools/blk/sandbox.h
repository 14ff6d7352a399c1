/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_SANDBOX_H
#define LOMBARD_BLK_SANDBOX_H
#include <stdint.h>
#include <sys/types.h>

#include "lib/failure.h"

/*
 * sandbox_enter: give up what is not needed any more, once everything is open: user and group, if we
 * are root, and all system calls but those by which a disk is served.  For good.  parent: the process that
 * this one is to end with, whatever becomes of it; 0: none.
 *
 * sandbox_filter: only the system calls; what sandbox_enter leaves away in builds with sanitizers.
 * => PR_SET_NO_NEW_PRIVS, or root
 */
int sandbox_enter(uint32_t domid, pid_t parent, struct failure *f);
int sandbox_filter(struct failure *f);

#endif
