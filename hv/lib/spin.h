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
#include <stdbool.h>
#include <stdint.h>

/* Of one thread.  Zero at first. */
struct spin {
	uint32_t sp_ns;	  /* how long the next wait looks before it sleeps */
	uint64_t sp_from; /* when the last one began */
};

/* spin_poll: as poll(2) without a time limit. */
int spin_poll(struct spin *sp, struct pollfd *fds, nfds_t n);

/*
 * spin_look: the same for what no descriptor tells: ask `there` again and again, at least once.
 * => false: it is time to sleep; call spin_slept afterwards
 */
bool spin_look(struct spin *sp, bool (*there)(void *), void *arg);
void spin_slept(struct spin *sp);

#endif
