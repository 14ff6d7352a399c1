/* SPDX-License-Identifier: BSD-2-Clause */
#include "domain.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <lombard/loan.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h> /* the next ones need it */
#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#define LEAF_XEN 0x40000000u
#define LEAF_TSC 0x40000010u /* the last one of Lombard's (docs/abi.md), beyond all of Xen's */
#define OPEN_SECONDS 2
#define ALIGN ((uintptr_t)2 << 20)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int privcmd, mem; /* -1: not open */
	void *argument;	  /* a page */
	uint16_t domid;
} domain = {.privcmd = -1, .mem = -1};

bool domain_p(void)
{
	unsigned eax, regs[3];

	__cpuid_count(LEAF_XEN, 0, eax, regs[0], regs[1], regs[2]);
	return memcmp(regs, "XenVMMXenVMM", sizeof(regs)) == 0 && eax >= LEAF_TSC;
}

static int open_device(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

static void *open_privcmd(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)open_device("/dev/xen/privcmd", 0);
}

/*
 * A restricted privcmd lets whoever opens it wait until a xenstore has said for which domain it is, and
 * there may never be one.  So a thread does it, which can be called off.
 */
static int open_in_time(void)
{
	struct timespec end;
	pthread_t thread;
	void *result;
	int error = pthread_create(&thread, NULL, open_privcmd, NULL);

	if (error != 0)
		return -error;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += OPEN_SECONDS;
	if (pthread_timedjoin_np(thread, &result, &end) != 0) {
		pthread_cancel(thread);
		pthread_join(thread, &result);
	}
	return result != PTHREAD_CANCELED ? (int)(intptr_t)result : -EPERM;
}

/* => mutex, and privcmd and the argument's page are there */
static int call(unsigned nr, unsigned cmd, void *arg, size_t len)
{
	struct privcmd_hypercall op = {.op = nr, .arg = {cmd, (uintptr_t)domain.argument}};
	int ret;

	memcpy(domain.argument, arg, len);
	ret = ioctl(domain.privcmd, IOCTL_PRIVCMD_HYPERCALL, &op);
	if (ret < 0)
		return -errno;
	memcpy(arg, domain.argument, len);
	return ret;
}

static void close_all(void)
{
	if (domain.argument != NULL)
		munmap(domain.argument, DOMAIN_PAGE);
	if (domain.privcmd >= 0)
		close(domain.privcmd);
	if (domain.mem >= 0)
		close(domain.mem);
	domain.argument = NULL;
	domain.privcmd = domain.mem = -1;
}

static int map_argument(void)
{
	int fd = open_device("/dev/xen/hypercall", 0), error = 0;
	void *page;

	if (fd < 0)
		return fd;
	page = mmap(NULL, DOMAIN_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		error = -errno;
	else
		domain.argument = page;
	close(fd);
	return error;
}

static int ask_who(void)
{
	struct loan_info info = {0};
	int error = call(LOMBARD_HYPERCALL_loan_op, LOANOP_info, &info, sizeof(info));

	domain.domid = info.domid;
	if (error == 0 && info.abi_version != LOMBARD_ABI_VERSION)
		error = -ENOSYS;
	return error;
}

/* => mutex */
static int open_all(void)
{
	int error;

	if (!domain_p())
		return -ENOSYS;
	domain.privcmd = open_in_time();
	if (domain.privcmd < 0)
		return domain.privcmd;
	domain.mem = open_device("/dev/mem", 0);
	if (domain.mem < 0)
		return domain.mem;
	error = map_argument();
	return error != 0 ? error : ask_who();
}

int domain_open(uint16_t *domid)
{
	int error = 0;

	pthread_mutex_lock(&mutex);
	if (domain.argument == NULL) {
		error = open_all();
		if (error != 0)
			close_all();
	}
	if (error == 0 && domid != NULL)
		*domid = domain.domid;
	pthread_mutex_unlock(&mutex);
	return error;
}

int domain_call(unsigned nr, unsigned cmd, void *arg, size_t len)
{
	int ret;

	pthread_mutex_lock(&mutex);
	ret = call(nr, cmd, arg, len);
	pthread_mutex_unlock(&mutex);
	return ret;
}

int domain_reserve(size_t bytes, void **addr)
{
	size_t more = bytes + ALIGN - DOMAIN_PAGE;
	uint8_t *p = mmap(
	    NULL, more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return -errno;
	before = (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
	if (before != 0)
		munmap(p, before);
	if (more - before != bytes)
		munmap(p + before + bytes, more - before - bytes);
	*addr = p + before;
	return 0;
}

int domain_show(void *addr, uint64_t gfn, uint64_t pages, int prot)
{
	size_t bytes = pages * DOMAIN_PAGE;

	if (mmap(addr, bytes, prot, MAP_SHARED | MAP_FIXED, domain.mem,
		(off_t)(gfn * DOMAIN_PAGE)) == MAP_FAILED)
		return -errno;
	return madvise(addr, bytes, MADV_DONTFORK) == 0 ? 0 : -errno;
}

void domain_release(void *addr, size_t bytes)
{
	munmap(addr, bytes);
}

static int bind(unsigned long what, void *op, int *fdp)
{
	int fd = open_device("/dev/xen/evtchn", O_NONBLOCK), port;

	if (fd < 0)
		return fd;
	port = ioctl(fd, what, op);
	if (port < 0) {
		port = -errno;
		close(fd);
	} else {
		*fdp = fd;
	}
	return port;
}

int domain_port(int *fd, uint32_t *port)
{
	struct ioctl_evtchn_bind_unbound_port op = {.remote_domain = domain.domid};
	int ret = bind(IOCTL_EVTCHN_BIND_UNBOUND_PORT, &op, fd);

	if (ret < 0)
		return ret;
	*port = (uint32_t)ret;
	return 0;
}

int domain_virq(unsigned virq, int *fd)
{
	struct ioctl_evtchn_bind_virq op = {.virq = virq};
	int ret = bind(IOCTL_EVTCHN_BIND_VIRQ, &op, fd);

	return ret < 0 ? ret : 0;
}

/* What is read is a port's number, and it has to be written for the next event to come. */
bool domain_take(int fd)
{
	uint32_t port;

	return read(fd, &port, sizeof(port)) == (ssize_t)sizeof(port) &&
	       write(fd, &port, sizeof(port)) == (ssize_t)sizeof(port);
}
