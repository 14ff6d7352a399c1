/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls by name. */
#include "lombard-guest.h"
#include "start.h"

_Static_assert(HYPERCALL_PORT == LOMBARD_HYPERCALL_PORT, "the TSS opens another port");
_Static_assert(LOAN_OP == LOMBARD_HYPERCALL_loan_op, "assembler code calls another one");

int hypercall_console_io(unsigned int cmd, size_t count, const char *buf)
{
	return (int)hypercall(__HYPERVISOR_console_io, cmd, count, (uint64_t)buf, 0, 0);
}

int hypercall_event_channel_op(unsigned int cmd, void *arg)
{
	return (int)hypercall(__HYPERVISOR_event_channel_op, cmd, (uint64_t)arg, 0, 0, 0);
}

int hypercall_sched_op(unsigned int cmd, void *arg)
{
	return (int)hypercall(__HYPERVISOR_sched_op, cmd, (uint64_t)arg, 0, 0, 0);
}

int hypercall_memory_op(unsigned int cmd, void *arg)
{
	return (int)hypercall(__HYPERVISOR_memory_op, cmd, (uint64_t)arg, 0, 0, 0);
}

int hypercall_loan_op(unsigned int cmd, void *arg)
{
	return (int)hypercall(LOMBARD_HYPERCALL_loan_op, cmd, (uint64_t)arg, 0, 0, 0);
}

int hypercall_guest_op(unsigned int cmd, uint64_t value)
{
	return (int)hypercall(LOMBARD_HYPERCALL_guest_op, cmd, value, 0, 0, 0);
}
