/* SPDX-License-Identifier: BSD-2-Clause */
/* A cell inside the bench: the core's own code, with real guests. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/probe/serve.h"
#include "lombard/loan.h"
#include "xen/public.h"

#define MIB_PAGES 256u
#define IDLE_RAM (4 * MIB_PAGES)
#define SERVED_RAM (192 * MIB_PAGES)
#define WINDOW MIB_PAGES
#define ANSWER_TIMEOUT_NS UINT64_C(60000000000)

_Static_assert(ARENA_STEADY + ARENA_FRESH + 8 * MIB_PAGES < SERVED_RAM, "room for the arena");

static int image = -1, null = -1;

void cell_start(const char *image_path)
{
	struct rlimit rl;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	image = open(image_path, O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (image < 0 || null < 0)
		bench_die("can't open %s: %m", image_path);
	uvm_ledger_notify_by(guest_notify);
}

static struct guest *launch(const char *cmdline, uint64_t ram, int console, uint64_t *ns)
{
	const struct guest_config cfg = {.name = "",
	    .ram_pages = ram,
	    .window_pages = WINDOW,
	    .vcpus = 1,
	    .image_path = "the probe",
	    .cmdline = cmdline,
	    .image = image,
	    .console_in = null,
	    .console_out = console};
	uint64_t start = now_ns();
	struct failure f;
	struct guest *g;

	if (guest_launch(&cfg, &g, &f) != 0)
		bench_die("can't launch a guest: %s", f.text);
	if (ns != NULL)
		*ns = now_ns() - start;
	return g;
}

struct guest *idle_launch(uint64_t *ns)
{
	return launch("sleep ms=3600000", IDLE_RAM, null, ns);
}

void guest_end(struct guest *g)
{
	struct pollfd p = {.fd = g->g_ended_fd, .events = POLLIN};

	guest_stop(g);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
	guest_put(g);
}

/* The first line of a guest's console. */
static void read_line(int fd, char *line, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (memchr(line, '\n', n) == NULL) {
		if (poll(&p, 1, (int)(ANSWER_TIMEOUT_NS / 1000000)) <= 0)
			bench_die("the measured guest says nothing");
		got = read(fd, line + n, size - 1 - n);
		if (got <= 0)
			bench_die("the measured guest ended, or talks too much");
		n += (size_t)got;
	}
	line[n] = '\0';
}

void served_launch(struct served *sv)
{
	unsigned long long box, arena;
	char cmdline[64], line[256];
	struct memfd_store *ms;
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC) != 0)
		bench_die("pipe: %m");
	snprintf(cmdline, sizeof(cmdline), "bench-serve pages=%u", ARENA_STEADY + ARENA_FRESH);
	sv->sv_guest = launch(cmdline, SERVED_RAM, pipefd[1], NULL);
	close(pipefd[1]);
	read_line(pipefd[0], line, sizeof(line));
	close(pipefd[0]);
	if (sscanf(line, SERVE_LINE, &box, &arena, &sv->sv_port) != 3)
		bench_die("the measured guest says: %s", line);
	/* Pages of RAM that were never lent lie where they began: at their own number. */
	ms = memfd_store_of(sv->sv_guest->g_map->vm_store);
	sv->sv_box = (volatile struct serve_mailbox *)(ms->ms_base + box * UVM_PAGE_SIZE);
	sv->sv_arena = arena;
}

int64_t hypercall_as(
    struct guest *g, uint32_t nr, uint32_t cmd, void *arg, size_t len, uint64_t *ns)
{
	struct wire_hypercall req = {.nr = nr, .cmd = cmd, .arg_len = (uint32_t)len};
	struct wire_result res;
	uint64_t start;

	memcpy(req.arg, arg, len);
	start = now_ns();
	guest_hypercall(g, &req, &res);
	*ns += now_ns() - start;
	if (res.copy_back)
		memcpy(arg, res.arg, len);
	return res.ret;
}

/* The guest has answered; give its vCPU the time to fall asleep. */
static void settle(void)
{
	usleep(150);
}

void served_ask(struct served *sv, uint32_t op, uint32_t first, uint32_t pages)
{
	struct evtchn_send send = {.port = sv->sv_port};
	uint64_t number = sv->sv_box->request + 1, deadline = now_ns() + ANSWER_TIMEOUT_NS, ns = 0;

	sv->sv_box->op = op;
	sv->sv_box->first = first;
	sv->sv_box->pages = pages;
	__atomic_store_n(&sv->sv_box->request, number, __ATOMIC_RELEASE);
	if (hypercall_as(sv->sv_guest, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &send,
		sizeof(send), &ns) != 0)
		bench_die("can't raise the measured guest's event");
	while (__atomic_load_n(&sv->sv_box->done, __ATOMIC_ACQUIRE) != number) {
		if (now_ns() > deadline)
			bench_die("the measured guest does not answer");
		usleep(100);
	}
	settle();
	if (sv->sv_box->error != 0)
		bench_die("the measured guest: error %d", sv->sv_box->error);
}
