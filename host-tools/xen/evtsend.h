/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_XEN_EVTSEND_H
#define LOMBARD_XEN_EVTSEND_H
/*
 * What Xen's libxenevtchn does not have: for a backend that sends events often.
 */
#include <xenevtchn.h>

/*
 * evtsend: as xenevtchn_notify, but the cell does not answer: 0 says that it has been told, or -1 and errno
 * that it is gone.  Later calls of the handle find it done.
 */
int evtsend(xenevtchn_handle *xce, evtchn_port_t port);

#endif
