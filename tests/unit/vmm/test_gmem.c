/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/gmem.c hv/lib/sys.c */
#include "vmm/gmem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

#define HUGE (2UL << 20)
#define PAGE 4096U
#define NPAGES 16U
#define GVA UINT64_C(0x0000123456789000) /* its four table indexes differ */
#define PRESENT 1U
#define LARGE 0x80U

enum { PML4 = 1, PDPT, PD, PT, DATA0, DATA1, PML5 };

static _Alignas(PAGE) uint8_t ram[NPAGES * PAGE];
static _Alignas(PAGE) uint8_t window[PAGE];
static const struct gmem mem = {
    .ram = {.hva = ram, .size = sizeof(ram)},
    .window = {.hva = window, .gpa = UINT64_C(1) << 32, .size = sizeof(window)},
};
static struct gmem_paging pg;

static uint64_t *entry(unsigned table, int level)
{
	return (uint64_t *)(ram + table * PAGE) + (GVA >> (12 + 9 * level) & 511);
}

/* GVA's page is DATA1, the next one DATA0: neighbours in virtual memory only. */
static void setup(void)
{
	memset(ram, 0, sizeof(ram));
	*entry(PML4, 3) = PDPT * PAGE | PRESENT;
	*entry(PDPT, 2) = PD * PAGE | PRESENT;
	*entry(PD, 1) = PT * PAGE | PRESENT;
	*entry(PT, 0) = DATA1 * PAGE | PRESENT;
	*(entry(PT, 0) + 1) = DATA0 * PAGE | PRESENT;
	pg = (struct gmem_paging){
	    .cr0 = 0x80000001, .cr3 = PML4 * PAGE | 0x18, .cr4 = 0x20, .efer = 0x500};
}

static int translate(uint64_t gva, uint64_t *gpa)
{
	uint64_t left;

	return gmem_translate(&mem, &pg, gva, gpa, &left);
}

TestSuite(gmem, .init = setup);

Test(gmem, bounds)
{
	uint64_t end = mem.ram.size;

	cr_assert_eq(gmem_ptr(&mem, end - 1, 1), ram + end - 1);
	cr_assert_null(gmem_ptr(&mem, end - 1, 2));
	cr_assert_null(gmem_ptr(&mem, end + 1, 0));
	cr_assert_null(gmem_ptr(&mem, 8, UINT64_MAX));
	cr_assert_null(gmem_ptr(&mem, UINT64_MAX, 2));
	cr_assert_eq(gmem_ptr(&mem, mem.window.gpa, PAGE), window);
	cr_assert_null(gmem_ptr(&mem, mem.window.gpa - 1, 2));
}

Test(gmem, walk_of_all_page_sizes)
{
	uint64_t gpa;

	cr_assert_eq(translate(GVA + 5, &gpa), 0);
	cr_assert_eq(gpa, DATA1 * PAGE + 5);
	*entry(PD, 1) = PRESENT | LARGE | UINT64_C(0x40000000);
	cr_assert_eq(translate(GVA + 5, &gpa), 0);
	cr_assert_eq(gpa, 0x40000000 + (GVA & 0x1fffff) + 5);
	*entry(PDPT, 2) = PRESENT | LARGE | UINT64_C(0x80000000);
	cr_assert_eq(translate(GVA + 5, &gpa), 0);
	cr_assert_eq(gpa, 0x80000000 + (GVA & 0x3fffffff) + 5);
	*entry(PML4, 3) |= LARGE;
	cr_assert_eq(translate(GVA, &gpa), -EFAULT);
}

Test(gmem, not_mapped)
{
	uint64_t gpa;

	cr_assert_eq(translate(GVA + 2 * PAGE, &gpa), -EFAULT);
	cr_assert_eq(translate(UINT64_C(1) << 47, &gpa), -EFAULT);
	*entry(PDPT, 2) = UINT64_C(0x000ffffffffff000) | PRESENT;
	cr_assert_eq(translate(GVA, &gpa), -EFAULT);
}

Test(gmem, paging_modes)
{
	uint64_t gpa;

	pg.efer = 0;
	cr_assert_eq(translate(GVA, &gpa), -EFAULT);
	pg.cr0 = 1;
	cr_assert_eq(translate(0x1234, &gpa), 0);
	cr_assert_eq(gpa, 0x1234);
	cr_assert_eq(translate(UINT64_C(1) << 32, &gpa), -EFAULT);
}

Test(gmem, five_levels)
{
	const uint64_t high = UINT64_C(0xff23000000000000) | GVA;
	uint64_t gpa;

	cr_assert_eq(translate(high, &gpa), -EFAULT, "not canonical with 4 levels");
	pg.cr3 = PML5 * PAGE;
	pg.cr4 |= 1U << 12;
	cr_assert_eq(translate(high, &gpa), -EFAULT);
	((uint64_t *)(ram + PML5 * PAGE))[high >> 48 & 511] = PML4 * PAGE | PRESENT;
	cr_assert_eq(translate(high + 5, &gpa), 0);
	cr_assert_eq(gpa, DATA1 * PAGE + 5);
	cr_assert_eq(translate(GVA, &gpa), -EFAULT);
	cr_assert_eq(translate(high ^ UINT64_C(1) << 60, &gpa), -EFAULT, "not canonical");
	((uint64_t *)(ram + PML5 * PAGE))[high >> 48 & 511] |= LARGE;
	cr_assert_eq(translate(high, &gpa), -EFAULT);
}

Test(gmem, copies_across_pages)
{
	char buf[8];

	cr_assert_eq(gmem_copy_out(&mem, &pg, GVA + PAGE - 3, "abcdefg", 8), 0);
	cr_assert_eq(memcmp(ram + DATA1 * PAGE + PAGE - 3, "abc", 3), 0);
	cr_assert_str_eq((char *)ram + DATA0 * PAGE, "defg");
	cr_assert_eq(gmem_copy_in(&mem, &pg, buf, GVA + PAGE - 3, 8), 0);
	cr_assert_str_eq(buf, "abcdefg");
	cr_assert_eq(gmem_copy_in(&mem, &pg, buf, GVA + 2 * PAGE - 3, 8), -EFAULT);
	cr_assert_eq(gmem_copy_in(&mem, &pg, buf, UINT64_MAX, 8), -EFAULT);
}

/* RAM of four huge pages and a small one, from the start of a file's second huge page. */
static void huge_ram(struct gmem *gm, int *fd)
{
	uint64_t size = 4 * HUGE + PAGE;
	uint8_t *raw = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *va = (uint8_t *)(((uintptr_t)raw + HUGE - 1) & ~(HUGE - 1));

	*fd = memfd_create("ram", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(*fd, (off_t)(8 * HUGE)), 0);
	cr_assert_eq(mmap(va, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd, HUGE), va);
	*gm = (struct gmem){
	    .ram = {.hva = va, .size = size, .offset = HUGE},
	    .store = *fd,
	};
}

/* => skipped where the kernel has no huge pages to give */
static void need_collapse(void)
{
	uint8_t *va = mmap(
	    NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	va = (uint8_t *)(((uintptr_t)va + HUGE - 1) & ~(HUGE - 1));
	va[0] = 1;
	if (madvise(va, HUGE, MADV_COLLAPSE))
		cr_skip_test("no huge pages: %s", strerror(errno));
}

static uint64_t pages_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE;
}

Test(gmem, populate_makes_huge_pages_around_the_range)
{
	struct gmem gm;
	int fd;

	need_collapse();
	huge_ram(&gm, &fd);
	gm.ram.hva[HUGE + 5] = 7;
	gmem_populate(&gm, HUGE + 3 * PAGE, HUGE);
	cr_assert_eq(pages_of(fd), 2 * HUGE / PAGE);
	cr_assert_eq(lseek(fd, 0, SEEK_DATA), (off_t)(2 * HUGE), "where RAM lies in the file");
	cr_assert_eq(lseek(fd, (off_t)(2 * HUGE), SEEK_HOLE), (off_t)(4 * HUGE));
	cr_assert_eq(gm.ram.hva[HUGE + 5], 7);
	cr_assert_eq(gm.ram.hva[3 * HUGE - 1], 0);
	gm.ram.hva[3 * HUGE - 1] = 9;
	cr_assert_eq(pages_of(fd), 2 * HUGE / PAGE);
}

/* Behind RAM the file is somebody else's. */
Test(gmem, populate_stays_in_ram)
{
	struct gmem gm;
	int fd;

	need_collapse();
	huge_ram(&gm, &fd);
	gmem_populate(&gm, 4 * HUGE - PAGE, 2 * PAGE);
	cr_assert_eq(pages_of(fd), HUGE / PAGE + 1);
	gmem_populate(&gm, 4 * HUGE, PAGE);
	cr_assert_eq(pages_of(fd), HUGE / PAGE + 1);
}

Test(gmem, populate_takes_small_pages_where_ram_has_no_huge_ones)
{
	struct gmem gm;
	int fd;

	huge_ram(&gm, &fd);
	gm.store = 0;
	gmem_populate(&gm, HUGE + 3 * PAGE, 5 * PAGE);
	cr_assert_eq(pages_of(fd), 5);
}
