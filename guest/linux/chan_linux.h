/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LINUX_CHAN_LINUX_H
#define LOMBARD_LINUX_CHAN_LINUX_H

struct chan_transport;

/* The transport of programs in a Linux guest (hv/chan/transport.h). */
const struct chan_transport *chan_linux_transport(void);

#endif
