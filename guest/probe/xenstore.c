/* SPDX-License-Identifier: BSD-2-Clause */
/* The cell's xenstore, alone and with others; the console over its ring. */
#include "probe.h"

#define BIG 2000u /* bytes: more than the ring holds at once, and less than a node may have */

static char path[XENSTORE_TEXT], token[XENSTORE_TEXT], value[XENSTORE_TEXT], big[BIG];

static void expect_text(int n, const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail(n, "%s: got %s, want %s", what, got, want);
}

static void put(int n, uint32_t tx, const char *name, const char *text)
{
	expect(n, name, xenstore_write(tx, name, text, strlen(text)), 0);
}

static void expect_value(int n, uint32_t tx, const char *name, const char *want)
{
	expect(n, name, xenstore_read(tx, name, value, sizeof(value), NULL), 0);
	expect_text(n, name, value, want);
}

/* Without a store: everything says so, and nothing hangs. */
static void store_none(int argc, char **argv)
{
	uint32_t tx;

	(void)argc, (void)argv;
	expect(1, "open", xenstore_open(), -XEN_ENOENT);
	expect(2, "read", xenstore_read(0, "name", value, sizeof(value), NULL), -XEN_ENOENT);
	expect(3, "begin", xenstore_begin(&tx), -XEN_ENOENT);
	expect(4, "event", xenstore_event(path, token, time_after(1)), -XEN_ENOENT);
}

/* What the toolstack has written for us, and what we may do there. */
static void store_own(int argc, char **argv)
{
	const char *name = arg_find(argc, argv, "name");
	struct xenstore_perm perms[4];
	struct loan_info self;
	unsigned int nr;

	expect(1, "loan_info", loan_info(&self), 0);
	expect_value(2, 0, "name", name);
	expect(3, "domid", xenstore_read(0, "domid", value, sizeof(value), NULL), 0);
	expect(4, "our number", (int64_t)strtoull(value, NULL, 10), self.domid);
	expect(5, "write our name", xenstore_write(0, "name", "other", 5), -XEN_EACCES);
	expect(6, "read the host's",
	    xenstore_read(0, "/local/domain/0/name", value, sizeof(value), NULL), -XEN_EACCES);
	expect(7, "permissions", xenstore_get_perms(0, "name", perms, 4, &nr), 0);
	expect(8, "their number", nr, 2);
	expect(9, "the owner", perms[0].domid, 0);
	expect(10, "for all", perms[0].access, 'n');
	expect(11, "the reader", perms[1].domid, self.domid);
	expect(12, "for us", perms[1].access, 'r');
	expect(13, "too many", xenstore_get_perms(0, "name", perms, 1, &nr), -XEN_ENOSPC);
	expect(
	    14, "no such", xenstore_read(0, "data/none", value, sizeof(value), NULL), -XEN_ENOENT);
	expect(15, "no path", xenstore_read(0, "a//b", value, sizeof(value), NULL), -XEN_EINVAL);
}

static void store_nodes(int argc, char **argv)
{
	struct xenstore_perm perms[3] = {{'n', 0}, {'r', 0}};
	struct loan_info self;
	unsigned int nr;
	size_t len;

	(void)argc, (void)argv;
	expect(1, "loan_info", loan_info(&self), 0);
	put(2, 0, "data/a/b", "text");
	expect_value(3, 0, "data/a/b", "text");
	expect(4, "mkdir", xenstore_mkdir(0, "data/a/c"), 0);
	expect_value(5, 0, "data/a/c", "");
	expect(6, "directory", xenstore_directory(0, "data/a", value, sizeof(value), &len), 0);
	expect(7, "its length", (int64_t)len, 4);
	expect_text(8, "first name", value, "b");
	expect_text(9, "second name", value + 2, "c");
	expect(10, "no room", xenstore_read(0, "data/a/b", value, 4, NULL), -XEN_ENOSPC);
	perms[0].domid = self.domid;
	expect(11, "permissions", xenstore_set_perms(0, "data/a/b", perms, 2), 0);
	expect(13, "them", xenstore_get_perms(0, "data/a/b", perms, 3, &nr), 0);
	expect(14, "their number", nr, 2);
	expect(15, "second", perms[1].access, 'r');
	expect(16, "none", xenstore_set_perms(0, "data/a/b", perms, 0), -XEN_EINVAL);
	expect(17, "rm", xenstore_rm(0, "data/a"), 0);
	expect(18, "gone", xenstore_read(0, "data/a/b", value, sizeof(value), NULL), -XEN_ENOENT);
	memset(big, 'x', sizeof(big));
	expect(19, "too much", xenstore_write(0, "data/big", value, XENSTORE_TEXT), -XEN_E2BIG);
}

/* Requests and answers that are longer than the ring, and many of them. */
static void store_big(int argc, char **argv)
{
	uint64_t rounds = arg_u64(argc, argv, "rounds", 20);
	size_t len;

	for (uint64_t i = 0; i < rounds; i++) {
		memset(big, 'a' + (int)(i % 26), i * 149 % BIG);
		expect(1, "write", xenstore_write(0, "data/big", big, i * 149 % BIG), 0);
		expect(2, "read", xenstore_read(0, "data/big", value, sizeof(value), &len), 0);
		expect(3, "length", (int64_t)len, (int64_t)(i * 149 % BIG));
		expect(4, "what was read", memcmp(value, big, len), 0);
	}
}

static void store_transactions(int argc, char **argv)
{
	uint32_t a, b;

	(void)argc, (void)argv;
	put(1, 0, "data/t", "0");
	expect(2, "begin", xenstore_begin(&a), 0);
	put(3, a, "data/t", "1");
	expect_value(4, a, "data/t", "1");
	expect_value(5, 0, "data/t", "0");
	expect(6, "commit", xenstore_end(a, true), 0);
	expect_value(7, 0, "data/t", "1");
	expect(8, "begin", xenstore_begin(&a), 0);
	put(9, a, "data/t", "2");
	expect(10, "forget", xenstore_end(a, false), 0);
	expect_value(11, 0, "data/t", "1");
	/* Both read it: who writes second has seen what is no more. */
	expect(12, "begin", xenstore_begin(&a), 0);
	expect(13, "begin", xenstore_begin(&b), 0);
	expect_value(14, a, "data/t", "1");
	expect_value(15, b, "data/t", "1");
	put(16, a, "data/t", "a");
	put(17, b, "data/t", "b");
	expect(18, "first", xenstore_end(a, true), 0);
	expect(19, "second", xenstore_end(b, true), -XEN_EAGAIN);
	expect_value(20, 0, "data/t", "a");
	expect(21, "no such", xenstore_end(b, true), -XEN_ENOENT);
}

static void expect_event(int n, const char *want)
{
	expect(n, "event", xenstore_event(path, token, time_after(PATIENCE)), 0);
	expect_text(n, "path", path, want);
	expect_text(n, "token", token, "mark");
}

static void store_watches(int argc, char **argv)
{
	(void)argc, (void)argv;
	put(1, 0, "data/w", "0");
	expect(2, "watch", xenstore_watch("data/w", "mark"), 0);
	expect(3, "again", xenstore_watch("data/w", "mark"), -XEN_EEXIST);
	expect_event(4, "data/w");
	put(5, 0, "data/w", "1");
	put(6, 0, "data/w/below", "1");
	expect_event(7, "data/w");
	expect_event(8, "data/w/below");
	expect(9, "no more", xenstore_event(path, token, time_after(SECOND / 10)), -XEN_ETIME);
	expect(10, "unwatch", xenstore_unwatch("data/w", "mark"), 0);
	put(11, 0, "data/w", "2");
	expect(12, "none", xenstore_event(path, token, time_after(SECOND / 10)), -XEN_ETIME);
	expect(13, "unwatch", xenstore_unwatch("data/w", "mark"), -XEN_ENOENT);
	/* More than we keep are lost, which is said; then it goes on. */
	expect(14, "watch", xenstore_watch("data/w", "mark"), 0);
	for (unsigned int i = 0; i < 700; i++)
		put(15, 0, "data/w", "x");
	for (int err = 0; err != -XEN_ENOSPC;) {
		err = xenstore_event(path, token, time_after(PATIENCE));
		if (err != 0 && err != -XEN_ENOSPC)
			fail(16, "events: error %d", err);
	}
	while (xenstore_event(path, token, time_after(SECOND / 10)) == 0)
		continue;
	put(17, 0, "data/w", "y");
	expect_event(18, "data/w");
}

/*
 * set=NAME to=VALUE, then wait until wait=NAME has the value until=VALUE, by a watch: for tests with
 * partners.  Others can read what we write.
 */
static void store_meet(int argc, char **argv)
{
	const char *set = arg_find(argc, argv, "set"), *to = arg_find(argc, argv, "to");
	const char *name = arg_find(argc, argv, "wait"), *until = arg_find(argc, argv, "until");
	struct xenstore_perm all = {'r', 0};
	struct loan_info self;

	expect(1, "loan_info", loan_info(&self), 0);
	all.domid = self.domid;
	expect(2, "watch", xenstore_watch(name, "meet"), 0);
	put(3, 0, set, to);
	expect(4, "for all", xenstore_set_perms(0, set, &all, 1), 0);
	puts("probe: waiting");
	do {
		expect(5, "event", xenstore_event(path, token, time_after(PATIENCE)), 0);
		if (xenstore_read(0, name, value, sizeof(value), NULL) != 0)
			value[0] = '\0';
	} while (strcmp(value, until) != 0);
	printf("probe: %s is %s\n", name, value);
}

/* Read and write for ever. */
static void store_spin(int argc, char **argv)
{
	(void)argc, (void)argv;
	puts("probe: spinning");
	for (;;) {
		put(1, 0, "data/spin", "0123456789");
		expect_value(2, 0, "data/spin", "0123456789");
	}
}

/* The store does not answer any more, or never has: one clear error, then another. */
static void store_dead(int argc, char **argv)
{
	int err = 0;

	(void)argc, (void)argv;
	puts("probe: writing");
	while (err == 0)
		err = xenstore_write(0, "data/x", "y", 1);
	expect(1, "the first error", err, -XEN_ETIME);
	expect(2, "the second", xenstore_write(0, "data/x", "y", 1), -XEN_EIO);
}

/* Until a program of the host serves the ring: before that it is the VMM's. */
static void await_server(uint32_t port, uint64_t end)
{
	struct evtchn_status st = {.dom = DOMID_SELF, .port = port};

	for (;; time_sleep(5000000)) {
		expect(6, "status", hypercall_event_channel_op(EVTCHNOP_status, &st), 0);
		if (st.status == EVTCHNSTAT_interdomain)
			return;
		if (time_ns() >= end)
			fail(7, "nobody serves the ring");
	}
}

/* served=1: by a program of the host.  lines=N lines to the ring's console, then one from there comes back. */
static void console_ring(int argc, char **argv)
{
	uint64_t lines = arg_u64(argc, argv, "lines", 3), end = time_after(PATIENCE);
	uint32_t port;
	size_t len = 0, n;

	expect(8, "open", consring_open(), 0);
	if (arg_u64(argc, argv, "served", 0))
		await_server(consring_port(), end);
	for (uint64_t i = 0; i < lines; i++)
		expect(1, "write", consring_write("ring: a line of text\n", 21, end), 0);
	puts("probe: written");
	port = consring_port();
	while (len == 0 || value[len - 1] != '\n') {
		expect(2, "read", consring_read(value + len, sizeof(value) - 1 - len, &n), 0);
		len += n;
		if (n == 0)
			expect(3, "input", event_wait(&port, 1, end, NULL), 0);
	}
	value[len] = '\0';
	printf("probe: typed %s", value);
	expect(4, "write", consring_write("ring: end\n", 10, end), 0);
	expect(5, "flush", consring_flush(end), 0);
}

const struct test tests_xenstore[] = {
    {"store-none", store_none},
    {"store-own", store_own},
    {"store-nodes", store_nodes},
    {"store-big", store_big},
    {"store-transactions", store_transactions},
    {"store-watches", store_watches},
    {"store-meet", store_meet},
    {"store-spin", store_spin},
    {"store-dead", store_dead},
    {"console-ring", console_ring},
};
const size_t nr_tests_xenstore = ARRAY_SIZE(tests_xenstore);
