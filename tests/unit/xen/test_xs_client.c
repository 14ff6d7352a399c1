/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/xs_client.c hv/xen/xs_nodes.c */
/*
 * What the core tells xenstored, and what it makes of the answers: the other end is made up here.
 */
#include "xen/xs_nodes.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define MAX_SEEN 512u
#define TEXT_LEN 160u

/* Answers one request.  False: hang up. */
typedef bool answerer(int fd, const struct xsd_sockmsg *head);

static char directory[] = "/tmp/lombard-xs.XXXXXX", sock_path[64];
static int listener;
static pthread_t thread;
static answerer *answers;
static unsigned conflicts; /* as many transactions fail */
/* What came: the type and the texts, joined by blanks. */
static char seen[MAX_SEEN][TEXT_LEN];
static unsigned nseen;

static bool say(int fd, const struct xsd_sockmsg *head, uint32_t type, const char *text, size_t len)
{
	struct xsd_sockmsg h = {
	    .type = type, .req_id = head->req_id, .tx_id = head->tx_id, .len = (uint32_t)len};

	return write(fd, &h, sizeof(h)) == sizeof(h) && write(fd, text, len) == (ssize_t)len;
}

static bool kind(int fd, const struct xsd_sockmsg *head)
{
	if (head->type == XS_TRANSACTION_START)
		return say(fd, head, head->type, "77", 3);
	if (head->type == XS_TRANSACTION_END && conflicts > 0) {
		conflicts--;
		return say(fd, head, XS_ERROR, "EAGAIN", 7);
	}
	return say(fd, head, head->type, "OK", 3);
}

static bool read_all(int fd, char *p, size_t len)
{
	ssize_t n = 1;

	for (; len > 0 && n > 0; p += n, len -= (size_t)n)
		n = read(fd, p, len);
	return n > 0;
}

static void note(const struct xsd_sockmsg *head, char *body)
{
	for (uint32_t i = 0; i + 1 < head->len; i++)
		if (body[i] == '\0')
			body[i] = ' ';
	body[head->len] = '\0';
	snprintf(seen[nseen++ % MAX_SEEN], TEXT_LEN, "%u %.140s", head->type, body);
}

static void *serve(void *arg)
{
	struct xsd_sockmsg head;
	char body[XENSTORE_PAYLOAD_MAX + 1];
	int fd;

	(void)arg;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (read_all(fd, (char *)&head, sizeof(head)) && read_all(fd, body, head.len)) {
			note(&head, body);
			if (!answers(fd, &head))
				break;
		}
		close(fd);
	}
	return NULL;
}

static struct xs_client *xs;

static void begin(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	cr_assert_not_null(mkdtemp(directory));
	snprintf(sock_path, sizeof(sock_path), "%s/socket", directory);
	strcpy(sun.sun_path, sock_path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(listener, 4), 0);
	answers = kind;
	cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	cr_assert_eq(xs_open(directory, &xs), 0);
}

static void end(void)
{
	xs_close(xs);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	unlink(sock_path);
	rmdir(directory);
}

TestSuite(xs_client, .init = begin, .fini = end);

static const struct xs_guest guest = {.xg_domid = 7,
    .xg_name = "seven",
    .xg_uuid = {0x12, 0x34},
    .xg_ram_pages = 2048,
    .xg_vcpus = 2,
    .xg_store_gfn = 0xfeffc,
    .xg_store_port = 1,
    .xg_console_gfn = 0xfefff,
    .xg_console_port = 2};

static bool was_seen(const char *what)
{
	for (unsigned i = 0; i < nseen && i < MAX_SEEN; i++)
		if (strncmp(seen[i], what, strlen(what)) == 0)
			return true;
	return false;
}

static unsigned times(uint32_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nseen && i < MAX_SEEN; i++)
		n += strtoul(seen[i], NULL, 10) == type;
	return n;
}

Test(xs_client, guest_is_entered_and_introduced)
{
	char text[TEXT_LEN];

	cr_assert_eq(xs_enter_guest(xs, &guest), 0);
	snprintf(text, sizeof(text), "%u /local/domain/7/name seven", XS_WRITE);
	cr_assert(was_seen(text));
	snprintf(text, sizeof(text), "%u /local/domain/7/memory/target 8192", XS_WRITE);
	cr_assert(was_seen(text));
	snprintf(text, sizeof(text), "%u /local/domain/7/cpu/1/availability online", XS_WRITE);
	cr_assert(was_seen(text));
	snprintf(text, sizeof(text), "%u /local/domain/7 n0 r7", XS_SET_PERMS);
	cr_assert(was_seen(text));
	snprintf(text, sizeof(text), "%u /local/domain/7/data n7", XS_SET_PERMS);
	cr_assert(was_seen(text));
	snprintf(
	    text, sizeof(text), "%u /vm/12340000-0000-0000-0000-000000000000 n0 r7", XS_SET_PERMS);
	cr_assert(was_seen(text));
	/* Last of all. */
	snprintf(text, sizeof(text), "%u 7 %u 1", XS_INTRODUCE, 0xfeffcu);
	cr_assert_str_eq(seen[nseen - 1], text);
	cr_assert_eq(times(XS_TRANSACTION_START), 1);
}

Test(xs_client, conflict_is_tried_again_for_a_while)
{
	conflicts = 2;
	cr_assert_eq(xs_enter_host(xs), 0);
	cr_assert_eq(times(XS_TRANSACTION_START), 3);
	conflicts = 1000;
	cr_assert_eq(xs_enter_host(xs), -EBUSY);
	cr_assert(!xs_lost(xs));
}

static bool refuse_writes(int fd, const struct xsd_sockmsg *head)
{
	return head->type == XS_WRITE ? say(fd, head, XS_ERROR, "ENOSPC", 7) : kind(fd, head);
}

Test(xs_client, refused_write_ends_the_transaction)
{
	char text[TEXT_LEN];

	answers = refuse_writes;
	cr_assert_eq(xs_enter_guest(xs, &guest), -ENOSPC);
	cr_assert(!xs_lost(xs));
	cr_assert_eq(times(XS_WRITE), 1, "the rest is not tried");
	snprintf(text, sizeof(text), "%u F", XS_TRANSACTION_END);
	cr_assert(was_seen(text));
	cr_assert_eq(times(XS_INTRODUCE), 0);
}

static bool refuse_introduction(int fd, const struct xsd_sockmsg *head)
{
	return head->type == XS_INTRODUCE ? say(fd, head, XS_ERROR, "EINVAL", 7) : kind(fd, head);
}

Test(xs_client, refused_introduction_leaves_no_nodes)
{
	answers = refuse_introduction;
	cr_assert_eq(xs_enter_guest(xs, &guest), -EINVAL);
	cr_assert_eq(times(XS_RM), 4);
}

static bool nothing_there(int fd, const struct xsd_sockmsg *head)
{
	return say(fd, head, XS_ERROR, "ENOENT", 7);
}

Test(xs_client, remove_what_is_gone_already)
{
	answers = nothing_there;
	cr_assert_eq(xs_remove_guest(xs, &guest), 0);
	cr_assert_eq(times(XS_RM), 4);
}

/* ---- answers that can't be ---- */

static bool hang_up(int fd, const struct xsd_sockmsg *head)
{
	(void)fd, (void)head;
	return false;
}

static bool half(int fd, const struct xsd_sockmsg *head)
{
	return write(fd, head, sizeof(*head) / 2) < 0;
}

static bool another_id(int fd, const struct xsd_sockmsg *head)
{
	struct xsd_sockmsg h = *head;

	h.req_id++;
	return say(fd, &h, head->type, "77", 3);
}

static bool another_type(int fd, const struct xsd_sockmsg *head)
{
	return say(fd, head, XS_MKDIR, "77", 3);
}

static bool far_too_long(int fd, const struct xsd_sockmsg *head)
{
	struct xsd_sockmsg h = {.type = head->type, .req_id = head->req_id, .len = UINT32_MAX};

	return write(fd, &h, sizeof(h)) == sizeof(h);
}

static bool no_number(int fd, const struct xsd_sockmsg *head)
{
	return say(fd, head, head->type, "0", 2);
}

static bool unknown_error(int fd, const struct xsd_sockmsg *head)
{
	return say(fd, head, XS_ERROR, "ESOMETHING", 11);
}

Test(xs_client, nonsense_ends_the_connection)
{
	static const struct {
		answerer *answers;
		int error;
		bool lost;
	} rows[] = {{hang_up, -EPIPE, true}, {half, -EPIPE, true}, {another_id, -EPROTO, true},
	    {another_type, -EPROTO, true}, {far_too_long, -EPROTO, true},
	    {no_number, -EPROTO, true}, {unknown_error, -EINVAL, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		answers = rows[i].answers;
		cr_assert_eq(xs_enter_host(xs), rows[i].error, "row %zu", i);
		cr_assert_eq(xs_lost(xs), rows[i].lost, "row %zu", i);
		xs_close(xs);
		cr_assert_eq(xs_open(directory, &xs), 0);
	}
}

Test(xs_client, open_nobody_there)
{
	struct xs_client *none;

	cr_assert_eq(xs_open("/tmp/lombard-no-such-directory", &none), -ENOENT);
	shutdown(listener, SHUT_RDWR);
	cr_assert_eq(xs_open(directory, &none), -ECONNREFUSED);
}
