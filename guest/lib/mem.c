/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables and the page allocator.  Every address is mapped to itself, RAM from the start and
 * the window area where windows are borrowed; whatever lies elsewhere stays unmapped, so that a
 * wild pointer is a page fault in the guest.  Entries are only ever added, which needs no TLB
 * flush and thus no CPL 0.
 */
#include "lombard-guest.h"
#include "start.h"

#define PTE_PRESENT 0x1UL
#define PTE_LARGE_BIT 0x80UL
#define PTE_ADDRESS 0x000ffffffffff000UL

/* Enough for 4 GiB of RAM in three pieces; later tables come from the allocator. */
static uint64_t first_tables[8][512] __attribute__((aligned(4096)));
static unsigned int first_tables_used;

static struct run_list untouched; /* never used: zeroes that take no memory */
static struct run_list recycled;  /* used and freed */

static uint64_t *table_new(void)
{
	if (first_tables_used < sizeof(first_tables) / sizeof(*first_tables))
		return first_tables[first_tables_used++];
	return page_alloc(1);
}

/* The table that an entry points to, made if it is not there; NULL when memory is short. */
static uint64_t *table_below(uint64_t *entry)
{
	uint64_t *table;

	if (*entry & PTE_PRESENT)
		return (uint64_t *)(*entry & PTE_ADDRESS);
	table = table_new();
	if (table != NULL)
		*entry = (uint64_t)table | PTE_TABLE;
	return table;
}

/* Map one page, of 2 MiB if large.  What is mapped already stays as it is. */
static int map_one(uint64_t addr, bool large)
{
	uint64_t *table = lombard_pml4;

	for (unsigned int shift = 39; shift > 21; shift -= 9) {
		table = table_below(&table[(addr >> shift) & 511]);
		if (table == NULL)
			return -XEN_ENOMEM;
	}
	table += (addr >> 21) & 511;
	if (*table & PTE_LARGE_BIT)
		return 0;
	if (large && !(*table & PTE_PRESENT)) {
		*table = addr | PTE_LARGE;
		return 0;
	}
	table = table_below(table);
	if (table == NULL)
		return -XEN_ENOMEM;
	table[(addr >> 12) & 511] = addr | PTE_PAGE;
	return 0;
}

int mem_map(uint64_t from, uint64_t to)
{
	while (from < to) {
		bool large = from % PAGE_2M == 0 && to - from >= PAGE_2M;
		int err = map_one(from, large);

		if (err != 0)
			return err;
		from += large ? PAGE_2M : PAGE_SIZE;
	}
	return 0;
}

/* One piece of RAM, in bytes.  The first 2 MiB are mapped by boot.S. */
static void ram_add(uint64_t from, uint64_t to)
{
	uint64_t image_end = (uint64_t)lombard_image_end;

	from = (from + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	to &= ~(PAGE_SIZE - 1);
	if (from < image_end)
		from = image_end;
	if (from >= to)
		return;
	if (mem_map(from > PAGE_2M ? from & ~(PAGE_2M - 1UL) : PAGE_2M, to) != 0)
		die("guest: no memory for page tables");
	if (run_put(&untouched, from / PAGE_SIZE, (to - from) / PAGE_SIZE) != 0)
		die("guest: too many pieces of RAM");
}

void mem_init(const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *map;
	struct loan_info loan;

	if (info->version >= 1 && info->memmap_entries != 0) {
		map = (const struct hvm_memmap_table_entry *)info->memmap_paddr;
		for (uint32_t i = 0; i < info->memmap_entries; i++)
			if (map[i].type == XEN_HVM_MEMMAP_TYPE_RAM)
				ram_add(map[i].addr, map[i].addr + map[i].size);
		return;
	}
	if (loan_info(&loan) != 0)
		die("guest: neither a memory map nor loan_info");
	ram_add(0, loan.ram_pages * PAGE_SIZE);
}

void *page_alloc_untouched(size_t pages)
{
	uint64_t gfn;

	if (pages == 0 || !run_take(&untouched, pages, &gfn))
		return NULL;
	return (void *)(gfn * PAGE_SIZE);
}

void *page_alloc(size_t pages)
{
	uint64_t gfn;

	if (pages == 0 || !run_take(&recycled, pages, &gfn))
		return page_alloc_untouched(pages);
	return memset((void *)(gfn * PAGE_SIZE), 0, pages * PAGE_SIZE);
}

void page_free(void *start, size_t pages)
{
	if (pages != 0 && run_put(&recycled, (uint64_t)start / PAGE_SIZE, pages) != 0)
		die("guest: no memory to note that %p is free", start);
}
