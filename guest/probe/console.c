/* SPDX-License-Identifier: BSD-2-Clause */
/* The console from both sides of its ring, and by hypercall. */
#include "probe.h"
#include "../lib/start.h"

#include <xen/hvm/params.h>
#include <xen/io/console.h>

static char line[2048];
static uint64_t end;

static void say(const char *text, size_t len)
{
	expect(90, "write", consring_write(text, len, end), 0);
}

static void say_text(const char *text)
{
	say(text, strlen(text));
}

/* The next bytes from the ring, at least one. */
static size_t hear(char *buf, size_t room)
{
	uint32_t port = consring_port();
	size_t n = 0;

	for (;;) {
		expect(91, "read", consring_read(buf, room, &n), 0);
		if (n > 0)
			return n;
		expect(92, "input", event_wait(&port, 1, end, NULL), 0);
	}
}

/* ... and by hypercall, which never waits. */
static size_t hear_call(char *buf, size_t room)
{
	int64_t n;

	while ((n = hypercall_console_io(CONSOLEIO_read, room, buf)) == 0 && time_ns() < end)
		time_sleep(SECOND / 100);
	if (n <= 0)
		fail(93, "input: %d", (int)n);
	return (size_t)n;
}

static void wait_quit(size_t (*listen)(char *buf, size_t room))
{
	size_t len = 0;

	for (;;) {
		len += listen(line + len, 1);
		if (line[len - 1] != '\n' && len < sizeof(line) - 1)
			continue;
		line[len] = '\0';
		if (strcmp(line, "quit\n") == 0)
			return;
		printf("probe: heard %s", line);
		len = 0;
	}
}

static bool by_call_p(int argc, char **argv)
{
	const char *by = arg_find(argc, argv, "by");

	return by != NULL && strcmp(by, "call") == 0;
}

/* by=call|ring: repeats lines until one says quit.  The answers come by hypercall. */
static void console_lines(int argc, char **argv)
{
	bool call = by_call_p(argc, argv);

	end = time_after(PATIENCE);
	if (!call)
		expect(1, "open", consring_open(), 0);
	puts("probe: listening");
	wait_quit(call ? hear_call : hear);
}

/* As a terminal in raw mode: every byte comes back as its number, until a q. */
static void console_bytes(int argc, char **argv)
{
	unsigned char byte = 0;
	char text[8];
	size_t n;

	(void)argc, (void)argv;
	end = time_after(PATIENCE);
	expect(1, "open", consring_open(), 0);
	say_text("ready\r\n");
	while (byte != 'q') {
		(void)hear((char *)&byte, 1);
		text[0] = '<';
		n = 1;
		if (byte >= 100)
			text[n++] = (char)('0' + byte / 100);
		text[n++] = (char)('0' + byte / 10 % 10);
		text[n++] = (char)('0' + byte % 10);
		text[n++] = '>';
		say(text, n);
	}
	say_text("\r\n");
	expect(2, "flush", consring_flush(end), 0);
}

static void number_line(uint64_t n)
{
	memcpy(line, "flood 000000000\n", 16);
	for (unsigned i = 14; n > 0; i--, n /= 10)
		line[i] = (char)('0' + n % 10);
}

/*
 * lines=N numbered lines, as fast as it can, by=call or over the ring, with wait=1 when something has
 * been typed; then, with stay=1, a line by hypercall and no end.
 */
static void console_flood(int argc, char **argv)
{
	uint64_t lines = arg_u64(argc, argv, "lines", 1000);
	bool call = by_call_p(argc, argv);

	end = time_after(PATIENCE);
	expect(1, "open", consring_open(), 0);
	if (arg_u64(argc, argv, "wait", 0) != 0) {
		puts("probe: waiting");
		(void)hear(line, 1);
	}
	for (uint64_t i = 1; i <= lines; i++) {
		number_line(i);
		if (call)
			expect(2, "call", hypercall_console_io(CONSOLEIO_write, 16, line), 0);
		else
			say(line, 16);
	}
	if (arg_u64(argc, argv, "stay", 0) == 0)
		return;
	puts("probe: flooded");
	time_sleep(PATIENCE);
}

/* Indices that lie, and events about them; then it is honest again. */
static void console_lies(int argc, char **argv)
{
	struct xencons_interface *ring;
	uint64_t seed = 88172645463325252U;
	uint32_t port;
	void *page;

	(void)argc, (void)argv;
	expect(
	    1, "ring", hvm_ring(HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN, &page, &port), 0);
	ring = page;
	puts("probe: lying");
	for (unsigned i = 0; i < 20000; i++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		__atomic_store_n(&ring->out_prod, (uint32_t)seed, __ATOMIC_SEQ_CST);
		__atomic_store_n(&ring->in_cons, (uint32_t)(seed >> 32), __ATOMIC_SEQ_CST);
		if (i % 16 == 0)
			expect(2, "send", event_send(port), 0);
	}
	ring->in_cons = ring->in_prod = 0;
	__atomic_store_n(&ring->out_prod, ring->out_cons, __ATOMIC_SEQ_CST);
	end = time_after(PATIENCE);
	expect(3, "open", consring_open(), 0);
	say_text("\nhonest again\n");
	expect(4, "flush", consring_flush(end), 0);
}

const struct test tests_console[] = {
    {"console-lines", console_lines},
    {"console-bytes", console_bytes},
    {"console-flood", console_flood},
    {"console-lies", console_lies},
};
const size_t nr_tests_console = ARRAY_SIZE(tests_console);
