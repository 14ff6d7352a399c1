/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/sys.h"

#define PAGE_SIZE ((size_t)4096)
#define HUGE_SIZE ((size_t)2 << 20)

#define REQUIRED (UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

/* The device (Linux 6.1) needs only its file mode, the system call a privilege: try both. */
static int uffd_new(void)
{
	int dev, fd, err;

	dev = SYS(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
	if (dev >= 0) {
		fd = SYS(ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
		err = errno;
		close(dev);
	} else {
		fd = SYS((int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
		err = errno;
	}
	return fd < 0 ? -err : fd;
}

/* One attempt; a kernel that lacks a wanted feature refuses the whole descriptor with -EINVAL. */
static int uffd_try(uint64_t wanted, int *fdp, uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = wanted};
	int fd = uffd_new();

	if (fd < 0)
		return fd;
	if (SYS(ioctl(fd, UFFDIO_API, &api))) {
		int err = errno;

		close(fd);
		return -err;
	}
	*fdp = fd;
	*features = api.features;
	return 0;
}

static int uffd_explain(int err, struct failure *f)
{
	uint64_t have = 0;
	int fd = -1;

	if (err == -EPERM || err == -EACCES)
		return failure_sys(f, err,
		    "no userfaultfd: run lombardd as root, or give it /dev/userfaultfd (Linux 6.1) "
		    "or "
		    "CAP_SYS_PTRACE");
	if (err != -EINVAL || uffd_try(0, &fd, &have))
		return failure_sys(f, err, "no userfaultfd");
	close(fd);
	if (!(have & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return failure_set(f, -ENOTSUP,
		    "this kernel's userfaultfd has no write-protection: Linux 5.7 and later have "
		    "it "
		    "(CONFIG_HAVE_ARCH_USERFAULTFD_WP), Lombard needs 5.19");
	return failure_set(f, -ENOTSUP,
	    "this kernel's userfaultfd can't write-protect shared memory "
	    "(UFFD_FEATURE_WP_HUGETLBFS_SHMEM): Linux 5.19 and later can");
}

int uffd_open(int *fd, uint64_t *features, struct failure *f)
{
	int ret = uffd_try(REQUIRED | UFFD_FEATURE_WP_UNPOPULATED, fd, features);

	if (ret == -EINVAL)
		ret = uffd_try(REQUIRED, fd, features);
	return ret ? uffd_explain(ret, f) : 0;
}

int uffd_register(int fd, void *addr, size_t len, uint64_t modes)
{
	struct uffdio_register r = {
	    .range = {.start = (uintptr_t)addr, .len = len},
	    .mode = modes,
	};

	return SYS(ioctl(fd, UFFDIO_REGISTER, &r)) ? -errno : 0;
}

static int write_protect_once(int fd, void *addr, size_t len, uint64_t mode)
{
	struct uffdio_writeprotect w = {
	    .range = {.start = (uintptr_t)addr, .len = len},
	    .mode = mode,
	};

	return SYS(ioctl(fd, UFFDIO_WRITEPROTECT, &w)) ? -errno : 0;
}

/* Where to divide a range: between huge pages, if it may consist of them; 0: it is one page. */
static size_t half_of(const void *addr, size_t len)
{
	if (((uintptr_t)addr | len) % HUGE_SIZE == 0 && len > HUGE_SIZE)
		return len / 2 & ~(HUGE_SIZE - 1);
	return len / 2 & ~(PAGE_SIZE - 1);
}

/* Linux before 6.3 takes no more than one mapping at a time: then the range is halved until it fits. */
static int write_protect(int fd, void *addr, size_t len, uint64_t mode)
{
	size_t half = half_of(addr, len);
	int ret = write_protect_once(fd, addr, len, mode);

	if (ret != -ENOENT || half == 0)
		return ret;
	ret = write_protect(fd, addr, half, mode);
	return ret ? ret : write_protect(fd, (char *)addr + half, len - half, mode);
}

int uffd_protect(int fd, void *addr, size_t len)
{
	return write_protect(fd, addr, len, UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffd_unprotect(int fd, void *addr, size_t len)
{
	return write_protect(fd, addr, len, 0);
}

int uffd_wake(int fd, void *addr, size_t len)
{
	struct uffdio_range r = {.start = (uintptr_t)addr, .len = len};

	return ioctl(fd, UFFDIO_WAKE, &r) ? -errno : 0;
}
