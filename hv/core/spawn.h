/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_SPAWN_H
#define HV_CORE_SPAWN_H
/*
 * Starting a lombard-vmm.
 */
#include <sys/types.h>

#include "lib/failure.h"

/* The core's ends of what wire.h describes, and the process. */
struct spawned {
	int request, pmap, event, control;
	pid_t pid;
};

/*
 * spawn_vmm: start a process; it is a child of ours, in a session of its own.
 * => the program is $LOMBARD_VMM, else lombard-vmm in our own directory
 * => 0, or -errno with *f and nothing left
 */
int spawn_vmm(struct spawned *sp, struct failure *f);

#endif
