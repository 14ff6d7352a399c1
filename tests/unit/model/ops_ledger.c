/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps on the ledger. */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY 999999999u /* a domid that no guest gets */

static struct mguest *any_guest(void)
{
	return &m.guest[rng_below(&m.rng, m.nguests)];
}

static uint32_t any_domid(void)
{
	switch (rng_below(&m.rng, 8)) {
	case 0:
		return UVM_DOMID_HOST;
	case 1:
		return NOBODY;
	case 2:
	case 3:
		return UVM_DOMID_ANY;
	default:
		return any_guest()->domid;
	}
}

static struct moffer *free_offer(void)
{
	for (unsigned i = 0; i < MAXOFFERS; i++)
		if (m.offer[i].id == 0)
			return &m.offer[i];
	return NULL;
}

/* Mostly an offer that there is; sometimes a number without one. */
static uint64_t any_id(struct moffer **of)
{
	struct moffer *pick = &m.offer[rng_below(&m.rng, MAXOFFERS)];
	uint64_t id;

	if (pick->id == 0 && !rng_once_in(&m.rng, 4))
		pick = &m.offer[rng_below(&m.rng, MAXOFFERS)];
	*of = pick->id != 0 ? pick : NULL;
	if (*of != NULL)
		return pick->id;
	id = rng_below(&m.rng, 4) == 0 ? rng_next(&m.rng) | UINT64_C(1) << 63 : 0;
	return id;
}

static bool may_borrow(const struct moffer *of, uint32_t domid)
{
	uint32_t to = of->terms.ot_borrower;

	return to == domid ||
	       (to == UVM_DOMID_ANY && (domid != of->lender || domid == UVM_DOMID_HOST));
}

/* What lending has to say: the first page that cannot be lent decides. */
static int lend_result(
    struct mguest *mg, uint64_t gfn, uint64_t n, const struct uvm_offer_terms *terms)
{
	bool picture = terms->ot_borrower == UVM_DOMID_HOST && terms->ot_kind == UVM_LOAN_TOPAGE;

	if (n == 0 || terms->ot_borrower == mg->domid)
		return -EINVAL;
	for (uint64_t i = gfn; i < gfn + n; i++) {
		if (i >= PAGES || mg->page[i].kind == P_NONE)
			return -EFAULT;
		if (mg->page[i].kind == P_WINDOW && terms->ot_kind == UVM_LOAN_TOANON)
			return -EINVAL;
		if (mg->page[i].wired != NULL && !picture)
			return -EBUSY;
	}
	return 0;
}

static struct uvm_offer_terms any_terms(void)
{
	return (struct uvm_offer_terms){.ot_borrower = any_domid(),
	    .ot_kind = rng_once_in(&m.rng, 2) ? UVM_LOAN_TOPAGE : UVM_LOAN_TOANON,
	    .ot_tag = rng_next(&m.rng)};
}

void op_lend(void)
{
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES), n = rng_below(&m.rng, MAXLEND + 1);
	struct uvm_offer_terms terms = any_terms();
	struct moffer *of = free_offer();
	int result = lend_result(mg, gfn, n, &terms);
	uint64_t id = 0;

	model_says("lend", mg->domid, gfn, n, terms.ot_borrower, terms.ot_kind);
	if (of == NULL)
		return;
	model_expect(uvm_ledger_lend(mg->g.map, gfn, n, &terms, &id), result);
	compare_range(mg, gfn, n);
	if (result != 0)
		return;
	*of = (struct moffer){.id = id,
	    .lender = mg->domid,
	    .terms = terms,
	    .npages = n,
	    .copy = malloc(n * UVM_PAGE_SIZE)};
	if (of->copy == NULL)
		model_fail("the model is out of memory");
	for (uint64_t i = 0; i < n; i++)
		memcpy(of->copy + i * UVM_PAGE_SIZE, shown_bytes(mg, gfn + i), UVM_PAGE_SIZE);
}

void op_lend_object(void)
{
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	uint64_t off = rng_below(&m.rng, OBJECT_SIZE + 2), n = rng_below(&m.rng, MAXLEND + 1);
	struct uvm_offer_terms terms = any_terms();
	struct moffer *of = free_offer();
	uint64_t id = 0;
	int result = 0;

	model_says(
	    "lend object", (uint64_t)(mo - m.object), off, n, terms.ot_borrower, terms.ot_kind);
	if (of == NULL)
		return;
	if (n == 0 || off + n > OBJECT_SIZE || terms.ot_borrower == UVM_DOMID_HOST)
		result = -EINVAL;
	model_expect(
	    uvm_ledger_lend_object(&mo->to->to_object, off, n, n * UVM_PAGE_SIZE, &terms, &id),
	    result);
	if (result == 0)
		*of = (struct moffer){.id = id,
		    .lender = UVM_DOMID_HOST,
		    .terms = terms,
		    .npages = n,
		    .object = mo,
		    .offset = off};
}

static int borrow_result(
    const struct moffer *of, struct mguest *mg, uint64_t first, uint64_t n, uint64_t gfn)
{
	if (of == NULL || of->recalled)
		return -ENOENT;
	if (!may_borrow(of, mg->domid))
		return -EPERM;
	if (n == 0 || first > of->npages || n > of->npages - first)
		return -ERANGE;
	/* The map has two ranges, and one entry lies in one of them. */
	if (gfn + n > PAGES || (gfn < RAM_PAGES && gfn + n > RAM_PAGES))
		return -EINVAL;
	for (uint64_t i = gfn; i < gfn + n; i++)
		if (mg->page[i].kind != P_NONE)
			return -EEXIST;
	return 0;
}

/* The bytes of a page of an offer, to who borrows it now. */
static const uint8_t *offered_bytes(const struct moffer *of, uint64_t i)
{
	return of->object != NULL ? of->object->bytes + (of->offset + i) * UVM_PAGE_SIZE
				  : of->copy + i * UVM_PAGE_SIZE;
}

void op_borrow(void)
{
	struct mguest *mg = any_guest();
	struct moffer *of;
	uint64_t id = any_id(&of), first = 0, n = rng_below(&m.rng, MAXLEND);
	uint64_t gfn = RAM_PAGES + OBJECT_PAGES + rng_below(&m.rng, WINDOW_PAGES);
	int result;

	if (of != NULL && !rng_once_in(&m.rng, 16)) {
		first = rng_below(&m.rng, of->npages);
		n = 1 + rng_below(&m.rng, of->npages - first);
	}
	if (rng_once_in(&m.rng, 16))
		gfn = rng_below(&m.rng, PAGES + 2);
	result = borrow_result(of, mg, first, n, gfn);
	model_says("borrow", mg->domid, id, first, n, gfn);
	model_expect(uvm_ledger_borrow(mg->g.map, id, first, n, gfn), result);
	for (uint64_t i = 0; result == 0 && i < n; i++) {
		mg->page[gfn + i].kind = of->terms.ot_kind == UVM_LOAN_TOANON ? P_COW : P_WINDOW;
		mg->page[gfn + i].touched = true;
		memcpy(bytes_of(mg, gfn + i), offered_bytes(of, first + i), UVM_PAGE_SIZE);
	}
	if (result == 0) {
		mg->page[gfn].window_pages = (unsigned)n;
		mg->page[gfn].window_id = id;
		of->windows++;
	}
	compare_range(mg, gfn, n);
}

static int return_result(struct mguest *mg, uint64_t gfn)
{
	if (gfn == 0 || gfn == RAM_PAGES)
		return -EINVAL;
	if (mg->page[gfn].window_pages == 0)
		return -ENOENT;
	for (unsigned i = 0; i < mg->page[gfn].window_pages; i++)
		if (mg->page[gfn + i].wired != NULL)
			return -EBUSY;
	return 0;
}

void op_return(void)
{
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES), id;
	unsigned n;
	int result;

	/* Mostly where a window starts. */
	for (unsigned i = 0; i < PAGES && mg->page[gfn].window_pages == 0; i++)
		gfn = rng_once_in(&m.rng, 64) ? gfn : (gfn + 1) % PAGES;
	result = return_result(mg, gfn);
	model_says("return", mg->domid, gfn, mg->page[gfn].window_id, 0, 0);
	model_expect(uvm_ledger_return(mg->g.map, gfn), result);
	if (result != 0)
		return;
	n = mg->page[gfn].window_pages;
	id = mg->page[gfn].window_id;
	memset(&mg->page[gfn], 0, n * sizeof(mg->page[0]));
	offer_window_gone(id);
}

void op_recall(void)
{
	struct moffer *of;
	uint64_t id = any_id(&of), windows = UINT64_MAX;
	uint32_t domid = of != NULL && !rng_once_in(&m.rng, 8) ? of->lender : any_domid();
	int result = of == NULL || of->recalled ? -ENOENT : of->lender != domid ? -EPERM : 0;

	model_says("recall", domid, id, 0, 0, 0);
	model_expect(uvm_ledger_recall(domid, id, &windows), result);
	if (result != 0)
		return;
	if (windows != of->windows)
		model_fail("%ju windows out, says recall", (uintmax_t)windows);
	offer_recalled(of);
}

static void compare_info(const struct moffer *of, const struct uvm_offer_info *info)
{
	if (info->oi_id != of->id || info->oi_tag != of->terms.ot_tag ||
	    info->oi_npages != of->npages || info->oi_bytes != of->npages * UVM_PAGE_SIZE ||
	    info->oi_windows != of->windows || info->oi_lender != of->lender ||
	    info->oi_borrower != of->terms.ot_borrower || info->oi_kind != of->terms.ot_kind ||
	    info->oi_recalled != of->recalled)
		model_fail("offer %ju is described otherwise", (uintmax_t)of->id);
}

static struct moffer *next_offer(uint32_t domid, uint64_t id)
{
	struct moffer *best = NULL, *of;

	for (unsigned i = 0; i < MAXOFFERS; i++) {
		of = &m.offer[i];
		if (of->id <= id || (best != NULL && best->id < of->id))
			continue;
		if (domid == UVM_DOMID_HOST || (!of->recalled && may_borrow(of, domid)))
			best = of;
	}
	return best;
}

void op_query(void)
{
	struct uvm_offer_info info;
	struct moffer *of;
	uint64_t id = any_id(&of);
	uint32_t domid = any_domid();
	int result = 0;

	model_says("query", domid, id, 0, 0, 0);
	if (of == NULL)
		result = -ENOENT;
	else if (domid != UVM_DOMID_HOST && domid != of->lender && !may_borrow(of, domid))
		result = -EPERM;
	model_expect(uvm_ledger_query(domid, id, &info), result);
	if (result == 0)
		compare_info(of, &info);
	of = next_offer(domid, id);
	model_expect(uvm_ledger_next(domid, id, &info), of != NULL ? 0 : -ENOENT);
	if (of != NULL)
		compare_info(of, &info);
}

void op_host_borrow(void)
{
	struct mhostloan *mh = &m.hostloan[rng_below(&m.rng, MAXHOSTLOANS)];
	struct moffer *of;
	uint64_t id = any_id(&of);
	int result = 0;

	if (mh->hl != NULL)
		return;
	if (of == NULL || of->recalled)
		result = -ENOENT;
	else if (!may_borrow(of, UVM_DOMID_HOST))
		result = -EPERM;
	model_says("host borrow", id, 0, 0, 0, 0);
	model_expect(uvm_ledger_host_borrow(id, &mh->hl), result);
	if (result != 0)
		return;
	of->windows++;
	mh->of = of;
	mh->copy = malloc(of->npages * UVM_PAGE_SIZE);
	if (mh->copy == NULL)
		model_fail("the model is out of memory");
	for (uint64_t i = 0; i < of->npages; i++)
		memcpy(mh->copy + i * UVM_PAGE_SIZE, offered_bytes(of, i), UVM_PAGE_SIZE);
	compare_hostloan(mh);
}

void op_host_return(void)
{
	struct mhostloan *mh = &m.hostloan[rng_below(&m.rng, MAXHOSTLOANS)];
	uint64_t id;

	if (mh->hl == NULL)
		return;
	id = mh->of->id;
	model_says("host return", id, 0, 0, 0, 0);
	compare_hostloan(mh);
	uvm_hostloan_return(mh->hl);
	free(mh->copy);
	memset(mh, 0, sizeof(*mh));
	offer_window_gone(id);
}
