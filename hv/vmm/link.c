/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/spin.h"

#define CLOSE_TIMEOUT_MS 2000

/*
 * The request channel is main's until the vCPUs start; then who sends, and until its answer has come,
 * holds `turn`.
 */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_seq;

/*
 * The guest and its threads end with the process, wherever they sleep.  No exit handlers: other
 * threads are running.
 */
static _Noreturn void end_process(int status)
{
	_exit(status);
}

/* The request channel failed: the core is gone, or speaks another language. */
static _Noreturn void lost(int err)
{
	if (err != -EPIPE)
		fprintf(stderr, "lombard-vmm: request channel: %s\n", strerrordesc_np(-err));
	end_process(err == -EPIPE ? 0 : 1);
}

static void send_or_end(const void *msg, size_t len, const int *fds, unsigned nfds)
{
	int ret = sock_send(WIRE_FD_REQUEST, msg, len, fds, nfds);

	if (ret)
		lost(ret);
}

/* One packet of exactly this type and size. */
static void recv_or_end(
    void *msg, size_t size, uint32_t type, int *fds, unsigned max_fds, unsigned *nfds)
{
	const struct wire_hdr *hdr = msg;
	size_t len;
	int ret = sock_recv(WIRE_FD_REQUEST, msg, size, &len, fds, max_fds, nfds);

	if (!ret && (len != size || hdr->type != type))
		ret = -EPROTO;
	if (ret)
		lost(ret);
}

/* True when the core has closed the channel within the time; -1: wait for ever. */
static bool wait_closed(int timeout_ms)
{
	struct pollfd p = {.fd = WIRE_FD_REQUEST, .events = POLLRDHUP};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n != 0;
}

static bool packet_socket_p(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

int link_check(void)
{
	uint64_t none;

	if (!packet_socket_p(WIRE_FD_REQUEST) || !packet_socket_p(WIRE_FD_PMAP) ||
	    !packet_socket_p(WIRE_FD_CONTROL))
		return -ENOTCONN;
	/* An eventfd refuses reads of less than 8 bytes, and nothing is consumed. */
	if (read(WIRE_FD_EVENT, &none, 1) != -1 || errno != EINVAL)
		return -ENOTCONN;
	return 0;
}

static bool string_p(const char *s, size_t size)
{
	return memchr(s, 0, size) != NULL;
}

int link_configure(struct vmm *vm, struct failure *f)
{
	struct wire_config *cfg = &vm->cfg;
	struct wire_hello hello = {
	    .hdr = {.type = WIRE_HELLO, .seq = ++last_seq},
	    .version = WIRE_VERSION,
	    .pid = (uint32_t)getpid(),
	};
	int fds[WIRE_CONFIG_FDS];
	unsigned nfds, upcalls, more;
	int error;

	send_or_end(&hello, sizeof(hello), NULL, 0);
	recv_or_end(cfg, sizeof(*cfg), WIRE_CONFIG, fds, WIRE_CONFIG_FDS, &nfds);
	upcalls = cfg->lapic ? cfg->vcpus : 0;
	more = WIRE_CONFIG_FIXED_FDS + upcalls;
	if (cfg->hdr.status || cfg->vcpus > WIRE_MAX_VCPUS ||
	    nfds != more + (cfg->initrd_path[0] != 0) + (cfg->log != 0))
		return failure_set(f, -EPROTO, "the core's configuration is incomplete");
	if (!string_p(cfg->name, sizeof(cfg->name)) ||
	    !string_p(cfg->image_path, sizeof(cfg->image_path)) ||
	    !string_p(cfg->initrd_path, sizeof(cfg->initrd_path)) ||
	    !string_p(cfg->cmdline, sizeof(cfg->cmdline)))
		return failure_set(f, -EPROTO, "the core's configuration has an endless string");
	vm->pmap.store = fds[0];
	vm->image = fds[1];
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++)
		vm->vcpus[i].upcall = i < upcalls ? fds[WIRE_CONFIG_FIXED_FDS + i] : -1;
	vm->initrd = cfg->initrd_path[0] != 0 ? fds[more++] : -1;
	error = console_init(&vm->console, fds[2], fds[3], f);
	console_log_to(&vm->console, cfg->log ? fds[more] : -1, cfg->name);
	return error;
}

void link_ready(const struct vmm *vm)
{
	struct wire_ready ready = {
	    .hdr = {.type = WIRE_READY, .seq = ++last_seq},
	    .ram_hva = (uintptr_t)vm->pmap.area[PMAP_RAM].hva,
	    .high_hva = (uintptr_t)vm->pmap.area[PMAP_HIGH].hva,
	    .window_hva = (uintptr_t)vm->pmap.area[PMAP_WINDOW].hva,
	    .special_hva = (uintptr_t)vm->pmap.area[PMAP_SPECIAL].hva,
	    .uffd_features = vm->pmap.features,
	};
	struct wire_start start;

	send_or_end(&ready, sizeof(ready), &vm->pmap.uffd, 1);
	recv_or_end(&start, sizeof(start), WIRE_START, NULL, 0, NULL);
}

_Noreturn void link_refuse(int err, const struct failure *f)
{
	struct wire_ready ready = {.hdr = {.type = WIRE_READY, .status = err, .seq = ++last_seq}};

	memcpy(ready.text, f->text, sizeof(ready.text));
	send_or_end(&ready, sizeof(ready), NULL, 0);
	wait_closed(CLOSE_TIMEOUT_MS);
	end_process(1);
}

void link_hypercall(struct wire_hypercall *q, struct wire_result *r)
{
	static struct spin spin;
	struct pollfd answer = {.fd = WIRE_FD_REQUEST, .events = POLLIN};

	pthread_mutex_lock(&turn);
	q->hdr = (struct wire_hdr){.type = WIRE_HYPERCALL, .seq = ++last_seq};
	q->pad = 0;
	send_or_end(q, sizeof(*q), NULL, 0);
	(void)spin_poll(&spin, &answer, 1);
	recv_or_end(r, sizeof(*r), WIRE_RESULT, NULL, 0, NULL);
	if (r->hdr.seq != q->hdr.seq || r->arg_len > WIRE_MAX_ARG)
		lost(-EPROTO);
	pthread_mutex_unlock(&turn);
}

void link_unknown(uint64_t nr, uint64_t cmd)
{
	struct wire_unknown msg = {.hdr = {.type = WIRE_UNKNOWN}, .nr = nr, .cmd = cmd};

	pthread_mutex_lock(&turn);
	msg.hdr.seq = ++last_seq;
	send_or_end(&msg, sizeof(msg), NULL, 0);
	pthread_mutex_unlock(&turn);
}

int link_console(bool raise, uint64_t *gfn)
{
	struct wire_ask_console q = {.hdr = {.type = WIRE_ASK_CONSOLE}, .raise = raise};
	struct wire_console r;

	pthread_mutex_lock(&turn);
	q.hdr.seq = ++last_seq;
	send_or_end(&q, sizeof(q), NULL, 0);
	recv_or_end(&r, sizeof(r), WIRE_CONSOLE, NULL, 0, NULL);
	if (r.hdr.seq != q.hdr.seq)
		lost(-EPROTO);
	pthread_mutex_unlock(&turn);
	*gfn = r.gfn;
	return r.hdr.status;
}

_Noreturn void link_exit(const struct vmm_end *end)
{
	struct wire_exit msg = {
	    .hdr = {.type = WIRE_EXIT},
	    .reason = end->reason,
	    .code = end->code,
	};

	/* For good: nobody says anything after this. */
	pthread_mutex_lock(&turn);
	msg.hdr.seq = ++last_seq;
	memcpy(msg.text, end->why.text, sizeof(msg.text));
	send_or_end(&msg, sizeof(msg), NULL, 0);
	wait_closed(CLOSE_TIMEOUT_MS);
	end_process(0);
}

_Noreturn void link_lost(void)
{
	end_process(0);
}

_Static_assert(sizeof(((struct failure *)0)->text) == WIRE_TEXT_LEN, "texts are sent as they are");
