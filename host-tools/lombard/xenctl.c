/* SPDX-License-Identifier: BSD-2-Clause */
#include "xenctl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>

#include "cli.h"
#include "client.h"
#include "xen_env.h"

/* The release whose hypercalls the cell answers. */
#define LIBRARY "libxenctrl.so.4.17"
#define PACKAGE "libxenmisc4.17"

/* Domains that are asked for at a time. */
#define BATCH 128U

/* Those that LIBRARY needs, and that are Lombard's: once they are loaded, no others are looked for. */
static const char *const ours[] = {
    "libxencall.so.1", "libxenevtchn.so.1", "libxengnttab.so.1", "libxenforeignmemory.so.1"};

/* What we use of LIBRARY.  It stays loaded. */
static struct {
	__typeof__(xc_interface_open) *open;
	__typeof__(xc_interface_close) *close;
	__typeof__(xc_domain_pause) *pause;
	__typeof__(xc_domain_unpause) *unpause;
	__typeof__(xc_domain_destroy) *destroy;
	__typeof__(xc_domain_getinfolist) *getinfolist;
} xen;

static const struct {
	const char *name;
	void *at; /* in xen */
} functions[] = {
    {"xc_interface_open", &xen.open},
    {"xc_interface_close", &xen.close},
    {"xc_domain_pause", &xen.pause},
    {"xc_domain_unpause", &xen.unpause},
    {"xc_domain_destroy", &xen.destroy},
    {"xc_domain_getinfolist", &xen.getinfolist},
};

/* ---- loading ---- */

static int refuse_load(const char *what)
{
	cli_error(
	    "cannot %s: %s; the command needs Xen's libraries, which are in the package " PACKAGE,
	    what, dlerror());
	return -ENOENT;
}

static int load_ours(const char *what, const char *dir)
{
	char *path;
	void *loaded;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (asprintf(&path, "%s/%s", dir, ours[i]) < 0)
			return -ENOMEM;
		loaded = dlopen(path, RTLD_LAZY);
		free(path);
		if (!loaded)
			return refuse_load(what);
	}
	return 0;
}

static int load_functions(const char *what)
{
	void *library = dlopen(LIBRARY, RTLD_LAZY), *function;

	if (!library)
		return refuse_load(what);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		function = dlsym(library, functions[i].name);
		if (!function)
			return refuse_load(what);
		memcpy(functions[i].at, &function, sizeof(function));
	}
	return 0;
}

static int load(const char *what)
{
	char *dir;
	int err;

	if (xen.getinfolist)
		return 0;
	dir = xen_env_libraries();
	if (!dir) {
		cli_error("cannot %s: Lombard's libraries for libxenctrl are not there; set "
			  "LOMBARD_XEN_LIBS to the directory that has libxencall.so.1",
		    what);
		return -ENOENT;
	}
	err = load_ours(what, dir);
	free(dir);
	return err ? err : load_functions(what);
}

/* ---- the connection ---- */

/* What has failed is told by us. */
static void say_nothing(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
    const char *context, const char *format, va_list ap)
{
	(void)logger;
	(void)level;
	(void)errnoval;
	(void)context;
	(void)format;
	(void)ap;
}

/* The libraries look for the socket in the environment, which children of ours are to find as it was. */
static int connect_there(struct xenctl *x)
{
	static struct xentoollog_logger silent = {.vmessage = say_nothing};
	const char *old = getenv("LOMBARD_SOCKET");
	char *saved = old ? strdup(old) : NULL;
	int err = 0;

	if ((old && !saved) || setenv("LOMBARD_SOCKET", x->socket, 1) < 0) {
		free(saved);
		return -ENOMEM;
	}
	x->xc = xen.open(&silent, &silent, 0);
	if (!x->xc)
		err = -errno;
	if (saved)
		setenv("LOMBARD_SOCKET", saved, 1);
	else
		unsetenv("LOMBARD_SOCKET");
	free(saved);
	return err;
}

void xenctl_init(struct xenctl *x, const char *socket)
{
	*x = (struct xenctl){.socket = socket};
}

void xenctl_close(struct xenctl *x)
{
	if (x->xc)
		xen.close(x->xc);
	x->xc = NULL;
}

int xenctl_open(struct xenctl *x, const char *what)
{
	int err;

	if (x->xc)
		return 0;
	err = load(what);
	if (err)
		return err;
	err = connect_there(x);
	if (err == -EPIPE)
		client_explain_io(x->socket, what, err);
	else if (err)
		client_explain_open(x->socket, err);
	return err;
}

/* ---- hypercalls ---- */

int xenctl_explain(const struct xenctl *x, const char *what, int err)
{
	if (err == -EPIPE)
		client_explain_io(x->socket, what, err);
	else
		cli_error("cannot %s: %s", what, strerror(-err));
	return err;
}

int xenctl_pause(struct xenctl *x, uint32_t domid)
{
	return xen.pause(x->xc, domid) ? -errno : 0;
}

int xenctl_unpause(struct xenctl *x, uint32_t domid)
{
	return xen.unpause(x->xc, domid) ? -errno : 0;
}

int xenctl_destroy(struct xenctl *x, uint32_t domid)
{
	if (xen.destroy(x->xc, domid) == 0 || errno == ESRCH)
		return 0;
	return -errno;
}

static const char *state_name(uint32_t flags)
{
	if (flags & XEN_DOMINF_dying)
		return "stopping";
	if (flags & XEN_DOMINF_shutdown)
		return "shutdown";
	return flags & XEN_DOMINF_paused ? "paused" : "running";
}

static struct xenctl_domain domain_of(const xc_domaininfo_t *info)
{
	return (struct xenctl_domain){
	    .domid = info->domain,
	    .state = state_name(info->flags),
	    .vcpus = info->nr_online_vcpus,
	    .pages = info->tot_pages,
	    .shared = info->shr_pages,
	    .cpu_ns = info->cpu_time,
	};
}

/* Put a batch behind those that there are. */
static int append(
    struct xenctl_domain **domains, size_t *n, const xc_domaininfo_t *info, size_t ninfo)
{
	struct xenctl_domain *more = reallocarray(*domains, *n + BATCH, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*domains = more;
	for (size_t i = 0; i < ninfo; i++)
		more[(*n)++] = domain_of(&info[i]);
	return 0;
}

/* One batch, from domid *first on, which is moved behind it.  *last: there is no other */
static int add_batch(
    struct xenctl *x, uint32_t *first, bool *last, struct xenctl_domain **domains, size_t *n)
{
	xc_domaininfo_t info[BATCH];
	int got = xen.getinfolist(x->xc, *first, BATCH, info);

	if (got < 0)
		return -errno;
	*last = got < (int)BATCH;
	if (got > 0)
		*first = info[got - 1].domain + 1U;
	return append(domains, n, info, (size_t)got);
}

int xenctl_domains(struct xenctl *x, struct xenctl_domain **domains, size_t *n)
{
	uint32_t first = 1; /* 0 is the host */
	bool last = false;
	int err = 0;

	*domains = NULL;
	*n = 0;
	while (!err && !last)
		err = add_batch(x, &first, &last, domains, n);
	if (err) {
		free(*domains);
		*domains = NULL;
	}
	return err;
}
