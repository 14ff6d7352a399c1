/* SPDX-License-Identifier: BSD-2-Clause */
/* Contents: the core's against the model's. */
#include "model.h"

#include <string.h>

#include "uvm/uvm_loan.h"

void compare_page(struct mguest *mg, uint64_t gfn)
{
	struct mpage *mp = &mg->page[gfn];
	uint8_t page[UVM_PAGE_SIZE];
	int error;

	/* Looking at a page that was never touched would touch it: op_read does that. */
	if (mp->kind == P_NONE || !mp->touched)
		return;
	error = soft_read(mg->g.map, gfn, 0, page, sizeof(page));
	if (error != 0)
		model_fail("domain %u cannot read gfn %ju: %d", mg->domid, (uintmax_t)gfn, error);
	if (memcmp(page, bytes_of(mg, gfn), sizeof(page)) != 0)
		model_fail("domain %u reads other bytes at gfn %ju (kind %d)", mg->domid,
		    (uintmax_t)gfn, mp->kind);
}

void compare_range(struct mguest *mg, uint64_t gfn, uint64_t n)
{
	for (uint64_t i = gfn; i < gfn + n && i < PAGES; i++)
		compare_page(mg, i);
}

static const uint8_t *extent_bytes(const struct pmap_extent *ext, uint64_t i)
{
	static const uint8_t zeroes[UVM_PAGE_SIZE];

	if (ext->kind == PMAP_ZERO)
		return zeroes;
	return ext->store->st_ops->so_kva(ext->store, ext->index + i);
}

void compare_hostloan(struct mhostloan *mh)
{
	struct pmap_extent ext[3];
	uint64_t page = 0, at = 0;
	unsigned n;

	while (page < mh->of->npages) {
		n = uvm_hostloan_extents(
		    mh->hl, page, mh->of->npages - page, ext, sizeof(ext) / sizeof(ext[0]), &page);
		for (unsigned i = 0; i < n; i++)
			for (uint64_t k = 0; k < ext[i].npages; k++, at++)
				if (memcmp(extent_bytes(&ext[i], k), mh->copy + at * UVM_PAGE_SIZE,
					UVM_PAGE_SIZE) != 0)
					model_fail("page %ju of host loan of offer %ju changed",
					    (uintmax_t)at, (uintmax_t)mh->of->id);
	}
	if (at != mh->of->npages)
		model_fail("extents of a host loan cover %ju pages", (uintmax_t)at);
}

void compare_object(struct mobject *mo)
{
	struct uvm_object *uo = &mo->to->to_object;
	const uint8_t *bytes;
	struct uvm_page *pg;

	uvm_lock(&uo->uo_lock);
	for (uint64_t off = 0; off < OBJECT_SIZE; off++) {
		pg = uvm_object_lookup(uo, off);
		bytes = pg != NULL ? uvm_page_kva(pg) : mo->to->to_disk + off * UVM_PAGE_SIZE;
		if (memcmp(bytes, mo->bytes + off * UVM_PAGE_SIZE, UVM_PAGE_SIZE) != 0)
			model_fail("object page %ju has other bytes", (uintmax_t)off);
	}
	uvm_unlock(&uo->uo_lock);
}

void compare_all(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < m.nguests; i++)
		compare_range(&m.guest[i], 0, PAGES);
	for (unsigned i = 0; i < MAXHOSTLOANS; i++)
		if (m.hostloan[i].hl != NULL)
			compare_hostloan(&m.hostloan[i]);
	for (unsigned i = 0; i < NOBJECTS; i++)
		compare_object(&m.object[i]);
	for (unsigned i = 0; i < MAXOFFERS; i++)
		count += m.offer[i].id != 0 ? 1 + m.offer[i].windows : 0;
	if (count != uvm_ledger_count())
		model_fail("%ju offers and windows in the ledger, %ju in the model",
		    (uintmax_t)uvm_ledger_count(), (uintmax_t)count);
	compare_sharing();
	if (world_check() != 0)
		model_fail("an invariant is broken");
}
