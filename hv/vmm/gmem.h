/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_GMEM_H
#define LOMBARD_VMM_GMEM_H
/*
 * Guest memory as the VMM sees it.  Every access is checked against the areas, and may sleep in a
 * page fault until the core has resolved it.  The guest's other vCPUs and other processes may write
 * at the same time: copy once, then look at the copy.
 *
 * gpa: guest-physical address; gva: guest-virtual address; lengths in bytes.
 * Errors: 0 or -EFAULT where nothing else is said; a failed copy may have copied a part.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gmem_area {
	uint8_t *hva;
	uint64_t gpa;
	uint64_t size;	 /* bytes; 0: there is no such area */
	uint64_t offset; /* where it begins in gmem's store */
};

struct gmem {
	struct gmem_area ram;  /* begins at gpa 0 */
	struct gmem_area high; /* RAM from 4 GiB on */
	struct gmem_area window;
	struct gmem_area special;
	int store; /* what RAM is mapped from, if it may be made of huge pages; 0: it may not */
};

/* The registers that say how a vCPU translates addresses. */
struct gmem_paging {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
};

/* gmem_ptr: len bytes at gpa, or NULL unless all of them lie in one area. */
void *gmem_ptr(const struct gmem *gm, uint64_t gpa, uint64_t len);

int gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, size_t len);
int gmem_write(const struct gmem *gm, uint64_t gpa, const void *buf, size_t len);

/* gmem_load: len bytes of a file, from offset.  => -EIO if the file ends before; or read's errors
 */
int gmem_load(const struct gmem *gm, uint64_t gpa, int fd, uint64_t offset, uint64_t len);

/*
 * gmem_populate: all of [gpa, gpa + len) is about to be written, and nobody has touched it: have the
 * kernel make its pages at one go, and where RAM may have them huge pages, of all of which a part lies in
 * the range.  Where it can't, each is made when it is touched.
 */
void gmem_populate(const struct gmem *gm, uint64_t gpa, uint64_t len);

/*
 * gmem_translate: where gva lies.  Understands no paging, and paging of long mode with 4 or 5 levels
 * and pages of 4 KiB, 2 MiB and 1 GiB; only "present" is looked at, as the hypervisor may read what its caller may not.
 * => *gpa is the address, *left the bytes from there to the end of its page
 */
int gmem_translate(const struct gmem *gm, const struct gmem_paging *pg, uint64_t gva, uint64_t *gpa,
    uint64_t *left);

/* gmem_copy_in, gmem_copy_out: from or to guest-virtual memory, across pages. */
int gmem_copy_in(
    const struct gmem *gm, const struct gmem_paging *pg, void *buf, uint64_t gva, size_t len);
int gmem_copy_out(
    const struct gmem *gm, const struct gmem_paging *pg, uint64_t gva, const void *buf, size_t len);

#endif
