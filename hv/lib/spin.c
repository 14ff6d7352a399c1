/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/spin.h"

#include <sched.h>

#include "lib/now.h"

/* Longest look, as KVM's halt_poll_ns, and the first one. */
#define MOST_NS 200000u
#define FIRST_NS 50000u

/* With one processor nothing can happen while we look. */
static int alone(void)
{
	static _Atomic int processors;
	int n = processors;
	cpu_set_t set;

	if (n == 0) {
		/* It fails where there are more than fit into the set. */
		n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : CPU_SETSIZE;
		processors = n;
	}
	return n == 1;
}

static void learn(struct spin *sp, uint64_t waited)
{
	if (waited <= MOST_NS)
		sp->sp_ns = sp->sp_ns * 2 + FIRST_NS < MOST_NS ? sp->sp_ns * 2 + FIRST_NS : MOST_NS;
	else
		sp->sp_ns = sp->sp_ns / 2 < FIRST_NS ? 0 : sp->sp_ns / 2;
}

int spin_poll(struct spin *sp, struct pollfd *fds, nfds_t n)
{
	uint64_t start;
	int ret;

	if (alone())
		return poll(fds, n, -1);
	start = now_ns();
	do {
		ret = poll(fds, n, 0);
		if (ret != 0 || sp->sp_ns == 0)
			break;
		/* Whoever else can run does so meanwhile. */
		sched_yield();
	} while (now_ns() - start < sp->sp_ns);
	if (ret == 0)
		ret = poll(fds, n, -1);
	learn(sp, now_ns() - start);
	return ret;
}
