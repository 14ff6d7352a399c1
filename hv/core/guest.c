/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest comes: guest_end.c has how it goes.
 */
#include "core/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cell.h"
#include "core/spawn.h"
#include "lib/log.h"
#include "lib/sys.h"

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

/* Somebody wired a page that it granted, and nobody knows what it maps now. */
static void grants_broken(struct grant_domain *gd)
{
	struct guest *g = (struct guest *)((char *)gd - offsetof(struct guest, g_grants));

	guest_end_with(g, GUEST_END_ERROR, 125,
	    "%s (domain %u) could not map a page that it has granted", g->g_name, g->g_domid);
}

static void log_start(const struct guest *g)
{
	log_note("%s (domain %u) started: %ju KiB of memory, %s", g->g_name, g->g_domid,
	    (uintmax_t)g->g_ram_pages << (UVM_PAGE_SHIFT - 10), g->g_image);
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
	const int fds[GUEST_NSTART_FDS] = {cfg->image, cfg->console_in, cfg->console_out,
	    g->g_initrd[0] != '\0' ? cfg->initrd : -1, cfg->log ? cfg->console_log : -1};

	for (unsigned i = 0; i < GUEST_NSTART_FDS; i++) {
		if (fds[i] < 0)
			continue;
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
	for (unsigned i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
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
