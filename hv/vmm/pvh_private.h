/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_PVH_PRIVATE_H
#define LOMBARD_VMM_PVH_PRIVATE_H
/*
 * What the loader's files offer each other.  In the order in which an image is loaded:
 *
 *   pvh_packed.c  a bzImage's kernel is unpacked into RAM, near where it belongs
 *   pvh_elf.c     the ELF file is taken apart: its segments and notes, all checks
 *   pvh.c         segments get to where they belong, from the file or within RAM
 *   pvh_calls.c   hypercalls of Linux
 *   pvh_start.c   initrd, ACPI tables, and the page with the start-of-day structures
 */
#include <libelf.h>
#include <gelf.h>

#include "vmm/pvh.h"

#define PVH_PAGE UINT64_C(4096)
#define PVH_MAX_PHDRS 128

/* An image while it is loaded; the file may lie in every respect, and change under our feet. */
struct loader {
	const struct gmem *gm;
	const struct pvh_image *img;
	struct failure *f;
	uint64_t file_size;

	/*
	 * The ELF file: in the image's own file; or, when that is a bzImage, [packed_at, packed_at +
	 * elf_size) of RAM, until the segments have been moved from there.
	 */
	bool packed;
	uint64_t packed_at;
	uint64_t elf_size;
	uint32_t cmdline_max; /* bytes without the NUL that the kernel takes; 0: it does not say */

	Elf *elf; /* only while it is taken apart */
	size_t nphdrs;
	GElf_Phdr phdrs[PVH_MAX_PHDRS];
	bool have_entry;
	uint64_t entry;
	bool linux_p;	/* note GUEST_OS */
	bool call_page; /* note HYPERCALL_PAGE: it asks for its hypercalls when it runs */
	bool pass;	/* its hypercalls have to be passed on by KVM */
};

/* For pvh_bad_image: a Linux kernel without local APICs. */
extern const char pvh_wants_kernel_option[];

int pvh_bad_image(struct loader *l, const char *what);

/*
 * pvh_find_packed: if the file is a bzImage, unpack its kernel; else nothing.
 */
int pvh_find_packed(struct loader *l);

/* pvh_take_apart: fill in what is known of the ELF file.  Nothing is written. */
int pvh_take_apart(struct loader *l);

/* pvh_load_p: a segment to be loaded.  Some linkers leave empty ones behind, at no sensible address. */
static inline bool pvh_load_p(const GElf_Phdr *ph)
{
	return ph->p_type == PT_LOAD && (ph->p_memsz > 0 || ph->p_filesz > 0);
}

/* pvh_in_segment_p: have [gpa, gpa + len) and a loaded segment a byte in common? */
bool pvh_in_segment_p(const struct loader *l, uint64_t gpa, uint64_t len);

/*
 * pvh_rewrite_calls: so that the hypercalls of a Linux kernel reach us; or leave them to KVM (l->pass).
 * => its segments are loaded
 */
int pvh_rewrite_calls(struct loader *l);

/* pvh_find_start_page: where pvh_write_start will put it. */
int pvh_find_start_page(struct loader *l, uint64_t *gpa);

/* pvh_write_start: all but the image itself.  => its segments are loaded */
int pvh_write_start(struct loader *l, uint64_t gpa);

#endif
