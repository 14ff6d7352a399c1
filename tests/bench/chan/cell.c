/* SPDX-License-Identifier: BSD-2-Clause */
/* A cell inside the bench, as in tests/bench/cell.c, with guests that pass messages. */
#include "chan.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "pin.h"
#include "uvm/uvm_audit.h"
#include "xen/public.h"

#define MIB_PAGES 256u
#define MEMBER_RAM (256 * MIB_PAGES)
#define MEMBER_WINDOW (8192 * MIB_PAGES)
#define ANSWER_TIMEOUT_NS UINT64_C(60000000000)
#define START_TIMEOUT_MS 60000

static int image = -1, null = -1;

void cell_start(const char *image_path)
{
	signal(SIGPIPE, SIG_IGN);
	image = open(image_path, O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (image < 0 || null < 0)
		bench_die("can't open %s: %m", image_path);
	uvm_ledger_notify_by(guest_notify);
}

/* The first line of a guest's console. */
static void read_line(int fd, char *line, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (memchr(line, '\n', n) == NULL) {
		if (poll(&p, 1, START_TIMEOUT_MS) <= 0)
			bench_die("a guest says nothing");
		got = read(fd, line + n, size - 1 - n);
		if (got <= 0)
			bench_die("a guest ended, or talks too much");
		n += (size_t)got;
	}
	line[n] = '\0';
}

static struct guest *launch(const char *cmdline, int console)
{
	const struct guest_config cfg = {.name = "",
	    .ram_pages = MEMBER_RAM,
	    .window_pages = MEMBER_WINDOW,
	    .vcpus = 1,
	    .image_path = "the probe",
	    .cmdline = cmdline,
	    .image = image,
	    .console_in = null,
	    .console_out = console};
	struct failure f;
	struct guest *g;

	if (guest_launch(&cfg, &g, &f) != 0)
		bench_die("can't launch a guest: %s", f.text);
	return g;
}

void member_launch(struct member *m, bool sender)
{
	unsigned long long box;
	struct memfd_store *ms;
	char line[256];
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC) != 0)
		bench_die("pipe: %m");
	m->sender = sender;
	m->guest = launch(
	    sender ? "bench-channels sender=1" : "bench-channels sender=0", pipefd[1]);
	close(pipefd[1]);
	read_line(pipefd[0], line, sizeof(line));
	close(pipefd[0]);
	if (sscanf(line, BENCH_LINE, &box, &m->port) != 2)
		bench_die("a guest says: %s", line);
	/* Pages of RAM that were never lent lie where they began: at their own number. */
	ms = memfd_store_of(m->guest->g_map->vm_store);
	m->box = (volatile struct bench_mailbox *)(ms->ms_base + box * UVM_PAGE_SIZE);
}

int member_pin(const struct member *m, unsigned which)
{
	return pin_thread(m->guest->g_pid, "vcpu0", which);
}

void member_end(struct member *m)
{
	struct pollfd p = {.fd = m->guest->g_ended_fd, .events = POLLIN};

	guest_stop(m->guest);
	if (poll(&p, 1, START_TIMEOUT_MS) <= 0)
		bench_die("a guest does not end");
	guest_put(m->guest);
}

static void raise_event(const struct member *m)
{
	const struct evtchn_send send = {.port = m->port};
	struct wire_hypercall req = {
	    .nr = __HYPERVISOR_event_channel_op, .cmd = EVTCHNOP_send, .arg_len = sizeof(send)};
	struct wire_result res;

	memcpy(req.arg, &send, sizeof(send));
	guest_hypercall(m->guest, &req, &res);
	if (res.ret != 0)
		bench_die("can't raise a guest's event");
}

/* Look rarely at what takes long: who looks takes a processor from those who are measured. */
static void wait_for(const volatile uint64_t *word, uint64_t value, const char *what)
{
	uint64_t start = now_ns(), waited;

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
		waited = now_ns() - start;
		if (waited > ANSWER_TIMEOUT_NS)
			bench_die("a guest does not %s", what);
		usleep(waited < 10000000 ? 100 : 1000);
	}
}

void member_ask(
    struct member *m, enum bench_op op, const struct bench_work *w, const struct bench_open *o)
{
	volatile struct bench_mailbox *box = m->box;
	uint64_t number = box->request + 1;

	box->op = op;
	if (w != NULL)
		memcpy((void *)&box->work, w, sizeof(*w));
	if (o != NULL)
		memcpy((void *)&box->open, o, sizeof(*o));
	__atomic_store_n(&box->request, number, __ATOMIC_RELEASE);
	raise_event(m);
	wait_for(&box->started, number, "wake up");
}

void member_wait(struct member *m, uint64_t ns, struct bench_result *r)
{
	volatile struct bench_mailbox *box = m->box;

	usleep((useconds_t)(ns / 1000));
	wait_for(&box->done, box->request, "answer");
	if (box->error != 0)
		bench_die(
		    "%s guest: request %u (via %u, channel %u, %ju bytes, depth %u%s): error %d",
		    m->sender ? "the sending" : "a receiving", box->op, box->work.via,
		    box->work.channel, (uintmax_t)box->work.len, box->work.depth,
		    box->work.echo ? ", echo" : "", box->error);
	if (r != NULL)
		memcpy(r, (const void *)&box->result, sizeof(*r));
}

void member_broken(const struct member *m, uint64_t *broken, uint64_t *copied)
{
	struct uvm_map *map = guest_map_get(m->guest);

	if (map == NULL)
		bench_die("a guest has ended");
	*broken = atomic_load(&map->vm_stats.ms_broken[UVM_BREAK_WRITE]);
	*copied = atomic_load(&map->vm_stats.ms_copied);
	uvm_map_rele(map);
}

void cell_account(uint64_t *ledger, uint64_t *kernel, bool *equal)
{
	struct uvm_account ac;

	if (uvm_account(&ac, NULL, NULL) != 0)
		bench_die("can't take the account");
	if (ac.ac_nfindings != 0)
		bench_die("the account finds: %s", ac.ac_findings[0]);
	*ledger = uvm_frames_total(&ac.ac_all);
	*kernel = ac.ac_kernel_pages;
	*equal = ac.ac_equal;
}
