/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_ACPI_H
#define LOMBARD_VMM_ACPI_H
/*
 * The ACPI tables of a guest with local APICs: how many processors there are, one I/O APIC without
 * anything attached, and how to switch the machine off.  Layouts: ACPI 6.1, chapter 5.
 */
#include <stdint.h>

#include "vmm/platform.h"

#define ACPI_MAX_VCPUS 64 /* for which there is room */

/*
 * acpi_build: the tables for a guest that has them at PLATFORM_ACPI_GPA.  They begin with the root
 * pointer (RSDP).
 * => 1 <= vcpus <= ACPI_MAX_VCPUS; a vCPU's number is its APIC's
 */
void acpi_build(uint8_t tables[PLATFORM_ACPI_SIZE], unsigned vcpus);

#endif
