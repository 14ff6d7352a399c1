/* SPDX-License-Identifier: BSD-2-Clause */
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES 32u /* of a transaction that meets others */
#define VALUE 4096

/* Other backends leave it away.  What it says: */
#define MARK "lombard"
#define COPIES "1"
#define SHARES "2"

int store_open(
    struct store *s, const char *directory, uint32_t domid, uint32_t devid, struct failure *f)
{
	s->domid = domid;
	s->devid = devid;
	snprintf(s->front, STORE_PATH, "/local/domain/%u/device/vbd/%u", domid, devid);
	snprintf(s->back, STORE_PATH, "/local/domain/0/backend/vbd/%u/%u", domid, devid);
	snprintf(s->libxl, STORE_PATH, "/libxl/%u/device/vbd/%u", domid, devid);
	if (setenv("XENSTORED_RUNDIR", directory, 1) < 0)
		return failure_sys(f, -errno, "cannot name the xenstore");
	s->xs = xs_open(0);
	if (s->xs == NULL)
		return failure_sys(f, -errno, "cannot reach the xenstore in %s", directory);
	return 0;
}

void store_leave(struct store *s)
{
	xs_daemon_destroy_postfork(s->xs);
	s->xs = NULL;
}

/* ---- reading ---- */

/* => NULL: there is no such node, or the store does not answer; else for free */
static char *get(struct store *s, xs_transaction_t t, const char *dir, const char *name)
{
	char path[2 * STORE_PATH];
	unsigned len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return xs_read(s->xs, t, path, &len);
}

static bool there_p(struct store *s, xs_transaction_t t, const char *dir, const char *name)
{
	char *text = get(s, t, dir, name);

	free(text);
	return text != NULL;
}

/* A number, and nothing else.  => -ENOENT, -EINVAL: it stays as it was */
static int get_number(struct store *s, const char *dir, const char *name, uint32_t *value)
{
	char *text = get(s, XBT_NULL, dir, name), *end;
	unsigned long number;

	if (text == NULL)
		return -errno;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX)
		errno = EINVAL;
	else
		*value = (uint32_t)number;
	free(text);
	return -errno;
}

/* ---- writing ---- */

/* One transaction.  After a failure the rest of it is not tried. */
struct writer {
	struct store *s;
	xs_transaction_t t;
	int error;
};

typedef void store_fill(struct writer *w, const void *arg);

static int in_transaction(struct store *s, store_fill *fill, const void *arg)
{
	struct writer w = {.s = s, .error = -EAGAIN};

	for (unsigned i = 0; w.error == -EAGAIN && i < TRIES; i++) {
		w.error = 0;
		w.t = xs_transaction_start(s->xs);
		if (w.t == XBT_NULL)
			return -errno;
		fill(&w, arg);
		if (!xs_transaction_end(s->xs, w.t, w.error != 0) && w.error == 0)
			w.error = -errno;
	}
	return w.error;
}

static void put(struct writer *w, const char *dir, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void put(struct writer *w, const char *dir, const char *name, const char *fmt, ...)
{
	char path[2 * STORE_PATH], value[VALUE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (n >= VALUE)
		w->error = -ENAMETOOLONG;
	if (w->error == 0 && !xs_write(w->s->xs, w->t, path, value, (unsigned)n))
		w->error = -errno;
}

/* A directory of the owner's, that the other domain may read. */
static void make_dir(struct writer *w, const char *dir, uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[2] = {
	    {.id = owner, .perms = XS_PERM_NONE}, {.id = reader, .perms = XS_PERM_READ}};

	if (w->error != 0)
		return;
	if (!xs_mkdir(w->s->xs, w->t, dir) || !xs_set_permissions(w->s->xs, w->t, dir, perms, 2))
		w->error = -errno;
}

/* Where the file lies, or who we are, is no guest's business. */
static void hide(struct writer *w, const char *dir, const char *name)
{
	struct xs_permissions own = {.id = 0, .perms = XS_PERM_NONE};
	char path[2 * STORE_PATH];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (w->error == 0 && !xs_set_permissions(w->s->xs, w->t, path, &own, 1))
		w->error = -errno;
}

struct entry {
	const char *name, *path;
	bool read_only, share, discards;
};

static void put_front(struct writer *w)
{
	const char *dir = w->s->front;

	make_dir(w, dir, w->s->domid, 0);
	put(w, dir, "backend", "%s", w->s->back);
	put(w, dir, "backend-id", "0");
	put(w, dir, "virtual-device", "%u", w->s->devid);
	put(w, dir, "device-type", "disk");
	put(w, dir, "state", "%d", XenbusStateInitialising);
}

/* In the backend's directory, and in libxl's. */
static void put_both(struct writer *w, const char *dir, uint32_t reader, const struct entry *e)
{
	make_dir(w, dir, 0, reader);
	put(w, dir, "frontend", "%s", w->s->front);
	put(w, dir, "frontend-id", "%u", w->s->domid);
	put(w, dir, "params", "%s", e->path);
	hide(w, dir, "params");
	put(w, dir, "dev", "%s", e->name);
	put(w, dir, "type", "file");
	put(w, dir, "mode", "%s", e->read_only ? "r" : "w");
	put(w, dir, "device-type", "disk");
	put(w, dir, "discard-enable", "%d", e->discards);
	put(w, dir, "online", "1");
	put(w, dir, "removable", "0");
	put(w, dir, "bootable", "1");
	put(w, dir, "state", "%d", XenbusStateInitialising);
}

/* Whoever removes a guest that has ended has not done so before, or sees our nodes. */
static void enter(struct writer *w, const void *arg)
{
	const struct entry *e = arg;
	struct store *s = w->s;
	char domain[STORE_PATH];

	snprintf(domain, sizeof(domain), "/local/domain/%u", s->domid);
	if (!there_p(s, w->t, domain, "domid")) {
		w->error = -ESRCH;
		return;
	}
	if (there_p(s, w->t, s->back, "state")) {
		w->error = there_p(s, w->t, s->back, MARK) ? 0 : -EEXIST;
		return;
	}
	put_front(w);
	put_both(w, s->back, s->domid, e);
	put(w, s->back, MARK, "%s", e->share ? SHARES : COPIES);
	put_both(w, s->libxl, 0, e);
	put(w, s->libxl, "backend", "%s", s->back);
}

/* Who serves it now. */
static void sign(struct writer *w, const void *arg)
{
	(void)arg;
	put(w, w->s->back, "pid", "%d", (int)getpid());
	hide(w, w->s->back, "pid");
}

int store_enter(
    struct store *s, const char *name, const char *path, const struct disk *disk, struct failure *f)
{
	struct entry e = {name, path, disk->limits.read_only, disk->share, disk->limits.discards};
	int error = in_transaction(s, enter, &e);

	if (error == 0)
		error = in_transaction(s, sign, NULL);
	switch (-error) {
	case 0:
		return 0;
	case ESRCH:
		return failure_set(f, error,
		    "the xenstore does not know the guest: it has ended, or was started when there "
		    "was no xenstore");
	case EEXIST:
		return failure_set(
		    f, error, "it has such a disk already, which is another backend's");
	default:
		return failure_sys(f, error, "cannot enter it in the xenstore");
	}
}

int store_recall(struct store *s, char **path, bool *read_only, bool *share, struct failure *f)
{
	char *mode = get(s, XBT_NULL, s->back, "mode"), *mark = get(s, XBT_NULL, s->back, MARK);
	bool there;

	*path = get(s, XBT_NULL, s->back, "params");
	there = mode != NULL && *path != NULL;
	*read_only = mode != NULL && *mode == 'r';
	*share = mark != NULL && strcmp(mark, SHARES) == 0;
	free(mode);
	free(mark);
	if (there)
		return 0;
	free(*path);
	return failure_set(f, -ENOENT, "there is no such disk yet: which FILE?");
}

void store_remove(struct store *s)
{
	(void)xs_rm(s->xs, XBT_NULL, s->back);
	(void)xs_rm(s->xs, XBT_NULL, s->libxl);
}

/* ---- the two states ---- */

int store_watch(struct store *s, struct failure *f)
{
	char path[2 * STORE_PATH];

	snprintf(path, sizeof(path), "%s/state", s->front);
	if (!xs_watch(s->xs, path, "front") || xs_fileno(s->xs) < 0)
		return failure_sys(f, -errno, "cannot watch the xenstore");
	return 0;
}

int store_fd(const struct store *s)
{
	return xs_fileno(s->xs);
}

void store_changed(struct store *s)
{
	char **event;

	while ((event = xs_check_watch(s->xs)) != NULL)
		free(event);
}

enum xenbus_state store_frontend(struct store *s)
{
	uint32_t state = XenbusStateUnknown;

	(void)get_number(s, s->front, "state", &state);
	return state <= XenbusStateReconfigured ? (enum xenbus_state)state : XenbusStateUnknown;
}

static int read_ring(struct store *s, struct vbd_front *front, struct failure *f)
{
	uint32_t order = 0;
	char name[24];
	int error = get_number(s, s->front, "ring-page-order", &order);

	if (error == -EINVAL || order > BLK_MAX_RING_ORDER)
		return failure_set(f, -EINVAL, "its ring-page-order can't be");
	front->npages = 1u << order;
	if (order == 0 && get_number(s, s->front, "ring-ref", &front->refs[0]) == 0)
		return 0;
	for (unsigned i = 0; i < front->npages; i++) {
		snprintf(name, sizeof(name), "ring-ref%u", i);
		error = get_number(s, s->front, name, &front->refs[i]);
		if (error != 0)
			return failure_sys(f, error, "its %s", order == 0 ? "ring-ref" : name);
	}
	return 0;
}

static int check_protocol(struct store *s, struct failure *f)
{
	char *protocol = get(s, XBT_NULL, s->front, "protocol");
	bool ours = protocol == NULL || strcmp(protocol, XEN_IO_PROTO_ABI_X86_64) == 0;

	free(protocol);
	return ours ? 0 : failure_set(f, -EPROTO, "its protocol is not " XEN_IO_PROTO_ABI_X86_64);
}

int store_read(struct store *s, struct vbd_front *front, struct failure *f)
{
	uint32_t persistent = 0;
	int error = check_protocol(s, f);

	memset(front, 0, sizeof(*front));
	if (error == 0)
		error = read_ring(s, front, f);
	if (error != 0)
		return error;
	error = get_number(s, s->front, "event-channel", &front->port);
	if (error != 0)
		return failure_sys(f, error, "its event-channel");
	(void)get_number(s, s->front, "feature-persistent", &persistent);
	front->persistent = persistent != 0;
	return 0;
}

/* Not to bring back what was removed with the guest. */
static void put_state(struct writer *w, enum xenbus_state state)
{
	if (!there_p(w->s, w->t, w->s->back, "state"))
		w->error = -ENOENT;
	put(w, w->s->back, "state", "%d", state);
}

static void offer(struct writer *w, const void *arg)
{
	const struct disk *disk = arg;
	const char *dir = w->s->back;

	put_state(w, XenbusStateInitWait);
	put(w, dir, "max-ring-page-order", "%u", BLK_MAX_RING_ORDER);
	put(w, dir, "feature-flush-cache", "1");
	put(w, dir, "feature-persistent", "%d", !disk->share);
	put(w, dir, "feature-max-indirect-segments", "%u", BLK_MAX_SEGMENTS);
	if (!disk->limits.discards)
		return;
	put(w, dir, "feature-discard", "1");
	put(w, dir, "discard-granularity", "%u", disk->block);
	put(w, dir, "discard-alignment", "0");
}

static void present(struct writer *w, const void *arg)
{
	const struct disk *disk = arg;
	const char *dir = w->s->back;

	put_state(w, XenbusStateConnected);
	put(w, dir, "sectors", "%ju", (uintmax_t)disk->limits.sectors);
	put(w, dir, "sector-size", "%u", BLK_SECTOR);
	put(w, dir, "physical-sector-size", "%u", disk->block);
	put(w, dir, "info", "%d", disk->limits.read_only ? VDISK_READONLY : 0);
}

static void only_state(struct writer *w, const void *arg)
{
	put_state(w, *(const enum xenbus_state *)arg);
}

int store_offer(struct store *s, const struct disk *disk)
{
	return in_transaction(s, offer, disk);
}

int store_present(struct store *s, const struct disk *disk)
{
	return in_transaction(s, present, disk);
}

int store_state(struct store *s, enum xenbus_state state)
{
	return in_transaction(s, only_state, &state);
}
