/* SPDX-License-Identifier: BSD-2-Clause */
#include "libchan/fake_core.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/uffd.h"
#include "proto/wire.h"

#define WINDOW_GFN 0x100000U
#define WINDOW_PAGES 8192U
#define PATIENCE_MS 10000

#define STATUS_PAGE (ARENA_PAGES + CHAN_CONTROL_PAGES)
#define AREA_BYTES (CHAN_AREA_PAGES(ARENA_PAGES) * PAGE)

static char dir[64];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener = -1, request = -1, pmap = -1, uffd = -1;
static uint64_t window_hva, map_seq, last_id;
static struct wire_hypercall call; /* that is not answered yet */

static struct {
	pthread_t thread;
	int (*call)(void);
	int held, go;
} program;

/* ---- the connection ---- */

void core_begin(void)
{
	uint64_t features;
	struct failure f;
	int fd, ret = uffd_open(&fd, &features, &f);

	if (ret == -EPERM || ret == -EACCES || ret == -ENOTSUP || ret == -ENOSYS)
		cr_skip_test("%s", f.text);
	cr_assert_eq(ret, 0, "%s", f.text);
	close(fd);
}

void core_listen(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/libchan-XXXXXX", tmp != NULL ? tmp : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/cell.sock", dir);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(setenv("LOMBARD_SOCKET", address.sun_path, 1), 0);
}

/* A test that crashes later leaves nothing behind. */
static int accept_client(void)
{
	int fd = accept(listener, NULL, NULL);

	close(listener);
	unlink(address.sun_path);
	rmdir(dir);
	return fd;
}

static void receive(int fd, void *msg, size_t size)
{
	size_t len;

	cr_assert_eq(sock_recv(fd, msg, size, &len, NULL, 0, NULL), 0);
	cr_assert_eq(len, size);
}

/* The operation `channel` of docs/control-protocol.md. */
static void answer_client(void)
{
	static const char expected[] = "{\"op\":\"channel\"}", answer[] = "{\"ok\":true}";
	int fd = accept_client(), requests[2], maps[2];
	char question[sizeof(expected) - 1];

	cr_assert(fd >= 0);
	receive(fd, question, sizeof(question));
	cr_assert_eq(memcmp(question, expected, sizeof(question)), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, maps), 0);
	cr_assert_eq(
	    sock_send(fd, answer, sizeof(answer) - 1, (int[]){requests[1], maps[1]}, 2), 0);
	close(requests[1]);
	close(maps[1]);
	close(fd);
	request = requests[0];
	pmap = maps[0];
}

void core_join(void)
{
	const struct wire_config cfg = {
	    .hdr = {.type = WIRE_CONFIG}, .window_gfn = WINDOW_GFN, .window_pages = WINDOW_PAGES};
	const struct wire_start start = {.hdr = {.type = WIRE_START}};
	struct wire_ready ready;
	struct wire_hello hello;
	unsigned nfds;
	size_t len;

	answer_client();
	receive(request, &hello, sizeof(hello));
	cr_assert_eq(hello.hdr.type, WIRE_HELLO);
	cr_assert_eq(hello.version, WIRE_VERSION);
	cr_assert_eq(sock_send(request, &cfg, sizeof(cfg), NULL, 0), 0);
	cr_assert_eq(sock_recv(request, &ready, sizeof(ready), &len, &uffd, 1, &nfds), 0);
	cr_assert_eq(ready.hdr.type, WIRE_READY);
	cr_assert_eq(nfds, 1);
	window_hva = ready.window_hva;
	cr_assert_eq(sock_send(request, &start, sizeof(start), NULL, 0), 0);
}

void core_hang_up(void)
{
	shutdown(request, SHUT_RDWR);
	shutdown(pmap, SHUT_RDWR);
	close(request);
	close(pmap);
	close(uffd);
}

/* ---- hypercalls ---- */

void core_call(uint32_t cmd, void *arg, uint32_t len)
{
	receive(request, &call, sizeof(call));
	cr_assert_eq(call.hdr.type, WIRE_HYPERCALL);
	cr_assert_eq(call.nr, LOMBARD_HYPERCALL_chan_op);
	cr_assert_eq(call.cmd, cmd, "hypercall %u instead of %u", call.cmd, cmd);
	cr_assert_eq(call.arg_len, len);
	memcpy(arg, call.arg, len);
}

void core_answer(int64_t ret, const void *arg, int fd)
{
	struct wire_result r = {.hdr = {.type = WIRE_RESULT, .seq = call.hdr.seq},
	    .ret = ret,
	    .arg_len = call.arg_len,
	    .copy_back = arg != NULL};

	if (arg != NULL)
		memcpy(r.arg, arg, call.arg_len);
	cr_assert_eq(sock_send(request, &r, sizeof(r), &fd, fd >= 0), 0);
}

void core_garble_answer(void)
{
	call.hdr.seq++;
	core_answer(0, NULL, -1);
}

void core_garble_map(void)
{
	cr_assert_eq(sock_send(pmap, &call, sizeof(call), NULL, 0), 0);
}

void core_expect_end(void)
{
	uint8_t byte;
	size_t len;

	cr_assert_eq(sock_recv(request, &byte, 1, &len, NULL, 0, NULL), -EPIPE);
	cr_assert_eq(sock_recv(pmap, &byte, 1, &len, NULL, 0, NULL), -EPIPE);
}

/* ---- areas ---- */

static void make_area(struct area *a, uint64_t gfn)
{
	uint8_t *there = (uint8_t *)(uintptr_t)(window_hva + (gfn - WINDOW_GFN) * PAGE);

	*a = (struct area){.id = ++last_id, .gfn = gfn, .event = -1};
	a->fd = memfd_create("area", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(a->fd, AREA_BYTES), 0);
	a->arena = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	cr_assert_neq(a->arena, MAP_FAILED);
	a->status = (struct chan_status *)(a->arena + STATUS_PAGE * PAGE);
	*a->status = (struct chan_status){
	    .state = CHAN_STATE_OPEN, .frame_pages = 1, .arena_pages = ARENA_PAGES};
	a->arena_there = there;
	a->status_there = (struct chan_status *)(there + STATUS_PAGE * PAGE);
}

/* One part of an area, as uvm_arena_show and uvm_arena_hide do it: the program has to answer. */
static void map_part(const struct area *a, uint32_t first, uint32_t npages, uint16_t kind)
{
	struct wire_map m = {.hdr = {.type = WIRE_MAP, .seq = ++map_seq},
	    .nextents = 1,
	    .want_reply = 1,
	    .extents = {{.gfn = a->gfn + first, .npages = npages, .kind = kind}}};
	struct wire_mapped done;

	if (kind != WIRE_NONE)
		m.extents[0].index = first;
	cr_assert_eq(
	    sock_send(pmap, &m, offsetof(struct wire_map, extents[1]), &a->fd, kind != WIRE_NONE),
	    0);
	receive(pmap, &done, sizeof(done));
	cr_assert_eq(done.hdr.type, WIRE_MAPPED);
	cr_assert_eq(done.hdr.seq, map_seq);
	cr_assert_eq(done.hdr.status, 0);
}

static void map_parts(const struct area *a, uint16_t data_kind, uint16_t status_kind)
{
	map_part(a, 0, ARENA_PAGES, data_kind);
	map_part(a, ARENA_PAGES, CHAN_CONTROL_PAGES, data_kind);
	map_part(a, STATUS_PAGE, CHAN_STATUS_PAGES, status_kind);
}

void core_hide(const struct area *a)
{
	map_parts(a, WIRE_NONE, WIRE_NONE);
}

void core_create_shown(struct area *a, struct chan_create *op)
{
	core_call(CHANOP_create, op, sizeof(*op));
	cr_assert_eq(op->arena_pages, ARENA_PAGES);
	make_area(a, op->gfn);
	a->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	map_parts(a, WIRE_ARENA, WIRE_LENT);
	op->id = a->id;
	op->frame_pages = 1;
}

void core_create(struct area *a)
{
	struct chan_create op;

	core_create_shown(a, &op);
	core_answer(0, &op, a->event);
}

void core_accept(const struct area *a, struct area *peer)
{
	struct chan_connect op;
	struct chan_query query;

	core_call(CHANOP_query, &query, sizeof(query));
	query.arena_pages = ARENA_PAGES;
	query.frame_pages = 1;
	core_answer(0, &query, -1);
	core_call(CHANOP_accept, &op, sizeof(op));
	cr_assert_eq(op.id, a->id);
	make_area(peer, op.gfn);
	peer->status->peers = a->status->peers = 1;
	map_parts(peer, WIRE_LENT, WIRE_LENT);
	op.arena_pages = ARENA_PAGES;
	op.frame_pages = 1;
	op.peer = op.remote = 0;
	core_answer(0, &op, -1);
}

void core_seal(const struct area *a)
{
	cr_assert_eq(uffd_protect(uffd, (void *)a->arena_there, PAGE), 0);
}

void core_fault(const struct area *a)
{
	struct uffd_msg msg;

	await_event(uffd);
	cr_assert_eq(read(uffd, &msg, sizeof(msg)), (ssize_t)sizeof(msg));
	cr_assert_eq(msg.event, UFFD_EVENT_PAGEFAULT);
	cr_assert_eq(msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1), (uintptr_t)a->arena_there);
}

/* ---- the program ---- */

void await_event(int event)
{
	struct pollfd p = {.fd = event, .events = POLLIN};

	cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1);
}

/* In the program's thread, wherever it is. */
static void stand_still(int sig)
{
	uint64_t one = 1, go;
	int saved = errno;

	(void)sig;
	if (write(program.held, &one, sizeof(one)) < 0 || read(program.go, &go, sizeof(go)) < 0)
		abort();
	errno = saved;
}

static void *program_main(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)program.call();
}

void program_run(int (*fn)(void))
{
	program.call = fn;
	program.held = eventfd(0, EFD_CLOEXEC);
	program.go = eventfd(0, EFD_CLOEXEC);
	cr_assert_eq(pthread_create(&program.thread, NULL, program_main, NULL), 0);
}

int program_end(void)
{
	void *result;

	cr_assert_eq(pthread_join(program.thread, &result), 0);
	close(program.held);
	close(program.go);
	return (int)(intptr_t)result;
}

void program_hold(void)
{
	const struct sigaction sa = {.sa_handler = stand_still};

	cr_assert_eq(sigaction(SIGUSR1, &sa, NULL), 0);
	cr_assert_eq(pthread_kill(program.thread, SIGUSR1), 0);
	await_event(program.held);
}

void program_go(void)
{
	const uint64_t one = 1;

	cr_assert_eq(write(program.go, &one, sizeof(one)), (ssize_t)sizeof(one));
}
