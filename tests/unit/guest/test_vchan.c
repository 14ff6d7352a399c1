/* SPDX-License-Identifier: BSD-2-Clause */
/* links: guest/lib/vchan.c */
/*
 * The small guests' streams, both ends in one page, without a hypervisor: what vchan.c calls is
 * made up here.
 */
#include "lombard-guest.h"
#include "start.h"

#include <xen/io/libxenvchan.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_PORT 3u
#define CLIENT_PORT 4u

static _Alignas(4096) char page[4096];
static unsigned sent[8]; /* events, by port */
static unsigned freed, mapped, ports;
static char ref_text[16], port_text[16];
static int conflicts; /* as many transactions fail */
static struct vchan server, client;

void *page_alloc(size_t pages)
{
	cr_assert_eq(pages, 1);
	memset(page, 0, sizeof(page));
	return page;
}

void page_free(void *start, size_t pages)
{
	cr_assert_eq(start, page);
	cr_assert_eq(pages, 1);
	freed++;
}

int event_alloc(uint16_t remote, uint32_t *port)
{
	cr_assert_eq(remote, 9);
	*port = SERVER_PORT;
	ports++;
	return 0;
}

int event_bind(uint16_t remote, uint32_t remote_port, uint32_t *port)
{
	cr_assert_eq(remote, 5);
	cr_assert_eq(remote_port, SERVER_PORT);
	*port = CLIENT_PORT;
	ports++;
	return 0;
}

int event_send(uint32_t port)
{
	sent[port]++;
	return 0;
}

int event_close(uint32_t port)
{
	(void)port;
	ports--;
	return 0;
}

int event_wait(const uint32_t *list, unsigned int nr, uint64_t deadline, uint32_t *which)
{
	(void)list, (void)nr, (void)deadline, (void)which;
	return -XEN_ETIME;
}

int grant_page(const void *what, uint16_t domid, bool writable, uint32_t *ref)
{
	cr_assert_eq(what, page);
	cr_assert_eq(domid, 9);
	cr_assert(writable);
	*ref = 8;
	return 0;
}

int grant_revoke(uint32_t ref)
{
	cr_assert_eq(ref, 8);
	return mapped > 0 ? -XEN_EBUSY : 0;
}

int grant_map(uint16_t domid, uint32_t ref, bool writable, void **at)
{
	cr_assert_eq(domid, 5);
	cr_assert_eq(ref, 8);
	cr_assert(writable);
	mapped++;
	*at = page;
	return 0;
}

int grant_unmap(void *at)
{
	cr_assert_eq(at, page);
	mapped--;
	return 0;
}

int loan_info(struct loan_info *info)
{
	*info = (struct loan_info){.domid = 5};
	return 0;
}

size_t number_text(char *s, uint32_t value)
{
	return (size_t)snprintf(s, 12, "%u", value);
}

static char *node(const char *path)
{
	if (strcmp(path, "/local/domain/5/data/v/ring-ref") == 0 ||
	    strcmp(path, "data/v/ring-ref") == 0)
		return ref_text;
	if (strcmp(path, "/local/domain/5/data/v/event-channel") == 0 ||
	    strcmp(path, "data/v/event-channel") == 0)
		return port_text;
	return NULL;
}

int xenstore_begin(uint32_t *tx)
{
	*tx = 1;
	return 0;
}

int xenstore_end(uint32_t tx, bool commit)
{
	cr_assert_eq(tx, 1);
	return commit && conflicts > 0 && conflicts-- ? -XEN_EAGAIN : 0;
}

int xenstore_write(uint32_t tx, const char *path, const void *value, size_t len)
{
	cr_assert_eq(tx, 1);
	cr_assert_not_null(node(path));
	memcpy(node(path), value, len);
	node(path)[len] = '\0';
	return 0;
}

int xenstore_set_perms(
    uint32_t tx, const char *path, const struct xenstore_perm *perms, unsigned int nr)
{
	cr_assert_eq(tx, 1);
	cr_assert_not_null(node(path));
	cr_assert_eq(nr, 2);
	cr_assert(perms[0].access == 'n' && perms[0].domid == 5);
	cr_assert(perms[1].access == 'r' && perms[1].domid == 9);
	return 0;
}

int xenstore_read(uint32_t tx, const char *path, char *value, size_t room, size_t *len)
{
	cr_assert_eq(tx, 0);
	cr_assert_null(len);
	if (node(path) == NULL || node(path)[0] == '\0')
		return -XEN_ENOENT;
	if (strlen(node(path)) >= room)
		return -XEN_ENOSPC;
	strcpy(value, node(path));
	return 0;
}

static struct vchan_interface *shared(void)
{
	return (struct vchan_interface *)page;
}

static void open_both(void)
{
	memset(sent, 0, sizeof(sent));
	cr_assert_eq(vchan_serve(&server, 9, "data/v"), 0);
	cr_assert_eq(vchan_state(&server), VCHAN_WAITING);
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), 0);
	cr_assert_eq(sent[CLIENT_PORT], 1, "the server is told of its client");
}

TestSuite(vchan, .init = open_both);

Test(vchan, open_both_ends_see_each_other)
{
	cr_assert_str_eq(ref_text, "8");
	cr_assert_str_eq(port_text, "3");
	cr_assert_eq(vchan_state(&server), VCHAN_OPEN);
	cr_assert_eq(vchan_state(&client), VCHAN_OPEN);
	/* As libxenvchan divides a page. */
	cr_assert_eq(client.out.data - page, 1024);
	cr_assert_eq(client.out.size, 1024);
	cr_assert_eq(server.out.data - page, 2048);
	cr_assert_eq(server.out.size, 2048);
}

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 251);
}

/* Pieces of all sizes through a ring, whose indices overflow on the way. */
static void flow(struct vchan *from, struct vchan *to)
{
	size_t in = 0, out = 0, n;
	char buf[3000];

	from->out.at = to->in.at = UINT32_MAX - 5000;
	from->out.shr->prod = from->out.shr->cons = UINT32_MAX - 5000;
	while (out < 200000) {
		n = (size_t)rand() % sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(in + i);
		in += vchan_write(from, buf, n);
		cr_assert_leq(in - out, from->out.size);
		n = vchan_read(to, buf, (size_t)rand() % sizeof(buf));
		for (size_t i = 0; i < n; i++, out++)
			cr_assert_eq(buf[i], byte_at(out));
	}
	cr_assert_eq(vchan_state(from), VCHAN_OPEN);
}

Test(vchan, bytes_arrive_in_both_directions)
{
	srand(1);
	flow(&server, &client);
	flow(&client, &server);
}

/* Events are sent when somebody waits for one, and only then. */
Test(vchan, events_only_for_who_waits)
{
	char buf[4096] = {0};

	cr_assert_eq(vchan_read(&client, buf, 1), 0);
	cr_assert_eq(vchan_write(&server, buf, 100), 100);
	cr_assert_eq(sent[SERVER_PORT], 1);
	cr_assert_eq(vchan_write(&server, buf, 100), 100);
	cr_assert_eq(sent[SERVER_PORT], 1, "nobody waits");
	cr_assert_eq(vchan_read(&client, buf, 50), 50);
	cr_assert_eq(sent[CLIENT_PORT], 1, "nobody waits for room");
	cr_assert_eq(vchan_write(&server, buf, sizeof(buf)), 2048 - 150);
	cr_assert_eq(vchan_write(&server, buf, 1), 0);
	cr_assert_eq(vchan_read(&client, buf, 50), 50);
	cr_assert_eq(sent[CLIENT_PORT], 2);
}

Test(vchan, odd_index_breaks_the_stream)
{
	char buf[16];

	shared()->right.prod = server.out.at + 2049;
	cr_assert_eq(vchan_read(&client, buf, sizeof(buf)), 0);
	cr_assert_eq(vchan_state(&client), VCHAN_BROKEN);
	shared()->left.cons = client.out.at + 1;
	client.broken = false;
	cr_assert_eq(vchan_write(&client, buf, sizeof(buf)), 0);
	cr_assert_eq(vchan_state(&client), VCHAN_BROKEN);
}

/* Sizes and indices are our own: the page may say what it likes afterwards. */
Test(vchan, page_full_of_nonsense_harms_nobody)
{
	char buf[5000];

	for (unsigned i = 0; i < 2000; i++) {
		srand(i);
		open_both();
		for (size_t j = 0; j < sizeof(struct vchan_interface) + 64; j++)
			page[j] = (char)rand();
		cr_assert_leq(vchan_read(&server, buf, sizeof(buf)), 1024);
		cr_assert_leq(vchan_write(&server, buf, sizeof(buf)), 2048);
		cr_assert_leq(vchan_read(&client, buf, sizeof(buf)), 2048);
		cr_assert_leq(vchan_write(&client, buf, sizeof(buf)), 1024);
	}
}

Test(vchan, close_is_seen_and_what_was_written_is_read)
{
	char buf[16];

	cr_assert_eq(vchan_write(&client, "last words", 10), 10);
	vchan_close(&client);
	cr_assert_eq(mapped, 0);
	cr_assert_eq(sent[CLIENT_PORT], 3, "of its coming, of the bytes, of its end");
	cr_assert_eq(vchan_state(&server), VCHAN_CLOSED);
	cr_assert_eq(vchan_read(&server, buf, sizeof(buf)), 10);
	vchan_close(&server);
	cr_assert_eq(freed, 1);
	cr_assert_eq(ports, 0);
}

/* A page that is mapped stays allocated: it would be the client's to write to. */
Test(vchan, close_page_in_use_is_not_freed)
{
	vchan_close(&server);
	cr_assert_eq(freed, 0);
	cr_assert_eq(vchan_state(&client), VCHAN_CLOSED);
}

Test(vchan, serve_transaction_is_tried_again)
{
	conflicts = 3;
	cr_assert_eq(vchan_serve(&server, 9, "data/v"), 0);
	conflicts = 1000;
	cr_assert_eq(vchan_serve(&server, 9, "data/v"), -XEN_EAGAIN);
}

Test(vchan, connect_bad_servers_are_refused)
{
	unsigned before = ports;
	char longer[200];

	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/none"), -XEN_ENOENT);
	strcpy(ref_text, "0");
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), -XEN_EINVAL);
	strcpy(ref_text, "8x");
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), -XEN_EINVAL);
	strcpy(ref_text, "99999999999");
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), -XEN_EINVAL);
	strcpy(ref_text, "8");
	shared()->left_order = 12;
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), -XEN_EOPNOTSUPP);
	shared()->left_order = shared()->right_order = 11;
	cr_assert_eq(vchan_connect(&client, 5, "/local/domain/5/data/v"), -XEN_EOPNOTSUPP);
	cr_assert_eq(ports, before);
	cr_assert_eq(mapped, 1, "only the one of the beginning");
	memset(longer, 'p', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_eq(vchan_connect(&client, 5, longer), -XEN_EINVAL);
}
