/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest finds when it starts: the structures of public/arch-x86/hvm/start_info.h, an initrd, and
 * ACPI tables.
 */
#include "vmm/pvh_private.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "lib/sys.h"
#include "vmm/acpi.h"
#include "vmm/platform.h"

/* Firmware data would begin about here on a PC without ACPI tables of ours. */
#define LOW_MEMORY_END UINT64_C(0x9f000)
#define MAX_MAP 8

/* Everything that start_info points at, in one page: the page's address is also start_info's. */
struct start_page {
	struct hvm_start_info info;
	struct hvm_modlist_entry initrd;
	struct hvm_memmap_table_entry map[MAX_MAP];
	char cmdline[PVH_PAGE - sizeof(struct hvm_start_info) - sizeof(struct hvm_modlist_entry) -
		     MAX_MAP * sizeof(struct hvm_memmap_table_entry)];
};
_Static_assert(sizeof(struct start_page) == PVH_PAGE, "start-of-day data fills one page");

static uint64_t low_end(const struct loader *l)
{
	uint64_t end = l->img->lapic ? PLATFORM_ACPI_GPA : LOW_MEMORY_END;

	return l->gm->ram.size < end ? l->gm->ram.size : end;
}

/* Page 0 stays unused: address 0 means "not present" in start_info. */
int pvh_find_start_page(struct loader *l, uint64_t *gpa)
{
	if (l->img->lapic && pvh_in_segment_p(l, PLATFORM_ACPI_GPA, PLATFORM_ACPI_SIZE))
		return pvh_bad_image(l, "a segment lies at 632 KiB, where the ACPI tables are");
	for (*gpa = PVH_PAGE; *gpa + PVH_PAGE <= low_end(l); *gpa += PVH_PAGE) {
		if (!pvh_in_segment_p(l, *gpa, PVH_PAGE))
			return 0;
	}
	return failure_set(l->f, -ENOSPC,
	    "%s leaves no free page below 636 KiB for its start-of-day data", l->img->path);
}

static void add_range(struct start_page *p, uint64_t addr, uint64_t size, uint32_t type)
{
	if (size > 0)
		p->map[p->info.memmap_entries++] = (struct hvm_memmap_table_entry){
		    .addr = addr, .size = size, .type = type};
}

/*
 * The special area, and with RAM above it all from the end of the RAM below on: Linux takes the first
 * place for its grant table that is large enough, which then would be that gap.
 */
static void describe_special(const struct gmem *gm, struct start_page *p)
{
	uint64_t from = gm->high.size > 0 ? gm->ram.size : gm->special.gpa;

	add_range(p, from, gm->special.gpa + gm->special.size - from, XEN_HVM_MEMMAP_TYPE_RESERVED);
}

/*
 * Linux gets what others lend it, and its grant table, at addresses of which the map says nothing: so
 * it finds the window area by itself, and that area must not be in the map.
 */
static void describe_memory(const struct loader *l, struct start_page *p)
{
	const struct gmem *gm = l->gm;

	if (l->img->lapic) {
		add_range(p, 0, PLATFORM_ACPI_GPA, XEN_HVM_MEMMAP_TYPE_RAM);
		add_range(p, PLATFORM_ACPI_GPA, PLATFORM_ACPI_SIZE, XEN_HVM_MEMMAP_TYPE_ACPI);
		add_range(
		    p, PLATFORM_LOW_END, gm->ram.size - PLATFORM_LOW_END, XEN_HVM_MEMMAP_TYPE_RAM);
		describe_special(gm, p);
	} else {
		add_range(p, 0, gm->ram.size, XEN_HVM_MEMMAP_TYPE_RAM);
	}
	add_range(p, gm->high.gpa, gm->high.size, XEN_HVM_MEMMAP_TYPE_RAM);
	if (!l->linux_p)
		add_range(p, gm->window.gpa, gm->window.size, XEN_HVM_MEMMAP_TYPE_RESERVED);
}

static int write_tables(struct loader *l)
{
	uint8_t tables[PLATFORM_ACPI_SIZE];

	acpi_build(tables, l->img->vcpus);
	if (gmem_write(l->gm, PLATFORM_ACPI_GPA, tables, sizeof(tables)))
		return failure_set(l->f, -ENOSPC, "the guest's memory is too small");
	return 0;
}

/* As high in RAM as there is room, above everything of the kernel: that may unpack itself downwards. */
static int find_initrd_place(struct loader *l, uint64_t size, uint64_t *gpa)
{
	uint64_t ram = l->gm->ram.size & ~(PVH_PAGE - 1), end = PLATFORM_LOW_END;

	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph) && ph->p_paddr + ph->p_memsz > end)
			end = ph->p_paddr + ph->p_memsz;
	}
	if (end > ram || size > ram - end || ((ram - size) & ~(PVH_PAGE - 1)) < end)
		return failure_set(l->f, -ENOSPC,
		    "the initrd %s has %lu KiB, and beside the kernel the guest has room for %lu "
		    "KiB: give it more memory",
		    l->img->initrd_path, (unsigned long)((size + 1023) / 1024),
		    (unsigned long)(end > ram ? 0 : (ram - end) / 1024));
	*gpa = (ram - size) & ~(PVH_PAGE - 1);
	return 0;
}

static int load_initrd(struct loader *l, struct start_page *p, uint64_t list)
{
	uint64_t gpa = 0;
	struct stat st;
	int ret;

	if (SYS(fstat(l->img->initrd, &st)))
		return failure_sys(l->f, -errno, "%s can't be examined", l->img->initrd_path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return failure_set(l->f, -ENOEXEC, "the initrd %s is %s", l->img->initrd_path,
		    S_ISREG(st.st_mode) ? "empty" : "not a regular file");
	ret = find_initrd_place(l, (uint64_t)st.st_size, &gpa);
	if (ret)
		return ret;
	gmem_populate(l->gm, gpa, (uint64_t)st.st_size);
	ret = gmem_load(l->gm, gpa, l->img->initrd, 0, (uint64_t)st.st_size);
	if (ret)
		return failure_sys(l->f, ret, "%s can't be read", l->img->initrd_path);
	p->initrd = (struct hvm_modlist_entry){.paddr = gpa, .size = (uint64_t)st.st_size};
	p->info.nr_modules = 1;
	p->info.modlist_paddr = list;
	return 0;
}

int pvh_write_start(struct loader *l, uint64_t gpa)
{
	struct start_page page = {
	    .info =
		{
		    .magic = XEN_HVM_START_MAGIC_VALUE,
		    .version = 1,
		    .cmdline_paddr = gpa + offsetof(struct start_page, cmdline),
		    .memmap_paddr = gpa + offsetof(struct start_page, map),
		},
	};
	int ret = 0;

	if (strlen(l->img->cmdline) >= sizeof(page.cmdline))
		return failure_set(l->f, -E2BIG, "the guest's command line is too long");
	memcpy(page.cmdline, l->img->cmdline, strlen(l->img->cmdline));
	describe_memory(l, &page);
	if (l->img->lapic) {
		page.info.rsdp_paddr = PLATFORM_ACPI_GPA;
		ret = write_tables(l);
	}
	if (!ret && l->img->initrd >= 0)
		ret = load_initrd(l, &page, gpa + offsetof(struct start_page, initrd));
	if (ret)
		return ret;
	if (gmem_write(l->gm, gpa, &page, sizeof(page)))
		return failure_set(l->f, -ENOSPC, "the guest's memory is too small");
	return 0;
}
