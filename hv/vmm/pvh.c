/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/pvh.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xen/elfnote.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "lib/sys.h"

#define PAGE_SIZE UINT64_C(4096)
#define LOW_MEMORY_END UINT64_C(0x9f000) /* firmware data would begin about here on a PC */
#define MAX_PHDRS 128
#define MAX_NOTES_LEN (1U << 20)

/* An image while it is loaded; the file may lie in every respect, and change under our feet. */
struct loader {
	const struct gmem *gm;
	const struct pvh_image *img;
	struct failure *f;
	Elf *elf;
	uint64_t file_size;
	size_t nphdrs;
	GElf_Phdr phdrs[MAX_PHDRS];
	bool have_entry;
	uint64_t entry;
};

static int bad_image(struct loader *l, const char *what)
{
	return failure_set(l->f, -ENOEXEC, "%s can't be loaded: %s", l->img->path, what);
}

static int check_header(struct loader *l)
{
	GElf_Ehdr eh;

	if (elf_kind(l->elf) != ELF_K_ELF || !gelf_getehdr(l->elf, &eh))
		return bad_image(l,
		    "it is not an ELF file (a guest is a PVH image: see docs/writing-guests.md)");
	if (eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (eh.e_machine != EM_X86_64 && eh.e_machine != EM_386))
		return bad_image(l, "it is an ELF file for another processor, not x86");
	if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN)
		return bad_image(l, "it is an ELF file, but not an executable one");
	return 0;
}

static int read_phdrs(struct loader *l)
{
	if (elf_getphdrnum(l->elf, &l->nphdrs))
		return bad_image(l, elf_errmsg(-1));
	if (l->nphdrs == 0 || l->nphdrs > MAX_PHDRS)
		return bad_image(l, "it has no program headers, or too many");
	for (size_t i = 0; i < l->nphdrs; i++) {
		if (!gelf_getphdr(l->elf, (int)i, &l->phdrs[i]))
			return bad_image(l, elf_errmsg(-1));
	}
	return 0;
}

/* Some linkers leave empty segments behind, with an address of no meaning. */
static bool load_p(const GElf_Phdr *ph)
{
	return ph->p_type == PT_LOAD && (ph->p_memsz > 0 || ph->p_filesz > 0);
}

/* Every byte that the segment takes from the file must be there. */
static bool in_file_p(const struct loader *l, const GElf_Phdr *ph)
{
	return ph->p_offset <= l->file_size && ph->p_filesz <= l->file_size - ph->p_offset;
}

static int check_load(struct loader *l, const GElf_Phdr *ph)
{
	if (!in_file_p(l, ph) || ph->p_filesz > ph->p_memsz)
		return bad_image(l, "a segment is longer than the file, or than its own memory");
	if (ph->p_paddr > UINT32_MAX || ph->p_memsz > UINT32_MAX)
		return bad_image(l, "a segment lies beyond 4 GiB");
	if (ph->p_paddr >= l->gm->ram.size || ph->p_memsz > l->gm->ram.size - ph->p_paddr)
		return failure_set(l->f, -ENOSPC,
		    "%s needs guest memory up to %lu KiB, and the guest has %lu KiB: give it more",
		    l->img->path, (unsigned long)((ph->p_paddr + ph->p_memsz + 1023) / 1024),
		    (unsigned long)(l->gm->ram.size / 1024));
	return 0;
}

static void take_note(
    struct loader *l, Elf_Data *data, const GElf_Nhdr *nh, size_t name, size_t desc)
{
	const char *bytes = data->d_buf;

	if (nh->n_type != XEN_ELFNOTE_PHYS32_ENTRY || nh->n_namesz != sizeof("Xen") ||
	    memcmp(bytes + name, "Xen", sizeof("Xen")) != 0)
		return;
	if (nh->n_descsz != 4 && nh->n_descsz != 8)
		return;
	l->entry = 0;
	memcpy(&l->entry, bytes + desc, nh->n_descsz); /* both ends are little-endian */
	l->have_entry = true;
}

static int scan_notes(struct loader *l, const GElf_Phdr *ph)
{
	size_t offset = 0, name, desc;
	Elf_Data *data;
	GElf_Nhdr nh;

	if (!in_file_p(l, ph) || ph->p_filesz > MAX_NOTES_LEN)
		return bad_image(l, "a note segment is longer than the file, or than 1 MiB");
	if (ph->p_filesz == 0)
		return 0;
	data = elf_getdata_rawchunk(l->elf, (int64_t)ph->p_offset, ph->p_filesz,
	    ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	if (!data)
		return bad_image(l, elf_errmsg(-1));
	while ((offset = gelf_getnote(data, offset, &nh, &name, &desc)) > 0)
		take_note(l, data, &nh, name, desc);
	return 0;
}

/* All checks come before the first byte is written. */
static int check_segments(struct loader *l)
{
	int ret = 0;

	for (size_t i = 0; i < l->nphdrs && !ret; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (load_p(ph))
			ret = check_load(l, ph);
		else if (ph->p_type == PT_NOTE)
			ret = scan_notes(l, ph);
	}
	return ret;
}

/* Whether [gpa, gpa + len) and a loaded segment have a byte in common. */
static bool in_segment_p(const struct loader *l, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (load_p(ph) && gpa < ph->p_paddr + ph->p_memsz && ph->p_paddr < gpa + len)
			return true;
	}
	return false;
}

static int check_entry(struct loader *l)
{
	if (!l->have_entry)
		return bad_image(l, "it has no Xen note PHYS32_ENTRY, so it is no PVH image");
	if (l->entry > UINT32_MAX || !in_segment_p(l, l->entry, 1))
		return bad_image(l, "its PVH entry point lies outside its segments");
	return 0;
}

static int load_segments(struct loader *l)
{
	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];
		int ret;

		if (!load_p(ph))
			continue;
		ret = gmem_load(l->gm, ph->p_paddr, l->img->fd, ph->p_offset, ph->p_filesz);
		if (ret)
			return failure_sys(l->f, ret, "%s can't be read", l->img->path);
	}
	return 0;
}

/* Everything that start_info points at, in one page: the page's address is also start_info's. */
struct start_page {
	struct hvm_start_info info;
	struct hvm_memmap_table_entry map[2];
	char cmdline[PAGE_SIZE - sizeof(struct hvm_start_info) -
		     2 * sizeof(struct hvm_memmap_table_entry)];
};
_Static_assert(sizeof(struct start_page) == PAGE_SIZE, "start-of-day data fills one page");

/* Page 0 stays unused: address 0 means "not present" in start_info. */
static int find_start_page(struct loader *l, uint64_t *gpa)
{
	uint64_t end = l->gm->ram.size < LOW_MEMORY_END ? l->gm->ram.size : LOW_MEMORY_END;

	for (*gpa = PAGE_SIZE; *gpa + PAGE_SIZE <= end; *gpa += PAGE_SIZE) {
		if (!in_segment_p(l, *gpa, PAGE_SIZE))
			return 0;
	}
	return failure_set(l->f, -ENOSPC,
	    "%s leaves no free page below 636 KiB for its start-of-day data", l->img->path);
}

static int write_start_page(struct loader *l, uint64_t gpa)
{
	struct start_page page = {
	    .info =
		{
		    .magic = XEN_HVM_START_MAGIC_VALUE,
		    .version = 1,
		    .cmdline_paddr = gpa + offsetof(struct start_page, cmdline),
		    .memmap_paddr = gpa + offsetof(struct start_page, map),
		    .memmap_entries = l->gm->window.size ? 2 : 1,
		},
	    .map =
		{
		    {.addr = 0, .size = l->gm->ram.size, .type = XEN_HVM_MEMMAP_TYPE_RAM},
		    {
			.addr = l->gm->window.gpa,
			.size = l->gm->window.size,
			.type = XEN_HVM_MEMMAP_TYPE_RESERVED,
		    },
		},
	};
	int n = snprintf(page.cmdline, sizeof(page.cmdline), "%s", l->img->cmdline);

	if (n < 0 || (size_t)n >= sizeof(page.cmdline))
		return failure_set(l->f, -E2BIG, "the guest's command line is too long");
	if (gmem_write(l->gm, gpa, &page, sizeof(page)))
		return failure_set(l->f, -ENOSPC, "the guest's memory is too small");
	return 0;
}

static int load(struct loader *l, struct pvh_start *start)
{
	uint64_t gpa;
	int ret;

	ret = check_header(l);
	if (!ret)
		ret = read_phdrs(l);
	if (!ret)
		ret = check_segments(l);
	if (!ret)
		ret = check_entry(l);
	if (!ret)
		ret = find_start_page(l, &gpa);
	if (!ret)
		ret = load_segments(l);
	if (!ret)
		ret = write_start_page(l, gpa);
	if (ret)
		return ret;
	start->entry = (uint32_t)l->entry;
	start->start_info = (uint32_t)gpa;
	return 0;
}

int pvh_load(
    const struct gmem *gm, const struct pvh_image *img, struct pvh_start *start, struct failure *f)
{
	struct loader l = {.gm = gm, .img = img, .f = f};
	struct stat st;
	int ret;

	if (SYS(fstat(img->fd, &st)))
		return failure_sys(f, -errno, "%s can't be examined", img->path);
	if (!S_ISREG(st.st_mode))
		return bad_image(&l, "it is not a regular file");
	l.file_size = (uint64_t)st.st_size;
	elf_version(EV_CURRENT);
	l.elf = elf_begin(img->fd, ELF_C_READ, NULL);
	if (!l.elf)
		return bad_image(&l, elf_errmsg(-1));
	ret = load(&l, start);
	elf_end(l.elf);
	return ret;
}
