/* SPDX-License-Identifier: BSD-2-Clause */
/* The cell's xenstore, over the ring that the hypervisor has for us. */
#include "lombard-guest.h"
#include "start.h"
#include "xsclient.h"

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#define ANSWER_NS 10000000000ULL /* the store answers in this time, or is taken for dead */

static struct xsclient client;
static uint32_t port;

static int get_param(unsigned int index, uint64_t *value)
{
	struct xen_hvm_param arg = {.domid = DOMID_SELF, .index = index};
	int err = (int)hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (uint64_t)&arg, 0, 0, 0);

	if (err == 0)
		*value = arg.value;
	return err;
}

int hvm_ring(unsigned int pfn_index, unsigned int port_index, void **ring, uint32_t *ring_port)
{
	uint64_t gfn, number;
	int err = get_param(pfn_index, &gfn);

	if (err == 0)
		err = get_param(port_index, &number);
	if (err == 0 && (gfn == 0 || number == 0))
		err = -XEN_ENOENT;
	if (err == 0)
		err = event_init();
	if (err == 0)
		err = mem_map(gfn * PAGE_SIZE, (gfn + 1) * PAGE_SIZE);
	if (err != 0)
		return err;
	*ring = (void *)(gfn * PAGE_SIZE);
	*ring_port = (uint32_t)number;
	return 0;
}

/* Nobody listens: then nobody answers, which is noticed. */
static void kick(void *arg)
{
	(void)arg;
	event_send(port);
}

static int wait(void *arg, uint64_t deadline)
{
	(void)arg;
	return event_wait(&port, 1, deadline, NULL);
}

static const struct xsclient_ops ops = {.kick = kick, .wait = wait};

int xenstore_open(void)
{
	void *ring;
	int err;

	if (port != 0)
		return 0;
	err = hvm_ring(HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN, &ring, &port);
	if (err == 0)
		err = xsclient_init(&client, ring, &ops, NULL);
	if (err != 0)
		port = 0;
	return err;
}

uint32_t xenstore_port(void)
{
	return port;
}

/* => the answer's length, or an error; the answer is in client.xc_body */
static int call(uint32_t type, uint32_t tx, const struct xsclient_part *parts, unsigned int nparts)
{
	int err = xenstore_open();

	if (err != 0)
		return err;
	return xsclient_call(&client, type, tx, parts, nparts, time_after(ANSWER_NS));
}

/* A text with its NUL. */
static struct xsclient_part text(const char *s)
{
	return (struct xsclient_part){s, strlen(s) + 1};
}

/* A request with a path, whose answer says nothing. */
static int do_path(uint32_t type, uint32_t tx, const char *path)
{
	struct xsclient_part part = text(path);
	int len = call(type, tx, &part, 1);

	return len < 0 ? len : 0;
}

/* A request with a path, whose answer goes to buf, with a NUL behind it. */
static int ask_path(
    uint32_t type, uint32_t tx, const char *path, char *buf, size_t room, size_t *lenp)
{
	struct xsclient_part part = text(path);
	int len = call(type, tx, &part, 1);

	if (len < 0)
		return len;
	if ((size_t)len >= room)
		return -XEN_ENOSPC;
	memcpy(buf, client.xc_body, (size_t)len + 1);
	if (lenp != NULL)
		*lenp = (size_t)len;
	return 0;
}

int xenstore_read(uint32_t tx, const char *path, char *value, size_t room, size_t *len)
{
	return ask_path(XS_READ, tx, path, value, room, len);
}

int xenstore_directory(uint32_t tx, const char *path, char *names, size_t room, size_t *len)
{
	return ask_path(XS_DIRECTORY, tx, path, names, room, len);
}

int xenstore_write(uint32_t tx, const char *path, const void *value, size_t value_len)
{
	const struct xsclient_part parts[] = {text(path), {value, value_len}};
	int len = call(XS_WRITE, tx, parts, 2);

	return len < 0 ? len : 0;
}

int xenstore_mkdir(uint32_t tx, const char *path)
{
	return do_path(XS_MKDIR, tx, path);
}

int xenstore_rm(uint32_t tx, const char *path)
{
	return do_path(XS_RM, tx, path);
}

/* "r7": a letter and a domid.  NULL: it is something else. */
static const char *parse_perm(const char *s, struct xenstore_perm *perm)
{
	unsigned long long domid;
	char *end;

	domid = *s == '\0' ? 0 : strtoull(s + 1, &end, 10);
	if (*s == '\0' || end == s + 1 || *end != '\0' || domid > UINT16_MAX)
		return NULL;
	perm->access = *s;
	perm->domid = (uint16_t)domid;
	return end + 1;
}

int xenstore_get_perms(
    uint32_t tx, const char *path, struct xenstore_perm *perms, unsigned int room, unsigned int *nr)
{
	struct xsclient_part part = text(path);
	int len = call(XS_GET_PERMS, tx, &part, 1);
	const char *s = client.xc_body;
	unsigned int n = 0;

	if (len < 0)
		return len;
	while (s < client.xc_body + len) {
		if (n == room)
			return -XEN_ENOSPC;
		s = parse_perm(s, &perms[n++]);
		if (s == NULL)
			return -XEN_EIO;
	}
	*nr = n;
	return 0;
}

int xenstore_set_perms(
    uint32_t tx, const char *path, const struct xenstore_perm *perms, unsigned int nr)
{
	char buf[XENSTORE_MAX_PERMS * 8]; /* a letter, at most 5 digits, NUL */
	struct xsclient_part parts[] = {text(path), {buf, 0}};
	size_t at = 0;
	int len;

	if (nr == 0 || nr > XENSTORE_MAX_PERMS)
		return -XEN_EINVAL;
	for (unsigned int i = 0; i < nr; i++) {
		buf[at++] = perms[i].access;
		at += number_text(buf + at, perms[i].domid) + 1;
	}
	parts[1].len = at;
	len = call(XS_SET_PERMS, tx, parts, 2);
	return len < 0 ? len : 0;
}

static int do_watch(uint32_t type, const char *path, const char *token)
{
	const struct xsclient_part parts[] = {text(path), text(token)};
	int len = call(type, 0, parts, 2);

	return len < 0 ? len : 0;
}

int xenstore_watch(const char *path, const char *token)
{
	return do_watch(XS_WATCH, path, token);
}

int xenstore_unwatch(const char *path, const char *token)
{
	return do_watch(XS_UNWATCH, path, token);
}

int xenstore_event(char *path, char *token, uint64_t deadline)
{
	int err = xenstore_open();

	return err != 0 ? err : xsclient_event(&client, path, token, deadline);
}

int xenstore_begin(uint32_t *tx)
{
	struct xsclient_part part = text("");
	int len = call(XS_TRANSACTION_START, 0, &part, 1);
	unsigned long long number;
	char *end;

	if (len < 0)
		return len;
	number = strtoull(client.xc_body, &end, 10);
	if (end == client.xc_body || *end != '\0' || number == 0 || number > UINT32_MAX)
		return -XEN_EIO;
	*tx = (uint32_t)number;
	return 0;
}

int xenstore_end(uint32_t tx, bool commit)
{
	return do_path(XS_TRANSACTION_END, tx, commit ? "T" : "F");
}
