/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest goes: why, and what it leaves behind.
 */
#include "core/guest.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "xen/public.h"

const char *guest_end_name(enum guest_end end)
{
	static const char *const names[] = {
	    [GUEST_END_POWEROFF] = "poweroff",
	    [GUEST_END_REBOOT] = "reboot",
	    [GUEST_END_CRASH] = "crash",
	    [GUEST_END_STOPPED] = "stopped",
	    [GUEST_END_ERROR] = "error",
	    [GUEST_END_KILLED] = "killed",
	};

	return names[end];
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct guest *g)
{
	close_fd(&g->g_request);
	close_fd(&g->g_pmap_sock);
	close_fd(&g->g_event);
	close_fd(&g->g_uffd);
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++)
		close_fd(&g->g_upcall[i]);
	for (unsigned i = 0; i < GUEST_NSTART_FDS; i++)
		close_fd(&g->g_start_fds[i]);
}

void guest_put(struct guest *g)
{
	if (atomic_fetch_sub(&g->g_refs, 1) != 1)
		return;
	KASSERT(g->g_map == NULL);
	guest_control_close(g);
	close_all(g);
	close_fd(&g->g_ended_fd);
	xen_domain_fini(&g->g_xen);
	pthread_mutex_destroy(&g->g_mutex);
	pthread_cond_destroy(&g->g_changed);
	pthread_mutex_destroy(&g->g_control_mutex);
	free(g);
}

/* A host program is not ours to kill: its thread here wakes up, and lets it go.  => guest locked */
static void hang_up(struct guest *g)
{
	if (g->g_request >= 0)
		shutdown(g->g_request, SHUT_RDWR);
	if (g->g_pmap_sock >= 0)
		shutdown(g->g_pmap_sock, SHUT_RDWR);
}

/* => guest locked */
static void kill_process(struct guest *g)
{
	if (g->g_program)
		hang_up(g);
	else if (g->g_pid > 0)
		kill(g->g_pid, SIGKILL);
}

void guest_end_with(struct guest *g, enum guest_end end, int status, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&g->g_mutex);
	if (!g->g_end_known) {
		g->g_end_known = true;
		g->g_end = end;
		g->g_status = status;
		va_start(ap, fmt);
		vsnprintf(g->g_message, sizeof(g->g_message), fmt, ap);
		va_end(ap);
	}
	if (g->g_state != GUEST_ENDED)
		g->g_state = GUEST_STOPPING;
	pthread_cond_broadcast(&g->g_changed);
	kill_process(g);
	pthread_mutex_unlock(&g->g_mutex);
}

void guest_cannot_map(struct guest *g)
{
	int error = g->g_pmap.rp_error;

	guest_end_with(g, GUEST_END_ERROR, 125,
	    "the process of %s (domain %u) can't map its memory any more: %s%s", g->g_name,
	    g->g_domid, error != 0 ? strerrordesc_np(-error) : "it does not answer",
	    error == -ENOMEM ? ": it has used up its mappings (sysctl vm.max_map_count allows "
			       "more; `lombard stats` counts them) or memory"
			     : "");
}

void guest_stop(struct guest *g)
{
	pthread_mutex_lock(&g->g_mutex);
	g->g_unwanted = true;
	pthread_mutex_unlock(&g->g_mutex);
	guest_end_with(g, GUEST_END_STOPPED, 126, "stopped");
}

void guest_stop_wait(struct guest *g)
{
	guest_stop(g);
	pthread_mutex_lock(&g->g_mutex);
	while (!g->g_gone)
		pthread_cond_wait(&g->g_changed, &g->g_mutex);
	pthread_mutex_unlock(&g->g_mutex);
}

void guest_left(struct guest *g)
{
	pthread_mutex_lock(&g->g_mutex);
	g->g_gone = true;
	pthread_cond_broadcast(&g->g_changed);
	pthread_mutex_unlock(&g->g_mutex);
}

static _Atomic uint64_t ended_cpu_us;

uint64_t guest_ended_cpu_ns(void)
{
	return atomic_load(&ended_cpu_us) * 1000;
}

/* => guest locked */
static void keep_cpu_time(struct guest *g, const struct rusage *usage)
{
	const struct timeval *u = &usage->ru_utime, *k = &usage->ru_stime;
	uint64_t us = (uint64_t)(u->tv_sec + k->tv_sec) * 1000000 +
		      (uint64_t)(u->tv_usec + k->tv_usec);

	g->g_cpu_ns = us * 1000;
	atomic_fetch_add(&ended_cpu_us, us);
}

/*
 * Wait for the end of the process.  Only when nobody can kill it any more is its number let go: from
 * then on it may be somebody else's.
 */
static int wait_child(struct guest *g, pid_t pid)
{
	struct rusage usage = {0};
	siginfo_t si;
	int status = 0;

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		continue;
	/* It waits no more; at no moment is its CPU time counted nowhere. */
	pthread_mutex_lock(&g->g_mutex);
	g->g_pid = 0;
	while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
		continue;
	keep_cpu_time(g, &usage);
	pthread_mutex_unlock(&g->g_mutex);
	return status;
}

/* What is left of the process says how it died, if it did not say so itself. */
static void reap_child(struct guest *g)
{
	int status = 0;
	pid_t pid;

	pthread_mutex_lock(&g->g_mutex);
	pid = g->g_pid;
	kill_process(g);
	pthread_mutex_unlock(&g->g_mutex);
	if (pid > 0)
		status = wait_child(g, pid);
	if (WIFSIGNALED(status))
		guest_end_with(g, GUEST_END_KILLED, 126, "its process was killed by signal %d",
		    WTERMSIG(status));
	else
		guest_end_with(g, GUEST_END_KILLED, 126, "its process ended with status %d",
		    WEXITSTATUS(status));
}

/* Nothing of the guest runs any more, or reaches us. */
static void reap(struct guest *g)
{
	if (g->g_program)
		guest_end_with(g, GUEST_END_POWEROFF, 0, "it closed its connection");
	else
		reap_child(g);
}

/* => guest locked */
static void keep_counters(struct guest *g)
{
	struct uvm_mapstats *ms = &g->g_map->vm_stats;

	g->g_last.gl_made = ms->ms_loans_made;
	g->g_last.gl_returned = ms->ms_loans_returned;
	g->g_last.gl_copied = ms->ms_copied;
	for (unsigned i = 0; i < UVM_NBREAKS; i++)
		g->g_last.gl_broken[i] = ms->ms_broken[i];
}

/* Settle the loans of a guest without process, and free its memory, if it has got any. */
static void settle(struct guest *g)
{
	struct uvm_map *map = g->g_map;

	if (map == NULL)
		return;
	uvm_world_enter();
	guest_unplace(g);
	guest_drop_lends(g);
	uvm_map_ref(map);
	uvm_ledger_guest_gone(map);
	pthread_mutex_lock(&g->g_mutex);
	keep_counters(g);
	g->g_map = NULL;
	pthread_mutex_unlock(&g->g_mutex);
	uvm_map_rele(map);
	channel_guest_settled(g);
	uvm_world_leave();
}

/* The process is gone: free what it had. */
static void clean_up(struct guest *g)
{
	channel_guest_gone(g);
	tie_guest_gone(g);
	guest_control_close(g);
	grant_domain_gone(&g->g_grants);
	if (g->g_has_events) {
		evtchn_set_shared(&g->g_events, NULL);
		evtchn_domain_remove(&g->g_events);
	}
	settle(g);
	pthread_mutex_lock(&g->g_mutex);
	close_all(g);
	pthread_mutex_unlock(&g->g_mutex);
}

/* From now on whoever waits for the end need not wait any more. */
void guest_announce_end(struct guest *g)
{
	uint64_t one = 1;

	pthread_mutex_lock(&g->g_mutex);
	g->g_state = GUEST_ENDED;
	pthread_cond_broadcast(&g->g_changed);
	pthread_mutex_unlock(&g->g_mutex);
	if (write(g->g_ended_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_warn("can't announce the end of %s", g->g_name);
	if (!g->g_program)
		evtchn_virq(EVTCHN_HOST, VIRQ_DOM_EXC);
}

/* What went wrong with a host program is told aloud: nobody waits for it as for a guest. */
static void log_end(const struct guest *g)
{
	if (g->g_program && g->g_end == GUEST_END_ERROR)
		log_warn("%s (domain %u, process %d): %s", g->g_name, g->g_domid, (int)g->g_pid,
		    g->g_message);
	else
		log_note("%s (domain %u) ended: %s, status %d%s%s", g->g_name, g->g_domid,
		    guest_end_name(g->g_end), g->g_status, g->g_message[0] != '\0' ? ": " : "",
		    g->g_message);
}

void guest_wind_up(struct guest *g)
{
	reap(g);
	log_end(g);
	clean_up(g);
}

void guest_give_up(struct guest *g)
{
	bool unwanted;

	reap(g);
	if (g->g_has_events)
		evtchn_domain_remove(&g->g_events);
	grant_domain_gone(&g->g_grants);
	settle(g);
	pthread_mutex_lock(&g->g_mutex);
	unwanted = g->g_unwanted;
	pthread_mutex_unlock(&g->g_mutex);
	/* Who has stopped it may ask how it ended. */
	if (unwanted)
		guest_bury(g);
	else
		guest_delist(g);
	guest_left(g);
	/* Somebody may have found it in the list, and wait. */
	guest_announce_end(g);
	guest_leave_store(g);
	if (!unwanted)
		guest_put(g);
}
