/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENVER_*: what we are (Xen public/version.h).  To tools we are the Xen that they were built for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/guest.h"
#include "lib/version.h"
#include "xen/call.h"
#include "xen/domain.h"
#include "xen/public.h"

#define MAJOR 4
#define MINOR 17
#define PAGE_SIZE 4096

static int64_t give(struct xen_caller *c, uint64_t to, const void *what, size_t len)
{
	return xen_copy_out(c, to, what, len);
}

static int64_t compile_info(struct xen_caller *c, uint64_t to)
{
	const struct xen_compile_info info = {
	    .compiler = "cc " __VERSION__,
	    .compile_by = "lombard",
	    .compile_domain = "",
	    .compile_date = "",
	};

	return give(c, to, &info, sizeof(info));
}

/*
 * Tools look here for what kinds of guests can be made.  There are no paravirtualised ones, but for
 * xenctx the first word says that contexts are those of 64 bits.
 */
static int64_t capabilities(struct xen_caller *c, uint64_t to)
{
	const xen_capabilities_info_t caps =
	    "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";

	return give(c, to, caps, sizeof(caps));
}

static int64_t features(struct xen_caller *c, uint64_t at)
{
	struct xen_feature_info info;
	int error = xen_copy_in(c, &info, at, sizeof(info));

	if (error != 0)
		return error;
	if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -EINVAL;
	info.submap = 1u << XENFEAT_auto_translated_physmap;
	return give(c, at, &info, sizeof(info));
}

/* The host has none: zeroes. */
static int64_t guest_handle(struct xen_caller *c, uint64_t to)
{
	struct guest *g = c->domid != 0 ? xen_domain_find(c->domid) : NULL;
	xen_domain_handle_t handle = {0};

	if (g != NULL) {
		pthread_mutex_lock(&g->g_mutex);
		memcpy(handle, g->g_xen.xd_handle, sizeof(handle));
		pthread_mutex_unlock(&g->g_mutex);
		guest_put(g);
	}
	return give(c, to, handle, sizeof(handle));
}

int64_t xen_call_version(struct xen_caller *c, const uint64_t arg[5])
{
	const xen_extraversion_t extra = ".lombard";
	const xen_changeset_info_t changeset = LOMBARD_VERSION;
	const struct xen_platform_parameters params = {.virt_start = 0};
	const xen_commandline_t command_line = "";

	switch (arg[0]) {
	case XENVER_version:
		return MAJOR << 16 | MINOR;
	case XENVER_extraversion:
		return give(c, arg[1], extra, sizeof(extra));
	case XENVER_compile_info:
		return compile_info(c, arg[1]);
	case XENVER_capabilities:
		return capabilities(c, arg[1]);
	case XENVER_changeset:
		return give(c, arg[1], changeset, sizeof(changeset));
	case XENVER_platform_parameters:
		return give(c, arg[1], &params, sizeof(params));
	case XENVER_get_features:
		return features(c, arg[1]);
	case XENVER_pagesize:
		return PAGE_SIZE;
	case XENVER_guest_handle:
		return guest_handle(c, arg[1]);
	case XENVER_commandline:
		return give(c, arg[1], command_line, sizeof(command_line));
	case XENVER_build_id:
		return -ENODATA;
	default:
		return -ENOSYS;
	}
}
