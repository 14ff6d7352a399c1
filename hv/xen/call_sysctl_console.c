/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_SYSCTL_readconsole, debug_keys: what is in the log, and what can be put there.
 */
#include <errno.h>

#include "core/guest.h"
#include "lib/host.h"
#include "lib/log.h"
#include "xen/call_sysctl.h"
#include "xen/domain.h"

#define CHUNK 4096u
#define MAX_KEYS 64u

int64_t xen_sysctl_readconsole(struct xen_caller *c, struct xen_sysctl *op)
{
	struct xen_sysctl_readconsole *rc = &op->u.readconsole;
	uint32_t room = rc->count, n, want;
	bool incremental = rc->incremental != 0;
	char buf[CHUNK];

	/* Piece by piece, each going on where the last one ended. */
	for (rc->count = 0; rc->count < room; rc->count += n, incremental = true) {
		want = room - rc->count < CHUNK ? room - rc->count : CHUNK;
		n = log_read(buf, want, incremental, false, &rc->index);
		if (xen_copy_out(c, XEN_HANDLE(rc->buffer) + rc->count, buf, n) != 0)
			return -EFAULT;
		if (n == 0)
			break;
	}
	if (rc->clear != 0)
		(void)log_read(buf, 0, true, true, &rc->index);
	return 0;
}

static void key_domains(void)
{
	struct xen_domctl_getdomaininfo info;
	struct guest *g;

	for (uint32_t from = 1; (g = xen_domain_next(from)) != NULL; guest_put(g)) {
		xen_domain_info(g, &info);
		log_note("domain %u (%s): %ju of %ju pages, %ju ms of CPU time, flags %#x",
		    g->g_domid, g->g_name, (uintmax_t)info.tot_pages, (uintmax_t)info.max_pages,
		    (uintmax_t)info.cpu_time / 1000000, info.flags);
		from = g->g_domid + 1;
	}
}

static void key_memory(void)
{
	struct host_memory hm;

	host_memory(HOST_UNKNOWN, &hm);
	log_note("memory: %ju KiB, %ju KiB free, %ju KiB available", (uintmax_t)hm.hm_total >> 10,
	    (uintmax_t)hm.hm_free >> 10, (uintmax_t)hm.hm_available >> 10);
}

static void key_help(void);

static const struct {
	char key;
	const char *what;
	void (*call)(void);
} keys[] = {
    {'h', "this list", key_help},
    {'m', "memory of the host", key_memory},
    {'q', "domains", key_domains},
};

static void key_help(void)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		log_note("key '%c': %s", keys[i].key, keys[i].what);
}

static void press(char key)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].key == key)
			keys[i].call();
}

/* Keys that mean nothing do nothing, as in Xen. */
int64_t xen_sysctl_debug_keys(struct xen_caller *c, struct xen_sysctl *op)
{
	const struct xen_sysctl_debug_keys *dk = &op->u.debug_keys;
	char pressed[MAX_KEYS];

	if (dk->nr_keys > MAX_KEYS)
		return -E2BIG;
	if (xen_copy_in(c, pressed, XEN_HANDLE(dk->keys), dk->nr_keys) != 0)
		return -EFAULT;
	for (uint32_t i = 0; i < dk->nr_keys; i++)
		press(pressed[i]);
	return 0;
}
