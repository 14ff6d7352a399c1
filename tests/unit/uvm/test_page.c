/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <string.h>

#define BANK 8u
#define NBANKS 3u

static struct uvm_store *store_new(void)
{
	struct soft_store *ss = soft_store_create(BANK, NBANKS, 77);

	cr_assert_not_null(ss);
	return &ss->ss_store;
}

static void put_back(struct uvm_page *pg)
{
	uvm_page_free_unused(pg);
	uvm_page_reap();
}

LvTest(uvm_page, alloc_takes_the_page_of_the_wanted_bank)
{
	struct uvm_store *st = store_new();
	struct uvm_page *a = uvm_page_alloc(st, 3, 1), *b = uvm_page_alloc(st, 4, 1);

	cr_assert_eq(a->pg_index, BANK + 3);
	cr_assert_eq(b->pg_index, BANK + 4, "neighbours stay neighbours");
	put_back(a);
	put_back(b);
	uvm_store_rele(st);
}

LvTest(uvm_page, alloc_tries_the_other_banks_then_any_place_but_bank_0)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg[NBANKS + 1];

	for (unsigned i = 0; i < NBANKS; i++) {
		pg[i] = uvm_page_alloc(st, 3, 2);
		cr_assert_eq(pg[i]->pg_index, (2 + i) % NBANKS * BANK + 3);
	}
	pg[NBANKS] = uvm_page_alloc(st, 3, 2);
	cr_assert_geq(pg[NBANKS]->pg_index, BANK, "bank 0 may be memory that the guest uses");
	cr_assert_neq(pg[NBANKS]->pg_index % BANK, 3);
	for (unsigned i = 0; i <= NBANKS; i++)
		put_back(pg[i]);
	uvm_store_rele(st);
}

LvTest(uvm_page, alloc_with_every_place_taken_fails)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg[(NBANKS - 1) * BANK + 1];
	unsigned n = 0;

	/* Linear page 0: one place in bank 0 and all places of the others. */
	while ((pg[n] = uvm_page_alloc(st, 0, 0)) != NULL && n < (NBANKS - 1) * BANK)
		n++;
	cr_assert_eq(n, (NBANKS - 1) * BANK);
	cr_assert_not_null(pg[n]);
	cr_assert_null(uvm_page_alloc(st, 0, 0));
	for (unsigned i = 0; i <= n; i++)
		put_back(pg[i]);
	uvm_store_rele(st);
}

LvTest(uvm_page, free_gives_memory_back_and_the_place_free_only_after_reap)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg = uvm_page_alloc(st, 2, 0), *other;

	memset(uvm_page_kva(pg), 'x', UVM_PAGE_SIZE);
	cr_assert_eq(st->st_ops->so_blocks(st), 1);
	uvm_page_free_unused(pg);
	other = uvm_page_alloc(st, 2, 0);
	cr_assert_eq(other->pg_index, BANK + 2, "old contents are still in the old place");
	uvm_page_reap();
	cr_assert_eq(st->st_ops->so_blocks(st), 0);
	put_back(other);
	other = uvm_page_alloc(st, 2, 0);
	cr_assert_eq(other->pg_index, 2);
	cr_assert(page_holds(uvm_page_kva(other), 0), "what is freed reads as zeroes");
	put_back(other);
	uvm_store_rele(st);
}

/*
 * Regression: when a cell ended, the messages that a host program had received and not released yet
 * became zeroes, or with frames of 2 MiB a SIGBUS.
 */
LvTest(uvm_page, what_is_freed_at_the_core_s_end_keeps_bytes_and_place)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg = uvm_page_alloc(st, 2, 0), *other;
	void *bytes = uvm_page_kva(pg);

	page_fill(bytes, 9);
	uvm_page_keep_freed(true);
	uvm_page_free_unused(pg);
	uvm_page_reap();
	uvm_store_trim(st);
	cr_assert(page_holds(bytes, 9));
	other = uvm_page_alloc(st, 2, 0);
	cr_assert_neq(other->pg_index, 2);
	put_back(other);
	uvm_page_keep_freed(false);
	uvm_page_reap();
	cr_assert_eq(st->st_ops->so_blocks(st), 0);
	uvm_store_rele(st);
}

LvTest(uvm_page, hold_keeps_an_orphan_until_unhold)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg = uvm_page_alloc(st, 2, 0);

	uvm_page_hold(pg);
	uvm_page_hold(pg);
	uvm_page_unhold(pg);
	uvm_page_reap();
	cr_assert_eq(st->st_nframes, 1);
	uvm_page_unhold(pg);
	uvm_page_reap();
	cr_assert_eq(st->st_nframes, 0);
	uvm_store_rele(st);
}

LvTest(uvm_page, learn_and_unlearn_leave_the_memory_alone)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg;

	page_fill(st->st_ops->so_kva(st, 5), 9);
	pg = uvm_page_learn(st, 5);
	cr_assert_eq(pg->pg_index, 5);
	uvm_page_forget(pg);
	uvm_page_reap();
	cr_assert(page_holds(st->st_ops->so_kva(st, 5), 9));
	cr_assert_eq(st->st_nframes, 0);
	uvm_store_rele(st);
}

LvTest(uvm_page, trim_frees_only_what_no_frame_describes)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg = uvm_page_alloc(st, 4, 0);

	page_fill(uvm_page_kva(pg), 1);
	for (unsigned i = 0; i < BANK; i++)
		if (i != 4)
			page_fill(st->st_ops->so_kva(st, i), 2);
	uvm_store_trim(st);
	cr_assert_eq(st->st_ops->so_blocks(st), 1);
	cr_assert(page_holds(uvm_page_kva(pg), 1));
	put_back(pg);
	uvm_store_rele(st);
}

static const struct uvm_store_ops *soft_ops;
static uint64_t asked; /* of how many pages */

static int count_asked(
    struct uvm_store *st, uint64_t index, uint64_t n, uint64_t *first, uint64_t *len)
{
	asked += n;
	return soft_ops->so_resident(st, index, n, first, len);
}

/* Regression: for each frame that is still there it asked about all pages behind it. */
LvTest(uvm_page, trim_asks_once_about_each_page)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg[BANK];
	struct uvm_store_ops counting = *st->st_ops;

	for (unsigned i = 0; i < BANK; i++) {
		pg[i] = uvm_page_alloc(st, i, 0);
		page_fill(uvm_page_kva(pg[i]), 1);
	}
	soft_ops = st->st_ops;
	counting.so_resident = count_asked;
	st->st_ops = &counting;
	asked = 0;
	uvm_store_trim(st);
	st->st_ops = soft_ops;
	cr_assert_eq(asked, BANK * (NBANKS - 1), "%lu", asked);
	cr_assert_eq(st->st_ops->so_blocks(st), BANK);
	for (unsigned i = 0; i < BANK; i++)
		put_back(pg[i]);
	uvm_store_rele(st);
}

LvTest(uvm_page, a_frame_keeps_its_store)
{
	struct uvm_store *st = store_new(), *any;
	struct uvm_page *pg = uvm_page_alloc(st, 4, 0);
	bool found = false;

	uvm_store_rele(st);
	LIST_FOREACH (any, &uvm_stores, st_all)
		found |= any == st;
	cr_assert(found);
	put_back(pg); /* and now it goes: lv_end looks */
}

LvTest(uvm_page, lock_owner_finds_object_anon_or_nobody)
{
	struct guest *a = lv_guest(4, 4);
	struct test_object *to = test_object_create(2, 1);
	union uvm_loaned loan;
	struct uvm_page *own, *objects;

	LV_OK(guest_fill(a, 0, 1));
	LV_OK(uvm_loan(a->map, 0, 1, UVM_LOAN_TOPAGE, &loan));
	own = loan.page;
	uvm_lock(&uvm_queues_lock);
	cr_assert_eq(uvm_page_lock_owner(own), &own->pg_anon->an_lock);
	uvm_unlock(&own->pg_anon->an_lock);
	uvm_unlock(&uvm_queues_lock);

	LV_OK(uvm_map_discard(a->map, 0, 1));
	uvm_lock(&uvm_queues_lock);
	cr_assert_null(uvm_page_lock_owner(own), "an orphan has no owner");
	uvm_unlock(&uvm_queues_lock);
	uvm_unloan(&loan, 1, UVM_LOAN_TOPAGE);

	LV_OK(uvm_loan_object(&to->to_object, 0, 1, UVM_LOAN_TOPAGE, &loan));
	objects = loan.page;
	uvm_lock(&uvm_queues_lock);
	cr_assert_eq(uvm_page_lock_owner(objects), &to->to_object.uo_lock);
	uvm_unlock(&to->to_object.uo_lock);
	uvm_unlock(&uvm_queues_lock);
	uvm_unloan(&loan, 1, UVM_LOAN_TOPAGE);
	uvm_object_rele(&to->to_object);
}

LvTest(uvm_page, a_page_is_on_one_queue_at_most)
{
	struct uvm_store *st = store_new();
	struct uvm_page *pg = uvm_page_alloc(st, 0, 0);

	uvm_lock(&uvm_queues_lock);
	uvm_page_activate(pg);
	uvm_page_activate(pg);
	cr_assert_eq(pg->pg_pqflags, UVM_PQ_ACTIVE);
	uvm_page_deactivate(pg);
	cr_assert_eq(pg->pg_pqflags, UVM_PQ_INACTIVE);
	uvm_page_activate(pg);
	cr_assert_eq(pg->pg_pqflags, UVM_PQ_ACTIVE);
	uvm_page_dequeue(pg);
	uvm_page_dequeue(pg);
	cr_assert_eq(pg->pg_pqflags, 0);
	uvm_unlock(&uvm_queues_lock);
	put_back(pg);
	uvm_store_rele(st);
}

LvDeath(uvm_page_death, free_of_a_page_that_is_held, "pg->pg_holds == 0")
{
	struct uvm_page *pg = uvm_page_alloc(store_new(), 0, 0);

	uvm_page_hold(pg);
	uvm_page_free_unused(pg);
}

LvDeath(uvm_page_death, free_of_a_page_with_an_owner, "pg->pg_anon == NULL")
{
	struct guest *a = lv_guest(2, 2);

	LV_OK(guest_fill(a, 0, 1));
	LV_OK(uvm_map_learn(a->map));
	uvm_page_free_unused(lv_page(a, 0));
}

LvDeath(uvm_page_death, unhold_without_hold, "pg->pg_holds > 0")
{
	uvm_page_unhold(uvm_page_alloc(store_new(), 0, 0));
}

LvDeath(uvm_page_death, alloc_beyond_the_bank, "p < st->st_bank_pages")
{
	(void)uvm_page_alloc(store_new(), BANK, 0);
}

LvDeath(uvm_page_death, learn_of_a_place_with_a_frame, "== NULL")
{
	struct uvm_store *st = store_new();

	(void)uvm_page_alloc(st, 0, 0);
	(void)uvm_page_learn(st, 0);
}

LvDeath(uvm_page_death, free_of_the_zero_frame, "UVM_PG_KEEP")
{
	struct uvm_page *pg = uvm_zero_page();

	uvm_lock(&pg->pg_object->uo_lock);
	uvm_lock(&uvm_queues_lock);
	(void)uvm_object_disown(pg);
	uvm_page_free(pg);
}
