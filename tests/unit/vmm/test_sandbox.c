/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/sandbox.c hv/lib/confine.c $(PVH_SRCS) */
/* pkgs: libelf liblz4 liblzma libzstd zlib libseccomp */
/* The system call filter (sandbox.c): each case in a child, which has to live, or to die of SIGSYS. */
#include "vmm/pvh.h"
#include "vmm/vmm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

/* A function that does not return has the sanitizer look at its stacks, by more system calls. */
static void leave(int status)
{
	(void)syscall(SYS_exit_group, status);
}

/* Returns the child's wait status: exit status 0 when fn came back. */
static int in_child(void (*fn)(void))
{
	struct failure f;
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_filter(&f) != 0)
			_exit(2);
		fn();
		leave(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

#define LIVES(fn)                                                                                  \
	do {                                                                                       \
		int st_ = in_child(fn);                                                            \
		cr_assert_eq(st_, 0, "status %#x", st_);                                           \
	} while (0)
#define DIES(fn)                                                                                   \
	do {                                                                                       \
		int st_ = in_child(fn);                                                            \
		cr_assert(WIFSIGNALED(st_) && WTERMSIG(st_) == SIGSYS, "status %#x", st_);         \
	} while (0)

static void opens(void)
{
	(void)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
}

static void executes(void)
{
	static const char *const argv[] = {"true", NULL};

	(void)syscall(SYS_execve, "/bin/true", argv, argv + 1);
}

static void connects(void)
{
	(void)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void forks(void)
{
	(void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void maps_code(void)
{
	(void)syscall(SYS_mmap, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void makes_code(void)
{
	long p = syscall(
	    SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)syscall(SYS_mprotect, p, PAGE, PROT_READ | PROT_EXEC);
}

static void makes_a_vm(void)
{
	(void)syscall(SYS_ioctl, 0, KVM_CREATE_VM, 0);
}

static void kills(void)
{
	(void)syscall(SYS_kill, 1, 0);
}

static void gains(void)
{
	(void)syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

Test(sandbox, what_a_vmm_never_does_ends_it)
{
	DIES(opens);
	DIES(executes);
	DIES(connects);
	DIES(forks);
	DIES(maps_code);
	DIES(makes_code);
	DIES(makes_a_vm);
	DIES(kills);
	DIES(gains);
}

/* System calls as they are: the sanitizers' wrappers do more. */
static void maps_memory(void)
{
	long p = syscall(
	    SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == -1 || syscall(SYS_mprotect, p, PAGE, PROT_READ) != 0 ||
	    syscall(SYS_munmap, p, PAGE) != 0)
		leave(3);
}

static void talks(void)
{
	struct pollfd p = {.fd = -1};

	(void)poll(&p, 1, 0);
	(void)sched_yield();
	if (write(-1, "", 1) != -1 || ioctl(-1, KVM_RUN, 0) != -1 || errno != EBADF)
		leave(3);
}

/* Under a sanitizer a new thread does more than the C library asks for. */
static void asks_for_clone3(void)
{
	if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
		leave(3);
}

Test(sandbox, what_a_vmm_does_goes_on)
{
	LIVES(maps_memory);
	LIVES(talks);
	LIVES(asks_for_clone3);
}

static int pipefd[2];

static void *opens_when_told(void *arg)
{
	char c;

	(void)arg;
	if (read(pipefd[0], &c, 1) == 1)
		opens();
	return NULL;
}

static int image_fd;

/* This program: a good ELF file without the note, which is found out at the end. */
static void looks_at_image(void)
{
	const struct gmem gm = {.ram = {.size = UINT32_MAX}};
	const struct pvh_image img = {.fd = image_fd, .path = "it", .cmdline = "", .initrd = -1};
	struct pvh_start start;
	struct failure f;

	if (pvh_load(&gm, &img, &start, &f) != -ENOEXEC || strstr(f.text, "no Xen note") == NULL)
		leave(3);
}

/* The library that takes images apart was trusted with root's privileges before. */
Test(sandbox, image_is_examined_in_it)
{
	image_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cr_assert(image_fd >= 0);
	LIVES(looks_at_image);
}

/* The thread was there before the filter: it must have it, too. */
Test(sandbox, filter_holds_for_all_threads)
{
	struct failure f;
	pid_t pid;
	int status;

	cr_assert_eq(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		pthread_t t;

		if (pthread_create(&t, NULL, opens_when_told, NULL) != 0 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_filter(&f) != 0 ||
		    write(pipefd[1], "x", 1) != 1)
			_exit(2);
		pthread_join(t, NULL);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status %#x", status);
}
