/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest comes and goes.
 */
#include "core/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cell.h"
#include "core/spawn.h"
#include "lib/log.h"
#include "lib/sys.h"
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

struct uvm_map *guest_map_get(struct guest *g)
{
	struct uvm_map *map;

	pthread_mutex_lock(&g->g_mutex);
	map = g->g_map;
	if (map != NULL)
		uvm_map_ref(map);
	pthread_mutex_unlock(&g->g_mutex);
	return map;
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

/* Somebody wired a page that it granted, and nobody knows what it maps now. */
static void grants_broken(struct grant_domain *gd)
{
	struct guest *g = (struct guest *)((char *)gd - offsetof(struct guest, g_grants));

	guest_end_with(g, GUEST_END_ERROR, 125,
	    "%s (domain %u) could not map a page that it has granted", g->g_name, g->g_domid);
}

/* Settle the loans of a guest without process, and free its memory, if it has got any. */
static void settle(struct guest *g)
{
	struct uvm_map *map = g->g_map;

	if (map == NULL)
		return;
	uvm_world_enter();
	guest_unplace(g);
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

static void log_start(const struct guest *g)
{
	log_note("%s (domain %u) started: %ju KiB of memory, %s", g->g_name, g->g_domid,
	    (uintmax_t)g->g_ram_pages << (UVM_PAGE_SHIFT - 10), g->g_image);
}

void guest_wind_up(struct guest *g)
{
	reap(g);
	log_end(g);
	clean_up(g);
}

static void *guest_main(void *arg)
{
	struct guest *g = arg;
	struct failure f;

	log_start(g);
	/* The launch of a guest includes the dialogue; a host program has its answer first. */
	if (g->g_program && (guest_handshake(g, &f) != 0 || guest_go(g, &f) != 0))
		guest_end_with(g, GUEST_END_ERROR, 125, "%s", f.text);
	else
		guest_serve(g);
	guest_wind_up(g);
	guest_bury(g);
	guest_left(g);
	guest_announce_end(g);
	guest_leave_store(g);
	guest_put(g);
	return NULL;
}

static int dup_fds(struct guest *g, const struct guest_config *cfg)
{
	const int fds[] = {cfg->image, cfg->console_in, cfg->console_out, cfg->initrd};
	unsigned n = g->g_initrd[0] != '\0' ? 4 : 3;

	for (unsigned i = 0; i < n; i++) {
		g->g_start_fds[i] = SYS(fcntl(fds[i], F_DUPFD_CLOEXEC, 3));
		if (g->g_start_fds[i] < 0)
			return -errno;
	}
	return 0;
}

struct guest *guest_alloc(const struct guest_config *cfg, bool program)
{
	struct guest *g = SYS_ALLOC(calloc(1, sizeof(*g)));

	if (g == NULL)
		return NULL;
	atomic_init(&g->g_refs, 1);
	atomic_init(&g->g_pauses, cfg->paused ? 1 : 0);
	pthread_mutex_init(&g->g_mutex, NULL);
	pthread_cond_init(&g->g_changed, NULL);
	pthread_mutex_init(&g->g_control_mutex, NULL);
	g->g_control = -1;
	g->g_request = g->g_pmap_sock = g->g_event = g->g_uffd = g->g_result_fd = -1;
	for (unsigned i = 0; i < GUEST_NSTART_FDS; i++)
		g->g_start_fds[i] = -1;
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++)
		g->g_upcall[i] = -1;
	g->g_ram_pages = cfg->ram_pages;
	g->g_window_pages = cfg->window_pages;
	g->g_vcpus = cfg->vcpus;
	g->g_lapic = cfg->lapic || cfg->vcpus > 1;
	g->g_program = program;
	g->g_grants.gd_broken = grants_broken;
	snprintf(g->g_image, sizeof(g->g_image), "%s", cfg->image_path);
	snprintf(g->g_initrd, sizeof(g->g_initrd), "%s",
	    cfg->initrd_path != NULL ? cfg->initrd_path : "");
	snprintf(g->g_cmdline, sizeof(g->g_cmdline), "%s", cfg->cmdline);
	snprintf(g->g_console, sizeof(g->g_console), "%s",
	    cfg->console_path != NULL ? cfg->console_path : "");
	clock_gettime(CLOCK_MONOTONIC, &g->g_born);
	g->g_ended_fd = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (g->g_ended_fd < 0 || xen_domain_init(&g->g_xen, g->g_ram_pages) != 0 ||
	    (!program && dup_fds(g, cfg) != 0)) {
		guest_put(g);
		return NULL;
	}
	return g;
}

/* => it is no host program; inside the world */
static int enter_own(struct guest *g)
{
	int error = uvm_map_enter_ram(g->g_map, 0, guest_low_pages(g));

	if (error == 0 && guest_high_pages(g) > 0)
		error = uvm_map_enter_ram(g->g_map, GUEST_HIGH_GFN, guest_high_pages(g));
	if (error == 0)
		error = uvm_map_enter_ram(g->g_map, GUEST_SPECIAL_GFN, GUEST_SPECIAL_PAGES);
	return error;
}

/*
 * Its memory, as the core sees it: RAM first, then the windows, then the special area, in one store.
 * A host program has nothing of its own, but a map has a store: one page stands for it.
 */
static int make_memory(struct guest *g, struct failure *f)
{
	const struct uvm_maprange ranges[4] = {
	    {.mr_gfn = guest_window_gfn(g),
		.mr_npages = g->g_window_pages,
		.mr_home = g->g_ram_pages},
	    {.mr_gfn = 0, .mr_npages = guest_low_pages(g), .mr_home = 0},
	    {.mr_gfn = GUEST_SPECIAL_GFN,
		.mr_npages = GUEST_SPECIAL_PAGES,
		.mr_home = g->g_ram_pages + g->g_window_pages},
	    {.mr_gfn = GUEST_HIGH_GFN,
		.mr_npages = guest_high_pages(g),
		.mr_home = guest_low_pages(g)},
	};
	uint64_t pages = g->g_program ? 1
				      : g->g_ram_pages + g->g_window_pages + GUEST_SPECIAL_PAGES;
	unsigned banks = g->g_program ? 1 : GUEST_STORE_BANKS;
	struct memfd_store *ms;
	int error;

	error = memfd_store_create(g->g_name, pages, banks, g->g_domid, &ms, f);
	if (error != 0)
		return error;
	remote_pmap_init(&g->g_pmap, &ms->ms_store, g->g_pmap_sock);
	uvm_world_enter();
	g->g_map = uvm_map_create(
	    &g->g_pmap.rp_pmap, &ms->ms_store, g->g_domid, ranges, g->g_program ? 1 : 4);
	if (g->g_map != NULL && !g->g_program)
		error = enter_own(g);
	/* The map holds the store from now on. */
	uvm_store_rele(&ms->ms_store);
	if (g->g_map != NULL && error != 0) {
		uvm_map_destroy(g->g_map);
		g->g_map = NULL;
	}
	uvm_world_leave();
	return g->g_map != NULL
		   ? 0
		   : failure_set(f, -ENOMEM, "out of memory for the maps of %s", g->g_name);
}

static int make_process(struct guest *g, struct failure *f)
{
	struct spawned sp = {.event = g->g_event};
	int error = spawn_vmm(&sp, f);

	if (error != 0)
		return error;
	g->g_request = sp.request;
	g->g_pmap_sock = sp.pmap;
	g->g_control = sp.control;
	pthread_mutex_lock(&g->g_mutex);
	g->g_pid = sp.pid;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/*
 * A console file lies where space is short.  The kernel keeps its process from writing more, and it
 * drops what can't be written; what clients give as a console is theirs to limit.
 */
static int limit_console(struct guest *g, struct failure *f)
{
	const struct rlimit rl = {.rlim_cur = CELL_CONSOLE_MAX, .rlim_max = CELL_CONSOLE_MAX};

	if (g->g_console[0] == '\0' || SYS(prlimit(g->g_pid, RLIMIT_FSIZE, &rl, NULL)) == 0)
		return 0;
	return failure_sys(f, -errno, "can't limit the console file of %s", g->g_name);
}

int guest_start_thread(struct guest *g, void *(*run)(void *), struct failure *f)
{
	int error;

	atomic_fetch_add(&g->g_refs, 1); /* its thread's */
	error = SYS(0) != 0 ? -errno : -pthread_create(&g->g_thread, NULL, run, g);
	if (error != 0) {
		failure_sys(f, error, "can't make a thread for %s", g->g_name);
		guest_put(g);
		return error;
	}
	pthread_detach(g->g_thread);
	return 0;
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

int guest_add_events(struct guest *g, struct failure *f)
{
	int error = spawn_event(&g->g_event);

	for (unsigned i = 0; i < g->g_vcpus && g->g_lapic && error == 0; i++)
		error = spawn_event(&g->g_upcall[i]);
	if (error != 0)
		return failure_sys(f, error, "can't make the channels for a guest");
	error = evtchn_domain_add(&g->g_events, g->g_domid, g->g_event, g->g_vcpus);
	g->g_has_events = error == 0;
	if (g->g_has_events && g->g_lapic)
		evtchn_set_upcalls(&g->g_events, g->g_upcall);
	return error != 0 ? failure_set(f, error, "out of memory for event channels") : 0;
}

int guest_bring_up(struct guest *g, struct failure *f)
{
	int error = make_process(g, f);

	if (error == 0)
		error = limit_console(g, f);
	if (error == 0)
		error = make_memory(g, f);
	if (error == 0)
		error = guest_handshake(g, f);
	/* Its pages can be wired from now on. */
	if (error == 0 && grant_domain_add(&g->g_grants, g->g_domid, g->g_map) != 0)
		error = failure_set(f, -ENOMEM, "out of memory for grants");
	if (error == 0 && g->g_xen.xd_grant_frames != 0 &&
	    grant_limit(&g->g_grants, g->g_xen.xd_grant_frames) != 0)
		error = failure_set(f, -ENOMEM, "out of memory for grants");
	return error;
}

int guest_launch(const struct guest_config *cfg, struct guest **gp, struct failure *f)
{
	struct guest *g = guest_alloc(cfg, false);
	int error;

	if (g == NULL)
		return failure_set(f, -ENOMEM, "out of memory or descriptors for a guest");
	error = guest_enlist(g, cfg->name, f);
	if (error != 0) {
		guest_put(g);
		return error;
	}
	error = guest_add_events(g, f);
	if (error == 0)
		error = guest_bring_up(g, f);
	if (error == 0)
		error = guest_add_console(g, f);
	if (error == 0 && guest_wants_store())
		guest_enter_store(g);
	if (error == 0)
		error = guest_go(g, f);
	/* The list's reference is the one we were born with; the caller gets another. */
	atomic_fetch_add(&g->g_refs, 1);
	if (error == 0)
		error = guest_start_thread(g, guest_main, f);
	if (error != 0) {
		guest_give_up(g);
		guest_put(g);
		return error;
	}
	*gp = g;
	return 0;
}

static void close_fds(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close_fd(&fds[i]);
}

/* What spawn.c makes for a child of ours: here the program gets its ends from the caller. */
static int make_ends(struct guest *g, int fds[GUEST_NFDS], struct failure *f)
{
	int request[2] = {-1, -1}, pmap[2] = {-1, -1}, error = 0;

	/* Event channels have no use for an eventfd here: each endpoint has its own. */

	if (SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, request)) != 0 ||
	    SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pmap)) != 0)
		error = -errno;
	g->g_request = request[0];
	g->g_pmap_sock = pmap[0];
	fds[0] = request[1];
	fds[1] = pmap[1];
	if (error == 0)
		return 0;
	/* The guest's own ends go with it. */
	close_fds(fds, GUEST_NFDS);
	return failure_sys(f, error, "can't make the channels for %s", g->g_name);
}

int guest_attach(const struct guest_config *cfg, pid_t pid, int fds[GUEST_NFDS], struct guest **gp,
    struct failure *f)
{
	struct guest *g = guest_alloc(cfg, true);
	int error;

	if (g == NULL)
		return failure_set(f, -ENOMEM, "out of memory or descriptors for a program");
	g->g_pid = pid;
	error = guest_enlist(g, cfg->name, f);
	if (error != 0) {
		guest_put(g);
		return error;
	}
	/* The caller's reference. */
	atomic_fetch_add(&g->g_refs, 1);
	error = make_ends(g, fds, f);
	if (error != 0)
		goto out_give_up;
	error = make_memory(g, f);
	if (error == 0)
		error = guest_start_thread(g, guest_main, f);
	if (error == 0) {
		*gp = g;
		return 0;
	}
	close_fds(fds, GUEST_NFDS);
out_give_up:
	guest_give_up(g);
	guest_put(g);
	return error;
}
