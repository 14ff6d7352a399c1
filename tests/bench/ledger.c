/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger alone, on the software pmap: what lending costs before any kernel is asked. */
#include "bench.h"

#include "pmap/pmap_soft.h"
#include "uvm/uvm_ledger.h"

#define PAGES 4096u
#define ROUNDS 201u
#define DOMID 1u

static struct uvm_map *make_guest(struct soft_store **ss, struct soft_pmap **sp)
{
	const struct uvm_maprange range = {.mr_npages = PAGES};
	struct uvm_map *map;

	*ss = soft_store_create(PAGES, 2, DOMID);
	*sp = soft_pmap_create(PAGES);
	if (*ss == NULL || *sp == NULL)
		bench_die("out of memory");
	map = uvm_map_create(&(*sp)->sp_pmap, &(*ss)->ss_store, DOMID, &range, 1);
	if (map == NULL || uvm_map_enter_ram(map, 0, PAGES) != 0)
		bench_die("out of memory");
	soft_pmap_map_ram(*sp, &(*ss)->ss_store, 0, 0, PAGES);
	return map;
}

static uint64_t lend_and_return(struct uvm_map *map, enum uvm_loan_kind kind)
{
	const struct uvm_offer_terms terms = {.ot_borrower = UVM_DOMID_ANY, .ot_kind = kind};
	uint64_t start = now_ns(), id, windows;

	if (uvm_ledger_lend(map, 0, PAGES, &terms, &id) != 0 ||
	    uvm_ledger_recall(DOMID, id, &windows) != 0)
		bench_die("the ledger refuses a loan");
	return now_ns() - start;
}

void ledger_measure(void)
{
	static struct sample topage;
	struct soft_store *ss;
	struct soft_pmap *sp;
	struct uvm_map *map;
	const uint8_t byte = 1;

	uvm_world_enter();
	map = make_guest(&ss, &sp);
	for (uint64_t gfn = 0; gfn < PAGES; gfn++)
		if (soft_write(map, gfn, 0, &byte, 1) != 0)
			bench_die("a guest of the soft pmap can't write");
	for (unsigned i = 0; i < ROUNDS; i++)
		sample_add(&topage, lend_and_return(map, UVM_LOAN_TOPAGE));
	uvm_ledger_guest_gone(map);
	uvm_world_leave();
	soft_pmap_destroy(sp);
	uvm_store_rele(&ss->ss_store);
	report_add(SECTION_LEDGER, 0, PAGES, sample_value(&topage), (struct value){0});
}
