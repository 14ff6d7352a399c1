/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams between domains, as libxenvchan has them (Xen public/io/libxenvchan.h): a page with two
 * rings, granted by the server, who writes reference and port into the xenstore.
 *
 * The other side may write anything into the page at any time.  Its index is read once and checked;
 * our own is kept here.
 */
#include "lombard-guest.h"
#include "start.h"

#include <xen/io/libxenvchan.h>

#define SMALL_ORDER 10u /* of a ring at offset 1024 of the page */
#define LARGE_ORDER 11u /* at offset 2048 */
#define CLOSED 0u
#define LIVE 1u
#define NOT_YET 2u
#define TRIES 16u      /* of a transaction that meets others */
#define NUMBER_LEN 12u /* a uint32_t in decimal, with room for a NUL */

static void set_ring(
    struct vchan_ring *r, struct vchan_interface *page, struct ring_shared *shr, unsigned int order)
{
	r->shr = shr;
	r->size = 1u << order;
	r->data = (char *)page + r->size;
	r->at = 0;
}

/* Both rings in the page, one of each size.  The server's order of things: it reads the left one. */
static int set_rings(struct vchan *v, uint16_t left, uint16_t right)
{
	struct vchan_interface *page = v->page;

	if (left + right != SMALL_ORDER + LARGE_ORDER ||
	    (left != SMALL_ORDER && left != LARGE_ORDER))
		return -XEN_EOPNOTSUPP;
	set_ring(v->server ? &v->in : &v->out, page, &page->left, left);
	set_ring(v->server ? &v->out : &v->in, page, &page->right, right);
	return 0;
}

/* ---- data ---- */

/* Wanted by the other side: to be told when we have done this. */
static void tell_if_wanted(struct vchan *v, uint8_t what)
{
	struct vchan_interface *page = v->page;
	uint8_t *wanted = v->server ? &page->srv_notify : &page->cli_notify;

	if (__atomic_fetch_and(wanted, (uint8_t)~what, __ATOMIC_SEQ_CST) & what)
		event_send(v->port);
}

static void want(struct vchan *v, uint8_t what)
{
	struct vchan_interface *page = v->page;

	__atomic_fetch_or(
	    v->server ? &page->cli_notify : &page->srv_notify, what, __ATOMIC_SEQ_CST);
}

/* Bytes to be read, or room to write; more than there can be: none, and the stream is broken. */
static uint32_t available(struct vchan *v, bool out)
{
	struct vchan_ring *r = out ? &v->out : &v->in;
	uint32_t n = out ? r->at - __atomic_load_n(&r->shr->cons, __ATOMIC_ACQUIRE)
			 : __atomic_load_n(&r->shr->prod, __ATOMIC_ACQUIRE) - r->at;

	if (n > r->size) {
		v->broken = true;
		return 0;
	}
	return out ? r->size - n : n;
}

/* As much as there is, up to len; when that is not all, we want to be told of more. */
static uint32_t some(struct vchan *v, bool out, size_t len)
{
	uint32_t n = available(v, out);

	if (n < len) {
		want(v, out ? VCHAN_NOTIFY_READ : VCHAN_NOTIFY_WRITE);
		n = available(v, out);
	}
	return n < len ? n : (uint32_t)len;
}

/* The part of n bytes before the ring's end. */
static uint32_t straight(const struct vchan_ring *r, uint32_t n)
{
	uint32_t left = r->size - r->at % r->size;

	return n < left ? n : left;
}

size_t vchan_read(struct vchan *v, void *buf, size_t room)
{
	struct vchan_ring *r = &v->in;
	uint32_t n = some(v, false, room), first = straight(r, n);

	if (n == 0)
		return 0;
	memcpy(buf, r->data + r->at % r->size, first);
	memcpy((char *)buf + first, r->data, n - first);
	r->at += n;
	__atomic_store_n(&r->shr->cons, r->at, __ATOMIC_SEQ_CST);
	tell_if_wanted(v, VCHAN_NOTIFY_READ);
	return n;
}

size_t vchan_write(struct vchan *v, const void *buf, size_t len)
{
	struct vchan_ring *r = &v->out;
	uint32_t n = some(v, true, len), first = straight(r, n);

	if (n == 0)
		return 0;
	memcpy(r->data + r->at % r->size, buf, first);
	memcpy(r->data, (const char *)buf + first, n - first);
	r->at += n;
	__atomic_store_n(&r->shr->prod, r->at, __ATOMIC_SEQ_CST);
	tell_if_wanted(v, VCHAN_NOTIFY_WRITE);
	return n;
}

enum vchan_state vchan_state(const struct vchan *v)
{
	const struct vchan_interface *page = v->page;
	uint8_t live = __atomic_load_n(
	    v->server ? &page->cli_live : &page->srv_live, __ATOMIC_ACQUIRE);

	if (v->broken)
		return VCHAN_BROKEN;
	return live == LIVE ? VCHAN_OPEN : live == CLOSED ? VCHAN_CLOSED : VCHAN_WAITING;
}

int vchan_wait(struct vchan *v, uint64_t deadline)
{
	return event_wait(&v->port, 1, deadline, NULL);
}

/* ---- how it is made ---- */

/* PATH/NAME with a number. */
static int join(char *to, const char *path, const char *name)
{
	size_t path_len = strlen(path), name_len = strlen(name);

	if (path_len + 1 + name_len + 1 > VCHAN_PATH)
		return -XEN_EINVAL;
	memcpy(to, path, path_len);
	to[path_len] = '/';
	memcpy(to + path_len + 1, name, name_len + 1);
	return 0;
}

static int publish_number(uint32_t tx, const char *path, const char *name, uint32_t value,
    const struct xenstore_perm perms[2])
{
	char full[VCHAN_PATH], text[NUMBER_LEN];
	int err = join(full, path, name);

	if (err == 0)
		err = xenstore_write(tx, full, text, number_text(text, value));
	if (err == 0)
		err = xenstore_set_perms(tx, full, perms, 2);
	return err;
}

static int publish_in(
    uint32_t tx, const struct vchan *v, const char *path, const struct xenstore_perm perms[2])
{
	int err = publish_number(tx, path, "ring-ref", v->ref, perms);

	if (err == 0)
		err = publish_number(tx, path, "event-channel", v->port, perms);
	if (err != 0) {
		(void)xenstore_end(tx, false);
		return err;
	}
	return xenstore_end(tx, true);
}

/* Both numbers at once, for the client only. */
static int publish(const struct vchan *v, uint16_t client, const char *path)
{
	struct xenstore_perm perms[2] = {{'n', 0}, {'r', client}};
	struct loan_info self;
	uint32_t tx;
	int err = loan_info(&self);

	if (err != 0)
		return err;
	perms[0].domid = self.domid;
	for (unsigned int i = 0; i < TRIES; i++) {
		err = xenstore_begin(&tx);
		if (err == 0)
			err = publish_in(tx, v, path, perms);
		if (err != -XEN_EAGAIN)
			break;
	}
	return err;
}

static void unserve(struct vchan *v)
{
	if (v->port != 0)
		(void)event_close(v->port);
	/* Who still has the page mapped keeps it: then it is lost to us. */
	if (v->page != NULL && (v->ref == 0 || grant_revoke(v->ref) == 0))
		page_free(v->page, 1);
	v->page = NULL;
}

int vchan_serve(struct vchan *v, uint16_t client, const char *path)
{
	struct vchan_interface *page = page_alloc(1);
	int err;

	*v = (struct vchan){.server = true, .page = page};
	if (page == NULL)
		return -XEN_ENOMEM;
	page->left_order = SMALL_ORDER;
	page->right_order = LARGE_ORDER;
	page->cli_live = NOT_YET;
	page->srv_live = LIVE;
	page->cli_notify = page->srv_notify = VCHAN_NOTIFY_WRITE;
	err = set_rings(v, SMALL_ORDER, LARGE_ORDER);
	if (err == 0)
		err = event_alloc(client, &v->port);
	if (err == 0)
		err = grant_page(page, client, true, &v->ref);
	if (err == 0)
		err = publish(v, client, path);
	if (err != 0)
		unserve(v);
	return err;
}

static int read_number(const char *path, const char *name, uint32_t *value)
{
	char full[VCHAN_PATH], text[NUMBER_LEN], *end;
	unsigned long long number;
	int err = join(full, path, name);

	if (err == 0)
		err = xenstore_read(0, full, text, sizeof(text), NULL);
	if (err != 0)
		return err;
	number = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || number == 0 || number > UINT32_MAX)
		return -XEN_EINVAL;
	*value = (uint32_t)number;
	return 0;
}

int vchan_connect(struct vchan *v, uint16_t server, const char *path)
{
	struct vchan_interface *page;
	uint32_t remote_port;
	int err;

	*v = (struct vchan){.server = false};
	err = read_number(path, "ring-ref", &v->ref);
	if (err == 0)
		err = read_number(path, "event-channel", &remote_port);
	if (err == 0)
		err = grant_map(server, v->ref, true, &v->page);
	if (err != 0)
		return err;
	page = v->page;
	err = set_rings(v, page->left_order, page->right_order);
	if (err == 0)
		err = event_bind(server, remote_port, &v->port);
	if (err != 0) {
		(void)grant_unmap(v->page);
		return err;
	}
	/* Another client may have been here before us. */
	v->in.at = __atomic_load_n(&v->in.shr->cons, __ATOMIC_ACQUIRE);
	v->out.at = __atomic_load_n(&v->out.shr->prod, __ATOMIC_ACQUIRE);
	__atomic_store_n(&page->cli_live, LIVE, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&page->srv_notify, VCHAN_NOTIFY_WRITE, __ATOMIC_SEQ_CST);
	return event_send(v->port);
}

void vchan_close(struct vchan *v)
{
	struct vchan_interface *page = v->page;

	__atomic_store_n(v->server ? &page->srv_live : &page->cli_live, CLOSED, __ATOMIC_SEQ_CST);
	(void)event_send(v->port);
	if (v->server) {
		unserve(v);
		return;
	}
	(void)event_close(v->port);
	(void)grant_unmap(v->page);
}
