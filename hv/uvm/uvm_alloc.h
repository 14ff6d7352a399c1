/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_ALLOC_H
#define HV_UVM_ALLOC_H
/*
 * The core's memory for its own structures, and the one place where tests make it run out.
 * A build with LOMBARD_FAULTS consults uvm_fault_hook before each allocation.
 */
#include <stdbool.h>
#include <stddef.h>

void *uvm_zalloc(size_t size); /* zeroed, or NULL */
void uvm_free(void *p);

#ifdef LOMBARD_FAULTS
/* Returns true when the allocation that is about to be made shall fail.  NULL: none does. */
extern bool (*uvm_fault_hook)(void);
#endif

#endif
