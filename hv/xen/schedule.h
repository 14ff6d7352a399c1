/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_SCHEDULE_H
#define HV_XEN_SCHEDULE_H
/*
 * The scheduler that we are to Xen's tools: one pool with all CPUs, under the scheduler whose
 * parameters mean something to Linux.
 */
#include <sched.h>

#include "xen/public.h"

#define XEN_SCHEDULER XEN_SCHEDULER_CREDIT2
#define XEN_DEFAULT_WEIGHT 256

void xen_online_cpus(cpu_set_t *cpus);
uint64_t xen_online_nodes(void);

#endif
