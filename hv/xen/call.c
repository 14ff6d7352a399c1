/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/call.h"

#include <errno.h>

#include "xen/public.h"

#define NCALLS 64u

static xen_handler *const handlers[NCALLS] = {
    [__HYPERVISOR_memory_op] = xen_call_memory,
    [__HYPERVISOR_multicall] = xen_call_multicall,
    [__HYPERVISOR_xen_version] = xen_call_version,
    [__HYPERVISOR_sched_op] = xen_call_sched,
    [__HYPERVISOR_hvm_op] = xen_call_hvm,
    [__HYPERVISOR_sysctl] = xen_call_sysctl,
    [__HYPERVISOR_domctl] = xen_call_domctl,
    [__HYPERVISOR_event_channel_op] = xen_call_event_channel,
    [__HYPERVISOR_grant_table_op] = xen_call_grant_table,
};

int64_t xen_call(struct xen_caller *c, uint64_t nr, const uint64_t arg[5])
{
	if (nr >= NCALLS || handlers[nr] == NULL)
		return -ENOSYS;
	return handlers[nr](c, arg);
}

/* Calls of a multicall may not be multicalls, in Xen neither. */
static int64_t call_entry(struct xen_caller *c, const struct multicall_entry *e)
{
	uint64_t arg[5];

	if (e->op == __HYPERVISOR_multicall)
		return -EINVAL;
	for (unsigned i = 0; i < 5; i++)
		arg[i] = e->args[i];
	return xen_call(c, e->op, arg);
}

/* Each entry has its own result; who asks for none has not asked for anything. */
int64_t xen_call_multicall(struct xen_caller *c, const uint64_t arg[5])
{
	struct multicall_entry e;
	uint64_t at = arg[0];
	int error;

	for (uint32_t n = (uint32_t)arg[1]; n > 0; n--, at += sizeof(e)) {
		/* There may be millions of them, each with much to do. */
		if (xen_caller_gone(c))
			return -EINTR;
		error = xen_copy_in(c, &e, at, sizeof(e));
		if (error != 0)
			return error;
		e.result = (xen_ulong_t)call_entry(c, &e);
		error = xen_copy_out(
		    c, at + offsetof(struct multicall_entry, result), &e.result, sizeof(e.result));
		if (error != 0)
			return error;
	}
	return 0;
}
