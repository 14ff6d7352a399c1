/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of guests, and how one comes and goes.
 */
#include "core/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/spawn.h"
#include "lib/sys.h"

/* Guests that have ended and can still be asked about. */
#define MAX_REMEMBERED 256u

/* Domids from 0x7ff0 on have a meaning of their own (Xen public/xen.h, DOMID_FIRST_RESERVED). */
#define MAX_DOMID 0x7fedu

LIST_HEAD(guestlist, guest);

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct guestlist living = LIST_HEAD_INITIALIZER(living);
static struct guestlist remembered = LIST_HEAD_INITIALIZER(remembered); /* newest first */
static unsigned nliving, nremembered;
static uint32_t last_domid;
static bool closed; /* no guest may be launched any more */

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
	for (unsigned i = 0; i < 3; i++)
		close_fd(&g->g_start_fds[i]);
}

void guest_put(struct guest *g)
{
	if (atomic_fetch_sub(&g->g_refs, 1) != 1)
		return;
	KASSERT(g->g_map == NULL);
	close_all(g);
	close_fd(&g->g_ended_fd);
	pthread_mutex_destroy(&g->g_mutex);
	free(g);
}

/* => registry locked */
static struct guest *find_in(struct guestlist *list, uint32_t domid, const char *name)
{
	struct guest *g;

	LIST_FOREACH (g, list, g_all) {
		if (name != NULL ? strcmp(g->g_name, name) == 0 : g->g_domid == domid) {
			atomic_fetch_add(&g->g_refs, 1);
			return g;
		}
	}
	return NULL;
}

static struct guest *find(uint32_t domid, const char *name)
{
	struct guest *g;

	pthread_mutex_lock(&registry);
	g = find_in(&living, domid, name);
	if (g == NULL)
		g = find_in(&remembered, domid, name);
	pthread_mutex_unlock(&registry);
	return g;
}

struct guest *guest_find(uint32_t domid)
{
	return find(domid, NULL);
}

struct guest *guest_find_name(const char *name)
{
	return find(0, name);
}

bool guest_exists(uint32_t domid)
{
	struct guest *g;

	pthread_mutex_lock(&registry);
	g = find_in(&living, domid, NULL);
	pthread_mutex_unlock(&registry);
	if (g != NULL)
		guest_put(g);
	return g != NULL;
}

void guest_name_of(uint32_t domid, char *buf, size_t len)
{
	struct guest *g = domid != UVM_DOMID_HOST ? guest_find(domid) : NULL;

	if (g != NULL)
		snprintf(buf, len, "%s (domain %u)", g->g_name, domid);
	else
		snprintf(buf, len, domid == UVM_DOMID_HOST ? "the host" : "domain %u", domid);
	if (g != NULL)
		guest_put(g);
}

/* => registry locked.  The guest of a list with the lowest domid above the given one. */
static struct guest *next_after(struct guestlist *list, uint32_t domid)
{
	struct guest *g, *next = NULL;

	LIST_FOREACH (g, list, g_all)
		if (g->g_domid > domid && (next == NULL || g->g_domid < next->g_domid))
			next = g;
	if (next != NULL)
		atomic_fetch_add(&next->g_refs, 1);
	return next;
}

void guest_each(bool ended, void (*visit)(void *arg, struct guest *g), void *arg)
{
	struct guest *g;
	uint32_t domid = 0;

	for (;;) {
		pthread_mutex_lock(&registry);
		g = next_after(ended ? &remembered : &living, domid);
		pthread_mutex_unlock(&registry);
		if (g == NULL)
			return;
		domid = g->g_domid;
		visit(arg, g);
		guest_put(g);
	}
}

unsigned guest_count(void)
{
	unsigned n;

	pthread_mutex_lock(&registry);
	n = nliving;
	pthread_mutex_unlock(&registry);
	return n;
}

/* => guest locked */
static void kill_process(struct guest *g)
{
	if (g->g_pid > 0)
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
	kill_process(g);
	pthread_mutex_unlock(&g->g_mutex);
}

void guest_stop(struct guest *g)
{
	guest_end_with(g, GUEST_END_STOPPED, 126, "stopped");
}

static void stop_one(void *arg, struct guest *g)
{
	struct pollfd p = {.fd = g->g_ended_fd, .events = POLLIN};

	(void)arg;
	guest_stop(g);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
}

void guest_stop_all(void)
{
	pthread_mutex_lock(&registry);
	closed = true;
	pthread_mutex_unlock(&registry);
	while (guest_count() > 0)
		guest_each(false, stop_one, NULL);
}

/* The guest leaves the living and joins the remembered; the oldest of those is forgotten. */
static void bury(struct guest *g)
{
	struct guest *oldest = NULL, *it;

	pthread_mutex_lock(&registry);
	LIST_REMOVE(g, g_all);
	nliving--;
	LIST_INSERT_HEAD(&remembered, g, g_all);
	if (++nremembered > MAX_REMEMBERED) {
		LIST_FOREACH (it, &remembered, g_all)
			oldest = it;
		LIST_REMOVE(oldest, g_all);
		nremembered--;
	}
	pthread_mutex_unlock(&registry);
	if (oldest != NULL)
		guest_put(oldest);
}

/* What is left of the process says how it died, if it did not say so itself. */
static void reap(struct guest *g)
{
	int status = 0;
	pid_t pid;

	pthread_mutex_lock(&g->g_mutex);
	pid = g->g_pid;
	kill_process(g);
	pthread_mutex_unlock(&g->g_mutex);
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
	pthread_mutex_lock(&g->g_mutex);
	g->g_pid = 0;
	pthread_mutex_unlock(&g->g_mutex);
	if (WIFSIGNALED(status))
		guest_end_with(g, GUEST_END_KILLED, 126, "its process was killed by signal %d",
		    WTERMSIG(status));
	else
		guest_end_with(g, GUEST_END_KILLED, 126, "its process ended with status %d",
		    WEXITSTATUS(status));
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

/* Settle the loans of a guest without process, and free its memory. */
static void settle(struct guest *g)
{
	struct uvm_map *map = g->g_map;

	uvm_world_enter();
	if (g->g_shared_info != NULL)
		uvm_map_unwire(map, g->g_shared_info);
	g->g_shared_info = NULL;
	uvm_map_ref(map);
	uvm_ledger_guest_gone(map);
	pthread_mutex_lock(&g->g_mutex);
	keep_counters(g);
	g->g_map = NULL;
	pthread_mutex_unlock(&g->g_mutex);
	uvm_map_rele(map);
	uvm_world_leave();
}

/* The process is gone: free what it had. */
static void clean_up(struct guest *g)
{
	evtchn_set_shared(&g->g_events, NULL);
	evtchn_domain_remove(&g->g_events);
	settle(g);
	close_all(g);
}

/* From now on whoever waits for the end need not wait any more. */
static void announce_end(struct guest *g)
{
	uint64_t one = 1;

	pthread_mutex_lock(&g->g_mutex);
	g->g_state = GUEST_ENDED;
	pthread_mutex_unlock(&g->g_mutex);
	if (write(g->g_ended_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		fprintf(stderr, "lombardd: can't announce the end of %s\n", g->g_name);
}

static void *guest_main(void *arg)
{
	struct guest *g = arg;

	guest_serve(g);
	reap(g);
	clean_up(g);
	bury(g);
	announce_end(g);
	guest_put(g);
	return NULL;
}

static int dup_fds(struct guest *g, const struct guest_config *cfg)
{
	const int fds[3] = {cfg->image, cfg->console_in, cfg->console_out};

	for (unsigned i = 0; i < 3; i++) {
		g->g_start_fds[i] = SYS(fcntl(fds[i], F_DUPFD_CLOEXEC, 3));
		if (g->g_start_fds[i] < 0)
			return -errno;
	}
	return 0;
}

static struct guest *guest_alloc(const struct guest_config *cfg)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	atomic_init(&g->g_refs, 1);
	pthread_mutex_init(&g->g_mutex, NULL);
	g->g_request = g->g_pmap_sock = g->g_event = g->g_uffd = -1;
	g->g_start_fds[0] = g->g_start_fds[1] = g->g_start_fds[2] = -1;
	g->g_ram_pages = cfg->ram_pages;
	g->g_window_pages = cfg->window_pages;
	g->g_vcpus = cfg->vcpus;
	snprintf(g->g_image, sizeof(g->g_image), "%s", cfg->image_path);
	snprintf(g->g_cmdline, sizeof(g->g_cmdline), "%s", cfg->cmdline);
	snprintf(g->g_console, sizeof(g->g_console), "%s",
	    cfg->console_path != NULL ? cfg->console_path : "");
	clock_gettime(CLOCK_MONOTONIC, &g->g_born);
	g->g_ended_fd = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (g->g_ended_fd < 0 || dup_fds(g, cfg) != 0) {
		guest_put(g);
		return NULL;
	}
	return g;
}

/* => registry locked.  Numbers come round again only after all the others (Xen reserves the top).
 */
static uint32_t new_domid(void)
{
	struct guest *g;

	do {
		last_domid = last_domid % MAX_DOMID + 1;
		g = find_in(&living, last_domid, NULL);
		if (g != NULL)
			guest_put(g);
	} while (g != NULL);
	return last_domid;
}

/* Give it a domid and a name, and show it to everybody. */
static int enlist(struct guest *g, const char *name, struct failure *f)
{
	struct guest *same;
	int error = 0;

	pthread_mutex_lock(&registry);
	g->g_domid = new_domid();
	if (name != NULL && *name != '\0')
		snprintf(g->g_name, sizeof(g->g_name), "%s", name);
	else
		snprintf(g->g_name, sizeof(g->g_name), "guest%u", g->g_domid);
	same = find_in(&living, 0, g->g_name);
	if (closed) {
		error = failure_set(f, -ESHUTDOWN, "the cell is shutting down");
	} else if (same != NULL) {
		error = failure_set(
		    f, -EEXIST, "a guest named %s is running: choose another name", g->g_name);
	} else {
		LIST_INSERT_HEAD(&living, g, g_all);
		nliving++;
	}
	pthread_mutex_unlock(&registry);
	if (same != NULL)
		guest_put(same);
	return error;
}

static void delist(struct guest *g)
{
	pthread_mutex_lock(&registry);
	LIST_REMOVE(g, g_all);
	nliving--;
	pthread_mutex_unlock(&registry);
}

/* Its memory, as the core sees it: RAM first, then the windows, in one store. */
static int make_memory(struct guest *g, struct failure *f)
{
	const struct uvm_maprange ranges[2] = {
	    {.mr_gfn = 0, .mr_npages = g->g_ram_pages, .mr_home = 0},
	    {.mr_gfn = GUEST_WINDOW_GFN, .mr_npages = g->g_window_pages, .mr_home = g->g_ram_pages},
	};
	struct memfd_store *ms;
	int error;

	error = memfd_store_create(
	    g->g_name, g->g_ram_pages + g->g_window_pages, GUEST_STORE_BANKS, g->g_domid, &ms, f);
	if (error != 0)
		return error;
	remote_pmap_init(&g->g_pmap, &ms->ms_store, g->g_pmap_sock);
	uvm_world_enter();
	g->g_map = uvm_map_create(&g->g_pmap.rp_pmap, &ms->ms_store, g->g_domid, ranges, 2);
	if (g->g_map != NULL)
		error = uvm_map_enter_ram(g->g_map, 0, g->g_ram_pages);
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
	struct spawned sp;
	int error = spawn_vmm(&sp, f);

	if (error != 0)
		return error;
	g->g_request = sp.request;
	g->g_pmap_sock = sp.pmap;
	g->g_event = sp.event;
	g->g_pid = sp.pid;
	return 0;
}

int guest_launch(const struct guest_config *cfg, struct guest **gp, struct failure *f)
{
	struct guest *g = guest_alloc(cfg);
	bool has_events = false;
	int error;

	if (g == NULL)
		return failure_set(f, -ENOMEM, "out of memory or descriptors for a guest");
	error = enlist(g, cfg->name, f);
	if (error != 0) {
		guest_put(g);
		return error;
	}
	error = make_process(g, f);
	if (error == 0)
		error = make_memory(g, f);
	if (error == 0) {
		error = evtchn_domain_add(&g->g_events, g->g_domid, g->g_event);
		has_events = error == 0;
		if (error != 0)
			failure_set(f, error, "out of memory for event channels");
	}
	if (error == 0)
		error = guest_handshake(g, f);
	if (error == 0) {
		atomic_fetch_add(&g->g_refs, 1); /* its thread's */
		error = SYS(0) != 0 ? -errno : -pthread_create(&g->g_thread, NULL, guest_main, g);
		if (error != 0) {
			failure_sys(f, error, "can't make a thread for %s", g->g_name);
			guest_put(g);
		}
	}
	if (error == 0) {
		pthread_detach(g->g_thread);
		/* The list's reference is the one we were born with; the caller gets another. */
		atomic_fetch_add(&g->g_refs, 1);
		*gp = g;
		return 0;
	}
	reap(g);
	if (has_events)
		evtchn_domain_remove(&g->g_events);
	if (g->g_map != NULL)
		settle(g);
	delist(g);
	/* Somebody may have found it in the list, and wait. */
	announce_end(g);
	guest_put(g);
	return error;
}
