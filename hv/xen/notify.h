/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_NOTIFY_H
#define HV_XEN_NOTIFY_H
/*
 * What a program wants to happen when memory that it shares ends for it, however it ends: a byte in
 * it becomes 0, and then an event is sent (xengnttab.h).
 */
#include <stddef.h>
#include <stdint.h>

struct xen_notify {
	uint8_t *no_byte; /* the core's address, or NULL */
	uint32_t no_port; /* held, or XENWIRE_NO_PORT */
};

/*
 * xen_notify_arm: byte: NULL for none; it stays until xen_notify_fire has returned.
 * => 0; -EINVAL: the host has no such port
 */
int xen_notify_arm(struct xen_notify *no, uint8_t *byte, uint32_t port);

/* xen_notify_fire: now.  => it was armed; it is not any more */
void xen_notify_fire(struct xen_notify *no);

#endif
