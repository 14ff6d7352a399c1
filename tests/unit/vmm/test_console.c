/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/console.c hv/vmm/console_client.c hv/vmm/console_serve.c hv/vmm/conring.c hv/vmm/scroll.c hv/vmm/gmem.c hv/lib/failure.c hv/lib/sys.c */
/* The console thread, with a guest and a core that this file plays. */
#include "vmm/console.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xen/io/console.h>

#include "vmm/conring.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define PAGE 4096U
#define RING_GFN 3U

static _Alignas(PAGE) uint8_t ram[8 * PAGE];
static struct vmm vm;
static struct xencons_interface *ring = (struct xencons_interface *)(ram + RING_GFN * PAGE);
static pthread_t thread;
static int in, out; /* our ends */
static _Atomic int status;
static _Atomic unsigned asked, raised;

int link_console(bool raise, uint64_t *gfn)
{
	int s = atomic_load(&status);

	*gfn = RING_GFN;
	atomic_fetch_add(&asked, 1);
	if (raise && s == 0)
		atomic_fetch_add(&raised, 1);
	return s;
}

static void *serve(void *arg)
{
	console_serve(arg);
	return NULL;
}

static void start(int in_end, int out_end)
{
	struct failure f;

	vm.mem.ram = (struct gmem_area){.hva = ram, .size = sizeof(ram)};
	cr_assert_eq(console_init(&vm.console, in_end, out_end, &f), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, &vm), 0);
}

/* With a pipe on either side, as `lombard run` in a script has. */
static void start_with_pipes(void)
{
	int i[2], o[2];

	cr_assert(pipe(i) == 0 && pipe(o) == 0);
	in = i[1];
	out = o[0];
	start(i[0], o[1]);
}

static void finish(void)
{
	console_finish(&vm.console);
	pthread_join(thread, NULL);
}

static void pause_ms(long ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Until that many bytes have come, or none comes for a long time.  => how many */
static size_t read_some(int fd, char *buf, size_t want)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (n < want && poll(&p, 1, 5000) > 0) {
		got = read(fd, buf + n, want - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

static void expect_text(int fd, const char *text)
{
	char buf[4096];
	size_t n = read_some(fd, buf, strlen(text));

	cr_assert(
	    n == strlen(text) && memcmp(buf, text, n) == 0, "'%.*s', not '%s'", (int)n, buf, text);
}

static void expect_nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	cr_assert_eq(poll(&p, 1, 100), 0);
}

/* ---- the guest ---- */

static uint32_t guest_room(void)
{
	return CONRING_OUT - (ring->out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE));
}

static void guest_puts(const char *text, size_t len)
{
	uint32_t prod = ring->out_prod;

	for (size_t i = 0; i < len; i++)
		ring->out[MASK_XENCONS_IDX(prod + i, ring->out)] = text[i];
	__atomic_store_n(&ring->out_prod, prod + (uint32_t)len, __ATOMIC_SEQ_CST);
	/* The core's answer to the event says whether it is the console thread's. */
	if (atomic_load(&status) == 0)
		console_ring_told(&vm.console);
}

static void guest_writes(const char *text)
{
	guest_puts(text, strlen(text));
}

static size_t guest_reads(char *buf, size_t want)
{
	size_t n = 0;

	for (unsigned i = 0; n < want && i < 5000; i++) {
		uint32_t prod = __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE);
		bool some = ring->in_cons != prod;

		for (; ring->in_cons != prod && n < want; ring->in_cons++)
			buf[n++] = ring->in[MASK_XENCONS_IDX(ring->in_cons, ring->in)];
		if (some)
			console_ring_told(&vm.console);
		else
			pause_ms(1);
	}
	return n;
}

static void guest_expects(const char *text)
{
	char buf[4096];
	size_t n = guest_reads(buf, strlen(text));

	cr_assert(
	    n == strlen(text) && memcmp(buf, text, n) == 0, "'%.*s', not '%s'", (int)n, buf, text);
}

/* By hypercall, without paging. */
static int64_t guest_calls(unsigned cmd, const char *text, size_t len)
{
	struct hypercall h = {.arg = {cmd, len, 0}};

	if (text)
		memcpy(ram, text, len);
	return console_op(&vm, &h);
}

static int attach(bool history)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_eq(console_attach(&vm.console, ends[1], history), 0);
	return ends[0];
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* => in a third of a second it has asked once at most, and hardly run */
static bool rests(void)
{
	uint64_t before = cpu_ns();
	unsigned questions = atomic_load(&asked);

	pause_ms(300);
	return cpu_ns() - before < 100 * 1000000 && atomic_load(&asked) - questions <= 1;
}

/* Nothing is tried again and again.  On a busy machine what was begun may take its time to end. */
static void expect_rest(void)
{
	bool rested = false;

	pause_ms(50);
	for (unsigned i = 0; i < 10 && !rested; i++)
		rested = rests();
	cr_assert(rested, "it is busy");
}

/* ---- */

Test(console, ring_both_ways)
{
	start_with_pipes();
	guest_writes("hello\n");
	expect_text(out, "hello\n");
	for (unsigned i = 0; atomic_load(&raised) == 0; i++, pause_ms(1))
		cr_assert_lt(i, 5000, "the guest is not told that there is room");
	cr_assert_eq(write(in, "typed\n", 6), 6);
	guest_expects("typed\n");
	expect_rest();
	finish();
}

/* As long as the guest has not asked for its ring, nobody reads what may be somebody else's. */
Test(console, input_is_left_alone)
{
	char buf[16];

	start_with_pipes();
	cr_assert_eq(write(in, "mine", 4), 4);
	pause_ms(50);
	cr_assert_eq(atomic_load(&asked), 0);
	cr_assert_eq(guest_calls(CONSOLEIO_read, NULL, 2), 2);
	cr_assert(memcmp(ram, "mi", 2) == 0);
	console_ring_used(&vm.console);
	guest_expects("ne");
	cr_assert_eq(guest_calls(CONSOLEIO_read, NULL, sizeof(buf)), 0);
	finish();
}

/* The reader is slow: all waits in the ring, and nothing is lost. */
Test(console, a_launcher_that_is_slow)
{
	char line[32], *all = malloc(600000);
	size_t n = 0;
	unsigned lines = 0, waits = 0;

	start_with_pipes();
	while (lines < 20000) {
		int len = sprintf(line, "%05u-------------------\n", lines);

		if (guest_room() >= (uint32_t)len) {
			guest_puts(line, (size_t)len);
			lines++;
		} else {
			/* Full everywhere, if that lasts: it rests until somebody reads. */
			pause_ms(1);
			if (++waits < 50)
				continue;
			if (n == 0)
				expect_rest();
			n += (size_t)read(out, all + n, 30000);
			waits = 0;
		}
	}
	console_ring_told(&vm.console);
	n += read_some(out, all + n, 500000 - n);
	cr_assert_eq(n, 500000);
	for (unsigned i = 0; i < 20000; i++)
		cr_assert_eq(strtoul(all + (size_t)i * 25, NULL, 10), i);
	free(all);
	finish();
}

/* Whoever launched the guest is gone, and so is nothing else. */
Test(console, a_launcher_that_is_gone)
{
	int client;

	signal(SIGPIPE, SIG_IGN);
	start_with_pipes();
	close(out);
	close(in);
	client = attach(true);
	guest_writes("into the void\n");
	expect_text(client, "into the void\n");
	cr_assert_eq(guest_calls(CONSOLEIO_write, "by call\n", 8), 0);
	expect_text(client, "by call\n");
	expect_rest();
	finish();
}

Test(console, clients_see_what_was_and_what_is)
{
	int one, two;
	char eof;

	start_with_pipes();
	cr_assert_eq(guest_calls(CONSOLEIO_write, "before\n", 7), 0);
	one = attach(true);
	two = attach(false);
	expect_text(one, "before\n");
	guest_writes("now\n");
	expect_text(one, "now\n");
	expect_text(two, "now\n");
	cr_assert_eq(write(one, "1", 1), 1);
	guest_expects("1");
	cr_assert_eq(write(two, "2", 1), 1);
	guest_expects("2");
	close(one);
	guest_writes("one less\n");
	expect_text(two, "one less\n");
	/* It may say no more, and goes on listening. */
	shutdown(two, SHUT_WR);
	expect_rest();
	guest_writes("last\n");
	finish();
	expect_text(two, "last\n");
	close(vm.console.clients[0].fd);
	close(vm.console.clients[1].fd);
	cr_assert_eq(read(two, &eof, 1), 0);
	expect_text(out, "before\nnow\none less\nlast\n");
}

Test(console, clients_type_before_the_guest_asks)
{
	int client;

	start_with_pipes();
	client = attach(true);
	cr_assert_eq(write(client, "early", 5), 5);
	pause_ms(50);
	expect_rest();
	cr_assert_eq(guest_calls(CONSOLEIO_read, NULL, 3), 3);
	cr_assert(memcmp(ram, "ear", 3) == 0);
	console_ring_used(&vm.console);
	guest_expects("ly");
	finish();
}

/* More than the guest ever reads: it waits in the socket, and then comes in order. */
Test(console, a_client_that_types_too_much)
{
	char text[20000], got[20000];
	int client;
	size_t sent = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	start_with_pipes();
	console_ring_used(&vm.console);
	client = attach(true);
	while (sent < sizeof(text))
		sent += (size_t)write(client, text + sent, sizeof(text) - sent);
	close(client);
	expect_rest();
	cr_assert_eq(guest_reads(got, sizeof(got)), sizeof(got), "though the client is gone");
	cr_assert(memcmp(got, text, sizeof(got)) == 0);
	finish();
}

/* One that never reads holds nobody up, and learns that it has missed something. */
Test(console, a_client_that_is_slow)
{
	char line[32], *mark, *all = malloc(4U << 20);
	unsigned first, dropped, before;
	int client, quick;
	size_t n;

	start(open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	client = attach(true);
	quick = attach(true);
	for (unsigned i = 0; i < 100000; i++) {
		cr_assert_eq(
		    guest_calls(CONSOLEIO_write, line, (size_t)sprintf(line, "%07u\n", i)), 0);
		if (i % 1000 == 999) {
			n = read_some(quick, all, 8000);
			cr_assert_eq(n, 8000);
			cr_assert_eq(strtoul(all + 7992, NULL, 10), i, "the other one has it all");
		}
	}
	expect_rest();
	n = read_some(client, all, 8);
	while (memcmp(all + n - 8, "0099999\n", 8) != 0 && n < 1000000)
		n += read_some(client, all + n, 1);
	finish();
	all[n] = '\0';
	cr_assert_lt(n, 800000);
	mark = strstr(all, "\r\n[");
	cr_assert(mark != NULL, "there is no mark");
	before = (unsigned)(mark - all);
	cr_assert_eq(
	    sscanf(mark + 3, "%u bytes of output were dropped]\r\n%u", &dropped, &first), 2);
	cr_assert_eq(before + dropped, first * 8, "it says how much, to the byte");
	free(all);
}

Test(console, too_many_clients)
{
	int fds[CONSOLE_CLIENTS], ends[2];

	start_with_pipes();
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		fds[i] = attach(true);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_eq(console_attach(&vm.console, ends[1], true), -EUSERS);
	close(fds[3]);
	pause_ms(100);
	cr_assert_eq(console_attach(&vm.console, ends[1], true), 0);
	guest_writes("all\n");
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		if (i != 3)
			expect_text(fds[i], "all\n");
	expect_text(ends[0], "all\n");
	finish();
}

/* A program of the host serves the ring: hands off, and on again when it has gone. */
Test(console, somebody_else_serves_it)
{
	int client;

	start_with_pipes();
	guest_writes("a");
	expect_text(out, "a");
	expect_rest();
	atomic_store(&status, -EBUSY);
	client = attach(false);
	guest_writes("b");
	cr_assert_eq(write(client, "typed", 5), 5);
	expect_nothing(out);
	cr_assert_eq(ring->out_cons, 1);
	cr_assert_eq(ring->in_prod, 0);
	expect_rest();
	atomic_store(&status, 0);
	guest_writes("c");
	expect_text(out, "bc");
	guest_expects("typed");
	finish();
}

/* It can do what it likes to its ring; only its own console suffers. */
Test(console, a_guest_that_lies)
{
	int client;

	start_with_pipes();
	client = attach(true);
	for (unsigned i = 0; i < 1000; i++) {
		ring->out_prod = i * 7919 + 3000;
		ring->in_prod = i * 104729 + 5000;
		console_ring_told(&vm.console);
		cr_assert_eq(write(client, "x", 1), 1);
	}
	expect_rest();
	ring->in_prod = ring->in_cons = 0;
	ring->out_prod = ring->out_cons;
	guest_writes("sorry\n");
	expect_text(client, "sorry\n");
	expect_text(out, "sorry\n");
	finish();
}

/* The ring is nowhere in its memory. */
Test(console, a_ring_that_is_not_there)
{
	start_with_pipes();
	vm.mem.ram.size = RING_GFN * PAGE;
	guest_writes("lost");
	expect_rest();
	finish();
}

/* What it wrote last goes out, even to a reader that takes its time, and nothing ends before. */
static void *read_late(void *arg)
{
	pause_ms(300);
	read_some(out, arg, 70000);
	return NULL;
}

Test(console, last_words)
{
	char *all = calloc(1, 70001), fill[4096];
	pthread_t reader;
	size_t n = 0;

	start_with_pipes();
	memset(fill, '.', sizeof(fill));
	/* A pipe that is full. */
	for (; n < 65536; n += 4096)
		cr_assert_eq(guest_calls(CONSOLEIO_write, fill, 4096), 0);
	guest_writes("last words\n");
	cr_assert_eq(pthread_create(&reader, NULL, read_late, all), 0);
	finish();
	close(atomic_load(&vm.console.out));
	pthread_join(reader, NULL);
	cr_assert_str_eq(all + 65536, "last words\n");
	free(all);
}

/* Its end is not held up by a client that does not read. */
Test(console, the_end_does_not_wait_for_clients)
{
	struct timespec ts[2];
	char fill[4096];

	start(open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	(void)attach(true);
	memset(fill, '.', sizeof(fill));
	for (unsigned i = 0; i < 500; i++)
		cr_assert_eq(guest_calls(CONSOLEIO_write, fill, sizeof(fill)), 0);
	clock_gettime(CLOCK_MONOTONIC, &ts[0]);
	finish();
	clock_gettime(CLOCK_MONOTONIC, &ts[1]);
	cr_assert_lt(
	    (ts[1].tv_sec - ts[0].tv_sec) * 1000 + (ts[1].tv_nsec - ts[0].tv_nsec) / 1000000, 2000);
}

/*
 * A part at a time, and the rest stays in the arguments: of a length as large as can be named, behind which
 * there is no memory, and while somebody pauses the guest.
 */
Test(console, long_write)
{
	struct hypercall h = {.arg = {CONSOLEIO_write, UINT64_MAX, 0}};
	struct hypercall whole = {.arg = {CONSOLEIO_write, sizeof(ram), 0}};

	start(open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	atomic_store(&vm.gate.closed, true);
	for (uint64_t at = 4096; at < sizeof(ram); at += 4096) {
		cr_assert_eq(console_op(&vm, &h), -ERESTART);
		cr_assert_eq(h.arg[2], at);
		cr_assert_eq(h.arg[1], UINT64_MAX - at);
	}
	atomic_store(&vm.gate.closed, false);
	cr_assert_eq(console_op(&vm, &h), -EFAULT);
	cr_assert_eq(console_op(&vm, &whole), 0);
	cr_assert_eq(whole.arg[1], 0);
	finish();
}

/* A guest that writes all the time, with other threads that use its hypercall. */
static void *caller(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 2000; i++) {
		struct hypercall h = {.arg = {CONSOLEIO_write, 8, 0}};

		cr_assert_eq(console_op(&vm, &h), 0);
	}
	return NULL;
}

Test(console, all_at_once)
{
	pthread_t callers[3];
	char *all = malloc(200000);
	unsigned lines = 0, dots = 0;
	int client;
	size_t n = 0;

	start(open("/dev/null", O_RDONLY), open("/dev/null", O_WRONLY));
	client = attach(true);
	memset(ram, '.', 8);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&callers[i], NULL, caller, NULL), 0);
	while (lines < 2000) {
		if (guest_room() >= 5) {
			guest_puts("-----", 5);
			lines++;
		}
		if (lines % 50 == 0)
			n += read_some(client, all + n, 40);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(callers[i], NULL);
	n += read_some(client, all + n, 58000 - n);
	cr_assert_eq(n, 58000);
	for (size_t i = 0; i < n; i++)
		dots += all[i] == '.';
	cr_assert_eq(dots, 48000);
	free(all);
	finish();
}
