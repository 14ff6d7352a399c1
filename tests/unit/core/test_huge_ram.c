/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/pmap/pmap_soft.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c $(UVM_SRCS) */
/* RAM that the real kernel has in huge pages: loans of single pages, and whose memory is given back when. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pmap/pmap_soft.h"
#include "pmap/store_memfd.h"
#include "uvm/uvm_audit.h"
#include "uvm/uvm_ledger.h"

#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

#define HUGE (2UL << 20)
#define RAM (2 * HUGE / UVM_PAGE_SIZE)
#define PINNED 100u

static struct memfd_store *store;
static struct soft_pmap *soft;
static struct uvm_map *map;

static uint8_t *kva(uint64_t page)
{
	return store->ms_store.st_ops->so_kva(&store->ms_store, page);
}

/* => the test is skipped where the kernel has no huge pages to give */
static void make_huge(void)
{
	uint8_t *raw = mmap(NULL, 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *va = (uint8_t *)(((uintptr_t)raw + HUGE - 1) & ~(HUGE - 1));

	cr_assert_eq(
	    mmap(va, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, store->ms_fd, 0), va);
	va[0] = 1;
	if (madvise(va, HUGE, MADV_COLLAPSE))
		cr_skip_test("no huge pages: %s", strerror(errno));
	munmap(raw, 2 * HUGE);
}

static void setup(void)
{
	const struct uvm_maprange range = {.mr_npages = RAM};
	struct failure f;

	cr_assert_eq(uvm_loan_init(), 0);
	cr_assert_eq(memfd_store_create("test", RAM, 4, 1, &store, &f), 0);
	make_huge();
	soft = soft_pmap_create(RAM);
	cr_assert(soft != NULL);
	uvm_world_enter();
	map = uvm_map_create(&soft->sp_pmap, &store->ms_store, 1, &range, 1);
	cr_assert(map != NULL);
	cr_assert_eq(uvm_map_enter_ram(map, 0, RAM), 0);
	soft_pmap_map_ram(soft, &store->ms_store, 0, 0, RAM);
	uvm_store_rele(&store->ms_store);
	uvm_world_leave();
}

static void put(uint64_t gfn, uint8_t byte)
{
	uvm_world_enter();
	cr_assert_eq(soft_write(map, gfn, 100, &byte, 1), 0);
	uvm_world_leave();
}

static uint8_t get(uint64_t gfn)
{
	uint8_t byte = 0;

	uvm_world_enter();
	cr_assert_eq(soft_read(map, gfn, 100, &byte, 1), 0);
	uvm_world_leave();
	return byte;
}

/* The kernel keeps what somebody else uses a page of: a pipe refers to it. */
static void pin(int ends[2])
{
	struct iovec iov = {.iov_base = kva(PINNED), .iov_len = UVM_PAGE_SIZE};

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(vmsplice(ends[1], &iov, 1, 0), (ssize_t)UVM_PAGE_SIZE);
}

/* Lend some pages, and write to them: they have other frames then.  Nobody has borrowed the old ones. */
static void lend_and_break(uint64_t gfn, uint64_t n)
{
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	uint64_t id, windows;

	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(map, gfn, n, &terms, &id), 0);
	uvm_world_leave();
	for (uint64_t i = gfn; i < gfn + n; i++)
		put(i, (uint8_t)i);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_recall(1, id, &windows), 0);
	uvm_world_leave();
}

static struct uvm_account sound(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	cr_assert(ac.ac_equal, "%ju frames, the kernel counts %ju",
	    (uintmax_t)uvm_frames_total(&ac.ac_all), (uintmax_t)ac.ac_kernel_pages);
	return ac;
}

static void teardown(void)
{
	uvm_world_enter();
	uvm_ledger_guest_gone(map);
	uvm_world_leave();
	soft_pmap_destroy(soft);
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
}

TestSuite(huge_ram, .init = setup);

Test(huge_ram, is_known_by_the_page)
{
	struct uvm_account ac;

	put(7, 77);
	lend_and_break(5, 2);
	ac = sound();
	cr_assert_eq(ac.ac_all.fr_owned, HUGE / UVM_PAGE_SIZE);
	cr_assert_eq(ac.ac_kernel_pages, HUGE / UVM_PAGE_SIZE);
	cr_assert_eq(kva(5)[100], 0);
	cr_assert(get(5) == 5 && get(6) == 6 && get(7) == 77);
	teardown();
}

Test(huge_ram, keeps_memory_while_a_page_of_it_is_used)
{
	struct uvm_account ac;
	int ends[2];

	pin(ends);
	lend_and_break(5, 2);
	ac = sound();
	cr_assert_eq(ac.ac_all.fr_owned, HUGE / UVM_PAGE_SIZE);
	cr_assert_eq(ac.ac_all.fr_moving, 2, "the kernel can't have split it");
	cr_assert(get(5) == 5 && get(6) == 6);
	close(ends[0]);
	close(ends[1]);
	ac = sound();
	cr_assert_eq(ac.ac_all.fr_moving, 0);
	cr_assert_eq(ac.ac_kernel_pages, HUGE / UVM_PAGE_SIZE);
	cr_assert(get(5) == 5 && get(6) == 6);
	teardown();
}
