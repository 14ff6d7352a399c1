/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of one object, which never change, for all workers' guests: at the same time, while their guests
 * write to them, and while the object lets go of those that nobody has.
 */
#include "threads.h"

#include <errno.h>
#include <string.h>

#include "uvm/uvm_fill.h"

#define FILL_PAGES 24u
#define FILL_TAG 7000u
#define MOST 6u

static struct test_object *source;

void fill_setup(void)
{
	source = test_object_create(FILL_PAGES, FILL_TAG);
	if (source == NULL)
		complain(0, "no object", 0, 0);
}

void fill_end(void)
{
	uvm_object_rele(&source->to_object);
}

/* The host may have wired or be filling it, and what was read may have been let go again. */
static void judge(struct mguest *mg, const struct uvm_fill *fl)
{
	bool wired = mg->page[fl->fl_gfn].wired != NULL;

	if (fl->fl_error == 0 && !wired) {
		page_fill(bytes_of(mg, fl->fl_gfn), FILL_TAG + fl->fl_offset);
		if (!guest_holds(&mg->g, fl->fl_gfn, FILL_TAG + fl->fl_offset))
			complain(mg->domid, "is filled with other bytes", fl->fl_gfn, 0);
	} else if (fl->fl_error != -EBUSY || (!wired && fl->fl_gfn >= HOST_MAPS_BELOW)) {
		complain(mg->domid, "fill", fl->fl_gfn, fl->fl_error);
	}
}

void fill_pages(struct mguest *mg, struct rng *rng)
{
	uint64_t gfn = rng_below(rng, RAM_PAGES - MOST), off = rng_below(rng, FILL_PAGES - MOST);
	unsigned n = 1 + (unsigned)rng_below(rng, MOST);
	struct uvm_fill pages[MOST];
	int error;

	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct uvm_fill){.fl_gfn = gfn + i, .fl_offset = off + i};
	mg->g.pmap->sp_pmap.pm_crowded = false;
	error = uvm_fill(mg->g.map, &source->to_object, pages, n);
	if (error != 0)
		complain(mg->domid, "fill", gfn, error);
	for (unsigned i = 0; i < n; i++)
		judge(mg, &pages[i]);
	uvm_object_trim(&source->to_object, 2 * n);
}
