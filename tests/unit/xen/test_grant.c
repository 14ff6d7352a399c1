/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/grant.c hv/xen/grant_copy.c hv/xen/grant_op.c hv/xen/grant_share.c hv/pmap/pmap_soft.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c $(UVM_SRCS) */
/*
 * Grants on software pmaps: what mappers see, what entries say meanwhile, guests that do not keep to
 * the rules, and what is left when somebody goes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pmap/pmap_soft.h"
#include "pmap/store_memfd.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena.h"
#include "uvm/uvm_audit.h"
#include "uvm/uvm_ledger.h"
#include "xen/grant.h"
#include "xen/public.h"

#define RAM 16u
#define WINDOW 64u
#define HERE RAM	/* the first gfn of the window area */
#define TABLE (RAM + 8) /* where guests put frame 0 of their tables */
#define REF 9u

struct domain {
	struct grant_domain grants;
	struct soft_pmap *pmap;
	struct uvm_map *map;
	unsigned broken; /* calls of gd_broken */
};

static void note_broken(struct grant_domain *gd)
{
	((struct domain *)gd)->broken++;
}

static struct domain *new_domain(uint32_t domid)
{
	const struct uvm_maprange range = {.mr_gfn = 0, .mr_npages = RAM + WINDOW};
	struct domain *d = calloc(1, sizeof(*d));
	struct memfd_store *ms;
	struct failure f;

	cr_assert(d != NULL);
	cr_assert_eq(memfd_store_create("test", RAM + WINDOW, 4, domid, &ms, &f), 0);
	d->pmap = soft_pmap_create(RAM + WINDOW);
	cr_assert(d->pmap != NULL);
	uvm_world_enter();
	d->map = uvm_map_create(&d->pmap->sp_pmap, &ms->ms_store, domid, &range, 1);
	cr_assert(d->map != NULL);
	cr_assert_eq(uvm_map_enter_ram(d->map, 0, RAM), 0);
	soft_pmap_map_ram(d->pmap, &ms->ms_store, 0, 0, RAM);
	uvm_store_rele(&ms->ms_store);
	uvm_world_leave();
	d->grants.gd_broken = note_broken;
	cr_assert_eq(grant_domain_add(&d->grants, domid, d->map), 0);
	cr_assert_eq(grant_show_frame(&d->grants, 0, TABLE), 0);
	return d;
}

/* As guest.c does it. */
static void end_domain(struct domain *d)
{
	d->pmap->sp_gone = true;
	grant_domain_gone(&d->grants);
	uvm_world_enter();
	uvm_ledger_guest_gone(d->map);
	uvm_world_leave();
	soft_pmap_destroy(d->pmap);
	free(d);
}

static void begin(void)
{
	cr_assert_eq(uvm_loan_init(), 0);
}

static void sound(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	cr_assert(ac.ac_equal, "%ju frames, the kernel counts %ju",
	    (uintmax_t)uvm_frames_total(&ac.ac_all), (uintmax_t)ac.ac_kernel_pages);
}

static uint64_t wired(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	return ac.ac_all.fr_wired;
}

static void end(void)
{
	sound();
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
#ifdef __SANITIZE_ADDRESS__
	cr_assert_eq(__lsan_do_recoverable_leak_check(), 0);
#endif
}

/* ---- the guest's side ---- */

static void put(struct domain *d, uint64_t gfn, uint8_t byte)
{
	uvm_world_enter();
	cr_assert_eq(soft_write(d->map, gfn, 100, &byte, 1), 0);
	uvm_world_leave();
}

static uint8_t get(struct domain *d, uint64_t gfn)
{
	uint8_t byte = 0xff;

	uvm_world_enter();
	cr_assert_eq(soft_read(d->map, gfn, 100, &byte, 1), 0);
	uvm_world_leave();
	return byte;
}

static void set_entry(struct domain *d, uint32_t ref, uint16_t flags, domid_t domid, uint32_t frame)
{
	const struct grant_entry_v1 e = {.flags = flags, .domid = domid, .frame = frame};

	uvm_world_enter();
	cr_assert_eq(soft_write(d->map, TABLE, ref * sizeof(e), &e, sizeof(e)), 0);
	uvm_world_leave();
}

static struct grant_entry_v1 entry(struct domain *d, uint32_t ref)
{
	struct grant_entry_v1 e;

	uvm_world_enter();
	cr_assert_eq(soft_read(d->map, TABLE, ref * sizeof(e), &e, sizeof(e)), 0);
	uvm_world_leave();
	return e;
}

static unsigned uses(struct domain *d, uint32_t ref)
{
	return entry(d, ref).flags & (GTF_reading | GTF_writing);
}

static struct gnttab_map_grant_ref map_op(
    struct domain *d, domid_t granter, uint32_t ref, uint64_t gfn, uint32_t flags)
{
	struct gnttab_map_grant_ref op = {.host_addr = gfn * UVM_PAGE_SIZE,
	    .flags = GNTMAP_host_map | flags,
	    .ref = ref,
	    .dom = granter};

	cr_assert_eq(grant_op(&d->grants, GNTTABOP_map_grant_ref, &op, sizeof(op)), 0);
	return op;
}

static uint32_t mapped(
    struct domain *d, domid_t granter, uint32_t ref, uint64_t gfn, uint32_t flags)
{
	struct gnttab_map_grant_ref op = map_op(d, granter, ref, gfn, flags);

	cr_assert_eq(op.status, GNTST_okay, "status %d", op.status);
	return op.handle;
}

static int unmap(struct domain *d, uint32_t handle, uint64_t gfn)
{
	struct gnttab_unmap_grant_ref op = {.host_addr = gfn * UVM_PAGE_SIZE, .handle = handle};

	cr_assert_eq(grant_op(&d->grants, GNTTABOP_unmap_grant_ref, &op, sizeof(op)), 0);
	return op.status;
}

/* ---- the host's side ---- */

static uint8_t *bytes(struct grant_pin *pin)
{
	return uvm_page_kva(grant_page(pin));
}

static struct grant_pin *pinned(uint32_t granter, uint32_t ref, bool write)
{
	struct grant_pin *pin = NULL;

	cr_assert_eq(grant_pin(granter, ref, GRANT_HOST, write, &pin), GNTST_okay);
	return pin;
}

static int refused(uint32_t granter, uint32_t ref, bool write)
{
	struct grant_pin *pin;

	return grant_pin(granter, ref, GRANT_HOST, write, &pin);
}

Test(grant, host_and_guest_see_each_other)
{
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	put(d, 3, 7);
	set_entry(d, REF, GTF_permit_access, 0, 3);
	pin = pinned(1, REF, true);
	cr_assert_eq(uses(d, REF), GTF_reading | GTF_writing);
	cr_assert_eq(bytes(pin)[100], 7);
	bytes(pin)[100] = 8;
	cr_assert_eq(get(d, 3), 8);
	put(d, 3, 9);
	cr_assert_eq(bytes(pin)[100], 9);
	cr_assert_eq(wired(), 1);
	sound();
	grant_unpin(pin, true);
	cr_assert_eq(uses(d, REF), 0);
	cr_assert_eq(wired(), 0);
	end_domain(d);
	end();
}

/* A page that nobody ever touched is shared, too. */
Test(grant, untouched_page_is_shared)
{
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	set_entry(d, REF, GTF_permit_access | GTF_readonly, 0, 3);
	pin = pinned(1, REF, false);
	cr_assert_eq(bytes(pin)[100], 0);
	put(d, 3, 9);
	cr_assert_eq(bytes(pin)[100], 9);
	grant_unpin(pin, false);
	end_domain(d);
	end();
}

Test(grant, flags_follow_uses)
{
	struct grant_pin *reader, *writer;
	struct domain *d;

	begin();
	d = new_domain(1);
	set_entry(d, REF, GTF_permit_access, 0, 3);
	reader = pinned(1, REF, false);
	cr_assert_eq(uses(d, REF), GTF_reading);
	writer = pinned(1, REF, true);
	cr_assert_eq(writer, reader);
	cr_assert_eq(uses(d, REF), GTF_reading | GTF_writing);
	grant_unpin(writer, true);
	cr_assert_eq(uses(d, REF), GTF_reading);
	writer = pinned(1, REF, true);
	grant_unpin(reader, false);
	cr_assert_eq(uses(d, REF), GTF_reading | GTF_writing);
	grant_unpin(writer, true);
	cr_assert_eq(uses(d, REF), 0);
	end_domain(d);
	end();
}

Test(grant, wrong_references_are_refused)
{
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	cr_assert_eq(refused(2, REF, false), GNTST_bad_domain);
	cr_assert_eq(refused(1, 512, false), GNTST_bad_gntref);
	cr_assert_eq(refused(1, UINT32_MAX, false), GNTST_bad_gntref);
	cr_assert_eq(refused(1, REF, false), GNTST_general_error);
	set_entry(d, REF, GTF_permit_access, 5, 3);
	cr_assert_eq(refused(1, REF, false), GNTST_general_error);
	set_entry(d, REF, GTF_permit_access | GTF_readonly, 0, 3);
	cr_assert_eq(refused(1, REF, true), GNTST_general_error);
	set_entry(d, REF, GTF_accept_transfer, 0, 3);
	cr_assert_eq(refused(1, REF, false), GNTST_general_error);
	set_entry(d, REF, GTF_permit_access | GTF_sub_page, 0, 3);
	cr_assert_eq(refused(1, REF, false), GNTST_general_error);
	/* Not memory, or not the guest's to grant. */
	set_entry(d, REF, GTF_permit_access, 0, RAM + 1);
	cr_assert_eq(refused(1, REF, false), GNTST_bad_page);
	set_entry(d, REF, GTF_permit_access, 0, UINT32_MAX);
	cr_assert_eq(refused(1, REF, true), GNTST_bad_page);
	set_entry(d, REF, GTF_permit_access, 0, TABLE);
	cr_assert_eq(refused(1, REF, true), GNTST_bad_page);
	cr_assert_eq(uses(d, REF), 0);
	/* While somebody has it, nobody else can: one entry speaks of one domain. */
	set_entry(d, REF, GTF_permit_access, 0, 3);
	pin = pinned(1, REF, false);
	set_entry(d, REF, GTF_permit_access, 5, 3);
	cr_assert_eq(grant_pin(1, REF, 5, false, &(struct grant_pin *){NULL}), GNTST_general_error);
	grant_unpin(pin, false);
	end_domain(d);
	end();
}

/* What the guest does to an entry in use is its own affair. */
Test(grant, entry_rewritten_in_use)
{
	struct grant_pin *pin, *again;
	struct domain *d;

	begin();
	d = new_domain(1);
	put(d, 3, 7);
	put(d, 4, 44);
	set_entry(d, REF, GTF_permit_access, 0, 3);
	pin = pinned(1, REF, true);
	/* Another frame: those who have it go on with the one they have. */
	set_entry(d, REF, GTF_permit_access, 0, 4);
	again = pinned(1, REF, false);
	cr_assert_eq(bytes(again)[100], 7);
	grant_unpin(again, false);
	/* Revoked by force: nobody new gets in, and the page stays wired. */
	set_entry(d, REF, 0, 0, 0);
	cr_assert_eq(refused(1, REF, false), GNTST_general_error);
	cr_assert_eq(wired(), 1);
	bytes(pin)[100] = 8;
	cr_assert_eq(get(d, 3), 8);
	set_entry(d, REF, 0xffff, 0xffff, UINT32_MAX);
	grant_unpin(pin, true);
	cr_assert_eq(wired(), 0);
	cr_assert_eq(entry(d, REF).domid, 0xffff);
	end_domain(d);
	end();
}

static _Atomic bool flipping;

/* Grants and revokes as fast as it can, without looking who uses it. */
static void *flip(void *arg)
{
	_Atomic uint32_t *word = arg;

	while (atomic_load(&flipping)) {
		atomic_store(word, GTF_permit_access);
		atomic_store(word, GTF_permit_access | GTF_readonly);
		atomic_store(word, 0);
	}
	return NULL;
}

Test(grant, entry_that_never_holds_still)
{
	unsigned got = 0, tries = 0;
	struct uvm_arena *frame;
	struct grant_pin *pin;
	pthread_t thread;
	struct domain *d;
	int status;

	begin();
	d = new_domain(1);
	set_entry(d, REF, 0, 0, 3);
	cr_assert_eq(grant_frames_get(1, 0, 1, &frame), 0);
	uvm_world_enter();
	atomic_store(&flipping, true);
	cr_assert_eq(pthread_create(&thread, NULL, flip,
			 (struct grant_entry_v1 *)uvm_arena_kva(frame, 0) + REF),
	    0);
	uvm_world_leave();
	while (tries++ < 20000 || (got == 0 && tries < 2000000)) {
		status = grant_pin(1, REF, GRANT_HOST, tries % 2 == 0, &pin);
		cr_assert(status == GNTST_okay || status == GNTST_general_error);
		if (status != GNTST_okay)
			continue;
		got++;
		grant_unpin(pin, tries % 2 == 0);
	}
	atomic_store(&flipping, false);
	pthread_join(thread, NULL);
	cr_assert_gt(got, 0);
	cr_assert_eq(wired(), 0);
	uvm_world_enter();
	uvm_arena_rele(frame);
	uvm_world_leave();
	end_domain(d);
	end();
}

enum { USERS = 4, ROUNDS = 3000 };

/* Uses of one reference by many, which begin and end at once, some of them after its guest has gone. */
static void *use(void *arg)
{
	bool write = arg != NULL;
	struct grant_pin *pin;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (grant_pin(1, REF, GRANT_HOST, write, &pin) != GNTST_okay)
			return NULL;
		if (bytes(pin)[100] != 7)
			abort();
		grant_unpin(pin, write);
	}
	return NULL;
}

Test(grant, many_use_one_reference)
{
	pthread_t threads[USERS];
	struct domain *d;

	begin();
	for (unsigned round = 0; round < 6; round++) {
		d = new_domain(1);
		put(d, 3, 7);
		set_entry(d, REF, GTF_permit_access, 0, 3);
		for (unsigned i = 0; i < USERS; i++)
			cr_assert_eq(
			    pthread_create(&threads[i], NULL, use, i % 2 ? &threads[i] : NULL), 0);
		/* Every other guest outlives its users. */
		if (round % 2 == 0)
			end_domain(d);
		for (unsigned i = 0; i < USERS; i++)
			pthread_join(threads[i], NULL);
		cr_assert_eq(wired(), 0);
		if (round % 2 == 0)
			continue;
		cr_assert_eq(uses(d, REF), 0);
		end_domain(d);
	}
	end();
}

/* Lending and granting: a borrower keeps what it was lent, and what is granted cannot be lent. */
Test(grant, loans_break_and_wait)
{
	const struct uvm_offer_terms terms = {.ot_borrower = 2, .ot_kind = UVM_LOAN_TOPAGE};
	struct grant_pin *pin;
	struct domain *a, *b;
	uint64_t id, other;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	put(a, 3, 7);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(a->map, 3, 1, &terms, &id), 0);
	cr_assert_eq(uvm_ledger_borrow(b->map, id, 0, 1, HERE), 0);
	uvm_world_leave();
	set_entry(a, REF, GTF_permit_access, 0, 3);
	pin = pinned(1, REF, true);
	bytes(pin)[100] = 8;
	cr_assert_eq(get(a, 3), 8);
	cr_assert_eq(get(b, HERE), 7);
	sound();
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(a->map, 3, 1, &terms, &other), -EBUSY);
	uvm_world_leave();
	grant_unpin(pin, true);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(a->map, 3, 1, &terms, &other), 0);
	uvm_world_leave();
	end_domain(a);
	end_domain(b);
	end();
}

Test(grant, dead_granter_leaves_the_page)
{
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	put(d, 3, 7);
	set_entry(d, REF, GTF_permit_access, 0, 3);
	pin = pinned(1, REF, true);
	end_domain(d);
	sound();
	cr_assert_eq(wired(), 1);
	cr_assert_eq(bytes(pin)[100], 7);
	bytes(pin)[100] = 8;
	cr_assert_eq(refused(1, REF, true), GNTST_bad_domain);
	/* The next with this number has nothing to do with it. */
	d = new_domain(1);
	set_entry(d, REF, GTF_permit_access | GTF_reading, 0, 3);
	grant_unpin(pin, true);
	cr_assert_eq(uses(d, REF), GTF_reading);
	cr_assert_eq(wired(), 0);
	end_domain(d);
	end();
}

Test(grant, guests_map_each_others_pages)
{
	struct domain *a, *b;
	uint32_t handle;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	put(a, 3, 7);
	set_entry(a, REF, GTF_permit_access, 2, 3);
	handle = mapped(b, 1, REF, HERE, 0);
	cr_assert_eq(get(b, HERE), 7);
	put(b, HERE, 8);
	cr_assert_eq(get(a, 3), 8);
	put(a, 3, 9);
	cr_assert_eq(get(b, HERE), 9);
	sound();
	cr_assert_eq(unmap(b, handle + 1, HERE), GNTST_bad_handle);
	cr_assert_eq(unmap(b, UINT32_MAX, HERE), GNTST_bad_handle);
	cr_assert_eq(unmap(b, handle, HERE + 1), GNTST_bad_virt_addr);
	cr_assert_eq(unmap(b, handle, HERE), GNTST_okay);
	cr_assert_eq(unmap(b, handle, HERE), GNTST_bad_handle);
	cr_assert_eq(uses(a, REF), 0);
	uvm_world_enter();
	cr_assert_eq(soft_read(b->map, HERE, 0, &(uint8_t){0}, 1), -EFAULT);
	uvm_world_leave();
	end_domain(a);
	end_domain(b);
	end();
}

Test(grant, mapping_in_the_wrong_place)
{
	struct gnttab_map_grant_ref op;
	struct domain *a, *b;
	uint32_t handle;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	set_entry(a, REF, GTF_permit_access, 2, 3);
	handle = mapped(b, 1, REF, HERE, 0);
	cr_assert_eq(map_op(b, 1, REF, HERE, 0).status, GNTST_bad_virt_addr);
	cr_assert_eq(map_op(b, 1, REF, 2, 0).status, GNTST_bad_virt_addr);
	cr_assert_eq(map_op(b, 1, REF, TABLE, 0).status, GNTST_bad_virt_addr);
	cr_assert_eq(map_op(b, 1, REF, RAM + WINDOW, 0).status, GNTST_bad_virt_addr);
	cr_assert_eq(map_op(b, 1, REF, UINT64_MAX >> 12, 0).status, GNTST_bad_virt_addr);
	cr_assert_eq(map_op(b, 1, REF, HERE + 1, GNTMAP_contains_pte).status, GNTST_general_error);
	op = (struct gnttab_map_grant_ref){.host_addr = 1, .flags = GNTMAP_host_map, .ref = REF};
	cr_assert_eq(grant_op(&b->grants, GNTTABOP_map_grant_ref, &op, sizeof(op)), 0);
	cr_assert_eq(op.status, GNTST_bad_virt_addr);
	cr_assert_eq(uses(a, REF), GTF_reading | GTF_writing);
	cr_assert_eq(unmap(b, handle, HERE), GNTST_okay);
	cr_assert_eq(uses(a, REF), 0);
	/* What is mapped is the granter's: it can be neither granted on, nor lent, nor borrowed over. */
	handle = mapped(b, 1, REF, HERE, 0);
	set_entry(b, REF, GTF_permit_access, 0, HERE);
	cr_assert_eq(refused(2, REF, true), GNTST_bad_page);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(b->map, HERE, 1,
			 &(struct uvm_offer_terms){.ot_borrower = 1, .ot_kind = UVM_LOAN_TOPAGE},
			 &(uint64_t){0}),
	    -EINVAL);
	cr_assert_eq(uvm_map_discard(b->map, HERE, 1), -EINVAL);
	uvm_world_leave();
	cr_assert_eq(unmap(b, handle, HERE), GNTST_okay);
	end_domain(a);
	end_domain(b);
	end();
}

Test(grant, readonly_mapping_is_live_and_readonly)
{
	struct domain *a, *b;
	uint32_t handle;
	uint8_t byte = 1;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	set_entry(a, REF, GTF_permit_access | GTF_readonly, 2, 3);
	cr_assert_eq(map_op(b, 1, REF, HERE, 0).status, GNTST_general_error);
	handle = mapped(b, 1, REF, HERE, GNTMAP_readonly);
	put(a, 3, 7);
	cr_assert_eq(get(b, HERE), 7);
	uvm_world_enter();
	cr_assert_eq(soft_write(b->map, HERE, 100, &byte, 1), -EACCES);
	uvm_world_leave();
	cr_assert_eq(get(a, 3), 7);
	cr_assert_eq(unmap(b, handle, HERE), GNTST_okay);
	end_domain(a);
	end_domain(b);
	end();
}

Test(grant, dead_mapper_lets_go)
{
	struct domain *a, *b;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	set_entry(a, REF, GTF_permit_access, 2, 3);
	set_entry(a, REF + 1, GTF_permit_access, 2, 4);
	(void)mapped(b, 1, REF, HERE, 0);
	(void)mapped(b, 1, REF, HERE + 1, GNTMAP_readonly);
	(void)mapped(b, 1, REF + 1, HERE + 2, 0);
	end_domain(b);
	cr_assert_eq(uses(a, REF), 0);
	cr_assert_eq(uses(a, REF + 1), 0);
	cr_assert_eq(wired(), 0);
	sound();
	end_domain(a);
	end();
}

Test(grant, dead_granter_of_a_guest)
{
	struct domain *a, *b;
	uint32_t handle;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	put(a, 3, 7);
	set_entry(a, REF, GTF_permit_access, 2, 3);
	handle = mapped(b, 1, REF, HERE, 0);
	end_domain(a);
	sound();
	cr_assert_eq(get(b, HERE), 7);
	put(b, HERE, 8);
	cr_assert_eq(get(b, HERE), 8);
	cr_assert_eq(unmap(b, handle, HERE), GNTST_okay);
	cr_assert_eq(wired(), 0);
	end_domain(b);
	end();
}

/* A guest may grant to itself. */
Test(grant, own_page_mapped_twice)
{
	struct domain *a;
	uint32_t handle;

	begin();
	a = new_domain(1);
	set_entry(a, REF, GTF_permit_access, 1, 3);
	handle = mapped(a, 1, REF, HERE, 0);
	put(a, HERE, 8);
	cr_assert_eq(get(a, 3), 8);
	cr_assert_eq(unmap(a, handle, HERE), GNTST_okay);
	(void)mapped(a, 1, REF, HERE, 0);
	end_domain(a);
	end();
}

Test(grant, table_is_shown_and_moved)
{
	struct gnttab_query_size query = {.dom = DOMID_SELF};
	struct uvm_arena *frames[2];
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_query_size, &query, sizeof(query)), 0);
	cr_assert(query.status == GNTST_okay && query.nr_frames == 1 && query.max_nr_frames == 64);
	set_entry(d, REF, GTF_permit_access, 0, 3);
	/* The same place is fine, another one too; then the old one is empty. */
	cr_assert_eq(grant_show_frame(&d->grants, 0, TABLE), 0);
	cr_assert_eq(grant_show_frame(&d->grants, 0, TABLE + 2), 0);
	uvm_world_enter();
	cr_assert_eq(soft_read(d->map, TABLE, 0, &(uint8_t){0}, 1), -EFAULT);
	uvm_world_leave();
	pin = pinned(1, REF, true);
	grant_unpin(pin, true);
	/* Others grow it. */
	cr_assert_eq(grant_show_frame(&d->grants, 3, TABLE), 0);
	cr_assert_eq(refused(1, 4 * 512 - 1, false), GNTST_general_error);
	cr_assert_eq(refused(1, 4 * 512, false), GNTST_bad_gntref);
	cr_assert_eq(grant_show_frame(&d->grants, 64, TABLE + 3), -EINVAL);
	cr_assert_eq(grant_show_frame(&d->grants, UINT64_MAX, TABLE + 3), -EINVAL);
	cr_assert_eq(grant_show_frame(&d->grants, 4, TABLE), -EEXIST);
	cr_assert_eq(grant_show_frame(&d->grants, 4, 1), -EEXIST);
	cr_assert_eq(grant_show_frame(&d->grants, 4, RAM + WINDOW), -EINVAL);
	/* Regression: a frame that can't be moved was shown nowhere afterwards. */
	cr_assert_eq(grant_show_frame(&d->grants, 0, TABLE), -EEXIST);
	cr_assert_eq(grant_show_frame(&d->grants, 0, RAM + WINDOW), -EINVAL);
	uvm_world_enter();
	cr_assert_eq(soft_read(d->map, TABLE + 2, 0, &(uint8_t){0}, 1), 0);
	uvm_world_leave();
	cr_assert_eq(grant_frames_max(1), 64);
	cr_assert_eq(grant_frames_max(2), 0);
	cr_assert_eq(grant_frames_get(2, 0, 1, frames), -ESRCH);
	cr_assert_eq(grant_frames_get(1, 63, 2, frames), -EINVAL);
	cr_assert_eq(grant_frames_get(1, 62, 2, frames), 0);
	sound();
	end_domain(d);
	/* A program that has them mapped keeps them. */
	sound();
	uvm_world_enter();
	cr_assert(uvm_arena_kva(frames[1], 0) != NULL);
	uvm_arena_rele(frames[0]);
	uvm_arena_rele(frames[1]);
	uvm_world_leave();
	end();
}

/* The core does, too, for rings of the guests that it enters in a xenstore. */
Test(grant, core_seeds_the_table)
{
	struct grant_pin *pin;
	struct domain *d;

	begin();
	d = new_domain(1);
	put(d, 6, 9);
	cr_assert_eq(refused(1, GNTTAB_RESERVED_CONSOLE, true), GNTST_general_error);
	cr_assert_eq(grant_seed(&d->grants, GNTTAB_RESERVED_CONSOLE, GRANT_HOST, 6), 0);
	pin = pinned(1, GNTTAB_RESERVED_CONSOLE, true);
	cr_assert_eq(bytes(pin)[100], 9);
	grant_unpin(pin, true);
	cr_assert_eq(grant_seed(&d->grants, GNTTAB_RESERVED_XENSTORE, 2, 6), 0);
	cr_assert_eq(
	    refused(1, GNTTAB_RESERVED_XENSTORE, true), GNTST_general_error, "not the host's");
	end_domain(d);
	end();
}

/* A toolstack grants on behalf of a guest that has not run yet, and limits its table. */
Test(grant, host_seeds_the_table)
{
	struct uvm_arena *frame;
	struct grant_pin *pin;
	struct grant_domain *gd;
	struct domain *d, *e;

	begin();
	d = new_domain(1);
	put(d, 5, 7);
	cr_assert_eq(grant_frames_get(1, 0, 1, &frame), 0);
	uvm_world_enter();
	((struct grant_entry_v1 *)uvm_arena_kva(
	    frame, 0))[GNTTAB_RESERVED_XENSTORE] = (struct grant_entry_v1){
	    .flags = GTF_permit_access, .domid = 0, .frame = 5};
	uvm_arena_rele(frame);
	uvm_world_leave();
	pin = pinned(1, GNTTAB_RESERVED_XENSTORE, true);
	cr_assert_eq(bytes(pin)[100], 7);
	grant_unpin(pin, true);
	gd = calloc(1, sizeof(*gd));
	cr_assert_eq(grant_domain_add(gd, 2, d->map), 0);
	cr_assert_eq(grant_limit(gd, 0), -EINVAL);
	cr_assert_eq(grant_limit(gd, 65), -EINVAL);
	cr_assert_eq(grant_limit(gd, 40), 0);
	cr_assert_eq(grant_frames_max(2), 40);
	cr_assert_eq(grant_frames_get(2, 40, 1, &frame), -EINVAL);
	cr_assert_eq(grant_frames_get(2, 39, 1, &frame), 0);
	cr_assert_eq(grant_limit(gd, 41), -EBUSY);
	cr_assert_eq(grant_frames_max(2), 40);
	uvm_world_enter();
	uvm_arena_rele(frame);
	uvm_world_leave();
	grant_domain_gone(gd);
	free(gd);
	e = new_domain(2);
	end_domain(e);
	end_domain(d);
	end();
}

Test(grant, versions)
{
	struct gnttab_set_version set = {.version = 1};
	struct gnttab_get_version which = {.dom = DOMID_SELF};
	struct domain *d;

	begin();
	d = new_domain(1);
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_set_version, &set, sizeof(set)), 0);
	set.version = 2;
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_set_version, &set, sizeof(set)), -ENOSYS);
	set.version = 3;
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_set_version, &set, sizeof(set)), -EINVAL);
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_get_version, &which, sizeof(which)), 0);
	cr_assert_eq(which.version, 1);
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_setup_table, &which, sizeof(which)), -ENOSYS);
	cr_assert_eq(grant_op(&d->grants, 99, &which, sizeof(which)), -ENOSYS);
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_query_size, &which, 3), -EINVAL);
	end_domain(d);
	end();
}

/* ---- pages of host programs ---- */

Test(grant, host_shares_with_guest_and_host)
{
	struct grant_share *share;
	struct grant_pin *pin;
	struct domain *d;
	uint32_t refs[3], handle, other;
	uint8_t *page;

	begin();
	d = new_domain(1);
	cr_assert_eq(grant_share_create(1, 3, true, refs, &share), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_geq(refs[i], GRANT_FIRST_REF);
	page = uvm_page_kva(grant_share_page(share, 1));
	cr_assert_eq(page[100], 0);
	handle = mapped(d, 0, refs[1], HERE, 0);
	put(d, HERE, 7);
	cr_assert_eq(page[100], 7);
	sound();
	/* Not for us. */
	cr_assert_eq(refused(GRANT_HOST, refs[1], false), GNTST_general_error);
	grant_share_end(share);
	/* What is mapped stays; nobody else gets in; the number is not given to others. */
	put(d, HERE, 8);
	cr_assert_eq(get(d, HERE), 8);
	cr_assert_eq(map_op(d, 0, refs[1], HERE + 1, 0).status, GNTST_general_error);
	sound();
	for (unsigned i = 0; i < 200; i++) {
		cr_assert_eq(grant_share_create(1, 1, true, &other, &share), 0);
		cr_assert_neq(other, refs[1]);
		grant_share_end(share);
	}
	cr_assert_eq(unmap(d, handle, HERE), GNTST_okay);
	sound();
	/* The host to itself, for reading only. */
	cr_assert_eq(grant_share_create(GRANT_HOST, 1, false, refs, &share), 0);
	cr_assert_eq(refused(GRANT_HOST, refs[0], true), GNTST_general_error);
	pin = pinned(GRANT_HOST, refs[0], false);
	grant_share_end(share);
	grant_unpin(pin, false);
	cr_assert_eq(grant_share_create(GRANT_HOST, 0, false, refs, &share), -EINVAL);
	cr_assert_eq(grant_share_create(0x10000, 1, false, refs, &share), -EINVAL);
	end_domain(d);
	end();
}

/* References run out; then none of a request is given. */
Test(grant, host_references_run_out)
{
	static struct grant_share *shares[64];
	static uint32_t refs[1024];
	struct grant_share *one;
	unsigned n = 0;

	begin();
	while (n < 64 && grant_share_create(1, 1024, true, refs, &shares[n]) == 0)
		n++;
	cr_assert_eq(n, 63);
	cr_assert_eq(grant_share_create(1, 1024, true, refs, &one), -ENOSPC);
	sound();
	cr_assert_eq(grant_share_create(1, 1024 - GRANT_FIRST_REF, true, refs, &one), 0);
	grant_share_end(one);
	while (n > 0)
		grant_share_end(shares[--n]);
	for (unsigned i = 0; i < 70; i++) {
		cr_assert_eq(grant_share_create(1, 1000, true, refs, &one), 0);
		grant_share_end(one);
	}
	end();
}

/* ---- copies ---- */

static int16_t copy(struct domain *d, struct gnttab_copy op)
{
	cr_assert_eq(grant_op(&d->grants, GNTTABOP_copy, &op, sizeof(op)), 0);
	return op.status;
}

Test(grant, copies)
{
	const struct uvm_offer_terms terms = {
	    .ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	struct gnttab_copy op = {.source = {.u.ref = REF, .domid = 1, .offset = 100},
	    .dest = {.u.gmfn = 5, .domid = DOMID_SELF, .offset = 100},
	    .len = 1,
	    .flags = GNTCOPY_source_gref};
	struct domain *a, *b;
	uint64_t id;

	begin();
	a = new_domain(1);
	b = new_domain(2);
	put(a, 3, 7);
	set_entry(a, REF, GTF_permit_access | GTF_readonly, 2, 3);
	cr_assert_eq(copy(b, op), GNTST_okay);
	cr_assert_eq(get(b, 5), 7);
	/* The other way: not into a page that is granted for reading. */
	op = (struct gnttab_copy){.source = {.u.gmfn = 6, .domid = DOMID_SELF, .offset = 100},
	    .dest = {.u.ref = REF, .domid = 1, .offset = 100},
	    .len = 1,
	    .flags = GNTCOPY_dest_gref};
	cr_assert_eq(copy(b, op), GNTST_general_error);
	set_entry(a, REF, GTF_permit_access, 2, 3);
	put(b, 6, 8);
	/* A loan of what is only read stays. */
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(b->map, 6, 1, &terms, &id), 0);
	uvm_world_leave();
	cr_assert_eq(copy(b, op), GNTST_okay);
	cr_assert_eq(get(a, 3), 8);
	cr_assert_eq(b->map->vm_stats.ms_broken[UVM_BREAK_WRITE], 0);
	/* Never touched: zeroes. */
	op.source.u.gmfn = 9;
	cr_assert_eq(copy(b, op), GNTST_okay);
	cr_assert_eq(get(a, 3), 0);
	op.source.domid = 1;
	cr_assert_eq(copy(b, op), GNTST_permission_denied);
	op.source.domid = DOMID_SELF;
	op.source.u.gmfn = RAM + WINDOW;
	cr_assert_eq(copy(b, op), GNTST_bad_page);
	op.source.u.gmfn = 6;
	op.len = UVM_PAGE_SIZE - 99;
	cr_assert_eq(copy(b, op), GNTST_bad_copy_arg);
	op.len = 1;
	op.flags = 0xff;
	cr_assert_eq(copy(b, op), GNTST_bad_copy_arg);
	op.flags = GNTCOPY_dest_gref;
	op.dest.domid = 77;
	cr_assert_eq(copy(b, op), GNTST_bad_domain);
	cr_assert_eq(uses(a, REF), 0);
	cr_assert_eq(wired(), 0);
	end_domain(a);
	end_domain(b);
	end();
}

/* ---- failures ---- */

static int calls_left, failure;

static int fail_at(void)
{
	return calls_left-- > 0 ? 0 : failure;
}

/* The mapper's process fails while it maps or unmaps; whatever it is, the granter gets its page back. */
Test(grant, mapper_fails)
{
	const int errors[] = {-ESRCH, -ENOMEM};
	struct gnttab_map_grant_ref op;
	struct domain *a, *b;
	int error;

	begin();
	for (unsigned i = 0; i < 4; i++) {
		a = new_domain(1);
		b = new_domain(2);
		set_entry(a, REF, GTF_permit_access, 2, 3);
		calls_left = (int)i / 2;
		failure = errors[i % 2];
		b->pmap->sp_fail = fail_at;
		op = (struct gnttab_map_grant_ref){.host_addr = HERE * UVM_PAGE_SIZE,
		    .flags = GNTMAP_host_map,
		    .ref = REF,
		    .dom = 1};
		error = grant_op(&b->grants, GNTTABOP_map_grant_ref, &op, sizeof(op));
		if (error == 0 && op.status == GNTST_okay)
			error = grant_op(&b->grants, GNTTABOP_unmap_grant_ref,
			    &(struct gnttab_unmap_grant_ref){
				.host_addr = HERE * UVM_PAGE_SIZE, .handle = op.handle},
			    sizeof(struct gnttab_unmap_grant_ref));
		cr_assert(failure == -ESRCH ? error == 0 : error == -ENOTRECOVERABLE);
		sound();
		end_domain(b);
		cr_assert_eq(uses(a, REF), 0);
		cr_assert_eq(wired(), 0);
		end_domain(a);
	}
	end();
}

/* The granter's does, when a loan must be broken first. */
Test(grant, granter_fails)
{
	const struct uvm_offer_terms terms = {
	    .ot_borrower = UVM_DOMID_ANY, .ot_kind = UVM_LOAN_TOPAGE};
	struct domain *a;
	uint64_t id;

	begin();
	a = new_domain(1);
	put(a, 3, 7);
	uvm_world_enter();
	cr_assert_eq(uvm_ledger_lend(a->map, 3, 1, &terms, &id), 0);
	uvm_world_leave();
	set_entry(a, REF, GTF_permit_access, 0, 3);
	calls_left = 0;
	failure = -ESRCH;
	a->pmap->sp_fail = fail_at;
	cr_assert_eq(refused(1, REF, true), GNTST_bad_domain);
	cr_assert_eq(a->broken, 0);
	failure = -ENOMEM;
	cr_assert_eq(refused(1, REF, true), GNTST_general_error);
	cr_assert_eq(a->broken, 1);
	a->pmap->sp_fail = NULL;
	cr_assert_eq(uses(a, REF), 0);
	sound();
	end_domain(a);
	end();
}

#ifdef LOMBARD_FAULTS
static int allocations;

static bool fail_allocation(void)
{
	return allocations-- == 0;
}

/* Everything that allocates; true when none of it failed. */
static bool round_of(struct domain *a, struct domain *b)
{
	struct gnttab_map_grant_ref op = {
	    .host_addr = HERE * UVM_PAGE_SIZE, .flags = GNTMAP_host_map, .ref = REF, .dom = 1};
	struct grant_share *share = NULL;
	struct grant_pin *pin;
	uint32_t refs[2], ref;
	bool good;

	cr_assert_eq(grant_op(&b->grants, GNTTABOP_map_grant_ref, &op, sizeof(op)), 0);
	good = op.status == GNTST_okay;
	if (good)
		cr_assert_eq(unmap(b, op.handle, HERE), GNTST_okay);
	if (grant_share_create(GRANT_HOST, 2, true, refs, &share) != 0)
		return false;
	grant_share_end(share);
	if (grant_share_create(GRANT_HOST, 1, true, &ref, &share) != 0)
		return false;
	if (grant_pin(GRANT_HOST, ref, GRANT_HOST, true, &pin) == GNTST_okay)
		grant_unpin(pin, true);
	else
		good = false;
	grant_share_end(share);
	if (grant_show_frame(&a->grants, 1, TABLE + 1) != 0)
		good = false;
	return good;
}

Test(grant, allocation_fails_at_any_step)
{
	struct domain *a, *b;
	int n = 0;
	bool good;

	begin();
	do {
		cr_assert_lt(n, 1000);
		a = new_domain(1);
		b = new_domain(2);
		set_entry(a, REF, GTF_permit_access, 2, 3);
		allocations = n;
		uvm_fault_hook = fail_allocation;
		good = round_of(a, b);
		uvm_fault_hook = NULL;
		cr_assert(good || allocations < 0);
		cr_assert_eq(uses(a, REF), 0);
		cr_assert_eq(wired(), 0);
		sound();
		end_domain(a);
		end_domain(b);
	} while (allocations < 0 && ++n);
	cr_assert(good);
	cr_assert_gt(n, 10, "only %d", n);
	end();
}
#endif

/* ---- reserved ---- */

static int reserved(struct domain *d, uint16_t flags, domid_t to, struct grant_pin **pin)
{
	uint64_t gfn = 0;
	int status;

	set_entry(d, REF, flags, to, 3);
	status = grant_reserve(1, REF, GRANT_HOST, pin, &gfn);
	if (status == GNTST_okay)
		cr_assert_eq(gfn, 3);
	return status;
}

Test(grant, reserve_needs_a_grant_to_write_that_is_not_used)
{
	struct grant_pin *pin, *other;
	struct domain *d;
	uint64_t gfn;

	begin();
	d = new_domain(1);
	cr_assert_eq(reserved(d, GTF_permit_access | GTF_readonly, 0, &pin), GNTST_general_error);
	cr_assert_eq(reserved(d, GTF_permit_access, 2, &pin), GNTST_general_error);
	cr_assert_eq(reserved(d, GTF_invalid, 0, &pin), GNTST_general_error);
	cr_assert_eq(grant_reserve(2, REF, GRANT_HOST, &pin, &gfn), GNTST_bad_domain);
	cr_assert_eq(grant_reserve(0, REF, GRANT_HOST, &pin, &gfn), GNTST_bad_domain);
	cr_assert_eq(grant_reserve(1, UINT32_MAX, GRANT_HOST, &pin, &gfn), GNTST_bad_gntref);
	cr_assert_eq(uses(d, REF), 0);
	cr_assert_eq(reserved(d, GTF_permit_access, 0, &pin), GNTST_okay);
	cr_assert_eq(uses(d, REF), GTF_reading | GTF_writing);
	cr_assert_eq(grant_reserve(1, REF, GRANT_HOST, &other, &gfn), GNTST_eagain);
	grant_unreserve(pin);
	cr_assert_eq(uses(d, REF), 0);
	other = pinned(1, REF, false);
	cr_assert_eq(grant_reserve(1, REF, GRANT_HOST, &pin, &gfn), GNTST_eagain);
	cr_assert_eq(uses(d, REF), GTF_reading);
	grant_unpin(other, false);
	end_domain(d);
	end();
}

static _Atomic bool has_mapped;

static void *map_reserved(void *arg)
{
	struct grant_pin *pin = pinned(1, REF, true);

	(void)arg;
	has_mapped = true;
	grant_unpin(pin, true);
	return NULL;
}

/* Who wants to map it meanwhile waits, and gets it. */
Test(grant, reserved_page_is_waited_for)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	struct grant_pin *pin;
	pthread_t mapper;
	struct domain *d;

	begin();
	d = new_domain(1);
	cr_assert_eq(reserved(d, GTF_permit_access, 0, &pin), GNTST_okay);
	cr_assert_eq(pthread_create(&mapper, NULL, map_reserved, NULL), 0);
	nanosleep(&pause, NULL);
	cr_assert(!has_mapped);
	grant_unreserve(pin);
	cr_assert_eq(pthread_join(mapper, NULL), 0);
	cr_assert(has_mapped);
	cr_assert_eq(uses(d, REF), 0);
	end_domain(d);
	end();
}
