/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ELF file: segments and notes.  All checks come before the first byte gets to its place.
 */
#include "vmm/pvh_private.h"

#include <errno.h>
#include <string.h>
#include <xen/elfnote.h>

#define MAX_NOTES_LEN (1U << 20)

static int check_header(struct loader *l)
{
	GElf_Ehdr eh;

	if (elf_kind(l->elf) != ELF_K_ELF || !gelf_getehdr(l->elf, &eh))
		return pvh_bad_image(
		    l, l->packed ? "what is packed in this bzImage is not an ELF file"
				 : "it is not an ELF file, nor a Linux bzImage (a guest is "
				   "a PVH image: see docs/writing-guests.md)");
	if (eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (eh.e_machine != EM_X86_64 && eh.e_machine != EM_386))
		return pvh_bad_image(l, "it is an ELF file for another processor, not x86");
	if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN)
		return pvh_bad_image(l, "it is an ELF file, but not an executable one");
	return 0;
}

static int read_phdrs(struct loader *l)
{
	if (elf_getphdrnum(l->elf, &l->nphdrs))
		return pvh_bad_image(l, elf_errmsg(-1));
	if (l->nphdrs == 0 || l->nphdrs > PVH_MAX_PHDRS)
		return pvh_bad_image(l, "it has no program headers, or too many");
	for (size_t i = 0; i < l->nphdrs; i++) {
		if (!gelf_getphdr(l->elf, (int)i, &l->phdrs[i]))
			return pvh_bad_image(l, elf_errmsg(-1));
	}
	return 0;
}

/* Every byte that the segment takes from the file must be there. */
static bool in_file_p(const struct loader *l, const GElf_Phdr *ph)
{
	return ph->p_offset <= l->elf_size && ph->p_filesz <= l->elf_size - ph->p_offset;
}

static int check_load(struct loader *l, const GElf_Phdr *ph)
{
	if (!in_file_p(l, ph) || ph->p_filesz > ph->p_memsz)
		return pvh_bad_image(
		    l, "a segment is longer than the file, or than its own memory");
	if (ph->p_paddr > UINT32_MAX || ph->p_memsz > UINT32_MAX)
		return pvh_bad_image(l, "a segment lies beyond 4 GiB");
	if (ph->p_paddr >= l->gm->ram.size || ph->p_memsz > l->gm->ram.size - ph->p_paddr)
		return failure_set(l->f, -ENOSPC,
		    "%s needs guest memory up to %lu KiB, and the guest has %lu KiB: give it more",
		    l->img->path, (unsigned long)((ph->p_paddr + ph->p_memsz + 1023) / 1024),
		    (unsigned long)(l->gm->ram.size / 1024));
	return 0;
}

/* A number of 4 or 8 bytes, as both are in use.  => false: it has another length */
static bool note_number(const char *desc, size_t len, uint64_t *value)
{
	*value = 0;
	if (len != 4 && len != 8)
		return false;
	memcpy(value, desc, len); /* both ends are little-endian */
	return true;
}

static bool note_says(const char *desc, size_t len, const char *text)
{
	return strnlen(desc, len) == strlen(text) && memcmp(desc, text, strlen(text)) == 0;
}

static void take_note(struct loader *l, Elf_Data *data, const GElf_Nhdr *nh, size_t name, size_t at)
{
	const char *desc = (const char *)data->d_buf + at;
	uint64_t value;

	if (nh->n_namesz != sizeof("Xen") ||
	    memcmp((const char *)data->d_buf + name, "Xen", sizeof("Xen")) != 0)
		return;
	switch (nh->n_type) {
	case XEN_ELFNOTE_PHYS32_ENTRY:
		if (note_number(desc, nh->n_descsz, &value)) {
			l->entry = value;
			l->have_entry = true;
		}
		break;
	case XEN_ELFNOTE_GUEST_OS:
		l->linux_p = note_says(desc, nh->n_descsz, "linux");
		break;
	case XEN_ELFNOTE_HYPERCALL_PAGE:
		l->call_page = true;
		break;
	default:
		break;
	}
}

static int scan_notes(struct loader *l, const GElf_Phdr *ph)
{
	size_t offset = 0, name, desc;
	Elf_Data *data;
	GElf_Nhdr nh;

	if (!in_file_p(l, ph) || ph->p_filesz > MAX_NOTES_LEN)
		return pvh_bad_image(l, "a note segment is longer than the file, or than 1 MiB");
	if (ph->p_filesz == 0)
		return 0;
	data = elf_getdata_rawchunk(l->elf, (int64_t)ph->p_offset, ph->p_filesz,
	    ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	if (!data)
		return pvh_bad_image(l, elf_errmsg(-1));
	while ((offset = gelf_getnote(data, offset, &nh, &name, &desc)) > 0)
		take_note(l, data, &nh, name, desc);
	return 0;
}

static int check_segments(struct loader *l)
{
	int ret = 0;

	for (size_t i = 0; i < l->nphdrs && !ret; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph))
			ret = check_load(l, ph);
		else if (ph->p_type == PT_NOTE)
			ret = scan_notes(l, ph);
	}
	return ret;
}

static int check_entry(struct loader *l)
{
	if (!l->have_entry)
		return pvh_bad_image(
		    l, l->packed ? "it is a Linux kernel built without CONFIG_PVH: it has no Xen "
				   "note PHYS32_ENTRY"
				 : "it has no Xen note PHYS32_ENTRY, so it is no PVH image");
	if (l->entry > UINT32_MAX || !pvh_in_segment_p(l, l->entry, 1))
		return pvh_bad_image(l, "its PVH entry point lies outside its segments");
	return 0;
}

/*
 * Segments that are moved within RAM are moved one after the other, each downwards: so they must be in
 * the file as they are in memory.
 */
static int check_order(struct loader *l)
{
	uint64_t file_end = 0, mem_end = 0;

	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (!pvh_load_p(ph))
			continue;
		if (ph->p_offset < file_end || ph->p_paddr < mem_end)
			return pvh_bad_image(
			    l, "the segments of its kernel overlap, or are in no order");
		file_end = ph->p_offset + ph->p_filesz;
		mem_end = ph->p_paddr + ph->p_memsz;
	}
	return 0;
}

static int check_all(struct loader *l)
{
	int ret = check_header(l);

	if (!ret)
		ret = read_phdrs(l);
	if (!ret)
		ret = check_segments(l);
	if (!ret)
		ret = check_entry(l);
	return !ret && l->packed ? check_order(l) : ret;
}

int pvh_take_apart(struct loader *l)
{
	int ret;

	elf_version(EV_CURRENT);
	if (l->packed)
		l->elf = elf_memory(
		    (char *)gmem_ptr(l->gm, l->packed_at, l->elf_size), l->elf_size);
	else
		l->elf = elf_begin(l->img->fd, ELF_C_READ, NULL);
	if (!l->elf)
		return pvh_bad_image(l, elf_errmsg(-1));
	ret = check_all(l);
	elf_end(l->elf);
	l->elf = NULL;
	return ret;
}
