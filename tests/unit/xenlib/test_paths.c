/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/xen/xenpaths.c */
/*
 * The files of Xen's kernels, and that every other path is libc's.  (Linked, not preloaded: the
 * program's own functions go before libc's, too.)
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/xenwire.h"

Test(paths, xenstore_port)
{
	char text[16] = "", want[16];
	int fd = open("/proc/xen/xsd_port", O_RDONLY);

	snprintf(want, sizeof(want), "%u", XENWIRE_XENSTORE_PORT);
	cr_assert_geq(fd, 0);
	cr_assert_eq(read(fd, text, sizeof(text) - 1), (ssize_t)strlen(want));
	cr_assert_str_eq(text, want);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	close(fd);
}

Test(paths, xenstore_page)
{
	int fd = open64("/proc/xen/xsd_kva", O_RDWR | O_CLOEXEC);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	cr_assert(p != MAP_FAILED);
	cr_assert_eq(p[4095], 0);
	p[4095] = 1;
	munmap(p, 4096);
}

Test(paths, devices_are_none)
{
	DIR *dir = opendir("/sys/bus/xen-backend/devices");

	cr_assert_not_null(dir);
	for (unsigned i = 0; i < 3; i++) {
		errno = 0;
		cr_assert_null(readdir(dir));
		cr_assert_eq(errno, 0);
		rewinddir(dir);
	}
	closedir(dir);
}

Test(paths, others_are_libc_s)
{
	char path[] = "/tmp/lombard-paths.XXXXXX", text[8] = "";
	struct stat st;
	DIR *dir;
	int fd;

	cr_assert_not_null(mkdtemp(path));
	cr_assert_eq(chdir(path), 0);
	umask(0);
	fd = open("file", O_CREAT | O_EXCL | O_RDWR, 0641);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0641);
	cr_assert_eq(write(fd, "hello", 5), 5);
	close(fd);
	fd = open64("file", O_RDONLY);
	cr_assert_eq(read(fd, text, sizeof(text)), 5);
	cr_assert_str_eq(text, "hello");
	close(fd);
	cr_assert_eq(open("file", O_CREAT | O_EXCL, 0600), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(open("/proc/xen/other", O_RDONLY), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_null(opendir("none"));
	cr_assert_eq(errno, ENOENT);
	dir = opendir(path);
	cr_assert_not_null(dir);
	cr_assert_not_null(readdir(dir));
	closedir(dir);
	cr_assert_eq(unlink("file"), 0);
	cr_assert_eq(rmdir(path), 0);
}
