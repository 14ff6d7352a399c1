/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/notify.h"

#include <stdatomic.h>

#include "proto/xenwire.h"
#include "xen/evtchn.h"

int xen_notify_arm(struct xen_notify *no, uint8_t *byte, uint32_t port)
{
	/* From now on the port outlives its handle, which may be closed before the memory ends. */
	int error = port != XENWIRE_NO_PORT ? evtchn_host_hold(port) : 0;

	if (error == 0)
		*no = (struct xen_notify){.no_byte = byte, .no_port = port};
	return error;
}

void xen_notify_fire(struct xen_notify *no)
{
	if (no->no_byte != NULL)
		atomic_store((_Atomic uint8_t *)no->no_byte, 0);
	if (no->no_port != XENWIRE_NO_PORT)
		evtchn_host_put(no->no_port);
	*no = (struct xen_notify){.no_port = XENWIRE_NO_PORT};
}
