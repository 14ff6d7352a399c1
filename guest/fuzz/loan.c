/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending and borrowing. */
#include "fuzz.h"

#include "../victim/tag.h"

static void nothing_fill(void *arg)
{
	(void)arg;
}

static void lend_fill(void *arg)
{
	struct loan_lend *op = arg;
	struct thing t;

	op->gfn = one_in(4) ? any_gfn() : our_gfn();
	if (one_in(8) && hoard_any(WINDOWS, &t))
		op->gfn = t.a;
	op->nr_pages = 1 + below(one_in(16) ? 5000 : 8);
	op->domid = one_in(2) ? LOAN_DOMID_ANY : any_domid();
	op->kind = (uint16_t)(1 + below(2));
	op->tag = rnd() >> 24; /* none that promises something */
}

void loan_add(uint64_t id)
{
	struct loan_recall back;
	struct thing lost;

	if (hoard_add(LOANS, id, 0, &lost))
		return;
	back.id = lost.a;
	(void)plain(LOMBARD_HYPERCALL_loan_op, LOANOP_recall, &back);
}

static void lend_done(const void *arg, int64_t ret)
{
	(void)ret;
	loan_add(((const struct loan_lend *)arg)->id);
}

static uint64_t any_loan(void)
{
	struct thing t;

	if (!one_in(8) && hoard_any(one_in(6) ? LOANS : OFFERS, &t))
		return t.a;
	return one_in(2) ? below(1000) : wild();
}

static void borrow_fill(void *arg)
{
	struct loan_borrow *op = arg;

	op->id = any_loan();
	op->gfn = one_in(12) ? any_gfn() : spot();
	op->first = one_in(2) ? 0 : below(4);
	op->nr_pages = 1 + below(one_in(8) ? 32 : 3);
}

static void give_back(uint64_t gfn)
{
	struct loan_return op = {.gfn = gfn};

	(void)plain(LOMBARD_HYPERCALL_loan_op, LOANOP_return, &op);
}

static void borrow_done(const void *arg, int64_t ret)
{
	const struct loan_borrow *op = arg;
	struct loan_query q = {.id = op->id};
	struct thing lost;
	uint64_t anon = 0;

	(void)ret;
	if (plain(LOMBARD_HYPERCALL_loan_op, LOANOP_query, &q) == 0 && q.kind == LOAN_TO_ANON)
		anon = HOARD_BIT;
	if (!hoard_add(WINDOWS, op->gfn, op->nr_pages | anon, &lost))
		give_back(lost.a);
}

static void return_fill(void *arg)
{
	struct loan_return *op = arg;
	struct thing t;

	op->gfn = !one_in(4) && hoard_any(WINDOWS, &t) ? t.a : any_gfn();
}

static void return_done(const void *arg, int64_t ret)
{
	(void)ret;
	hoard_drop(WINDOWS, ((const struct loan_return *)arg)->gfn);
}

static void recall_fill(void *arg)
{
	struct thing t;

	((struct loan_recall *)arg)->id = !one_in(4) && hoard_any(LOANS, &t) ? t.a : any_loan();
}

static void recall_done(const void *arg, int64_t ret)
{
	(void)ret;
	hoard_drop(LOANS, ((const struct loan_recall *)arg)->id);
}

static void query_fill(void *arg)
{
	((struct loan_query *)arg)->id = any_loan();
}

static void next_fill(void *arg)
{
	((struct loan_query *)arg)->id = one_in(2) ? any_loan() : 0;
}

/* Who lends may be called, and may have granted something. */
static void next_done(const void *arg, int64_t ret)
{
	const struct loan_query *op = arg;

	(void)ret;
	hoard_drop(OFFERS, op->id);
	hoard_drop(OTHERS, op->lender);
	(void)hoard_add(OFFERS, op->id, op->lender, NULL);
	(void)hoard_add(OTHERS, op->lender, 0, NULL);
	if (!tag_p(op->tag))
		return;
	(void)hoard_add(CALLS, tag_port(op->tag), op->lender, NULL);
	(void)hoard_add(GIVEN, tag_ref(op->tag), op->lender, NULL);
}

static void discard_fill(void *arg)
{
	struct loan_discard *op = arg;

	/* The program itself is RAM, too. */
	op->gfn = our_gfn();
	op->nr_pages = 1 + below(3);
	if (one_in(6))
		op->gfn = field.info.ram_pages - below(2);
	else if (one_in(6))
		op->pad = (uint32_t)wild();
	else if (one_in(6))
		op->gfn = spot();
}

/* Never in memory that others may write to. */
static void discard_done(const void *arg, int64_t ret)
{
	(void)arg, (void)ret;
}

static bool discard_hurts(const void *arg)
{
	const struct loan_discard *op = arg;

	return vital(op->gfn, op->nr_pages);
}

/* Of windows only what is none: the hoard would not know that they are gone with the port. */
static void tie_fill(void *arg)
{
	struct loan_tie *op = arg;

	op->port = any_port();
	op->kind = LOAN_TIE_OFFER;
	op->what = any_loan();
	if (one_in(6)) {
		op->kind = (uint16_t)below(4);
		op->what = wild() << 12;
	} else if (one_in(12)) {
		op->pad = (uint16_t)wild();
	}
}

#define LOAN(op, type, w, ...)                                                                     \
	{                                                                                          \
		.name = "loan." #op, .nr = LOMBARD_HYPERCALL_loan_op, .cmd = LOANOP_##op,          \
		.size = sizeof(struct loan_##type), .weight = w, __VA_ARGS__                       \
	}

const struct op ops_loan[] = {
    LOAN(info, info, 3, .fill = nothing_fill, .results = true),
    LOAN(lend, lend, 50, .fill = lend_fill, .results = true, .done = lend_done),
    LOAN(borrow, borrow, 60, .fill = borrow_fill, .done = borrow_done),
    LOAN(return, return, 50, .fill = return_fill, .done = return_done),
    LOAN(recall, recall, 40, .fill = recall_fill, .done = recall_done),
    LOAN(query, query, 10, .fill = query_fill, .results = true),
    LOAN(next, query, 30, .fill = next_fill, .results = true, .done = next_done),
    LOAN(discard, discard, 20, .fill = discard_fill, .done = discard_done, .hurts = discard_hurts),
    LOAN(tie, tie, 20, .fill = tie_fill),
};
const unsigned nr_ops_loan = ARRAY_SIZE(ops_loan);
