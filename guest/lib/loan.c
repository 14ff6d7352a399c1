/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending and borrowing: loan_op with types. */
#include "loan_find.h"
#include "lombard-guest.h"
#include "start.h"

int loan_info(struct loan_info *info)
{
	struct loan_info arg = {0};
	int err = hypercall_loan_op(LOANOP_info, &arg);

	if (err == 0)
		*info = arg;
	return err;
}

int loan_lend(
    const void *start, uint32_t pages, uint16_t domid, uint16_t kind, uint64_t tag, uint64_t *id)
{
	struct loan_lend arg = {
	    .gfn = (uint64_t)start / PAGE_SIZE,
	    .nr_pages = pages,
	    .domid = domid,
	    .kind = kind,
	    .tag = tag,
	};
	int err;

	if ((uint64_t)start % PAGE_SIZE != 0)
		return -XEN_EINVAL;
	err = hypercall_loan_op(LOANOP_lend, &arg);
	if (err == 0)
		*id = arg.id;
	return err;
}

int loan_recall(uint64_t id, unsigned int *windows)
{
	struct loan_recall arg = {.id = id};
	int ret = hypercall_loan_op(LOANOP_recall, &arg);

	if (ret < 0)
		return ret;
	if (windows != NULL)
		*windows = (unsigned int)ret;
	return 0;
}

int loan_borrow(uint64_t id, uint32_t first, uint32_t pages, void **window)
{
	struct loan_borrow arg = {.id = id, .first = first, .nr_pages = pages};
	int err = window_take(pages, 1, &arg.gfn);

	if (err != 0)
		return err;
	err = hypercall_loan_op(LOANOP_borrow, &arg);
	if (err != 0) {
		window_give(arg.gfn);
		return err;
	}
	*window = (void *)(arg.gfn * PAGE_SIZE);
	return 0;
}

int loan_return(void *window)
{
	struct loan_return arg = {.gfn = (uint64_t)window / PAGE_SIZE};
	int err = hypercall_loan_op(LOANOP_return, &arg);

	return err == 0 ? window_give(arg.gfn) : err;
}

int loan_discard(void *start, uint32_t pages)
{
	struct loan_discard arg = {.gfn = (uint64_t)start / PAGE_SIZE, .nr_pages = pages};

	if ((uint64_t)start % PAGE_SIZE != 0)
		return -XEN_EINVAL;
	return hypercall_loan_op(LOANOP_discard, &arg);
}

static int query(unsigned int cmd, uint64_t id, struct loan_query *loan)
{
	struct loan_query arg = {.id = id};
	int err = hypercall_loan_op(cmd, &arg);

	if (err == 0)
		*loan = arg;
	return err;
}

int loan_query(uint64_t id, struct loan_query *loan)
{
	return query(LOANOP_query, id, loan);
}

int loan_next(uint64_t after, struct loan_query *loan)
{
	return query(LOANOP_next, after, loan);
}

int loan_wait(
    uint64_t tag, uint64_t mask, uint16_t kind, uint64_t deadline, struct loan_query *loan)
{
	static uint32_t port;
	int err = 0;

	/* Bound before the first look, so that no offer falls between looking and sleeping. */
	if (port == 0)
		err = event_bind_virq(LOMBARD_VIRQ_LOAN, &port);
	while (err == 0) {
		err = loan_find(tag, mask, kind, loan);
		if (err != -XEN_ENOENT)
			return err;
		err = event_wait(&port, 1, deadline, NULL);
	}
	return err;
}
