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
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/prctl.h>

#include "lib/confine.h"
#include "vmm/vmm.h"

/* Above the ranges that distributions and systemd give to users and containers. */
#define UID_BASE 0x70000000U

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
    /* where a tool has put one */
    SCMP_SYS(lseek),
    /* memory: see also confine_calls */
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
    KVM_CHECK_EXTENSION,
    KVM_XEN_HVM_CONFIG,
    UFFDIO_REGISTER,
    UFFDIO_WRITEPROTECT,
    UFFDIO_WAKE,
};

static int allow_ioctls(scmp_filter_ctx ctx)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(allowed_ioctls) / sizeof(allowed_ioctls[0]); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_EQ, allowed_ioctls[i], 0));
	return ret;
}

/* Threads and their names, no processes. */
static int allow_with_conditions(scmp_filter_ctx ctx)
{
	int ret = allow_ioctls(ctx);

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
	return confine_calls(
	    allowed, sizeof(allowed) / sizeof(allowed[0]), allow_with_conditions, f);
}

int sandbox_enter(const struct vmm *vm, struct failure *f)
{
	int ret = confine_user(UID_BASE + vm->cfg.domid, f);

	return ret || CONFINE_SANITIZED ? ret : sandbox_filter(f);
}
