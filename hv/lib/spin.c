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

static void learn(struct spin *sp)
{
	if (now_ns() - sp->sp_from <= MOST_NS)
		sp->sp_ns = sp->sp_ns * 2 + FIRST_NS < MOST_NS ? sp->sp_ns * 2 + FIRST_NS : MOST_NS;
	else
		sp->sp_ns = sp->sp_ns / 2 < FIRST_NS ? 0 : sp->sp_ns / 2;
}

/* => whether it came; only then the wait is over */
static bool look(struct spin *sp, bool (*there)(void *), void *arg)
{
	sp->sp_from = now_ns();
	for (;;) {
		if (there(arg))
			return true;
		if (sp->sp_ns == 0 || now_ns() - sp->sp_from >= sp->sp_ns)
			return false;
		/* Whoever else can run does so meanwhile. */
		sched_yield();
	}
}

bool spin_look(struct spin *sp, bool (*there)(void *), void *arg)
{
	if (!look(sp, there, arg))
		return false;
	learn(sp);
	return true;
}

void spin_slept(struct spin *sp)
{
	if (!alone())
		learn(sp);
}

struct polled {
	struct pollfd *fds;
	nfds_t n;
	int ret;
};

static bool ready(void *arg)
{
	struct polled *p = arg;

	p->ret = poll(p->fds, p->n, 0);
	return p->ret != 0;
}

int spin_poll(struct spin *sp, struct pollfd *fds, nfds_t n)
{
	struct polled p = {.fds = fds, .n = n};

	if (alone())
		return poll(fds, n, -1);
	if (spin_look(sp, ready, &p))
		return p.ret;
	p.ret = poll(fds, n, -1);
	spin_slept(sp);
	return p.ret;
}
