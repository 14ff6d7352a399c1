/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VMM gives up before it looks at its guest's image.
 *
 * All it needs from then on are the descriptors that it has.  Each guest's process gets a user and
 * group of its own, without capabilities, so that a guest that has taken its VMM over can't open the
 * stores it borrows from for writing (their mode is 0400 and they are root's), nor signal or trace
 * the other VMMs.  And it may make only those system calls that it makes anyway: it can't open,
 * execute or connect to anything, nor map anything executable; one that tries is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/sys.h"
#include "vmm/vmm.h"

/* Above the ranges that distributions and systemd give to users and containers. */
#define UID_BASE 0x70000000U

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

/* With any arguments. */
static const int allowed[] = {
    /* the dialogue with the core, the console, the event */
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    /* the image */
    SCMP_SYS(pread64),
    /* memory: see also those with conditions */
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    /* threads, time, the end */
    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static const unsigned long allowed_ioctls[] = {
    KVM_RUN,
    KVM_GET_REGS,
    KVM_SET_REGS,
    KVM_GET_SREGS,
    KVM_SET_SREGS,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_GET_XSAVE,
    KVM_SET_XSAVE,
    KVM_GET_DEBUGREGS,
    KVM_SET_DEBUGREGS,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_VCPU_EVENTS,
    KVM_GET_LAPIC,
    KVM_SET_LAPIC,
    KVM_GET_MP_STATE,
    KVM_SET_MP_STATE,
    KVM_SIGNAL_MSI,
    UFFDIO_REGISTER,
    UFFDIO_WRITEPROTECT,
    UFFDIO_WAKE,
};

static int allow_plain(scmp_filter_ctx ctx)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; !ret && i < sizeof(allowed_ioctls) / sizeof(allowed_ioctls[0]); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_EQ, allowed_ioctls[i], 0));
	return ret;
}

/* Memory that is not executable; threads and their names, no processes. */
static int allow_with_conditions(scmp_filter_ctx ctx)
{
	int ret = seccomp_rule_add(
	    ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(
		    ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	/* libelf looks whether the image's descriptor is one. */
	if (!ret)
		ret = seccomp_rule_add(
		    ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFD, 0));
	/* Its flags lie in memory, where no filter can look; the C library falls back to clone. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	return ret;
}

int sandbox_filter(struct failure *f)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (!ctx)
		return failure_sys(f, -ENOMEM, "the system call filter");
	/* The pmap thread is there already. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret)
		ret = allow_plain(ctx);
	if (!ret)
		ret = allow_with_conditions(ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret ? failure_sys(f, ret, "the system call filter can't be installed") : 0;
}

int sandbox_enter(const struct vmm *vm, struct failure *f)
{
	uid_t id = UID_BASE + vm->cfg.domid;

	/* Nothing new can be had by executing something, root or not. */
	if (SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		return failure_sys(f, -errno, "PR_SET_NO_NEW_PRIVS");
	if (geteuid() == 0 &&
	    (SYS(setgroups(0, NULL)) || SYS(setresgid(id, id, id)) || SYS(setresuid(id, id, id))))
		return failure_sys(f, -errno, "can't become user %u", (unsigned)id);
	return SANITIZED ? 0 : sandbox_filter(f);
}
