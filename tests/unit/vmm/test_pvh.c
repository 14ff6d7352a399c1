/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(PVH_SRCS) */
/* pkgs: libelf liblz4 liblzma libzstd zlib */
#include "vmm/pvh.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/elfnote.h>
#include <xen/arch-x86/hvm/start_info.h>

#define RAM_SIZE (4U << 20)
#define LOAD_ADDR 0x100000U
#define ENTRY (LOAD_ADDR + 8)

/* A whole PVH image: one segment of 16 bytes in a page of memory, one note. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr load;
	Elf64_Phdr note;
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint32_t entry;
	} xen;
	uint8_t code[16];
};

static struct image good(void)
{
	struct image im = {
	    .eh =
		{
		    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			EV_CURRENT},
		    .e_type = ET_EXEC,
		    .e_machine = EM_X86_64,
		    .e_version = EV_CURRENT,
		    .e_phoff = offsetof(struct image, load),
		    .e_ehsize = sizeof(Elf64_Ehdr),
		    .e_phentsize = sizeof(Elf64_Phdr),
		    .e_phnum = 2,
		},
	    .load =
		{
		    .p_type = PT_LOAD,
		    .p_offset = offsetof(struct image, code),
		    .p_paddr = LOAD_ADDR,
		    .p_filesz = sizeof(im.code),
		    .p_memsz = 4096,
		},
	    .note =
		{
		    .p_type = PT_NOTE,
		    .p_offset = offsetof(struct image, xen),
		    .p_filesz = sizeof(im.xen),
		    .p_align = 4,
		},
	    .xen = {.nh = {4, 4, XEN_ELFNOTE_PHYS32_ENTRY}, .name = "Xen", .entry = ENTRY},
	};

	memset(im.code, 0x90, sizeof(im.code));
	return im;
}

static struct gmem mem;
static struct failure why;

static void setup(void)
{
	mem.ram.size = RAM_SIZE;
	mem.ram.hva = mmap(
	    NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(mem.ram.hva, MAP_FAILED);
}

static void teardown(void)
{
	munmap(mem.ram.hva, RAM_SIZE);
}

static int load_bytes(const void *bytes, size_t len, struct pvh_start *start)
{
	struct pvh_image img = {
	    .path = "test",
	    .cmdline = "one two",
	    .fd = memfd_create("image", 0),
	    .initrd = -1,
	    .vcpus = 1,
	};
	int ret;

	cr_assert_eq(write(img.fd, bytes, len), (ssize_t)len);
	why.text[0] = 0;
	ret = pvh_load(&mem, &img, start, &why);
	close(img.fd);
	return ret;
}

static void refused(const struct image *im, int want, const char *says)
{
	struct pvh_start start;

	cr_assert_eq(load_bytes(im, sizeof(*im), &start), want);
	cr_assert_not_null(strstr(why.text, says), "\"%s\" lacks \"%s\"", why.text, says);
}

TestSuite(pvh, .init = setup, .fini = teardown);

Test(pvh, good_image_is_loaded)
{
	struct image im = good();
	struct pvh_start start;
	const struct hvm_start_info *info;

	cr_assert_eq(load_bytes(&im, sizeof(im), &start), 0, "%s", why.text);
	cr_assert_eq(start.entry, ENTRY);
	cr_assert_eq(memcmp(mem.ram.hva + LOAD_ADDR, im.code, sizeof(im.code)), 0);
	info = (const void *)(mem.ram.hva + start.start_info);
	cr_assert_eq(info->magic, XEN_HVM_START_MAGIC_VALUE);
	cr_assert_str_eq((const char *)mem.ram.hva + info->cmdline_paddr, "one two");
	cr_assert_eq(info->memmap_entries, 1);
}

Test(pvh, start_page_avoids_low_segments)
{
	struct image im = good();
	struct pvh_start start;

	im.load.p_paddr = 0x1000;
	im.load.p_memsz = 0x3001;
	im.xen.entry = 0x1000;
	cr_assert_eq(load_bytes(&im, sizeof(im), &start), 0, "%s", why.text);
	cr_assert_eq(start.start_info, 0x5000);
}

Test(pvh, no_room_for_the_start_page)
{
	struct image im = good();

	im.load.p_paddr = 0;
	im.load.p_memsz = RAM_SIZE;
	refused(&im, -ENOSPC, "start-of-day");
}

Test(pvh, wrong_kinds_of_file)
{
	struct image im = good();

	im.eh.e_machine = EM_AARCH64;
	refused(&im, -ENOEXEC, "another processor");
	im = good();
	im.eh.e_type = ET_REL;
	refused(&im, -ENOEXEC, "not an executable");
	im = good();
	im.eh.e_ident[0] = 0;
	refused(&im, -ENOEXEC, "not an ELF file");
	im = good();
	im.xen.nh.n_type = XEN_ELFNOTE_LOADER;
	refused(&im, -ENOEXEC, "PHYS32_ENTRY");
	im = good();
	im.eh.e_phnum = 0;
	refused(&im, -ENOEXEC, "program headers");
}

Test(pvh, segments_beyond_everything)
{
	struct image im = good();

	im.load.p_filesz = 5000;
	refused(&im, -ENOEXEC, "longer than the file");
	im = good();
	im.load.p_offset = UINT64_MAX - 4;
	refused(&im, -ENOEXEC, "longer than the file");
	im = good();
	im.load.p_memsz = 0;
	refused(&im, -ENOEXEC, "its own memory");
	im = good();
	im.load.p_paddr = UINT64_MAX - 100;
	refused(&im, -ENOEXEC, "beyond 4 GiB");
	im = good();
	im.load.p_memsz = RAM_SIZE;
	refused(&im, -ENOSPC, "give it more");
	im = good();
	im.note.p_filesz = UINT64_MAX;
	refused(&im, -ENOEXEC, "note segment");
	im = good();
	im.xen.entry = LOAD_ADDR + 4096;
	refused(&im, -ENOEXEC, "entry point");
}

/* Whatever one byte says, and wherever the file ends: an error or a start inside RAM, no crash. */
Test(pvh, every_byte_wrong)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct pvh_start start;

	for (size_t i = 0; i < sizeof(struct image); i++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			struct image im = good();

			((uint8_t *)&im)[i] = values[v];
			if (load_bytes(&im, sizeof(im), &start) == 0)
				cr_assert_lt(start.entry, RAM_SIZE);
			else
				cr_assert_neq(why.text[0], 0);
		}
	}
}

Test(pvh, every_truncation)
{
	struct image im = good();
	struct pvh_start start;

	for (size_t len = 0; len < offsetof(struct image, code) + sizeof(im.code); len++) {
		cr_assert_lt(load_bytes(&im, len, &start), 0);
		cr_assert_neq(why.text[0], 0);
	}
}
