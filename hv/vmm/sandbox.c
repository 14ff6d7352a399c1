/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VMM gives up before its guest runs.
 *
 * All it needs from then on are the descriptors that it has.  Each guest's process gets a user and
 * group of its own, without capabilities, so that a guest that has taken its VMM over can't open the
 * stores it borrows from for writing (their mode is 0400 and they are root's), nor signal or trace
 * the other VMMs.
 */
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/sys.h"
#include "vmm/vmm.h"

/* Above the ranges that distributions and systemd give to users and containers. */
#define UID_BASE 0x70000000U

int sandbox_enter(const struct vmm *vm, struct failure *f)
{
	uid_t id = UID_BASE + vm->cfg.domid;

	/* Nothing new can be had by executing something, root or not. */
	if (SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		return failure_sys(f, -errno, "PR_SET_NO_NEW_PRIVS");
	if (geteuid() != 0)
		return 0;
	if (SYS(setgroups(0, NULL)) || SYS(setresgid(id, id, id)) || SYS(setresuid(id, id, id)))
		return failure_sys(f, -errno, "can't become user %u", (unsigned)id);
	return 0;
}
