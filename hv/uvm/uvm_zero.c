/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zero frame: what a never-touched page lends.
 */
#include <errno.h>

#include "uvm/uvm_loan.h"

static const _Alignas(4096) uint8_t zeroes[UVM_PAGE_SIZE];

static struct uvm_store zero_store;
static struct uvm_object zero_object;
static struct uvm_page *zero_page;

static void *zero_kva(struct uvm_store *st, uint64_t index)
{
	(void)st;
	(void)index;
	/* Read-only memory: a write through this address is a bug that shows at once. */
	return (void *)(uintptr_t)zeroes;
}

static int zero_resident(
    struct uvm_store *st, uint64_t index, uint64_t n, uint64_t *first, uint64_t *len)
{
	(void)st;
	(void)n;
	*first = index;
	*len = 0;
	return 0;
}

static int zero_punch(struct uvm_store *st, uint64_t index, uint64_t n)
{
	(void)st;
	(void)index;
	(void)n;
	return 0;
}

/* The bytes lie in the program: no store memory is behind them. */
static uint64_t zero_blocks(struct uvm_store *st)
{
	(void)st;
	return 0;
}

static void zero_destroy(struct uvm_store *st)
{
	(void)st;
}

/* The zeroes are there; nothing must be written, not even to put memory behind the page. */
static int zero_get(struct uvm_object *uo, uint64_t off, unsigned n, void *const *dst)
{
	(void)uo;
	(void)off;
	(void)n;
	(void)dst;
	return 0;
}

static void zero_detach(struct uvm_object *uo)
{
	(void)uo;
}

static const struct uvm_store_ops zero_store_ops = {
    .so_kva = zero_kva,
    .so_resident = zero_resident,
    .so_punch = zero_punch,
    .so_blocks = zero_blocks,
    .so_destroy = zero_destroy,
};

static const struct uvm_pagerops zero_pager = {.po_get = zero_get, .po_detach = zero_detach};

struct uvm_page *uvm_zero_page(void)
{
	KASSERT(zero_page != NULL);
	return zero_page;
}

uint64_t uvm_zero_loans(void)
{
	struct uvm_anon *an;
	uint64_t n;

	uvm_lock(&zero_object.uo_lock);
	n = uvm_page_loans(zero_page);
	uvm_lock(&uvm_queues_lock);
	an = zero_page->pg_anon;
	/* The anon's own loan stands for all its references. */
	if (an != NULL)
		n += uvm_anon_refs(an) - 1;
	uvm_unlock(&uvm_queues_lock);
	uvm_unlock(&zero_object.uo_lock);
	return n;
}

int uvm_loan_init(void)
{
	int error;

	zero_store.st_frame_pages = 1;
	error = uvm_store_init(&zero_store, &zero_store_ops, 1, 1, 0);
	if (error != 0)
		return error;
	error = uvm_object_init(&zero_object, &zero_pager, &zero_store, 1);
	if (error != 0) {
		uvm_store_rele(&zero_store);
		return error;
	}
	uvm_world_enter();
	uvm_lock(&zero_object.uo_lock);
	error = uvm_object_get(&zero_object, 0, 1, false, &zero_page);
	if (error == -EAGAIN) {
		uvm_lock(&zero_object.uo_lock);
		error = uvm_object_get(&zero_object, 0, 1, true, &zero_page);
		zero_page->pg_flags |= UVM_PG_KEEP;
		uvm_unlock(&zero_object.uo_lock);
	} else {
		uvm_object_rele(&zero_object);
	}
	uvm_world_leave();
	return error;
}

void uvm_loan_fini(void)
{
	KASSERT(uvm_zero_loans() == 0);
	uvm_world_enter();
	uvm_lock(&zero_object.uo_lock);
	zero_page->pg_flags &= (uint8_t)~UVM_PG_KEEP;
	zero_page = NULL;
	uvm_unlock(&zero_object.uo_lock);
	uvm_object_rele(&zero_object);
	uvm_world_leave();
}
