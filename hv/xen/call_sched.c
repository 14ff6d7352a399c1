/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCHEDOP_* of host programs: ends of guests, and watchdogs.  Those of guests are answered by their
 * VMMs.
 *
 * Xen restarts the machine when a watchdog of domain 0 is not fed in time.  That is not ours to do
 * with the host: we say so in the log.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/guest.h"
#include "lib/log.h"
#include "xen/call.h"
#include "xen/domain.h"

#define NWATCHDOGS 2u /* as in Xen */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct watchdog {
	bool used;
	timer_t timer;
} watchdogs[NWATCHDOGS];

static void expired(union sigval which)
{
	log_warn("watchdog %d of the host was not fed in time", which.sival_int);
}

/* => mutex */
static int set_timer(const struct watchdog *w, uint32_t seconds)
{
	const struct itimerspec when = {.it_value = {.tv_sec = (time_t)seconds}};

	return timer_settime(w->timer, 0, &when, NULL) != 0 ? -errno : 0;
}

/* => mutex.  Its number, from 1 on */
static int64_t new_watchdog(uint32_t timeout)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = expired};
	int error;

	for (uint32_t i = 0; i < NWATCHDOGS; i++) {
		if (watchdogs[i].used)
			continue;
		ev.sigev_value.sival_int = (int)i + 1;
		if (timer_create(CLOCK_MONOTONIC, &ev, &watchdogs[i].timer) != 0)
			return -errno;
		error = set_timer(&watchdogs[i], timeout);
		if (error != 0) {
			timer_delete(watchdogs[i].timer);
			return error;
		}
		watchdogs[i].used = true;
		return i + 1;
	}
	return -ENOSPC;
}

/* => mutex */
static int64_t feed(uint32_t id, uint32_t timeout)
{
	struct watchdog *w = &watchdogs[id - 1];

	if (!w->used)
		return -EINVAL;
	if (timeout != 0)
		return set_timer(w, timeout);
	timer_delete(w->timer);
	w->used = false;
	return 0;
}

static int64_t watchdog(struct xen_caller *c, uint64_t from)
{
	struct sched_watchdog op;
	int64_t ret;

	if (xen_copy_in(c, &op, from, sizeof(op)) != 0)
		return -EFAULT;
	if (op.id > NWATCHDOGS || (op.id == 0 && op.timeout == 0))
		return -EINVAL;
	pthread_mutex_lock(&mutex);
	ret = op.id == 0 ? new_watchdog(op.timeout) : feed(op.id, op.timeout);
	pthread_mutex_unlock(&mutex);
	return ret;
}

/* As if the guest had shut down by itself. */
static int end_as(struct guest *g, unsigned reason)
{
	switch (reason) {
	case SHUTDOWN_poweroff:
		guest_end_with(g, GUEST_END_POWEROFF, 0, "shut down by a tool");
		return 0;
	case SHUTDOWN_reboot:
		guest_end_with(g, GUEST_END_REBOOT, 0, "rebooted by a tool");
		return 0;
	case SHUTDOWN_crash:
	case SHUTDOWN_watchdog:
		guest_end_with(g, GUEST_END_CRASH, 124, "crashed by a tool");
		return 0;
	case SHUTDOWN_suspend:
	case SHUTDOWN_soft_reset:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static int64_t remote_shutdown(struct xen_caller *c, uint64_t from)
{
	struct sched_remote_shutdown op;
	struct guest *g;
	int64_t ret;

	if (xen_copy_in(c, &op, from, sizeof(op)) != 0)
		return -EFAULT;
	g = op.domain_id != 0 ? xen_domain_find(op.domain_id) : NULL;
	if (g == NULL)
		return op.domain_id != 0 ? -ESRCH : -EPERM;
	ret = end_as(g, op.reason);
	guest_put(g);
	return ret;
}

int64_t xen_call_sched(struct xen_caller *c, const uint64_t arg[5])
{
	if (c->domid != 0)
		return -ENOSYS;
	switch (arg[0]) {
	case SCHEDOP_remote_shutdown:
		return remote_shutdown(c, arg[1]);
	case SCHEDOP_watchdog:
		return watchdog(c, arg[1]);
	default:
		return -ENOSYS;
	}
}
