/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVTCHNOP_* by host programs (Xen public/event_channel.h).  Guests' come as structures that the VMM
 * has copied already (core/hypercall.c).
 */
#include <errno.h>

#include "xen/call.h"
#include "xen/evtchn.h"
#include "xen/public.h"

union op {
	struct evtchn_alloc_unbound alloc_unbound;
	struct evtchn_bind_interdomain bind_interdomain;
	struct evtchn_bind_virq bind_virq;
	struct evtchn_close close;
	struct evtchn_send send;
	struct evtchn_status status;
	struct evtchn_unmask unmask;
	struct evtchn_reset reset;
};

int64_t xen_call_event_channel(struct xen_caller *c, const uint64_t arg[5])
{
	uint32_t cmd = (uint32_t)arg[0], size = evtchn_op_size(cmd);
	union op op;
	int error;

	if (size == 0 || c->domid != EVTCHN_HOST)
		return -ENOSYS;
	error = xen_copy_in(c, &op, arg[1], size);
	if (error == 0)
		error = evtchn_host_op(cmd, &op, size);
	return error != 0 ? error : xen_copy_out(c, arg[1], &op, size);
}
