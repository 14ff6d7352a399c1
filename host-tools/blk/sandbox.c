/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a backend gives up before it looks at its guest's ring.
 *
 * Both processes keep the descriptors that they have (server.h).  They can open, execute or connect to nothing more, nor
 * map anything executable; one that tries is killed.
 */
#include "sandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/confine.h"

/* Beside the VMMs' (hv/vmm/sandbox.c): a guest's backends have one user. */
#define UID_BASE 0x70010000U

static const int allowed[] = {
    /* the dialogues with the cell, for events and grants, and with the xenstore; messages */
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(dup2),
    /* the file */
    SCMP_SYS(io_uring_enter),
    /* memory: see also confine_calls */
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    /* threads, time, the end */
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

int sandbox_filter(struct failure *f)
{
	return confine_calls(allowed, sizeof(allowed) / sizeof(allowed[0]), NULL, f);
}

/* The kernel forgets it when the user changes. */
static int end_with(pid_t parent, struct failure *f)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return failure_sys(f, -errno, "prctl");
	return getppid() == parent ? 0 : failure_set(f, -ESRCH, "it was killed");
}

int sandbox_enter(uint32_t domid, pid_t parent, struct failure *f)
{
	int ret = confine_user(UID_BASE + domid, f);

	if (ret == 0 && parent != 0)
		ret = end_with(parent, f);
	return ret != 0 || CONFINE_SANITIZED ? ret : sandbox_filter(f);
}
