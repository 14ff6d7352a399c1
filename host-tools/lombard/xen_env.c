/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen_env.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "images.h"

/* From PREFIX/bin, and from build/VARIANT/bin. */
static const char *const places[] = {"../lib/lombard/xen", "../lib/xen"};

/* Answers for files of Xen's kernels; lies with the libraries. */
#define PATHS_LIBRARY "liblombard-xenpaths.so"

/* Debian's, one directory for each release of Xen; that of the tools' packages. */
#define TOOLS "/usr/lib/xen-[0-9]*/bin"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int has_libraries(const char *dir)
{
	char *file;
	int ok;

	if (asprintf(&file, "%s/libxencall.so.1", dir) < 0)
		return 0;
	ok = access(file, R_OK) == 0;
	free(file);
	return ok;
}

char *xen_env_libraries(void)
{
	const char *env = getenv("LOMBARD_XEN_LIBS");
	char *self, *below, *dir = NULL;

	if (env && *env)
		return has_libraries(env) ? realpath(env, NULL) : NULL;
	if (images_program_dir(&self))
		return NULL;
	for (size_t i = 0; !dir && i < sizeof(places) / sizeof(places[0]); i++) {
		if (asprintf(&below, "%s/%s", self, places[i]) < 0)
			break;
		if (has_libraries(below))
			dir = realpath(below, NULL);
		free(below);
	}
	free(self);
	return dir;
}

/* `first`, then what the variable says already, if anything. */
static char *before(const char *first, const char *name, const char *otherwise)
{
	const char *rest = getenv(name);
	char *value;

	if (!rest || !*rest)
		rest = otherwise;
	if (asprintf(&value, "%s%s%s", first, *first && *rest ? ":" : "", rest) < 0)
		return NULL;
	return value;
}

/* The path with the directories of Xen's tools in front, the newest release first. */
static char *tools_path(void)
{
	char *value = before("", "PATH", DEFAULT_PATH), *longer;
	glob_t g;

	if (glob(TOOLS, 0, NULL, &g))
		return value;
	for (size_t i = 0; value && i < g.gl_pathc; i++) {
		if (asprintf(&longer, "%s:%s", g.gl_pathv[i], value) < 0)
			longer = NULL;
		free(value);
		value = longer;
	}
	globfree(&g);
	return value;
}

/* Where the cell's xenstore is, if it was started with one: beside its socket, a directory. */
static char *find_store(const char *socket)
{
	struct stat st;
	char *dir;

	if (asprintf(&dir, "%s.xenstore", socket) < 0)
		return NULL;
	if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
		return dir;
	free(dir);
	return NULL;
}

static void add(struct xen_env *env, const char *name, char *value)
{
	env->vars[env->n].name = name;
	env->vars[env->n++].value = value;
}

void xen_env_drop(struct xen_env *env)
{
	while (env->n > 0)
		free(env->vars[--env->n].value);
}

int xen_env_make(struct xen_env *env, const char *socket)
{
	char *libs = xen_env_libraries(), *path = NULL, *store;
	int err;

	*env = (struct xen_env){0};
	if (!libs) {
		cli_error("cannot find Lombard's libraries for Xen's tools; set LOMBARD_XEN_LIBS "
			  "to the directory that has libxencall.so.1");
		return -ENOENT;
	}
	err = images_absolute(socket, &path);
	add(env, "LOMBARD_SOCKET", path);
	add(env, "LD_LIBRARY_PATH", before(libs, "LD_LIBRARY_PATH", ""));
	add(env, "LD_PRELOAD", before(PATHS_LIBRARY, "LD_PRELOAD", ""));
	add(env, "PATH", tools_path());
	free(libs);
	store = path ? find_store(path) : NULL;
	if (store)
		add(env, "XENSTORED_RUNDIR", store);
	for (size_t i = 0; !err && i < env->n; i++)
		if (!env->vars[i].value)
			err = -ENOMEM;
	if (err) {
		cli_error("cannot make the environment of Xen's tools: %s", strerror(-err));
		xen_env_drop(env);
	}
	return err;
}
