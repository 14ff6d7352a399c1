/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_LIB_SPIN_H
#define HV_LIB_SPIN_H
/*
 * Waiting that expects to be short: looks again and again for up to 200 us before it sleeps, because
 * to be woken on a processor that has gone to sleep takes longer than most of our answers do (45 us
 * measured, in a virtual machine).  As KVM does with halted vCPUs (halt_poll_ns), it learns: who
 * waits long looks for half as long the next time, and soon not at all.
 */
#include <poll.h>
#include <stdint.h>

struct spin {
	uint32_t sp_ns; /* how long the next wait looks before it sleeps; 0 at first */
};

/* spin_poll: as poll(2) without a time limit.  A struct spin belongs to one thread. */
int spin_poll(struct spin *sp, struct pollfd *fds, nfds_t n);

#endif
