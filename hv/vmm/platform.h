/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_PLATFORM_H
#define LOMBARD_VMM_PLATFORM_H
/*
 * The few things that a guest with local APICs finds where a PC has them.  The ACPI tables (acpi.c) tell
 * the guest of them, and the VMM answers there.
 */
#include <stdint.h>

/* RAM below the tables is the guest's; from them to 1 MiB there is nothing that it may use. */
#define PLATFORM_ACPI_GPA UINT64_C(0x9e000)
#define PLATFORM_ACPI_SIZE UINT64_C(0x2000)
#define PLATFORM_LOW_END UINT64_C(0x100000)

/* In the kernel's KVM; no memory slot may lie over them.  KVM wants each of them to be one page. */
#define PLATFORM_IOAPIC_GPA UINT64_C(0xfec00000)
#define PLATFORM_LAPIC_GPA UINT64_C(0xfee00000)

/*
 * Sleep registers of hardware-reduced ACPI (ACPI 6.1, 4.8.3.7), 8 bits each.  A write of
 * PLATFORM_SLEEP_S5 to the control port switches the machine off: SLP_TYP 5 and SLP_EN.  What is written
 * to the status port clears bits that are never set; it reads 0.
 */
#define PLATFORM_SLEEP_CONTROL_PORT 0x600
#define PLATFORM_SLEEP_STATUS_PORT 0x601
#define PLATFORM_S5_TYPE 5
#define PLATFORM_SLEEP_S5 (PLATFORM_S5_TYPE << 2 | 1 << 5)

/*
 * General-purpose events in the ACPI tables that Xen's tools write (Xen public/hvm/ioreq.h, version 1).  There are
 * none, so the ports read 0; all ones would be one of each kind.
 */
#define PLATFORM_XEN_GPE0_PORT 0xafe0
#define PLATFORM_XEN_GPE0_LEN 4

/* A PC's timer channel 2.  Whoever calibrates a TSC by it sees at once that it does not count. */
#define PLATFORM_PIT_PORT 0x42

/* Where older kernels write where they want their hypercall page: CPUID leaf 0x40000002 says so. */
#define PLATFORM_HYPERCALL_MSR 0x40000000U

/*
 * KVM passes VMCALL and VMMCALL on only when it is told an MSR, by which guests could have a page of calls made by
 * KVM.  No guest is told of this one.
 */
#define PLATFORM_KVM_XEN_MSR 0x40000200U

#endif
