/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_PUBLIC_H
#define HV_XEN_PUBLIC_H
/*
 * Xen's public headers as Xen 4.17 means them, with what only tools may use; without that word, and
 * without a version, they describe Xen 3.0.
 */
#include <stdint.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#endif
