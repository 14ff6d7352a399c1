/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps on filling.  In the model the page has a copy of the object's bytes, and a handle, which the core
 * tells; pages that were filled from one frame have the same one.
 */
#include "model.h"

#include <errno.h>
#include <string.h>

#include "uvm/uvm_fill.h"
#include "uvm/uvm_share.h"

#define MOST 12u

static int result_of(const struct mguest *mg, const struct uvm_fill *fl)
{
	const struct mpage *mp = fl->fl_gfn < PAGES ? &mg->page[fl->fl_gfn] : NULL;

	if (mg->g.pmap->sp_pmap.pm_crowded)
		return -ENOSPC;
	if (fl->fl_offset >= OBJECT_SIZE || mp == NULL || mp->kind != P_RAM)
		return -EINVAL;
	return mp->wired != NULL ? -EBUSY : 0;
}

static void filled(struct mguest *mg, const struct mobject *mo, const struct uvm_fill *fl)
{
	struct mpage *mp = &mg->page[fl->fl_gfn];
	uint64_t handle = 0;

	memcpy(bytes_of(mg, fl->fl_gfn), mo->bytes + fl->fl_offset * UVM_PAGE_SIZE, UVM_PAGE_SIZE);
	mp->touched = true;
	mp->foreign = true;
	model_expect(uvm_share_nominate(mg->g.map, fl->fl_gfn, &handle), 0);
	mp->handle = handle;
	if (handle > m.last_handle)
		m.last_handle = handle;
}

void op_fill(void)
{
	struct mguest *mg = &m.guest[rng_below(&m.rng, m.nguests)];
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	uint64_t gfn = rng_below(&m.rng, rng_once_in(&m.rng, 8) ? PAGES : RAM_PAGES - MOST);
	uint64_t off = rng_below(&m.rng, OBJECT_SIZE);
	unsigned n = 1 + (unsigned)rng_below(&m.rng, MOST), step = rng_once_in(&m.rng, 4) ? 3 : 1;
	struct uvm_fill pages[MOST];
	int results[MOST];

	mg->g.pmap->sp_pmap.pm_crowded = rng_once_in(&m.rng, 8);
	model_says("fill", mg->domid, gfn, (uint64_t)(mo - m.object), off, n);
	for (unsigned i = 0; i < n; i++) {
		pages[i] = (struct uvm_fill){.fl_gfn = gfn + i, .fl_offset = off + i * step};
		results[i] = result_of(mg, &pages[i]);
	}
	model_expect(uvm_fill(mg->g.map, &mo->to->to_object, pages, n), 0);
	for (unsigned i = 0; i < n; i++)
		model_expect(pages[i].fl_error, results[i]);
	for (unsigned i = 0; i < n; i++)
		if (results[i] == 0)
			filled(mg, mo, &pages[i]);
	compare_range(mg, gfn, n);
}

void op_object_trim(void)
{
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	uint64_t n = rng_below(&m.rng, OBJECT_SIZE);

	model_says("object trim", (uint64_t)(mo - m.object), n, 0, 0, 0);
	uvm_object_trim(&mo->to->to_object, n);
	compare_object(mo);
}
