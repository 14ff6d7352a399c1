/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread of the core that serves one guest.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/guest.h"
#include "lib/sock.h"
#include "lib/spin.h"
#include "lib/sys.h"
#include "lib/uffd.h"
#include "uvm/uvm_fault.h"
#include "xen/public.h"

/* How long a VMM may take for one step of its start-up: on a slow machine a kernel has to be unpacked. */
#define START_TIMEOUT_S 120

/* userfaultfd messages taken at once. */
#define NMSGS 16

static int set_timeout(int fd, time_t seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	return SYS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv))) != 0 ? -errno : 0;
}

/* One packet of the start-up dialogue, of exactly this type and size. */
static int expect(struct guest *g, void *msg, size_t size, uint32_t type, int *fds,
    unsigned max_fds, unsigned *nfds, struct failure *f)
{
	size_t len;
	int error = sock_recv(g->g_request, msg, size, &len, fds, max_fds, nfds);

	if (error == 0 && (len != size || ((struct wire_hdr *)msg)->type != type))
		error = -EPROTO;
	if (error != 0)
		failure_set(f, error,
		    error == -EAGAIN ? "the process of %s does not answer"
		    : error == -EPIPE
			? "the process of %s ended while it started (see lombardd's log)"
			: "the process of %s answers nonsense",
		    g->g_name);
	return error;
}

static int send_config(struct guest *g, struct failure *f)
{
	struct wire_config cfg = {.hdr = {.type = WIRE_CONFIG},
	    .domid = g->g_domid,
	    .vcpus = g->g_vcpus,
	    .built = g->g_built,
	    .lapic = g->g_lapic,
	    .paused = guest_paused_p(g),
	    .log = g->g_start_fds[4] >= 0,
	    .ram_pages = guest_low_pages(g),
	    .high_gfn = g->g_program ? 0 : GUEST_HIGH_GFN,
	    .high_pages = guest_high_pages(g),
	    .window_gfn = guest_window_gfn(g),
	    .window_pages = g->g_window_pages,
	    .special_gfn = g->g_program ? 0 : GUEST_SPECIAL_GFN,
	    .special_pages = g->g_program ? 0 : GUEST_SPECIAL_PAGES,
	    .ram_index = 0,
	    .high_index = guest_low_pages(g),
	    .special_index = g->g_ram_pages + g->g_window_pages};
	int fds[WIRE_CONFIG_FDS] = {memfd_store_of(g->g_map->vm_store)->ms_fd, g->g_start_fds[0],
	    g->g_start_fds[1], g->g_start_fds[2]};
	unsigned nfds = WIRE_CONFIG_FIXED_FDS;
	int error;

	for (unsigned i = 0; i < g->g_vcpus && g->g_lapic; i++)
		fds[nfds++] = g->g_upcall[i];
	if (g->g_initrd[0] != '\0')
		fds[nfds++] = g->g_start_fds[3];
	if (cfg.log)
		fds[nfds++] = g->g_start_fds[4];
	memcpy(cfg.name, g->g_name, sizeof(cfg.name));
	memcpy(cfg.image_path, g->g_image, sizeof(cfg.image_path));
	memcpy(cfg.initrd_path, g->g_initrd, sizeof(cfg.initrd_path));
	memcpy(cfg.cmdline, g->g_cmdline, sizeof(cfg.cmdline));
	/* A host program has neither RAM nor image nor console. */
	error = sock_send(g->g_request, &cfg, sizeof(cfg), fds, g->g_program ? 0 : nfds);
	if (error != 0)
		return failure_sys(
		    f, error, "can't tell the process of %s what to build", g->g_name);
	for (unsigned i = 0; i < GUEST_NSTART_FDS; i++) {
		if (g->g_start_fds[i] >= 0)
			close(g->g_start_fds[i]);
		g->g_start_fds[i] = -1;
	}
	return 0;
}

static int take_ready(struct guest *g, struct failure *f)
{
	struct wire_ready ready;
	unsigned nfds = 0;
	int error;

	error = expect(g, &ready, sizeof(ready), WIRE_READY, &g->g_uffd, 1, &nfds, f);
	if (error != 0)
		return error;
	ready.text[sizeof(ready.text) - 1] = '\0';
	if (ready.hdr.status < 0)
		return failure_set(f, ready.hdr.status, "%s", ready.text);
	if (nfds != 1 || ready.ram_hva % UVM_PAGE_SIZE != 0 ||
	    ready.high_hva % UVM_PAGE_SIZE != 0 || ready.window_hva % UVM_PAGE_SIZE != 0 ||
	    ready.special_hva % UVM_PAGE_SIZE != 0)
		return failure_set(f, -EPROTO, "the process of %s answers nonsense", g->g_name);
	g->g_pmap.rp_uffd = g->g_uffd;
	g->g_pmap.rp_areas[0] = (struct remote_area){
	    .ra_gfn = 0, .ra_npages = guest_low_pages(g), .ra_hva = ready.ram_hva};
	g->g_pmap.rp_areas[1] = (struct remote_area){.ra_gfn = guest_window_gfn(g),
	    .ra_npages = g->g_window_pages,
	    .ra_hva = ready.window_hva};
	if (!g->g_program)
		g->g_pmap.rp_areas[2] = (struct remote_area){.ra_gfn = GUEST_SPECIAL_GFN,
		    .ra_npages = GUEST_SPECIAL_PAGES,
		    .ra_hva = ready.special_hva};
	g->g_pmap.rp_areas[3] = (struct remote_area){
	    .ra_gfn = GUEST_HIGH_GFN, .ra_npages = guest_high_pages(g), .ra_hva = ready.high_hva};
	return 0;
}

int guest_handshake(struct guest *g, struct failure *f)
{
	struct wire_hello hello;
	int error;

	error = set_timeout(g->g_request, START_TIMEOUT_S);
	if (error != 0)
		return failure_sys(f, error, "can't set a time limit for %s", g->g_name);
	error = expect(g, &hello, sizeof(hello), WIRE_HELLO, NULL, 0, NULL, f);
	if (error == 0 && hello.version != WIRE_VERSION)
		error = failure_set(f, -EPROTO, "lombard-vmm is of another version than lombardd");
	if (error == 0)
		error = send_config(g, f);
	if (error == 0)
		error = take_ready(g, f);
	return error;
}

int guest_go(struct guest *g, struct failure *f)
{
	struct wire_start go = {.hdr = {.type = WIRE_START}};
	int error = set_timeout(g->g_request, 0);

	if (error == 0)
		error = sock_send(g->g_request, &go, sizeof(go), NULL, 0);
	if (error != 0)
		return failure_sys(f, error, "can't start %s", g->g_name);
	pthread_mutex_lock(&g->g_mutex);
	if (g->g_state == GUEST_STARTING)
		g->g_state = GUEST_RUNNING;
	g->g_xen.xd_ran = true;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

/* The guest wrote to a page that it may only read: say which, and whose it is. */
static void end_for_write(struct guest *g, uint64_t gfn)
{
	struct uvm_offer_info oi;
	struct uvm_lookup ul;
	char lender[64] = "somebody", area[160];
	bool granted = false;
	uint64_t id = 0;

	if (channel_area_of(g, gfn, area, sizeof(area))) {
		guest_end_with(g, GUEST_END_ERROR, 125,
		    "%s (domain %u) wrote to gfn %#jx, in the area of %s, where it may only read",
		    g->g_name, g->g_domid, (uintmax_t)gfn, area);
		return;
	}
	uvm_world_enter();
	if (uvm_map_lookup(g->g_map, gfn, &ul) == 0) {
		id = ul.ul_entry->me_loan;
		granted = ul.ul_entry->me_kind == UVM_ENTRY_MAPIN;
		uvm_map_unlock(&ul);
	}
	if (uvm_ledger_query(UVM_DOMID_HOST, id, &oi) == 0)
		guest_name_of(oi.oi_lender, lender, sizeof(lender));
	uvm_world_leave();
	if (granted) {
		guest_end_with(g, GUEST_END_ERROR, 125,
		    "%s (domain %u) wrote to gfn %#jx, a granted page that it has mapped read-only",
		    g->g_name, g->g_domid, (uintmax_t)gfn);
		return;
	}
	guest_end_with(g, GUEST_END_ERROR, 125,
	    "%s (domain %u) wrote to gfn %#jx, a page it has borrowed read-only from %s (loan "
	    "%ju); "
	    "borrow copy-on-write loans to write to them",
	    g->g_name, g->g_domid, (uintmax_t)gfn, lender, (uintmax_t)id);
}

static void serve_fault(struct guest *g, uint64_t address, uint64_t flags)
{
	bool write = (flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0;
	uint64_t gfn;
	int error;

	if (!remote_pmap_gfn(&g->g_pmap, address, &gfn)) {
		guest_end_with(g, GUEST_END_ERROR, 125, "a fault outside the guest's memory");
		return;
	}
	uvm_world_enter();
	error = uvm_fault(g->g_map, gfn, write ? UVM_ACCESS_WRITE : UVM_ACCESS_READ);
	uvm_world_leave();
	if (error == -EACCES)
		end_for_write(g, gfn);
	else if (error == -EFAULT)
		guest_end_with(g, GUEST_END_ERROR, 125,
		    "%s (domain %u) touched gfn %#jx, where nothing is mapped", g->g_name,
		    g->g_domid, (uintmax_t)gfn);
	else if (error == -ENOTRECOVERABLE)
		guest_cannot_map(g);
	else if (error != 0 && error != -ESRCH)
		guest_end_with(g, GUEST_END_ERROR, 125,
		    "no frame for gfn %#jx of %s (domain %u): %s", (uintmax_t)gfn, g->g_name,
		    g->g_domid, strerrordesc_np(-error));
}

static void serve_faults(struct guest *g)
{
	struct uffd_msg msgs[NMSGS];
	ssize_t n = read(g->g_uffd, msgs, sizeof(msgs));

	/* Somebody else's un-protecting may have woken the sleeper before we came. */
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(msgs[0]); i++)
		if (msgs[i].event == UFFD_EVENT_PAGEFAULT)
			serve_fault(g, msgs[i].arg.pagefault.address, msgs[i].arg.pagefault.flags);
}

/* For a VMM that said nothing else. */
static const char *exit_sentence(const struct wire_exit *msg)
{
	if (msg->text[0] != '\0')
		return msg->text;
	switch (msg->reason) {
	case SHUTDOWN_reboot:
		return "it asked for a reboot, which is its end here";
	case SHUTDOWN_crash:
		return "it says that it crashed";
	default:
		return "";
	}
}

static void serve_exit(struct guest *g, struct wire_exit *msg)
{
	enum guest_end end = GUEST_END_ERROR;
	int status = 125;

	msg->text[sizeof(msg->text) - 1] = '\0';
	switch (msg->reason) {
	case SHUTDOWN_poweroff:
		end = GUEST_END_POWEROFF;
		status = (int)(msg->code & 0xff);
		break;
	case SHUTDOWN_reboot:
		end = GUEST_END_REBOOT;
		status = 0;
		break;
	case SHUTDOWN_crash:
		end = GUEST_END_CRASH;
		status = 124;
		break;
	default:
		if (msg->text[0] == '\0')
			snprintf(msg->text, sizeof(msg->text),
			    "the guest shut down for reason %u, which is none that Lombard can "
			    "follow",
			    msg->reason);
		break;
	}
	guest_end_with(g, end, status, "%s", exit_sentence(msg));
}

union request {
	struct wire_hdr hdr;
	struct wire_hypercall hypercall;
	struct wire_unknown unknown;
	struct wire_ask_console ask_console;
	struct wire_exit exit;
};

static void count_unknown(struct guest *g, const struct wire_unknown *msg)
{
	atomic_store(&g->g_unknown_nr, msg->nr);
	atomic_store(&g->g_unknown_cmd, msg->cmd);
	atomic_fetch_add(&g->g_unknown, 1);
}

static bool answer_console(struct guest *g, const struct wire_ask_console *q)
{
	struct wire_console r = {.hdr = {.type = WIRE_CONSOLE, .seq = q->hdr.seq}};

	r.hdr.status = guest_console_ours(g, q->raise != 0, &r.gfn);
	return sock_send(g->g_request, &r, sizeof(r), NULL, 0) == 0;
}

/* Returns false when the guest is gone, or had better be. */
static bool serve_request(struct guest *g)
{
	struct wire_result res;
	union request req;
	size_t len;
	int error = sock_recv(g->g_request, &req, sizeof(req), &len, NULL, 0, NULL);

	if (error != 0)
		return false;
	if (len == sizeof(req.exit) && req.hdr.type == WIRE_EXIT) {
		serve_exit(g, &req.exit);
		return false;
	}
	if (len == sizeof(req.unknown) && req.hdr.type == WIRE_UNKNOWN) {
		count_unknown(g, &req.unknown);
		return true;
	}
	if (len == sizeof(req.ask_console) && req.hdr.type == WIRE_ASK_CONSOLE && !g->g_program)
		return answer_console(g, &req.ask_console);
	if (len != sizeof(req.hypercall) || req.hdr.type != WIRE_HYPERCALL ||
	    req.hypercall.arg_len > WIRE_MAX_ARG) {
		guest_end_with(g, GUEST_END_ERROR, 125, "its process spoke nonsense");
		return false;
	}
	atomic_fetch_add_explicit(&g->g_hypercalls, 1, memory_order_relaxed);
	memset(&res, 0, sizeof(res));
	res.hdr = (struct wire_hdr){.type = WIRE_RESULT, .seq = req.hdr.seq};
	g->g_result_fd = -1;
	guest_hypercall(g, &req.hypercall, &res);
	return sock_send(g->g_request, &res, sizeof(res), &g->g_result_fd, g->g_result_fd >= 0) ==
	       0;
}

static bool ending(struct guest *g)
{
	bool yes;

	pthread_mutex_lock(&g->g_mutex);
	yes = g->g_state != GUEST_RUNNING;
	pthread_mutex_unlock(&g->g_mutex);
	return yes;
}

void guest_serve(struct guest *g)
{
	struct pollfd p[] = {
	    {.fd = g->g_uffd, .events = POLLIN},
	    {.fd = g->g_request, .events = POLLIN},
	    {.fd = g->g_pmap_sock, .events = 0},
	};
	struct spin spin = {0};

	while (!ending(g)) {
		if (g->g_pmap.rp_lost) {
			guest_end_with(
			    g, GUEST_END_KILLED, 126, "its process does not map memory any more");
			break;
		}
		if (spin_poll(&spin, p, 3) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (p[0].revents & POLLIN)
			serve_faults(g);
		if ((p[1].revents & POLLIN) && !serve_request(g))
			break;
		/* Hang-ups count only when nothing is left to be read. */
		if (!(p[1].revents & POLLIN) &&
		    ((p[1].revents | p[2].revents) & (POLLHUP | POLLERR)))
			break;
	}
}
