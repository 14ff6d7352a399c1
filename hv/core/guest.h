/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_GUEST_H
#define HV_CORE_GUEST_H
/*
 * Guests of this cell, as the core knows them: one lombard-vmm process each, and one thread of the
 * core that serves it: its requests, its faults, its end.
 *
 * A host program that uses channels is a guest, too, without vCPU, RAM, image and event channels: a
 * process that is not ours, with a window area and the same dialogue (wire.h).
 */
#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include "core/channel.h"
#include "core/tie.h"
#include "lib/failure.h"
#include "lombard/loan.h"
#include "pmap/pmap_remote.h"
#include "pmap/store_memfd.h"
#include "proto/wire.h"
#include "uvm/uvm_ledger.h"
#include "xen/domain.h"
#include "xen/evtchn.h"
#include "xen/grant.h"

/*
 * RAM: the first 3584 MiB from page 0 on, what is more of it from 4 GiB on.  The window area begins at
 * the next multiple of 128 MiB: that is where Linux looks for guest-physical space without memory.
 */
#define GUEST_LOW_RAM_PAGES LOMBARD_LOW_PAGES
#define GUEST_HIGH_GFN LOMBARD_HIGH_GFN
#define GUEST_WINDOW_ALIGN 0x8000u
#define GUEST_MAX_RAM_PAGES ((uint64_t)1 << 24)
#define GUEST_MAX_WINDOW_PAGES ((uint64_t)1 << 24)
#define GUEST_MIN_RAM_PAGES 512u

/*
 * The special area, below 4 GiB: memory of every guest as RAM is, there when it is touched.  Tools put
 * tables and rings there (ACPI tables from 0xfc000 on, rings up to 0xfefff: Xen's libxl), for which
 * the RAM that they speak of has no room.
 */
#define GUEST_SPECIAL_GFN 0xfc000u
#define GUEST_SPECIAL_PAGES 0x3000u

/* Where libxl has rings, and so have we: the xenstore's and the console's. */
#define GUEST_STORE_GFN 0xfeffcu
#define GUEST_CONSOLE_GFN 0xfefffu

/* A store has this many places for each page of a guest: its own, and frames on loan it replaced.
 */
#define GUEST_STORE_BANKS 8u

enum guest_state { GUEST_STARTING, GUEST_RUNNING, GUEST_STOPPING, GUEST_ENDED };

enum guest_end {
	GUEST_END_POWEROFF,
	GUEST_END_REBOOT,
	GUEST_END_CRASH,
	GUEST_END_STOPPED, /* by a client */
	GUEST_END_ERROR,   /* it broke a rule, or Lombard could not go on with it */
	GUEST_END_KILLED,  /* its process died */
};

/* What to launch.  Strings are copied. */
struct guest_config {
	const char *name; /* NULL or "": "guest" and the domid */
	uint64_t ram_pages, window_pages;
	uint32_t vcpus;		 /* 1 to WIRE_MAX_VCPUS */
	bool lapic;		 /* it takes interrupts: with more than one vCPU always */
	bool paused;		 /* once, from the start */
	const char *image_path;	 /* for messages */
	const char *initrd_path; /* likewise; NULL or "": there is none */
	const char *cmdline;
	const char *console_path; /* for messages; NULL when it is a client's descriptor */
	bool log;		  /* console_log is there */
	int image, console_in, console_out, initrd, console_log; /* stay the caller's */
};

#define GUEST_NSTART_FDS 5

/* A guest's counters at its end: see struct uvm_mapstats. */
struct guest_last {
	uint64_t gl_made, gl_returned, gl_broken[UVM_NBREAKS], gl_copied;
};

struct guest {
	LIST_ENTRY(guest) g_all; /* registry */
	_Atomic uint32_t g_refs;
	uint32_t g_domid;	      /* s */
	char g_name[WIRE_NAME_LEN];   /* s */
	char g_image[WIRE_TEXT_LEN];  /* s */
	char g_initrd[WIRE_TEXT_LEN]; /* s */
	char g_console[WIRE_TEXT_LEN];
	char g_cmdline[WIRE_CMDLINE_LEN];
	uint64_t g_ram_pages, g_window_pages; /* s */
	uint32_t g_vcpus;		      /* s */
	bool g_lapic;			      /* s: struct wire_config */
	struct timespec g_born;		      /* s: CLOCK_MONOTONIC */
	bool g_program;			      /* s: a host program */
	bool g_built;			      /* s: made by tools: see guest_create */
	int g_ended_fd; /* s: eventfd, readable for ever once the guest has ended */

	/* g_mutex */
	pthread_mutex_t g_mutex;
	enum guest_state g_state;
	pid_t g_pid;		  /* 0 when reaped; a host program's own word */
	pthread_cond_t g_changed; /* g_state, g_wanted, g_made, g_unwanted, g_gone */
	bool g_wanted, g_made;	  /* see guest_build */
	bool g_unwanted;	  /* somebody stops it: nobody need be told how it ended */
	bool g_gone;		  /* not in the list of the living any more */
	bool g_end_known;
	enum guest_end g_end;
	int g_status;
	char g_message[WIRE_TEXT_LEN];
	struct uvm_map *g_map;	  /* until it has ended; its own thread may look without the lock */
	struct guest_last g_last; /* what it had done when it ended */
	uint64_t g_cpu_ns;	  /* CPU time of its process, when that is gone */

	/* guest_control.c; not of host programs. */
	pthread_mutex_t g_control_mutex; /* taken before g_mutex; held while its process answers */
	int g_control;
	uint64_t g_control_seq;
	_Atomic uint32_t g_pauses; /* changed with the mutex held */

	/* The guest's thread. */
	pthread_t g_thread;
	int g_request, g_pmap_sock, g_event, g_uffd;
	int g_upcall[WIRE_MAX_VCPUS]; /* eventfd of each vCPU, with g_lapic; else -1 */
	int g_result_fd; /* goes with the result of the hypercall under way; stays its giver's */
	/* image, console in and out, initrd, log: until they are handed over; -1: there is none */
	int g_start_fds[GUEST_NSTART_FDS];
	struct remote_pmap g_pmap;
	struct uvm_page *g_shared_info, *g_vcpu_info[WIRE_MAX_VCPUS]; /* wired */
	struct evtchn_domain g_events;				      /* not of host programs */
	bool g_has_events;
	struct grant_domain g_grants;	 /* likewise */
	struct xs_guest *g_store;	 /* as what it was entered in the xenstore, or NULL */
	struct channel_owner g_channels; /* see channel.h */
	struct tie_owner g_ties;	 /* see tie.h */
	struct offer
	    *g_lending[WIRE_MAX_VCPUS]; /* what it is lending in parts: its own thread's; or NULL */
	_Atomic uint64_t g_hypercalls;
	_Atomic uint64_t g_unknown;		      /* hypercalls that are not there */
	_Atomic uint64_t g_unknown_nr, g_unknown_cmd; /* the last of them */
	struct xen_domain g_xen;		      /* not of host programs */
};

/*
 * guest_launch: make a guest and wait until it runs or has failed.
 * => 0 and a reference, or -errno and *f says why
 */
int guest_launch(const struct guest_config *cfg, struct guest **gp, struct failure *f);

/*
 * guest_create: make a guest that is built from outside, by Xen's tools.  It has a domid and event
 * channels, is paused once, and has neither memory nor a process before guest_build.  When it has ended
 * it stays in the list of the living, without a process, until somebody stops it.
 * => cfg: without image and cmdline; ram_pages is 0
 * => 0 and a reference, or -errno and *f
 *
 * guest_build: give it memory and a process, if it has none yet: from then on its pages can be mapped
 * and its vCPUs' state be set.  ram_pages: how much RAM, the first time; at most GUEST_LOW_RAM_PAGES
 * => 0; -ESRCH: it has ended; -ENOMEM: it could not be, and has ended by that; -EINVAL: ram_pages is
 *    not what a guest can have
 */
int guest_create(const struct guest_config *cfg, struct guest **gp, struct failure *f);
int guest_build(struct guest *g, uint64_t ram_pages);

/*
 * guest_attach: take a host program in, which is connected by now: its thread waits for the first
 * step of the dialogue.  cfg: name, window_pages; pid: for people.
 * => 0 with the program's ends of both sockets in fds (WIRE_FD_REQUEST, _PMAP), which are the
 *    caller's, and a reference; or -errno and *f
 */
#define GUEST_NFDS 2
int guest_attach(const struct guest_config *cfg, pid_t pid, int fds[GUEST_NFDS], struct guest **gp,
    struct failure *f);

/* guest_find: by domid or by name (living guests first, then those that ended last).  NULL: none.
 */
struct guest *guest_find(uint32_t domid);
struct guest *guest_find_name(const char *name);
void guest_put(struct guest *g);

/* Is there a living guest with this domid? */
bool guest_exists(uint32_t domid);

/* guest_low_pages, guest_high_pages: how much of its RAM lies where. */
static inline uint64_t guest_low_pages(const struct guest *g)
{
	return g->g_ram_pages < GUEST_LOW_RAM_PAGES ? g->g_ram_pages : GUEST_LOW_RAM_PAGES;
}

static inline uint64_t guest_high_pages(const struct guest *g)
{
	return g->g_ram_pages - guest_low_pages(g);
}

/*
 * guest_window_gfn: where its window area begins: behind its RAM, and not below 4 GiB.  Of those that tools have
 * built it is below the special area, since that is where Linux takes its grant table to: the first large gap
 * in the memory map that Xen's tools make.
 */
static inline uint64_t guest_window_gfn(const struct guest *g)
{
	uint64_t end = g->g_built ? g->g_ram_pages : GUEST_HIGH_GFN + guest_high_pages(g);

	return (end + GUEST_WINDOW_ALIGN - 1) / GUEST_WINDOW_ALIGN * GUEST_WINDOW_ALIGN;
}

static inline bool guest_run_p(uint64_t first, uint64_t pages, uint64_t gfn, uint64_t n)
{
	return gfn >= first && gfn - first < pages && n <= pages - (gfn - first);
}

/* guest_windows_p: does a range lie in the window area? */
static inline bool guest_windows_p(const struct guest *g, uint64_t gfn, uint64_t n)
{
	return guest_run_p(guest_window_gfn(g), g->g_window_pages, gfn, n);
}

/* guest_find_place: as uvm_map_find_room, in the window area. */
static inline int guest_find_place(struct guest *g, uint64_t n, uint64_t align, uint64_t *gfn)
{
	uint64_t first = guest_window_gfn(g);

	return uvm_map_find_room(g->g_map, first, first + g->g_window_pages, n, align, gfn);
}

/* guest_ram_run_p: does a range lie in one piece of its RAM?  guest_ram_p: does a page? */
static inline bool guest_ram_run_p(const struct guest *g, uint64_t gfn, uint64_t n)
{
	return guest_run_p(0, guest_low_pages(g), gfn, n) ||
	       guest_run_p(GUEST_HIGH_GFN, guest_high_pages(g), gfn, n);
}

static inline bool guest_ram_p(const struct guest *g, uint64_t gfn)
{
	return guest_ram_run_p(g, gfn, 1);
}

/* guest_next: the living guest with the lowest domid from this one on, with a reference, or NULL. */
struct guest *guest_next(uint32_t domid);

/* guest_map_get: the map of a living guest, with a reference; NULL when it has ended. */
struct uvm_map *guest_map_get(struct guest *g);

/*
 * guest_stop: kill it and let its thread clean up; guest_stop_wait: ... until it has left the list of
 * the living.
 */
void guest_stop(struct guest *g);
void guest_stop_wait(struct guest *g);

/*
 * Control of a guest's vCPUs (guest_control.c).  Any thread but the guest's own, since a vCPU may
 * sleep in a fault that has to be served first; waits for the guest's process, for a limited time:
 * one that does not answer is killed, and with it the guest.
 * => no locks held, not inside the world
 *
 * guest_pause: when it returns no instruction of the guest runs until it has been unpaused as often as
 *	it was paused, as with Xen's XEN_DOMCTL_pausedomain.
 * => 0; -EOVERFLOW: paused GUEST_MAX_PAUSES times already
 * guest_unpause: => 0; -EINVAL: it is not paused
 *
 * => either: -EAGAIN: it is still being started; -EOPNOTSUPP: a host program; -ESRCH: it has ended
 */
#define GUEST_MAX_PAUSES 255u
int guest_pause(struct guest *g);
int guest_unpause(struct guest *g);

/*
 * guest_get_state, guest_set_state: a vCPU's registers.  The guest is paused meanwhile, if it is not
 *	anyway.
 * => vcpu < g_vcpus
 * => errors as of guest_pause, and: -EBUSY (set): it is in a hypercall that takes long; -EINVAL (set):
 *    no vCPU can be in that state, and a part of it may have been set
 */
int guest_get_state(struct guest *g, unsigned vcpu, struct wire_vcpu *v);
int guest_set_state(struct guest *g, unsigned vcpu, const struct wire_vcpu *v);

/* guest_get_states: of all its vCPUs at one moment.  => v: g_vcpus of them */
int guest_get_states(struct guest *g, struct wire_vcpu *v);

/*
 * guest_attach_console: somebody looks at its console by this stream socket, which stays the caller's.
 * history: and gets what is left of earlier output.
 * => errors as of guest_pause; -EUSERS: there are too many already
 */
int guest_attach_console(struct guest *g, int fd, bool history);

static inline bool guest_paused_p(const struct guest *g)
{
	return atomic_load(&g->g_pauses) > 0;
}

/* guest_control_close: its process is gone, nothing can be asked any more. */
void guest_control_close(struct guest *g);

/* guest_name_of: for messages: "NAME (domain N)"; of ended guests too, while they are remembered.
 */
void guest_name_of(uint32_t domid, char *buf, size_t len);

/* guest_each: visit living (ended: remembered) guests in order of domid, each with a reference. */
void guest_each(bool ended, void (*visit)(void *arg, struct guest *g), void *arg);
unsigned guest_count(void);

/*
 * What it uses of the host (guest_info.c).
 *
 * guest_frames: frames that its store takes, its orphans included; 0 when it has ended
 * guest_cpu_ns: CPU time of its process; guest_ended_cpu_ns: of all guests that have ended
 * guest_vcpu: the thread that runs a vCPU.  False: there is none (yet, or any more)
 * guest_vcpu_thread: that thread, or before it has started the one that it will inherit from where
 *	and how often it may run; 0: neither
 */
struct guest_vcpu {
	pid_t gv_tid;
	bool gv_running; /* on a CPU or waiting for one, not asleep */
	uint32_t gv_cpu; /* where it ran last */
	uint64_t gv_cpu_ns;
};
uint64_t guest_frames(struct guest *g);
uint64_t guest_cpu_ns(struct guest *g);
uint64_t guest_ended_cpu_ns(void);
bool guest_vcpu(struct guest *g, unsigned vcpu, struct guest_vcpu *v);
pid_t guest_vcpu_thread(struct guest *g, unsigned vcpu);

/* guest_notify: the ledger's word that something changed for a guest: its loan event is raised. */
void guest_notify(uint32_t domid);

/* guest_stop_all: stop every guest and wait for their ends; no new one can be launched. */
void guest_stop_all(void);

/* Why it ended.  => the guest has ended */
const char *guest_end_name(enum guest_end end);

/*
 * The rest is for the guest's own thread and its launch (guest.c, guest_end.c, guest_serve.c, hypercall.c).
 *
 * guest_enlist: give a new guest a domid and a name, and show it to everybody.  -ESHUTDOWN, -EEXIST
 * guest_delist: it did not come to life.  guest_bury: it has lived, or somebody stopped it before: from
 * the living to the remembered, who take over the list's reference.
 */
int guest_enlist(struct guest *g, const char *name, struct failure *f);
void guest_delist(struct guest *g);
void guest_bury(struct guest *g);

/*
 * guest_end_with: remember why the guest ends, if nothing is known yet, and kill its process.
 */
void guest_end_with(struct guest *g, enum guest_end end, int status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* guest_cannot_map: its process may have done half of a mapping (-ENOTRECOVERABLE): the guest ends. */
void guest_cannot_map(struct guest *g);

/*
 * guest_bring_up: memory, process, the start-up dialogue but its last step, grants.  => it is enlisted, and has its event
 * channels and g_event
 * => 0; or -errno with *f: what was made stays
 * guest_add_events: its event channels, first of all.
 * guest_start_thread: the thread that serves it, with a reference of its own.
 * guest_wind_up: after the process' end, whatever there was.
 * guest_announce_end: whoever waits for its end need not wait any more.
 * guest_give_up: it was enlisted, and did not come to life: wind up, let the list's reference go; it is
 *	remembered if somebody stopped it.
 * guest_left: it is not in the list of the living any more.
 */
struct guest *guest_alloc(const struct guest_config *cfg, bool program);
int guest_bring_up(struct guest *g, struct failure *f);
void guest_wind_up(struct guest *g);
void guest_announce_end(struct guest *g);
void guest_left(struct guest *g);
void guest_give_up(struct guest *g);
int guest_add_events(struct guest *g, struct failure *f);
int guest_start_thread(struct guest *g, void *(*run)(void *), struct failure *f);

/*
 * The start-up dialogue of wire.h.  guest_handshake: up to its last step: its memory is there.
 * guest_go: the last step: it runs.  0 or -errno with *f.
 */
int guest_handshake(struct guest *g, struct failure *f);
int guest_go(struct guest *g, struct failure *f);

/*
 * Guests in the cell's xenstore (guest_store.c).
 *
 * guest_wants_store: are guests entered in one?
 * guest_enter_store: make its ring, and enter it.  => after guest_add_console, before guest_go; failure
 * is logged: the guest runs without
 * guest_leave_store: it has ended.
 */
bool guest_wants_store(void);
void guest_enter_store(struct guest *g);
void guest_leave_store(struct guest *g);

/*
 * A guest's PV console (guest_console.c): a ring and a port for it, that programs of the host can serve;
 * while none does, its process does.
 *
 * guest_add_console: => between guest_handshake and guest_go.  0, or -errno with *f
 * guest_console_port: 0: it has none.  Tools may have chosen it, or the guest
 * guest_console_ours: see struct wire_ask_console
 */
int guest_add_console(struct guest *g, struct failure *f);
uint32_t guest_console_port(struct guest *g);
int guest_console_ours(struct guest *g, bool raise, uint64_t *gfn);

/* guest_serve: requests and faults until the guest's end. */
void guest_serve(struct guest *g);

/*
 * Where the guest wants to be told of events (guest_shared.c).
 *
 * guest_place_shared_info: a second call moves it.
 * guest_place_vcpu_info: of one vCPU, once; until then it is in the shared info page.
 * => 0; -ENOENT: it has no such vCPU; -EINVAL: not RAM, not one aligned piece of a page, or placed
 *    before; -ENOMEM and other errors of uvm_map_wire
 * guest_unplace: => its event channels are gone; inside the world
 */
int guest_place_shared_info(struct guest *g, uint64_t gfn);
int guest_place_vcpu_info(struct guest *g, uint32_t vcpu, uint64_t gfn, uint32_t offset);
void guest_unplace(struct guest *g);

/* guest_drop_lends: nothing comes of what it is lending in parts.  => by its thread, inside the world */
void guest_drop_lends(struct guest *g);

/* guest_hypercall: answer one.  May end the guest. */
void guest_hypercall(struct guest *g, const struct wire_hypercall *req, struct wire_result *res);

#endif
