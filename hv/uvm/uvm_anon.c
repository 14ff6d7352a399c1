/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_anon.h"

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_object.h"

struct uvm_anon *uvm_anon_alloc(void)
{
	struct uvm_anon *an = uvm_zalloc(sizeof(*an));

	if (an != NULL) {
		uvm_lock_init(&an->an_lock, UVM_RANK_ANON);
		atomic_init(&an->an_refs, 1);
	}
	return an;
}

void uvm_anon_set_page(struct uvm_anon *an, struct uvm_page *pg)
{
	KASSERT(an->an_page == NULL && pg->pg_object == NULL && pg->pg_anon == NULL);
	an->an_page = pg;
	uvm_lock(&uvm_queues_lock);
	pg->pg_anon = an;
	pg->pg_anon_owns = true;
	uvm_page_activate(pg);
	uvm_unlock(&uvm_queues_lock);
}

void uvm_anon_free_unused(struct uvm_anon *an)
{
	KASSERT(an->an_page == NULL);
	uvm_free(an);
}

void uvm_anon_adopt(struct uvm_page *pg)
{
	KDASSERT(uvm_lock_held(&uvm_queues_lock));
	if (pg->pg_object != NULL || pg->pg_anon == NULL || pg->pg_anon_owns)
		return;
	KASSERT(uvm_page_loans(pg) > 0);
	uvm_page_loans_add(pg, -1);
	pg->pg_anon_owns = true;
}

struct uvm_object *uvm_anon_lock(struct uvm_anon *an)
{
	struct uvm_object *uo;
	struct uvm_page *pg;

	for (unsigned tries = 0;; tries++) {
		uvm_lock(&an->an_lock);
		pg = an->an_page;
		/* With the anon locked, only pages lent by an object can change under us. */
		if (pg->pg_anon == an && pg->pg_anon_owns)
			return NULL;
		uvm_lock(&uvm_queues_lock);
		uvm_anon_adopt(pg);
		uo = pg->pg_object;
		if (uo == NULL || uvm_trylock(&uo->uo_lock)) {
			uvm_unlock(&uvm_queues_lock);
			return uo;
		}
		uvm_unlock(&uvm_queues_lock);
		uvm_unlock(&an->an_lock);
		uvm_backoff(tries);
	}
}

void uvm_anon_unlock(struct uvm_anon *an, struct uvm_object *uo)
{
	if (uo != NULL)
		uvm_unlock(&uo->uo_lock);
	uvm_unlock(&an->an_lock);
}

void uvm_anon_ref(struct uvm_anon *an)
{
	KDASSERT(uvm_lock_held(&an->an_lock));
	atomic_store_explicit(&an->an_refs, uvm_anon_refs(an) + 1, memory_order_relaxed);
}

/* => anon, object and queues locked.  The anon goes: what becomes of its page? */
static bool let_page_go(struct uvm_page *pg)
{
	bool orphaned = false;

	KASSERT(pg->pg_object == NULL || uvm_lock_held(&pg->pg_object->uo_lock));
	pg->pg_anon = NULL;
	if (pg->pg_object != NULL) {
		/* The page was only lent to us. */
		uvm_page_loans_add(pg, -1);
	} else {
		KASSERT(pg->pg_anon_owns);
		pg->pg_anon_owns = false;
		uvm_page_dequeue(pg);
		orphaned = uvm_page_loans(pg) > 0;
		uvm_page_maybe_free(pg);
	}
	return orphaned;
}

bool uvm_anon_rele(struct uvm_anon *an, struct uvm_object *uo)
{
	uint32_t refs = uvm_anon_refs(an) - 1;
	bool orphaned = false;

	KDASSERT(uvm_lock_held(&an->an_lock));
	KASSERT(refs + 1 > 0);
	atomic_store_explicit(&an->an_refs, refs, memory_order_release);
	if (refs == 0) {
		KASSERT(an->an_handle == 0);
		uvm_lock(&uvm_queues_lock);
		orphaned = let_page_go(an->an_page);
		uvm_unlock(&uvm_queues_lock);
	}
	uvm_anon_unlock(an, uo);
	if (refs == 0)
		uvm_free(an);
	return orphaned;
}
