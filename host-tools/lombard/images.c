/* SPDX-License-Identifier: BSD-2-Clause */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* From build/VARIANT/bin, and from PREFIX/bin. */
static const char *const places[] = {"../../guest", "../lib/lombard/guests"};

int images_program_dir(char **dir)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return -errno;
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	*dir = strdup(self);
	return *dir ? 0 : -ENOMEM;
}

int images_absolute(const char *path, char **abs)
{
	char *cwd;
	int n;

	if (path[0] == '/') {
		*abs = strdup(path);
		return *abs ? 0 : -ENOMEM;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;
	n = asprintf(abs, "%s/%s", cwd, path);
	free(cwd);
	return n < 0 ? -ENOMEM : 0;
}

static int try_open(const char *dir, const char *below, const char *name, char **path, int *fd)
{
	int err;

	if (asprintf(path, "%s/%s%s%s.elf", dir, below, *below ? "/" : "", name) < 0)
		return -ENOMEM;
	*fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		return 0;
	err = -errno;
	free(*path);
	return err;
}

static int try_places(const char *name, char **path, int *fd)
{
	char *dir = NULL;
	int err = images_program_dir(&dir);

	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; err == -ENOENT && i < sizeof(places) / sizeof(places[0]); i++)
		err = try_open(dir, places[i], name, path, fd);
	free(dir);
	return err;
}

int images_open(const char *name, char **path, int *fd)
{
	const char *env = getenv("LOMBARD_GUESTS");
	int err;

	if (env && *env)
		err = try_open(env, "", name, path, fd);
	else
		err = try_places(name, path, fd);
	if (err)
		cli_error("cannot open the image %s.elf: %s; set LOMBARD_GUESTS to the directory "
			  "that has Lombard's guests",
		    name, strerror(-err));
	return err;
}
