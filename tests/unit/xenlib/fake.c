/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <bsd/sys/queue.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sock.h"
#include "proto/xenwire.h"

#define MAX_BUFFERS 64u
#define PAGE XENWIRE_PAGE

struct client {
	LIST_ENTRY(client) all;
	int fd, stream;
	char kind[16];
	struct {
		uint64_t address, npages;
		int fd; /* -1: unused */
	} buffers[MAX_BUFFERS];
};

struct request {
	struct xenwire_request head;
	union {
		uint64_t gfns[XENWIRE_MAX_ELEMENTS];
		struct xenwire_ref refs[XENWIRE_MAX_ELEMENTS];
	} u;
	int fd;
};

struct reply {
	struct xenwire_reply head;
	union {
		uint32_t refs[XENWIRE_MAX_ELEMENTS];
		struct xenwire_page pages[XENWIRE_MAX_ELEMENTS];
	} u;
	size_t element;
	int fd;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
	LIST_HEAD(, client) clients;
	unsigned connections, connections_ever, waiting, maps, maps_ever, at_once;
	uint32_t next_port, notify_offset, notify_port;
	uint64_t next_id;
	bool go_on;
	enum fake_mood mood;
	int listener, pages_fd;
	uint64_t *pages;
	pthread_t thread;
	char dir[64], path[96];
} fake;

/* ---- hypercalls ---- */

static int buffer_at(const struct client *c, uint64_t address, off_t *offset)
{
	for (unsigned i = 0; i < MAX_BUFFERS; i++) {
		*offset = (off_t)(address - c->buffers[i].address);
		if (c->buffers[i].fd >= 0 && address >= c->buffers[i].address &&
		    address + 8 <= c->buffers[i].address + c->buffers[i].npages * PAGE)
			return c->buffers[i].fd;
	}
	return -1;
}

static int64_t count_buffers(const struct client *c)
{
	int64_t n = 0;

	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		n += c->buffers[i].fd >= 0;
	return n;
}

static int64_t wait_for_go(void)
{
	pthread_mutex_lock(&mutex);
	fake.waiting++;
	while (!fake.go_on)
		pthread_cond_wait(&changed, &mutex);
	fake.waiting--;
	pthread_mutex_unlock(&mutex);
	return 0;
}

static int64_t do_call(const struct client *c, const uint64_t *arg, uint64_t nr)
{
	uint64_t word = arg[1];
	off_t offset;
	int fd = buffer_at(c, arg[0], &offset);

	switch (nr) {
	case FAKE_CALL_SUM:
		return (int64_t)(arg[0] + arg[1] + arg[2] + arg[3] + arg[4]);
	case FAKE_CALL_ERROR:
		return -(int64_t)arg[0];
	case FAKE_CALL_WRITE:
		return pwrite(fd, &word, sizeof(word), offset) == sizeof(word) ? 0 : -EFAULT;
	case FAKE_CALL_READ:
		return pread(fd, &word, sizeof(word), offset) == sizeof(word) ? (int64_t)word
									      : -EFAULT;
	case FAKE_CALL_LARGE:
		return (int64_t)1 << 40;
	case FAKE_CALL_BUFFERS:
		return count_buffers(c);
	case FAKE_CALL_WAIT:
		return wait_for_go();
	default:
		return -ENOSYS;
	}
}

static int64_t add_buffer(struct client *c, struct request *q)
{
	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		if (c->buffers[i].fd < 0) {
			c->buffers[i].address = q->head.u.buffer.address;
			c->buffers[i].npages = q->head.u.buffer.npages;
			c->buffers[i].fd = q->fd;
			q->fd = -1;
			return c->buffers[i].fd >= 0 ? 0 : -EBADF;
		}
	return -ENOSPC;
}

static int64_t drop_buffer(struct client *c, const struct request *q)
{
	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		if (c->buffers[i].fd >= 0 && c->buffers[i].address == q->head.u.buffer.address &&
		    c->buffers[i].npages == q->head.u.buffer.npages) {
			close(c->buffers[i].fd);
			c->buffers[i].fd = -1;
			return 0;
		}
	return -EINVAL;
}

/* ---- maps.  => mutex ---- */

static int64_t new_id(uint64_t more)
{
	if (more != 0)
		return (int64_t)more;
	fake.maps++;
	fake.maps_ever++;
	return (int64_t)fake.next_id++;
}

static struct xenwire_page page_of(uint64_t n)
{
	struct xenwire_page p = {.index = n};

	if (n == FAKE_ZERO)
		p.fd = XENWIRE_ZERO;
	else if (n == FAKE_PAGED)
		p.error = -ENOENT;
	else if (n >= FAKE_PAGES)
		p.error = -EINVAL;
	else if (fake.mood == FAKE_WRONG_FD)
		p.fd = 7;
	return p;
}

static void give_pages(struct reply *r, uint32_t n)
{
	r->element = sizeof(r->u.pages[0]);
	r->head.n = fake.at_once != 0 && fake.at_once < n ? fake.at_once : n;
	r->fd = fake.pages_fd;
}

static void do_map(const struct request *q, struct reply *r)
{
	r->head.value = -ESRCH;
	if (q->head.u.map.domid != FAKE_DOMID)
		return;
	for (uint32_t i = 0; i < q->head.n; i++)
		r->u.pages[i] = page_of(q->u.gfns[i]);
	give_pages(r, q->head.n);
	r->head.value = new_id(q->head.u.map.more);
}

static void do_resource(const struct request *q, struct reply *r)
{
	r->head.value = -ESRCH;
	if (q->head.u.resource.domid != FAKE_DOMID)
		return;
	for (uint32_t i = 0; i < q->head.u.resource.nframes; i++)
		r->u.pages[i] = page_of(q->head.u.resource.frame + i);
	give_pages(r, (uint32_t)q->head.u.resource.nframes);
	r->head.value = new_id(0);
}

static void do_grants(const struct request *q, struct reply *r)
{
	for (uint32_t i = 0; i < q->head.n; i++) {
		r->u.pages[i] = page_of(q->u.refs[i].ref);
		r->head.value = q->u.refs[i].domid != FAKE_DOMID ? -ESRCH : r->u.pages[i].error;
		if (r->head.value != 0)
			return;
	}
	if (q->head.u.grant.more == 0) {
		fake.notify_offset = q->head.u.grant.notify_offset;
		fake.notify_port = q->head.u.grant.notify_port;
	}
	give_pages(r, q->head.n);
	r->head.value = new_id(q->head.u.grant.more);
}

static void do_share(const struct request *q, struct reply *r)
{
	uint32_t n = q->head.u.share.npages;

	fake.notify_offset = q->head.u.share.notify_offset;
	fake.notify_port = q->head.u.share.notify_port;
	for (uint32_t i = 0; i < n; i++)
		r->u.refs[i] = 8 + i;
	r->element = sizeof(r->u.refs[0]);
	r->head.n = n;
	r->fd = fake.pages_fd;
	r->head.value = new_id(0);
}

static int64_t do_unmap(const struct request *q)
{
	if (q->head.u.id == 0 || q->head.u.id >= fake.next_id || fake.maps == 0)
		return -EINVAL;
	fake.maps--;
	return 0;
}

static int64_t do_notify(const struct client *c, uint32_t port)
{
	if (port >= fake.next_port)
		return -EINVAL;
	return write(c->stream, &port, sizeof(port)) == sizeof(port) ? 0 : -EPIPE;
}

/* ---- connections ---- */

static void act(struct client *c, struct request *q, struct reply *r)
{
	switch (q->head.op) {
	case XENWIRE_BUFFER:
		r->head.value = add_buffer(c, q);
		break;
	case XENWIRE_UNBUFFER:
		r->head.value = drop_buffer(c, q);
		break;
	case XENWIRE_FOREIGN_MAP:
		do_map(q, r);
		break;
	case XENWIRE_RESOURCE_MAP:
		do_resource(q, r);
		break;
	case XENWIRE_RESOURCE_SIZE:
		r->head.value = q->head.u.resource.domid == FAKE_DOMID ? 3 * (int)PAGE : -ESRCH;
		break;
	case XENWIRE_GRANT_MAP:
		do_grants(q, r);
		break;
	case XENWIRE_SHARE:
		do_share(q, r);
		break;
	case XENWIRE_FOREIGN_UNMAP:
	case XENWIRE_GRANT_UNMAP:
	case XENWIRE_UNSHARE:
		r->head.value = do_unmap(q);
		break;
	case XENWIRE_EVENT_ONLY:
		r->head.value = q->head.u.id == FAKE_DOMID ? 0 : -ESRCH;
		break;
	case XENWIRE_EVENT_UNBOUND:
	case XENWIRE_EVENT_INTERDOMAIN:
	case XENWIRE_EVENT_VIRQ:
		r->head.value = fake.next_port++;
		break;
	case XENWIRE_EVENT_NOTIFY:
		r->head.value = do_notify(c, q->head.u.event.port);
		break;
	case XENWIRE_EVENT_UNBIND:
		r->head.value = q->head.u.event.port < fake.next_port ? 0 : -EINVAL;
		break;
	}
}

static void answer(struct client *c, struct request *q, struct reply *r)
{
	pthread_mutex_lock(&mutex);
	if (fake.mood == FAKE_FAILS)
		r->head.value = -ENOSPC;
	else
		act(c, q, r);
	pthread_mutex_unlock(&mutex);
}

/* False: hang up. */
static bool send_reply(const struct client *c, const struct reply *r)
{
	size_t len = sizeof(r->head) + r->head.n * r->element;

	if (fake.mood == FAKE_SILENT)
		return false;
	if (fake.mood == FAKE_SHORT)
		len = sizeof(r->head) / 2;
	if (fake.mood == FAKE_MANY)
		((struct reply *)r)->head.n += 5;
	return sock_send(c->fd, r, len, &r->fd, r->fd >= 0) == 0;
}

static bool serve_request(struct client *c, struct request *q, struct reply *r)
{
	unsigned nfds = 0;
	size_t len;
	bool good;

	q->fd = -1;
	if (sock_recv(c->fd, q, offsetof(struct request, fd), &len, &q->fd, 1, &nfds) != 0)
		return false;
	*r = (struct reply){.head.value = -ENOSYS, .fd = -1};
	if (q->head.op == XENWIRE_CALL)
		r->head.value = do_call(c, q->head.u.call.arg, q->head.u.call.nr);
	else
		answer(c, q, r);
	good = send_reply(c, r);
	if (q->fd >= 0)
		close(q->fd);
	return good;
}

/* The operation xen.  False: there is no handle. */
static bool introduce(struct client *c)
{
	static const char refusal[] = "{\"ok\": false, \"errno\": 13, \"error\": \"no\"}";
	const char *text = fake.mood == FAKE_REFUSES   ? refusal
			   : fake.mood == FAKE_BABBLES ? "hello"
						       : "{\"ok\": true}";
	char asked[256] = "";
	size_t len;
	int pair[2] = {-1, -1};

	if (sock_recv(c->fd, asked, sizeof(asked) - 1, &len, NULL, 0, NULL) != 0 ||
	    sscanf(asked, "{\"op\":\"xen\",\"kind\":\"%15[a-z]\"}", c->kind) != 1)
		return false;
	if (strcmp(c->kind, "evtchn") == 0 && fake.mood != FAKE_NO_STREAM)
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	c->stream = pair[0];
	(void)sock_send(c->fd, text, strlen(text), &pair[1], pair[1] >= 0);
	if (pair[1] >= 0)
		close(pair[1]);
	return text[0] == '{' && text != refusal;
}

static void end_client(struct client *c)
{
	pthread_mutex_lock(&mutex);
	LIST_REMOVE(c, all);
	fake.connections--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		if (c->buffers[i].fd >= 0)
			close(c->buffers[i].fd);
	if (c->stream >= 0)
		close(c->stream);
	close(c->fd);
	free(c);
}

static void *client_main(void *arg)
{
	struct request *q = malloc(sizeof(*q));
	struct reply *r = malloc(sizeof(*r));
	struct client *c = arg;

	if (introduce(c))
		while (serve_request(c, q, r))
			continue;
	free(q);
	free(r);
	end_client(c);
	return NULL;
}

static void new_client(int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	pthread_t thread;

	c->fd = fd;
	c->stream = -1;
	for (unsigned i = 0; i < MAX_BUFFERS; i++)
		c->buffers[i].fd = -1;
	pthread_mutex_lock(&mutex);
	LIST_INSERT_HEAD(&fake.clients, c, all);
	fake.connections++;
	fake.connections_ever++;
	pthread_mutex_unlock(&mutex);
	pthread_create(&thread, NULL, client_main, c);
	pthread_detach(thread);
}

static void *listener_main(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		new_client(fd);
	return NULL;
}

/* ---- what tests say ---- */

static void make_pages(void)
{
	fake.pages_fd = memfd_create("pages", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fake.pages_fd, FAKE_PAGES * PAGE), 0);
	fake.pages = mmap(
	    NULL, FAKE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fake.pages_fd, 0);
	cr_assert(fake.pages != MAP_FAILED);
	for (unsigned i = 0; i < FAKE_PAGES; i++)
		*fake_page(i) = i;
}

void fake_start(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	LIST_INIT(&fake.clients);
	fake.next_id = 1;
	fake.next_port = 2;
	snprintf(fake.dir, sizeof(fake.dir), "/tmp/lombard-xenlib.XXXXXX");
	cr_assert(mkdtemp(fake.dir) != NULL);
	snprintf(fake.path, sizeof(fake.path), "%s/cell.sock", fake.dir);
	memcpy(addr.sun_path, fake.path, strlen(fake.path) + 1);
	make_pages();
	fake.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fake.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	cr_assert_eq(listen(fake.listener, 64), 0);
	setenv("LOMBARD_SOCKET", fake.path, 1);
	cr_assert_eq(pthread_create(&fake.thread, NULL, listener_main, NULL), 0);
}

void fake_stop(void)
{
	shutdown(fake.listener, SHUT_RDWR);
	pthread_join(fake.thread, NULL);
	close(fake.listener);
	fake_go_on();
	fake_hang_up();
	unlink(fake.path);
	rmdir(fake.dir);
	munmap(fake.pages, FAKE_PAGES * PAGE);
	close(fake.pages_fd);
}

void fake_mood(enum fake_mood mood)
{
	pthread_mutex_lock(&mutex);
	fake.mood = mood;
	pthread_mutex_unlock(&mutex);
}

void fake_pages_at_once(unsigned n)
{
	pthread_mutex_lock(&mutex);
	fake.at_once = n;
	pthread_mutex_unlock(&mutex);
}

void fake_hang_up(void)
{
	struct client *c;

	pthread_mutex_lock(&mutex);
	LIST_FOREACH (c, &fake.clients, all)
		shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&mutex);
	cr_assert(fake_has_connections(0));
}

void fake_go_on(void)
{
	pthread_mutex_lock(&mutex);
	fake.go_on = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

int fake_has_connections(unsigned n)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&mutex);
	while (fake.connections != n && error == 0)
		error = pthread_cond_timedwait(&changed, &mutex, &until);
	pthread_mutex_unlock(&mutex);
	return error == 0;
}

static unsigned look(const unsigned *what)
{
	unsigned n;

	pthread_mutex_lock(&mutex);
	n = *what;
	pthread_mutex_unlock(&mutex);
	return n;
}

unsigned fake_connections(void)
{
	return look(&fake.connections);
}

unsigned fake_connections_ever(void)
{
	return look(&fake.connections_ever);
}

unsigned fake_waiting(void)
{
	return look(&fake.waiting);
}

unsigned fake_maps(void)
{
	return look(&fake.maps);
}

unsigned fake_maps_ever(void)
{
	return look(&fake.maps_ever);
}

uint32_t fake_notify_offset(void)
{
	return look(&fake.notify_offset);
}

uint32_t fake_notify_port(void)
{
	return look(&fake.notify_port);
}

uint32_t fake_number(void)
{
	uint32_t number = 0;
	int stream;

	pthread_mutex_lock(&mutex);
	cr_assert(!LIST_EMPTY(&fake.clients));
	stream = LIST_FIRST(&fake.clients)->stream;
	pthread_mutex_unlock(&mutex);
	cr_assert_eq(read(stream, &number, sizeof(number)), sizeof(number));
	return number;
}

uint64_t *fake_page(unsigned n)
{
	return fake.pages + n * (PAGE / sizeof(uint64_t));
}
