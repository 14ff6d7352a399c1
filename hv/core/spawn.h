/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_SPAWN_H
#define HV_CORE_SPAWN_H
/*
 * Starting a lombard-vmm, and a xenstored.
 */
#include <sys/types.h>

#include "lib/failure.h"

/* The core's ends of what wire.h describes, and the process. */
struct spawned {
	int request, pmap, event, control;
	pid_t pid;
};

/* spawn_event: an eventfd that spawn_vmm can hand over.  0 or -errno */
int spawn_event(int *fd);

/*
 * spawn_vmm: start a process; it is a child of ours, in a session of its own.
 * => sp->event: by spawn_event, and stays the caller's
 * => the program is $LOMBARD_VMM, else lombard-vmm in our own directory
 * => 0, or -errno with *f and nothing left
 */
int spawn_vmm(struct spawned *sp, struct failure *f);

/*
 * spawn_xenstored: start one for the cell at this socket, as `lombard xen` does; it dies with us.
 * => by the main thread, before there are others
 * => 0, or -errno with *f
 */
int spawn_xenstored(const char *socket, const char *dir, pid_t *pid, struct failure *f);

#endif
