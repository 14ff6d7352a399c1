/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_createdomain: a domain that its tool builds from outside.  It gets memory by
 * XENMEM_populate_physmap (call_memory_build.c), its vCPU's state by XEN_DOMCTL_sethvmcontext, and runs
 * when it is unpaused for the first time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/cell.h"
#include "lib/log.h"
#include "xen/call_domctl.h"
#include "xen/grant.h"

/* As `lombard run` has it. */
#define WINDOW_PAGES ((UINT64_C(256) << 20) >> UVM_PAGE_SHIFT)

/* What is only about how Xen would do it. */
#define HARMLESS_FLAGS                                                                             \
	(XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_s3_integrity | XEN_DOMCTL_CDF_oos_off |               \
	    XEN_DOMCTL_CDF_xs_domain)

/* PVH domains. */
static int check(const struct xen_domctl_createdomain *cd)
{
	if (!(cd->flags & XEN_DOMCTL_CDF_hvm))
		return -EOPNOTSUPP;
	if ((cd->flags & ~(XEN_DOMCTL_CDF_hvm | HARMLESS_FLAGS)) != 0 || cd->iommu_opts != 0)
		return cd->flags & ~(XEN_DOMCTL_CDF_MAX * 2 - 1) ? -EINVAL : -EOPNOTSUPP;
	if ((cd->arch.emulation_flags & ~XEN_X86_EMU_LAPIC) != 0 || cd->vmtrace_size != 0)
		return -EOPNOTSUPP;
	if (cd->max_vcpus == 0 || cd->max_vcpus > WIRE_MAX_VCPUS)
		return -EINVAL;
	if (cd->cpupool_id != 0)
		return -ENOENT;
	if (cd->max_grant_frames == 0 || cd->max_grant_frames > (int32_t)GRANT_MAX_FRAMES)
		return -EINVAL;
	return XEN_DOMCTL_GRANT_version(cd->grant_opts) >= 1 ? 0 : -EINVAL;
}

/* Nobody types there: its output goes to a file beside the cell's socket. */
static int open_console(struct guest_config *cfg, char *path, size_t len, struct failure *f)
{
	int error;

	cfg->console_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (cfg->console_in < 0)
		return failure_sys(f, -errno, "can't open /dev/null");
	cfg->image = cfg->console_in;
	error = cell_console("domain", path, len, &cfg->console_out, f);
	if (error != 0)
		close(cfg->console_in);
	else
		cfg->console_path = path;
	return error;
}

static int create(const struct xen_domctl_createdomain *cd, struct guest **gp, struct failure *f)
{
	struct guest_config cfg = {.window_pages = WINDOW_PAGES,
	    .vcpus = cd->max_vcpus,
	    .lapic = (cd->arch.emulation_flags & XEN_X86_EMU_LAPIC) != 0,
	    .image_path = "(built by a Xen tool)",
	    .cmdline = ""};
	char path[WIRE_TEXT_LEN];
	int error = open_console(&cfg, path, sizeof(path), f);

	if (error != 0)
		return error;
	error = guest_create(&cfg, gp, f);
	close(cfg.console_in);
	close(cfg.console_out);
	return error;
}

/* Domids are the cell's to choose: they come round again only after all others. */
int64_t xen_domctl_createdomain(struct xen_caller *c, struct guest *none, struct xen_domctl *op)
{
	const struct xen_domctl_createdomain *cd = &op->u.createdomain;
	struct failure f;
	struct guest *g;
	int error;

	(void)c;
	(void)none;
	if (op->domain != 0 && op->domain < DOMID_FIRST_RESERVED)
		return -EOPNOTSUPP;
	error = check(cd);
	if (error != 0)
		return error;
	error = create(cd, &g, &f);
	if (error != 0) {
		log_warn("createdomain: %s", f.text);
		return error;
	}
	pthread_mutex_lock(&g->g_mutex);
	memcpy(g->g_xen.xd_handle, cd->handle, sizeof(g->g_xen.xd_handle));
	if (cd->max_grant_frames > 0)
		g->g_xen.xd_grant_frames = (uint32_t)cd->max_grant_frames;
	pthread_mutex_unlock(&g->g_mutex);
	op->domain = (domid_t)g->g_domid;
	guest_put(g);
	return 0;
}
