/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_PUBLIC_H
#define HV_XEN_PUBLIC_H
/* Xen's public headers as Xen 4.17 means them; without the version they describe Xen 3.0. */
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>

#endif
