/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/confine.h"

#include <errno.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/sys.h"

int confine_user(uid_t id, struct failure *f)
{
	if (SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		return failure_sys(f, -errno, "PR_SET_NO_NEW_PRIVS");
	if (geteuid() == 0 &&
	    (SYS(setgroups(0, NULL)) || SYS(setresgid(id, id, id)) || SYS(setresuid(id, id, id))))
		return failure_sys(f, -errno, "can't become user %u", (unsigned)id);
	return 0;
}

static int allow(scmp_filter_ctx ctx, const int *allowed, size_t nallowed)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nallowed; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return ret;
}

int confine_calls(
    const int *allowed, size_t nallowed, int (*more)(scmp_filter_ctx ctx), struct failure *f)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (!ctx)
		return failure_sys(f, -ENOMEM, "the system call filter");
	/* Other threads may be there already. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret)
		ret = allow(ctx, allowed, nallowed);
	if (!ret && more)
		ret = more(ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret ? failure_sys(f, ret, "the system call filter can't be installed") : 0;
}
