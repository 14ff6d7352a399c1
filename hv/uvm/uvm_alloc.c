/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_alloc.h"

#include <stdlib.h>

#ifdef LOMBARD_FAULTS
bool (*uvm_fault_hook)(void);
#endif

void *uvm_zalloc(size_t size)
{
#ifdef LOMBARD_FAULTS
	if (uvm_fault_hook != NULL && uvm_fault_hook())
		return NULL;
#endif
	return calloc(1, size);
}

void uvm_free(void *p)
{
	free(p);
}
