/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_PVH_H
#define LOMBARD_VMM_PVH_H
/*
 * Loads a PVH guest: an x86 ELF file with Xen's note PHYS32_ENTRY, and the start-of-day structures
 * of public/arch-x86/hvm/start_info.h.  Knows guest memory only through gmem.
 */
#include <stdint.h>

#include "lib/failure.h"
#include "vmm/gmem.h"

struct pvh_image {
	int fd;		  /* a regular file, open for reading; its position is not used */
	const char *path; /* for messages */
	const char *cmdline;
};

/* Where the first vCPU begins: 32-bit protected mode, no paging, ebx = start_info. */
struct pvh_start {
	uint32_t entry;
	uint32_t start_info; /* gpa of struct hvm_start_info */
};

/*
 * pvh_load: put the image's segments at their physical addresses, and start_info, memory map and
 * command line into one free page below 1 MiB.
 * => RAM must be all zeroes: what a segment has beyond its file bytes is not written
 * => 0; -ENOEXEC: not an image that can be loaded; -ENOSPC: RAM is too small; or read's errors
 */
int pvh_load(
    const struct gmem *gm, const struct pvh_image *img, struct pvh_start *start, struct failure *f);

#endif
