/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_PVH_H
#define LOMBARD_VMM_PVH_H
/*
 * Loads a PVH guest: an x86 ELF file with Xen's note PHYS32_ENTRY, or a Linux bzImage with such a file
 * in it, and the start-of-day structures of public/arch-x86/hvm/start_info.h.  Knows guest memory
 * only through gmem.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/failure.h"
#include "vmm/gmem.h"

struct pvh_image {
	int fd;		  /* a regular file, open for reading; its position is not used */
	const char *path; /* for messages */
	const char *cmdline;
	int initrd; /* likewise; -1: none */
	const char *initrd_path;
	bool lapic; /* the guest has local APICs and ACPI tables, and a PC's hole below 1 MiB */
	unsigned vcpus;
	bool can_pass; /* KVM can pass VMCALL and VMMCALL on */
};

/* Where the first vCPU begins: 32-bit protected mode, no paging, ebx = start_info. */
struct pvh_start {
	uint32_t entry;
	uint32_t start_info; /* gpa of struct hvm_start_info */
	bool linux_p;	     /* the image says that it is a Linux kernel */
	bool pass;	     /* its VMCALL and VMMCALL have to be passed on */
};

/*
 * pvh_load: put the image's segments at their physical addresses, the initrd as high in RAM as it can
 * be, and start_info, memory map, module list and command line into one free page below 1 MiB.
 * A Linux kernel needs local APICs, and has its hypercalls rewritten (pvh_calls.c), or else passed on.
 * => RAM must be all zeroes: what a segment has beyond its file bytes is not written
 * => 0; -ENOEXEC: not an image that can be loaded, or one whose hypercalls would not reach us; -ENOSPC: RAM
 *    is too small; -E2BIG: the command line is too long; -ENOMEM; or read's errors
 */
int pvh_load(
    const struct gmem *gm, const struct pvh_image *img, struct pvh_start *start, struct failure *f);

/*
 * Linux's two functions of hypercalls, for each vendor of processors, and how many such pairs have been found.
 *
 * pvh_look_for_calls: look through [begin, end) of RAM, and count what is there.
 *	=> begin lies at a boundary of 16 guest-physical bytes
 * pvh_rewrite_found: if there is exactly one pair, its hypercalls reach us from now on.  => false: there is not
 * pvh_calls_lost: => -ENOEXEC, and a sentence: nothing would bring path's hypercalls here
 */
struct pvh_calls {
	uint8_t *amd, *intel;
	unsigned found;
};
void pvh_look_for_calls(uint8_t *begin, uint8_t *end, struct pvh_calls *p);
bool pvh_rewrite_found(const struct pvh_calls *p);
int pvh_calls_lost(const char *path, unsigned found, struct failure *f);

/* pvh_not_here: => -ENOTSUP, and a sentence: path is a Linux kernel, and this host's processor can't run one */
int pvh_not_here(const char *path, struct failure *f);

/*
 * pvh_hypercall_page: fill the page that a guest asks for by the MSR of CPUID leaf 0x40000002: a
 * piece of 32 bytes for each hypercall, which has it made as small guests make theirs.
 */
#define PVH_CALL_PAGE 4096
void pvh_hypercall_page(uint8_t page[PVH_CALL_PAGE]);

#endif
