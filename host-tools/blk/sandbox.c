/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a backend gives up before it looks at its guest's ring.
 *
 * It keeps the descriptors that it has: the file, the io_uring that knows no other one (io.c), the
 * connections to the cell and to the xenstore.  It can open, execute or connect to nothing more, nor
 * map anything executable; one that tries is killed.
 */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Beside the VMMs' (hv/vmm/sandbox.c): a guest's backends have one user. */
#define UID_BASE 0x70010000U

/* The runtimes of sanitizers make system calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

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
    /* memory: see also those with conditions */
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    /* threads, time, the end */
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
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

static int allow(scmp_filter_ctx ctx)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (ret == 0)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (ret == 0)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return ret;
}

int sandbox_filter(struct failure *f)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (ctx == NULL)
		return failure_sys(f, -ENOMEM, "the system call filter");
	/* libxenstore's thread is there already. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = allow(ctx);
	if (ret == 0)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret != 0 ? failure_sys(f, ret, "the system call filter can't be installed") : 0;
}

int sandbox_enter(uint32_t domid, struct failure *f)
{
	uid_t id = UID_BASE + domid;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failure_sys(f, -errno, "PR_SET_NO_NEW_PRIVS");
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0))
		return failure_sys(f, -errno, "can't become user %u", (unsigned)id);
	return SANITIZED ? 0 : sandbox_filter(f);
}
