/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/pvh_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/sys.h"

const char pvh_wants_kernel_option[] =
    "it is a Linux kernel, which starts by `lombard run --kernel`";

int pvh_bad_image(struct loader *l, const char *what)
{
	return failure_set(l->f, -ENOEXEC, "%s can't be loaded: %s", l->img->path, what);
}

bool pvh_in_segment_p(const struct loader *l, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph) && gpa < ph->p_paddr + ph->p_memsz && ph->p_paddr < gpa + len)
			return true;
	}
	return false;
}

static int load_from_file(struct loader *l)
{
	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];
		int ret;

		if (!pvh_load_p(ph))
			continue;
		gmem_populate(l->gm, ph->p_paddr, ph->p_filesz);
		ret = gmem_load(l->gm, ph->p_paddr, l->img->fd, ph->p_offset, ph->p_filesz);
		if (ret)
			return failure_sys(l->f, ret, "%s can't be read", l->img->path);
	}
	return 0;
}

/* The lowest place of the file from where no segment has to be moved upwards. */
static uint64_t lowest_place(const struct loader *l)
{
	uint64_t at = 0;

	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph) && ph->p_filesz > 0 && ph->p_paddr > ph->p_offset &&
		    ph->p_paddr - ph->p_offset > at)
			at = ph->p_paddr - ph->p_offset;
	}
	return at;
}

/* All of [begin, end) is zeroes again but for the segments' bytes.  => as pvh_elf.c's check_order */
static void wipe_around(struct loader *l, uint64_t begin, uint64_t end)
{
	uint8_t *ram = gmem_ptr(l->gm, 0, end);

	for (size_t i = 0; i < l->nphdrs && begin < end; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (!pvh_load_p(ph) || ph->p_paddr + ph->p_filesz <= begin)
			continue;
		if (ph->p_paddr > begin)
			memset(ram + begin, 0, (ph->p_paddr < end ? ph->p_paddr : end) - begin);
		begin = ph->p_paddr + ph->p_filesz;
	}
	if (begin < end)
		memset(ram + begin, 0, end - begin);
}

/* From where the whole file was unpacked. */
static int load_from_ram(struct loader *l)
{
	uint64_t from = lowest_place(l), begin = l->packed_at, end = begin + l->elf_size;
	uint8_t *ram = l->gm->ram.hva;

	if (from > begin) {
		if (from > l->gm->ram.size || l->elf_size > l->gm->ram.size - from)
			return failure_set(l->f, -ENOSPC,
			    "there is no room to unpack %s: give the guest more memory than %lu "
			    "KiB",
			    l->img->path, (unsigned long)(l->gm->ram.size / 1024));
		memmove(ram + from, ram + begin, l->elf_size);
		end = from + l->elf_size;
	} else {
		from = begin;
	}
	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph))
			memmove(ram + ph->p_paddr, ram + from + ph->p_offset, ph->p_filesz);
	}
	wipe_around(l, begin, end);
	return 0;
}

/* => 0, or what the kernel can't do without */
static int check_wishes(struct loader *l)
{
	if (l->linux_p && !l->img->lapic)
		return pvh_bad_image(l, pvh_wants_kernel_option);
	if (l->cmdline_max > 0 && strlen(l->img->cmdline) > l->cmdline_max)
		return failure_set(l->f, -E2BIG,
		    "the guest's command line is too long: %s takes %u bytes", l->img->path,
		    (unsigned)l->cmdline_max);
	return 0;
}

static int load(struct loader *l, struct pvh_start *start)
{
	uint64_t gpa;
	int ret = pvh_find_packed(l);

	if (!ret)
		ret = pvh_take_apart(l);
	if (!ret)
		ret = check_wishes(l);
	if (!ret)
		ret = pvh_find_start_page(l, &gpa);
	if (!ret)
		ret = l->packed ? load_from_ram(l) : load_from_file(l);
	if (!ret && l->linux_p && !l->call_page)
		ret = pvh_rewrite_calls(l);
	if (!ret)
		ret = pvh_write_start(l, gpa);
	if (ret)
		return ret;
	start->entry = (uint32_t)l->entry;
	start->start_info = (uint32_t)gpa;
	start->linux_p = l->linux_p;
	start->pass = l->pass;
	return 0;
}

int pvh_load(
    const struct gmem *gm, const struct pvh_image *img, struct pvh_start *start, struct failure *f)
{
	struct loader l = {.gm = gm, .img = img, .f = f};
	struct stat st;

	if (SYS(fstat(img->fd, &st)))
		return failure_sys(f, -errno, "%s can't be examined", img->path);
	if (!S_ISREG(st.st_mode))
		return pvh_bad_image(&l, "it is not a regular file");
	l.file_size = l.elf_size = (uint64_t)st.st_size;
	return load(&l, start);
}

int pvh_not_here(const char *path, struct failure *f)
{
	return failure_set(f, -ENOTSUP,
	    "%s is a Linux kernel, which this host can't run: its processor has neither VMX nor "
	    "SVM, and its "
	    "KVM emulates all that a guest does at privilege level 0",
	    path);
}
