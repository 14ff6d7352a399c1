/* SPDX-License-Identifier: BSD-2-Clause */
/* The model's state, and how the core's side of it comes and goes. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "uvm/uvm_loan.h"

static void *need(void *p)
{
	if (p == NULL)
		model_fail("the model is out of memory");
	return p;
}

uint8_t *bytes_of(struct mguest *mg, uint64_t gfn)
{
	return mg->bytes + gfn * UVM_PAGE_SIZE;
}

const uint8_t *shown_bytes(struct mguest *mg, uint64_t gfn)
{
	uint64_t off = mg->object_offset + gfn - RAM_PAGES;

	if (mg->page[gfn].kind == P_OBJECT && !mg->page[gfn].touched)
		return m.object[mg->object].bytes + off * UVM_PAGE_SIZE;
	return bytes_of(mg, gfn);
}

void touch_page(struct mguest *mg, uint64_t gfn)
{
	if (mg->page[gfn].touched)
		return;
	if (mg->page[gfn].kind == P_OBJECT)
		memcpy(bytes_of(mg, gfn), shown_bytes(mg, gfn), UVM_PAGE_SIZE);
	mg->page[gfn].touched = true;
}

uint32_t domid_after(uint32_t domid)
{
	do
		domid++;
	while (domid == UVM_DOMID_ANY || domid == UVM_DOMID_NOBODY);
	return domid;
}

void guest_new(struct mguest *mg)
{
	struct uvm_object *uo;

	mg->domid = m.last_domid = domid_after(m.last_domid);
	mg->bytes = need(calloc(PAGES, UVM_PAGE_SIZE));
	mg->object = (unsigned)rng_below(&m.rng, NOBJECTS);
	mg->object_offset = rng_below(&m.rng, OBJECT_SIZE - OBJECT_PAGES + 1);
	uo = &m.object[mg->object].to->to_object;
	if (guest_create(&mg->g, mg->domid, RAM_PAGES, OBJECT_PAGES + WINDOW_PAGES) != 0)
		model_fail("no guest");
	model_expect(
	    uvm_map_enter_object(mg->g.map, RAM_PAGES, OBJECT_PAGES, uo, mg->object_offset), 0);
	memset(mg->page, 0, sizeof(mg->page));
	for (unsigned i = 0; i < RAM_PAGES + OBJECT_PAGES; i++)
		mg->page[i].kind = i < RAM_PAGES ? P_RAM : P_OBJECT;
}

/* The last window of a recalled offer has gone, or it had none. */
static void offer_maybe_free(struct moffer *of)
{
	if (!of->recalled || of->windows > 0)
		return;
	free(of->copy);
	memset(of, 0, sizeof(*of));
}

void offer_window_gone(uint64_t id)
{
	for (unsigned i = 0; i < MAXOFFERS; i++) {
		if (m.offer[i].id != id)
			continue;
		m.offer[i].windows--;
		offer_maybe_free(&m.offer[i]);
		return;
	}
	model_fail("a window on offer %ju, which is not in the model", (uintmax_t)id);
}

void offer_recalled(struct moffer *of)
{
	of->recalled = true;
	offer_maybe_free(of);
}

void guest_end(struct mguest *mg)
{
	/* Whoever has wired pages of a guest lets go of them before it can go. */
	for (unsigned i = 0; i < PAGES; i++)
		if (mg->page[i].wired != NULL)
			uvm_map_unwire(mg->g.map, mg->page[i].wired);
	guest_destroy(&mg->g);
	for (unsigned i = 0; i < MAXOFFERS; i++) {
		struct moffer *of = &m.offer[i];
		bool borrower = of->terms.ot_borrower == mg->domid;

		if (of->id == 0)
			continue;
		if (borrower)
			of->terms.ot_borrower = UVM_DOMID_NOBODY;
		/* What the host offered to it alone ends with it. */
		if (of->lender == mg->domid || (borrower && of->object != NULL))
			offer_recalled(of);
	}
	for (unsigned i = 0; i < PAGES; i++)
		if (mg->page[i].window_pages > 0)
			offer_window_gone(mg->page[i].window_id);
	free(mg->bytes);
	memset(mg, 0, sizeof(*mg));
}

static void object_new(struct mobject *mo, uint64_t tag)
{
	mo->to = need(test_object_create(OBJECT_SIZE, tag));
	mo->bytes = need(malloc(OBJECT_SIZE * UVM_PAGE_SIZE));
	memcpy(mo->bytes, mo->to->to_disk, OBJECT_SIZE * UVM_PAGE_SIZE);
}

void model_init(unsigned nguests, uint64_t seed)
{
	m.seed = seed;
	m.rng.state = seed;
	m.nguests = nguests;
	for (unsigned i = 0; i < NOBJECTS; i++)
		object_new(&m.object[i], 1000 * (i + 1));
	for (unsigned i = 0; i < nguests; i++)
		guest_new(&m.guest[i]);
}

void model_fini(void)
{
	for (unsigned i = 0; i < MAXHOSTLOANS; i++) {
		if (m.hostloan[i].hl == NULL)
			continue;
		uvm_hostloan_return(m.hostloan[i].hl);
		free(m.hostloan[i].copy);
	}
	for (unsigned i = 0; i < m.nguests; i++)
		guest_end(&m.guest[i]);
	for (unsigned i = 0; i < MAXOFFERS; i++) {
		uint64_t windows;

		if (m.offer[i].id != 0 && m.offer[i].object != NULL && !m.offer[i].recalled)
			model_expect(uvm_ledger_recall(0, m.offer[i].id, &windows), 0);
		free(m.offer[i].copy);
	}
	for (unsigned i = 0; i < NOBJECTS; i++) {
		uvm_object_rele(&m.object[i].to->to_object);
		free(m.object[i].bytes);
	}
	if (world_check() != 0 || world_leftovers() != 0)
		model_fail("the end is not clean");
}
