/* SPDX-License-Identifier: BSD-2-Clause */
/* Arenas: their frames, and seals. */
#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena_private.h"

static LIST_HEAD(, uvm_arena) arenas = LIST_HEAD_INITIALIZER(arenas); /* uvm_stores_lock */

bool uvm_arena_take(struct uvm_arena *ua)
{
	uint32_t self = uvm_self();

	uvm_lock(&ua->ua_lock);
	if (ua->ua_holder == self) {
		uvm_unlock(&ua->ua_lock);
		return false;
	}
	while (ua->ua_holder != 0) {
		uvm_sleep(ua, &ua->ua_lock);
		uvm_lock(&ua->ua_lock);
	}
	ua->ua_holder = self;
	uvm_unlock(&ua->ua_lock);
	return true;
}

void uvm_arena_drop(struct uvm_arena *ua)
{
	uvm_lock(&ua->ua_lock);
	KASSERT(ua->ua_holder == uvm_self());
	ua->ua_holder = 0;
	uvm_wakeup(ua);
	uvm_unlock(&ua->ua_lock);
}

static struct uvm_arena *arena_of(struct uvm_object *uo)
{
	return (struct uvm_arena *)((char *)uo - offsetof(struct uvm_arena, ua_object));
}

static void arena_detach(struct uvm_object *uo)
{
	struct uvm_arena *ua = arena_of(uo);

	uvm_free(ua->ua_seals);
	uvm_free(ua);
}

/* Frames begin as zeroes and are never written back. */
static const struct uvm_pagerops arena_pager = {.po_detach = arena_detach};

static const struct uvm_arena_ops no_ops;

/* Bring all frames in. */
static int fill(struct uvm_object *uo)
{
	struct uvm_page *pg;
	uint64_t i = 0;
	int error = 0;

	uvm_lock(&uo->uo_lock);
	while (i < uo->uo_npages && (error == 0 || error == -EAGAIN)) {
		error = uvm_object_get(uo, i, uo->uo_npages - i, false, &pg);
		if (error == 0)
			i++;
		else
			uvm_lock(&uo->uo_lock);
	}
	uvm_unlock(&uo->uo_lock);
	return error;
}

int uvm_arena_create(struct uvm_store *st, uint64_t nframes, unsigned nseals,
    const struct uvm_arena_ops *ops, void *arg, struct uvm_arena **uap)
{
	struct uvm_arena *ua = uvm_zalloc(sizeof(*ua));
	int error = -ENOMEM;

	KASSERT(nframes > 0);
	if (ua == NULL)
		return -ENOMEM;
	if (nseals > 0)
		ua->ua_seals = uvm_zalloc(nseals * sizeof(*ua->ua_seals));
	if (nseals == 0 || ua->ua_seals != NULL)
		error = uvm_object_init(&ua->ua_object, &arena_pager, st, nframes);
	if (error != 0) {
		uvm_free(ua->ua_seals);
		uvm_free(ua);
		return error;
	}
	uvm_lock_init(&ua->ua_lock, UVM_RANK_ARENA);
	atomic_init(&ua->ua_refs, 1);
	LIST_INIT(&ua->ua_views);
	ua->ua_ops = ops != NULL ? ops : &no_ops;
	ua->ua_arg = arg;
	ua->ua_nseals = nseals;
	uvm_store_ref(st);
	error = fill(&ua->ua_object);
	if (error != 0) {
		/* On failure the caller keeps his reference to the store: the object has its own. */
		uvm_object_rele(&ua->ua_object);
		return error;
	}
	uvm_store_rele(st);
	uvm_lock(&uvm_stores_lock);
	LIST_INSERT_HEAD(&arenas, ua, ua_all);
	uvm_unlock(&uvm_stores_lock);
	*uap = ua;
	return 0;
}

void uvm_arena_ref(struct uvm_arena *ua)
{
	atomic_fetch_add(&ua->ua_refs, 1);
}

void uvm_arena_rele(struct uvm_arena *ua)
{
	if (atomic_fetch_sub(&ua->ua_refs, 1) != 1)
		return;
	/* Views have references. */
	KASSERT(LIST_EMPTY(&ua->ua_views));
	for (unsigned i = 0; i < ua->ua_nseals; i++)
		if (uvm_arena_sealed(ua, i))
			uvm_arena_unseal(ua, i);
	uvm_lock(&uvm_stores_lock);
	LIST_REMOVE(ua, ua_all);
	uvm_unlock(&uvm_stores_lock);
	uvm_object_rele(&ua->ua_object);
}

struct uvm_page *uvm_arena_page(struct uvm_arena *ua, uint64_t frame)
{
	struct uvm_page *pg;

	uvm_lock(&ua->ua_object.uo_lock);
	pg = uvm_object_lookup(&ua->ua_object, frame);
	uvm_unlock(&ua->ua_object.uo_lock);
	KASSERT(pg != NULL);
	return pg;
}

void *uvm_arena_kva(struct uvm_arena *ua, uint64_t frame)
{
	return uvm_page_kva(uvm_arena_page(ua, frame));
}

uint64_t uvm_arena_frames(const struct uvm_arena *ua)
{
	return ua->ua_object.uo_npages;
}

bool uvm_arena_sealed(const struct uvm_arena *ua, unsigned seal)
{
	KASSERT(seal < ua->ua_nseals);
	return ua->ua_seals[seal].se_loans != NULL;
}

/* The first gfn of a frame in the writer's view. */
static uint64_t writer_gfn(const struct uvm_arena *ua, uint64_t frame)
{
	return ua->ua_writer->vw_gfn + frame * arena_frame_pages(ua);
}

void uvm_arena_unprotect(struct uvm_arena *ua, uint64_t first, uint64_t n)
{
	uint64_t end = first + n, run;
	struct pmap *pm;

	if (ua->ua_writer == NULL)
		return;
	pm = ua->ua_writer->vw_map->vm_pmap;
	for (; first < end; first += run + 1) {
		for (run = 0; first + run < end; run++) {
			struct uvm_page *pg = uvm_arena_page(ua, first + run);

			if (!pg->pg_protected || uvm_page_loans(pg) > 0)
				break;
			pg->pg_protected = false;
		}
		if (run > 0)
			pm->pm_ops->pmo_unprotect(
			    pm, writer_gfn(ua, first), run * arena_frame_pages(ua));
	}
}

/* Protect a run of the writer's frames, or leave them as writable as they were. */
static int protect_run(struct uvm_arena *ua, uint64_t first, uint64_t n)
{
	struct pmap *pm = ua->ua_writer->vw_map->vm_pmap;
	uint64_t gfn = writer_gfn(ua, first), pages = n * arena_frame_pages(ua);
	int error = pm->pm_ops->pmo_protect(pm, gfn, pages);

	if (error != 0) {
		pm->pm_ops->pmo_unprotect(pm, gfn, pages);
		return error;
	}
	for (uint64_t i = 0; i < n; i++)
		uvm_arena_page(ua, first + i)->pg_protected = true;
	return 0;
}

/* Protect those of the frames that are not. */
static int protect(struct uvm_arena *ua, uint64_t first, uint64_t n)
{
	uint64_t end = first + n, run;
	int error = 0;

	for (; error == 0 && first < end && ua->ua_writer != NULL; first += run + 1) {
		for (run = 0; first + run < end; run++)
			if (uvm_arena_page(ua, first + run)->pg_protected)
				break;
		if (run > 0)
			error = protect_run(ua, first, run);
	}
	return error;
}

static bool any_sealed(struct uvm_arena *ua, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		if (uvm_page_loans(uvm_arena_page(ua, i)) > 0)
			return true;
	return false;
}

static void thaw_one(struct uvm_arena *ua, struct seal *se)
{
	if (!se->se_frozen)
		return;
	se->se_frozen = false;
	ua->ua_nfrozen--;
	uvm_arena_unprotect(ua, se->se_first, se->se_n);
}

/* => inside, seal not in use, range good and not sealed */
static int seal_frames(struct uvm_arena *ua, struct seal *se, uint64_t first, uint64_t n)
{
	union uvm_loaned *loans = uvm_zalloc(n * sizeof(*loans));
	int error;

	if (loans == NULL)
		return -ENOMEM;
	error = uvm_loan_object(&ua->ua_object, first, n, UVM_LOAN_TOPAGE, loans);
	if (error != 0)
		goto out_free;
	error = protect(ua, first, n);
	if (error != 0) {
		uvm_unloan(loans, n, UVM_LOAN_TOPAGE);
		uvm_arena_unprotect(ua, first, n);
		goto out_free;
	}
	/* What this seal had frozen before and does not cover now. */
	thaw_one(ua, se);
	*se = (struct seal){.se_first = first, .se_n = n, .se_loans = loans};
	return 0;

out_free:
	uvm_free(loans);
	return error;
}

int uvm_arena_seal(struct uvm_arena *ua, unsigned seal, uint64_t first, uint64_t n)
{
	uint64_t frames = uvm_arena_frames(ua);
	struct seal *se = &ua->ua_seals[seal];
	bool taken;
	int error = 0;

	KASSERT(seal < ua->ua_nseals);
	if (n == 0 || first > frames || n > frames - first)
		return -EINVAL;
	taken = uvm_arena_take(ua);
	if (se->se_loans != NULL || any_sealed(ua, first, n)) {
		arena_call_reap(ua);
		if (se->se_loans != NULL || any_sealed(ua, first, n))
			error = -EBUSY;
	}
	if (error == 0)
		error = seal_frames(ua, se, first, n);
	if (taken)
		uvm_arena_drop(ua);
	return error;
}

void uvm_arena_unseal(struct uvm_arena *ua, unsigned seal)
{
	struct seal *se = &ua->ua_seals[seal];
	union uvm_loaned *loans;
	bool taken = uvm_arena_take(ua);

	KASSERT(seal < ua->ua_nseals && se->se_loans != NULL);
	loans = se->se_loans;
	se->se_loans = NULL;
	se->se_frozen = true;
	ua->ua_nfrozen++;
	uvm_unloan(loans, se->se_n, UVM_LOAN_TOPAGE);
	uvm_free(loans);
	if (taken)
		uvm_arena_drop(ua);
}

void uvm_arena_reap(struct uvm_arena *ua)
{
	bool taken = uvm_arena_take(ua);

	arena_call_reap(ua);
	if (taken)
		uvm_arena_drop(ua);
}

void uvm_arena_thaw(struct uvm_arena *ua)
{
	bool taken = uvm_arena_take(ua);

	for (unsigned i = 0; ua->ua_nfrozen > 0 && i < ua->ua_nseals; i++)
		thaw_one(ua, &ua->ua_seals[i]);
	if (taken)
		uvm_arena_drop(ua);
}

static void visit_view(const struct uvm_view *vw,
    void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	union uvm_loaned loan;

	visit(vw->vw_old, uvm_arena_frames(vw->vw_arena), UVM_LOAN_TOPAGE);
	for (uint64_t i = 0; vw->vw_coming != NULL && i < vw->vw_n; i++) {
		loan.page = vw->vw_coming[i].co_lent ? vw->vw_coming[i].co_page : NULL;
		visit(&loan, 1, UVM_LOAN_TOPAGE);
	}
}

void uvm_arena_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct uvm_arena *ua;
	struct uvm_view *vw;

	LIST_FOREACH (ua, &arenas, ua_all) {
		for (unsigned i = 0; i < ua->ua_nseals; i++)
			if (ua->ua_seals[i].se_loans != NULL)
				visit(ua->ua_seals[i].se_loans, ua->ua_seals[i].se_n,
				    UVM_LOAN_TOPAGE);
		LIST_FOREACH (vw, &ua->ua_views, vw_all)
			visit_view(vw, visit);
	}
}
