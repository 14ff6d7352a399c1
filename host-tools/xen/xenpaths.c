/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that a kernel under Xen has and that some tools do not start without.  `lombard xen` has
 * this library loaded before all others, so that these functions are found before libc's; for any
 * other path they are libc's.
 *
 *	/proc/xen/xsd_port		the event channel of the kernel's xenstore connection
 *	/proc/xen/xsd_kva		its page
 *	/sys/bus/xen-backend/devices	the devices of guests that the kernel serves: none
 *
 * Neither can be made: the kernel's directories cannot be added to, and mounting others over them
 * would take root and change them for every process that a tool starts.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/xenwire.h"

/* What stands in the way of libc's functions.  (Those with _2: _FORTIFY_SOURCE's, without a mode.) */
int paths_open(const char *path, int flags, ...) __asm__("open");
int paths_open64(const char *path, int flags, ...) __asm__("open64");
int paths_open_2(const char *path, int flags) __asm__("__open_2");
int paths_open64_2(const char *path, int flags) __asm__("__open64_2");
DIR *paths_opendir(const char *path) __asm__("opendir");

static int memory_file(int flags)
{
	return memfd_create("lombard-xenpaths", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
}

/* No newline: oxenstored takes none. */
static int open_port(int flags)
{
	int fd = memory_file(flags);

	if (fd >= 0 &&
	    (dprintf(fd, "%u", XENWIRE_XENSTORE_PORT) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The kernel would be on the other side; nobody is, and no tool waits for it. */
static int open_page(int flags)
{
	int fd = memory_file(flags);

	if (fd >= 0 && ftruncate(fd, XENWIRE_PAGE) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static const struct {
	const char *path;
	int (*open)(int flags);
} files[] = {
    {"/proc/xen/xsd_port", open_port},
    {"/proc/xen/xsd_kva", open_page},
};

static int open_any(const char *path, int flags, mode_t mode)
{
	static int (*next)(const char *, int, ...);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(path, files[i].path) == 0)
			return files[i].open(flags);
	if (next == NULL)
		next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return next(path, flags, mode);
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(ap, mode_t) : 0;
}

int paths_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(path, flags, mode);
}

/* The same on the machines that we run on. */
int paths_open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(path, flags, mode);
}

int paths_open_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

int paths_open64_2(const char *path, int flags)
{
	return open_any(path, flags, 0);
}

/* A directory that is gone already: there is nothing in it, and never will be. */
static DIR *open_nothing(DIR *(*next)(const char *))
{
	char path[] = "/tmp/lombard-xen.XXXXXX";
	DIR *dir;
	int saved;

	if (mkdtemp(path) == NULL)
		return NULL;
	dir = next(path);
	saved = errno;
	rmdir(path);
	errno = saved;
	return dir;
}

DIR *paths_opendir(const char *path)
{
	static DIR *(*next)(const char *);

	if (next == NULL)
		next = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
	return strcmp(path, "/sys/bus/xen-backend/devices") == 0 ? open_nothing(next) : next(path);
}
