/* SPDX-License-Identifier: BSD-2-Clause */
#include "xsclient.h"

#include "lombard-guest.h"

#define HEAD ((uint32_t)sizeof(struct xsd_sockmsg))

static int broken(struct xsclient *c)
{
	c->xc_broken = true;
	return -XEN_EIO;
}

/* ---- bytes ---- */

/* Bytes between two indices; false when there can't be so many. */
static bool distance(uint32_t from, uint32_t to, uint32_t *n)
{
	*n = to - from;
	return *n <= XENSTORE_RING_SIZE;
}

/* As many bytes as fit now. */
static int write_some(struct xsclient *c, const char *p, size_t len, size_t *done)
{
	uint32_t used, at = MASK_XENSTORE_IDX(c->xc_req_prod), n;

	if (!distance(
		__atomic_load_n(&c->xc_ring->req_cons, __ATOMIC_ACQUIRE), c->xc_req_prod, &used))
		return broken(c);
	n = XENSTORE_RING_SIZE - used;
	if (n > XENSTORE_RING_SIZE - at)
		n = XENSTORE_RING_SIZE - at;
	if (n > len)
		n = (uint32_t)len;
	memcpy(c->xc_ring->req + at, p, n);
	c->xc_req_prod += n;
	__atomic_store_n(&c->xc_ring->req_prod, c->xc_req_prod, __ATOMIC_SEQ_CST);
	*done = n;
	return 0;
}

static int write_all(struct xsclient *c, const char *p, size_t len, uint64_t deadline)
{
	size_t n;
	int err;

	while (len > 0) {
		err = write_some(c, p, len, &n);
		if (err == 0 && n == 0) {
			c->xc_ops->kick(c->xc_arg);
			err = c->xc_ops->wait(c->xc_arg, deadline);
		}
		if (err != 0)
			return err;
		p += n;
		len -= n;
	}
	return 0;
}

/* As many bytes as are there, up to len. */
static int read_some(struct xsclient *c, char *p, size_t len, size_t *done)
{
	uint32_t used, at = MASK_XENSTORE_IDX(c->xc_rsp_cons), n;

	if (!distance(
		c->xc_rsp_cons, __atomic_load_n(&c->xc_ring->rsp_prod, __ATOMIC_ACQUIRE), &used))
		return broken(c);
	n = used;
	if (n > XENSTORE_RING_SIZE - at)
		n = XENSTORE_RING_SIZE - at;
	if (n > len)
		n = (uint32_t)len;
	memcpy(p, c->xc_ring->rsp + at, n);
	c->xc_rsp_cons += n;
	__atomic_store_n(&c->xc_ring->rsp_cons, c->xc_rsp_cons, __ATOMIC_SEQ_CST);
	/* It may wait for room. */
	if (used == XENSTORE_RING_SIZE)
		c->xc_ops->kick(c->xc_arg);
	*done = n;
	return 0;
}

/* ---- packets ---- */

/* Take in what there is of the next packet.  *whole: all of it is here. */
static int receive_some(struct xsclient *c, bool *whole)
{
	size_t n;
	int err = 0;

	do {
		if (c->xc_got < HEAD)
			err = read_some(c, (char *)&c->xc_head + c->xc_got, HEAD - c->xc_got, &n);
		else
			err = read_some(c, c->xc_body + (c->xc_got - HEAD),
			    HEAD + c->xc_head.len - c->xc_got, &n);
		if (err != 0)
			return err;
		c->xc_got += (uint32_t)n;
		if (c->xc_got >= HEAD && c->xc_head.len > XENSTORE_PAYLOAD_MAX)
			return broken(c);
		*whole = c->xc_got >= HEAD && c->xc_got == HEAD + c->xc_head.len;
	} while (!*whole && n > 0);
	if (*whole) {
		c->xc_got = 0;
		c->xc_body[c->xc_head.len] = '\0';
	}
	return 0;
}

/* An event in xc_body: two texts with their NULs. */
static int keep_event(struct xsclient *c)
{
	uint16_t len = (uint16_t)c->xc_head.len;
	size_t path = strlen(c->xc_body);

	if (path + 1 >= len || path + 1 + strlen(c->xc_body + path + 1) + 1 != len)
		return broken(c);
	if (sizeof(len) + len > XSCLIENT_EVENTS - c->xc_nevents) {
		c->xc_missed = true;
		return 0;
	}
	memcpy(c->xc_events + c->xc_nevents, &len, sizeof(len));
	memcpy(c->xc_events + c->xc_nevents + sizeof(len), c->xc_body, len);
	c->xc_nevents += (uint32_t)sizeof(len) + len;
	return 0;
}

/* The next answer, or (events) whatever there is.  Events are kept. */
static int receive(struct xsclient *c, bool events, uint64_t deadline)
{
	bool whole;
	int err;

	for (;;) {
		err = receive_some(c, &whole);
		if (err == 0 && !whole)
			err = c->xc_ops->wait(c->xc_arg, deadline);
		if (err != 0)
			return err;
		if (!whole)
			continue;
		if (c->xc_head.type != XS_WATCH_EVENT)
			return events ? broken(c) : 0;
		err = keep_event(c);
		if (err != 0 || events)
			return err;
	}
}

/* The store says errors by name. */
static int error_of(const char *name)
{
	static const struct {
		const char *name;
		int err;
	} errors[] = {
	    {"EINVAL", XEN_EINVAL},
	    {"EACCES", XEN_EACCES},
	    {"EEXIST", XEN_EEXIST},
	    {"EISDIR", XEN_EISDIR},
	    {"ENOENT", XEN_ENOENT},
	    {"ENOMEM", XEN_ENOMEM},
	    {"ENOSPC", XEN_ENOSPC},
	    {"ENOTEMPTY", XEN_ENOTEMPTY},
	    {"ENOSYS", XEN_ENOSYS},
	    {"EROFS", XEN_EROFS},
	    {"EBUSY", XEN_EBUSY},
	    {"EAGAIN", XEN_EAGAIN},
	    {"EISCONN", XEN_EISCONN},
	    {"E2BIG", XEN_E2BIG},
	    {"EPERM", XEN_EPERM},
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(name, errors[i].name) == 0)
			return -errors[i].err;
	return -XEN_EINVAL;
}

int xsclient_init(struct xsclient *c, struct xenstore_domain_interface *ring,
    const struct xsclient_ops *ops, void *arg)
{
	uint32_t n;

	memset(c, 0, sizeof(*c));
	c->xc_ring = ring;
	c->xc_ops = ops;
	c->xc_arg = arg;
	c->xc_req_prod = __atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE);
	c->xc_rsp_cons = __atomic_load_n(&ring->rsp_cons, __ATOMIC_ACQUIRE);
	if (!distance(__atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE), c->xc_req_prod, &n) ||
	    !distance(c->xc_rsp_cons, __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE), &n))
		return broken(c);
	return 0;
}

static int send(struct xsclient *c, const struct xsd_sockmsg *head,
    const struct xsclient_part *parts, unsigned int nparts, uint64_t deadline)
{
	int err = write_all(c, (const char *)head, sizeof(*head), deadline);

	for (unsigned int i = 0; err == 0 && i < nparts; i++)
		err = write_all(c, parts[i].p, parts[i].len, deadline);
	if (err == 0)
		c->xc_ops->kick(c->xc_arg);
	return err;
}

int xsclient_call(struct xsclient *c, uint32_t type, uint32_t tx, const struct xsclient_part *parts,
    unsigned int nparts, uint64_t deadline)
{
	struct xsd_sockmsg head = {.type = type, .tx_id = tx};
	size_t len = 0;
	int err;

	if (c->xc_broken)
		return -XEN_EIO;
	for (unsigned int i = 0; i < nparts; i++) {
		if (parts[i].len > XENSTORE_PAYLOAD_MAX - len)
			return -XEN_E2BIG;
		len += parts[i].len;
	}
	head.len = (uint32_t)len;
	head.req_id = ++c->xc_last_id;
	err = send(c, &head, parts, nparts, deadline);
	if (err == 0)
		err = receive(c, false, deadline);
	/* What comes late would be taken for the answer to something else. */
	if (err != 0) {
		c->xc_broken = true;
		return err;
	}
	if (c->xc_head.req_id != head.req_id ||
	    (c->xc_head.type != type && c->xc_head.type != XS_ERROR))
		return broken(c);
	return c->xc_head.type == XS_ERROR ? error_of(c->xc_body) : (int)c->xc_head.len;
}

static void take_event(struct xsclient *c, char *path, char *token)
{
	const char *event = c->xc_events + sizeof(uint16_t);
	size_t path_len = strlen(event) + 1;
	uint16_t len;

	memcpy(&len, c->xc_events, sizeof(len));
	memcpy(path, event, path_len);
	memcpy(token, event + path_len, len - path_len);
	c->xc_nevents -= (uint32_t)sizeof(len) + len;
	memmove(c->xc_events, event + len, c->xc_nevents);
}

int xsclient_event(struct xsclient *c, char *path, char *token, uint64_t deadline)
{
	int err = 0;

	if (c->xc_nevents == 0 && c->xc_missed) {
		c->xc_missed = false;
		return -XEN_ENOSPC;
	}
	if (c->xc_nevents == 0)
		err = c->xc_broken ? -XEN_EIO : receive(c, true, deadline);
	if (err == 0)
		take_event(c, path, token);
	return err;
}
