/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/xs_nodes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "uvm/uvm_page.h"

#define TRIES 16u /* of a transaction that meets others */
#define PATH_LEN 128
#define UUID_LEN 37

/* Who may do what with a node: its owner everything, others what is said for them. */
enum access {
	INHERITED,  /* as its parent */
	HOST_ONLY,  /* domain 0's */
	READABLE,   /* domain 0's, and the guest may read it */
	THE_GUESTS, /* the guest's */
};

struct writer {
	struct xs_client *xs;
	uint32_t tx;
	uint32_t domid;
	int error; /* the first */
};

static int set_access(struct writer *w, const char *path, enum access access)
{
	switch (access) {
	case HOST_ONLY:
		return xs_set_perms(w->xs, w->tx, path, 0, 0);
	case READABLE:
		return xs_set_perms(w->xs, w->tx, path, 0, w->domid);
	case THE_GUESTS:
		return xs_set_perms(w->xs, w->tx, path, w->domid, w->domid);
	default:
		return 0;
	}
}

static void put(struct writer *w, const char *path, enum access access, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* After a failure the rest is not tried. */
static void put(struct writer *w, const char *path, enum access access, const char *fmt, ...)
{
	char value[PATH_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (w->error == 0)
		w->error = xs_write(w->xs, w->tx, path, value);
	if (w->error == 0)
		w->error = set_access(w, path, access);
}

/* As PATH/NAME. */
static void put_in(struct writer *w, const char *dir, const char *name, enum access access,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void put_in(
    struct writer *w, const char *dir, const char *name, enum access access, const char *fmt, ...)
{
	char path[2 * PATH_LEN], value[PATH_LEN];
	va_list ap;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	put(w, path, access, "%s", value);
}

static int try_once(
    struct writer *w, void (*fill)(struct writer *w, const void *arg), const void *arg)
{
	int error;

	w->error = xs_begin(w->xs, &w->tx);
	if (w->error != 0)
		return w->error;
	fill(w, arg);
	if (xs_lost(w->xs))
		return w->error;
	error = xs_end(w->xs, w->tx, w->error == 0);
	return w->error != 0 ? w->error : error;
}

/* Do it in one transaction.  Others may write at the same time: then it is done again. */
static int in_transaction(struct xs_client *xs, uint32_t domid,
    void (*fill)(struct writer *w, const void *arg), const void *arg)
{
	struct writer w = {.xs = xs, .domid = domid};
	int error = -EBUSY;

	for (unsigned i = 0; error == -EBUSY && i < TRIES; i++)
		error = try_once(&w, fill, arg);
	return error;
}

static void fill_host(struct writer *w, const void *arg)
{
	(void)arg;
	put(w, "/local/domain/0/domid", INHERITED, "0");
	put(w, "/local/domain/0/name", INHERITED, "Domain-0");
	put(w, "/local/pool/0/name", INHERITED, "Pool-0");
}

int xs_enter_host(struct xs_client *xs)
{
	return in_transaction(xs, 0, fill_host, NULL);
}

static void uuid_text(const struct xs_guest *xg, char text[UUID_LEN])
{
	const uint8_t *u = xg->xg_uuid;

	snprintf(text, UUID_LEN,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
	    u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
	    u[15]);
}

/* Backends of its disks remove their nodes themselves, if they live to see its end. */
struct paths {
	char dom[PATH_LEN], vm[PATH_LEN], libxl[PATH_LEN], disks[PATH_LEN];
};

static void name_paths(const struct xs_guest *xg, struct paths *p)
{
	char uuid[UUID_LEN];

	uuid_text(xg, uuid);
	snprintf(p->dom, sizeof(p->dom), "/local/domain/%u", xg->xg_domid);
	snprintf(p->vm, sizeof(p->vm), "/vm/%s", uuid);
	snprintf(p->libxl, sizeof(p->libxl), "/libxl/%u", xg->xg_domid);
	snprintf(p->disks, sizeof(p->disks), "/local/domain/0/backend/vbd/%u", xg->xg_domid);
}

static void put_vm(struct writer *w, const struct xs_guest *xg, const char *vm)
{
	char uuid[UUID_LEN];

	uuid_text(xg, uuid);
	put(w, vm, READABLE, "%s", "");
	put_in(w, vm, "uuid", INHERITED, "%s", uuid);
	put_in(w, vm, "name", INHERITED, "%s", xg->xg_name);
	put_in(w, vm, "start_time", INHERITED, "%jd", (intmax_t)time(NULL));
}

/* By which tools reach it, and where it may answer them. */
static void put_places(struct writer *w, const char *dom)
{
	static const char *const own[] = {"control/shutdown", "control/feature-poweroff",
	    "control/feature-reboot", "control/feature-suspend", "control/sysrq", "data", "drivers",
	    "feature", "attr", "error"};

	put_in(w, dom, "control", READABLE, "%s", "");
	put_in(w, dom, "device", READABLE, "%s", "");
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		put_in(w, dom, own[i], THE_GUESTS, "%s", "");
}

/* As xenconsoled wants it. */
static void put_console(struct writer *w, const struct xs_guest *xg, const char *dom)
{
	put_in(w, dom, "console", READABLE, "%s", "");
	put_in(w, dom, "console/backend-id", INHERITED, "0");
	put_in(w, dom, "console/type", INHERITED, "xenconsoled");
	put_in(w, dom, "console/output", INHERITED, "pty");
	put_in(w, dom, "console/limit", INHERITED, "1048576");
	put_in(w, dom, "console/tty", INHERITED, "%s", "");
	put_in(w, dom, "console/ring-ref", INHERITED, "%ju", (uintmax_t)xg->xg_console_gfn);
	put_in(w, dom, "console/port", INHERITED, "%u", xg->xg_console_port);
}

static void fill_guest(struct writer *w, const void *arg)
{
	const struct xs_guest *xg = arg;
	uintmax_t kib = (uintmax_t)xg->xg_ram_pages << (UVM_PAGE_SHIFT - 10);
	struct paths p;
	char name[32];

	name_paths(xg, &p);
	put_vm(w, xg, p.vm);
	put(w, p.dom, READABLE, "%s", "");
	put_in(w, p.dom, "vm", INHERITED, "%s", p.vm);
	put_in(w, p.dom, "name", INHERITED, "%s", xg->xg_name);
	put_in(w, p.dom, "domid", INHERITED, "%u", xg->xg_domid);
	put_in(w, p.dom, "memory/static-max", INHERITED, "%ju", kib);
	put_in(w, p.dom, "memory/target", INHERITED, "%ju", kib);
	for (uint32_t i = 0; i < xg->xg_vcpus; i++) {
		snprintf(name, sizeof(name), "cpu/%u/availability", i);
		put_in(w, p.dom, name, INHERITED, "online");
	}
	put_in(w, p.dom, "store/ring-ref", INHERITED, "%ju", (uintmax_t)xg->xg_store_gfn);
	put_in(w, p.dom, "store/port", INHERITED, "%u", xg->xg_store_port);
	put_console(w, xg, p.dom);
	put_places(w, p.dom);
	/* libxl takes a guest without a type for one with a device model. */
	put(w, p.libxl, HOST_ONLY, "%s", "");
	put_in(w, p.libxl, "type", INHERITED, "pvh");
}

int xs_enter_guest(struct xs_client *xs, const struct xs_guest *xg)
{
	int error = in_transaction(xs, xg->xg_domid, fill_guest, xg);

	if (error != 0)
		return error;
	error = xs_introduce(xs, xg->xg_domid, xg->xg_store_gfn, xg->xg_store_port);
	if (error != 0 && !xs_lost(xs))
		(void)xs_remove_guest(xs, xg);
	return error;
}

/*
 * Each by itself, and what is gone already need not be removed.  A transaction would fail (ENOMEM)
 * when xenstored notices in the middle that the domain has died, whose nodes it counts.
 */
int xs_remove_guest(struct xs_client *xs, const struct xs_guest *xg)
{
	struct paths p;
	const char *const all[] = {p.dom, p.vm, p.libxl, p.disks};
	int error = 0, e;

	name_paths(xg, &p);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && !xs_lost(xs); i++) {
		e = xs_rm(xs, 0, all[i]);
		if (e != 0 && e != -ENOENT)
			error = e;
	}
	return error;
}
