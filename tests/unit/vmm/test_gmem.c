/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/gmem.c hv/lib/sys.c */
#include "vmm/gmem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

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
