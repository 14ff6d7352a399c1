/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/blk/sandbox.c hv/lib/confine.c hv/lib/failure.c hv/lib/sys.c */
/* pkgs: libseccomp */
/* The system call filter: each case in a child, which has to live, or to die of SIGSYS. */
#include "sandbox.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Returns the child's wait status.  It does not return from here: the sanitizer would make calls of its own. */
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
		(void)syscall(SYS_exit_group, 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void lives(void (*fn)(void))
{
	cr_assert_eq(in_child(fn), 0);
}

static void dies(void (*fn)(void))
{
	int status = in_child(fn);

	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGSYS);
}

static void nothing(void)
{
}

static void map_data(void)
{
	(void)syscall(
	    SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void map_code(void)
{
	(void)syscall(
	    SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void open_file(void)
{
	(void)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void read_at(void)
{
	(void)syscall(SYS_pread64, 0, NULL, 0, 0);
}

static void make_socket(void)
{
	(void)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void make_uring(void)
{
	(void)syscall(SYS_io_uring_setup, 1, NULL);
}

static void change_uring(void)
{
	(void)syscall(SYS_io_uring_register, 0, 0, NULL, 0);
}

static void execute(void)
{
	(void)syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static void make_process(void)
{
	(void)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void look_into(void)
{
	(void)syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

Test(sandbox, serving)
{
	lives(nothing);
	lives(map_data);
}

Test(sandbox, nothing_else)
{
	dies(map_code);
	dies(open_file);
	dies(read_at);
	dies(make_socket);
	dies(make_uring);
	dies(change_uring);
	dies(execute);
	dies(make_process);
	dies(look_into);
}
