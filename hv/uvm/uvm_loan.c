/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_loan.h"

#include <errno.h>
#include <string.h>

/* Pages to count or release before the queue lock is let go for a moment. */
#define BATCH 64u

/* How many pages ahead the next cache lines are asked for. */
#define PREFETCH 8u

/* What lending one page may come to, besides 0 and -errno. */
#define WAIT_SLOT 1   /* the slot is busy */
#define WAIT_OBJECT 2 /* the object's page is not there: ln_object is locked, ln_offset wanted */

/* A uvm_loan under way. */
struct lending {
	struct uvm_map *ln_map;
	uint64_t ln_gfn, ln_end; /* next page to lend, end of the range */
	enum uvm_loan_kind ln_kind;
	union uvm_loaned *ln_out; /* where the next one goes */
	struct uvm_residency ln_residency;
	uint64_t ln_run_gfn, ln_run; /* pages counted but not yet write-protected */
	bool ln_copies;		     /* of wired pages */
	unsigned ln_batch; /* pages that may still be counted before the queue lock is let go; 0: it
			      is not held */
	struct uvm_object *ln_object;
	uint64_t ln_offset;
};

static void end_batch(struct lending *ln)
{
	if (ln->ln_batch > 0)
		uvm_unlock(&uvm_queues_lock);
	ln->ln_batch = 0;
}

/* => looked up.  Protect the pages gathered so far; on failure they stay as writable as before. */
static int protect_run(struct lending *ln, struct uvm_lookup *ul)
{
	struct pmap *pm = ln->ln_map->vm_pmap;
	uint64_t gfn = ln->ln_run_gfn, n = ln->ln_run;
	int error;

	ln->ln_run = 0;
	if (n == 0)
		return 0;
	end_batch(ln);
	error = pm->pm_ops->pmo_protect(pm, gfn, n);
	if (error == 0)
		return 0;
	pm->pm_ops->pmo_unprotect(pm, gfn, n);
	for (uint64_t i = gfn - ul->ul_entry->me_start; n > 0; i++, n--)
		uvm_amap_lookup(ul->ul_entry->me_amap, i)->an_page->pg_protected = false;
	return error;
}

/* => looked up.  The page has been counted: see to it that its owner cannot write any more. */
static int want_protected(struct lending *ln, struct uvm_lookup *ul, struct uvm_page *pg)
{
	int error = 0;

	/* A page that is not mapped as the guest's own is mapped read-only already. */
	if (!uvm_page_own_p(pg, ln->ln_map->vm_store, ln->ln_gfn) || pg->pg_protected)
		return 0;
	if (ln->ln_run > 0 && ln->ln_run_gfn + ln->ln_run != ln->ln_gfn)
		error = protect_run(ln, ul);
	if (error == 0) {
		if (ln->ln_run == 0)
			ln->ln_run_gfn = ln->ln_gfn;
		ln->ln_run++;
		pg->pg_protected = true;
	}
	return error;
}

/* => queues and owner locked */
static int count_page(struct uvm_page *pg)
{
	if (pg->pg_wired > 0)
		return -EBUSY;
	uvm_page_loans_add(pg, 1);
	uvm_page_activate(pg);
	return 0;
}

/* => looked up */
static int lend_anon_to_anon(struct lending *ln, struct uvm_lookup *ul, struct uvm_anon *an)
{
	struct uvm_page *pg;
	int error = 0;

	uvm_lock(&an->an_lock);
	pg = an->an_page;
	if (uvm_anon_refs(an) == 1 && pg->pg_anon_owns && pg->pg_wired > 0)
		error = -EBUSY;
	else
		uvm_anon_ref(an);
	uvm_unlock(&an->an_lock);
	if (error != 0)
		return error;
	ln->ln_out->anon = an;
	return want_protected(ln, ul, pg);
}

/*
 * The common case of the next function: nobody else is at the anon, and it owns its page.  The
 * queue lock stays held from page to page; since that is the wrong order, the anon is only tried.
 * => looked up; returns false when it is not that simple
 */
static bool lend_in_batch(struct lending *ln, struct uvm_anon *an, int *error)
{
	struct uvm_page *pg;
	bool simple;

	if (ln->ln_batch == 0) {
		uvm_lock(&uvm_queues_lock);
		ln->ln_batch = BATCH;
	}
	if (!uvm_trylock(&an->an_lock))
		return false;
	pg = an->an_page;
	simple = pg->pg_anon == an && pg->pg_anon_owns;
	if (simple) {
		*error = count_page(pg);
		ln->ln_out->page = *error == 0 ? pg : NULL;
	}
	uvm_unlock(&an->an_lock);
	if (--ln->ln_batch == 0)
		uvm_unlock(&uvm_queues_lock);
	return simple;
}

/*
 * => looked up, no batch.  The page is wired and whoever writes to it goes on: lend a copy, which
 * nobody owns.
 */
static int lend_copy(struct lending *ln, struct uvm_page *wired)
{
	struct uvm_map *map = ln->ln_map;
	struct uvm_page *copy;

	copy = uvm_page_alloc(
	    map->vm_store, uvm_map_home(map, ln->ln_gfn), 1 % map->vm_store->st_nbanks);
	if (copy == NULL)
		return -ENOMEM;
	uvm_page_copy(wired, copy);
	uvm_lock(&uvm_queues_lock);
	uvm_page_loans_add(copy, 1);
	uvm_unlock(&uvm_queues_lock);
	map->vm_stats.ms_copied++;
	ln->ln_out->page = copy;
	return 0;
}

/* => looked up */
static int lend_anon_to_page(struct lending *ln, struct uvm_lookup *ul, struct uvm_anon *an)
{
	struct uvm_object *uo;
	struct uvm_page *pg;
	int error = 0;

	if (lend_in_batch(ln, an, &error) && error == 0)
		return want_protected(ln, ul, ln->ln_out->page);
	end_batch(ln);
	uo = uvm_anon_lock(an);
	pg = an->an_page;
	uvm_lock(&uvm_queues_lock);
	error = count_page(pg);
	uvm_unlock(&uvm_queues_lock);
	uvm_anon_unlock(an, uo);
	/* The slot keeps the page; only we could unwire it, with the map locked. */
	if (error == -EBUSY && ln->ln_copies)
		return lend_copy(ln, pg);
	if (error != 0)
		return error;
	ln->ln_out->page = pg;
	return want_protected(ln, ul, pg);
}

/* => object locked, page resident and not busy.  Lend it to an anon: the one it has, or a new one.
 */
static int lend_page_to_anon(struct uvm_page *pg, union uvm_loaned *out)
{
	struct uvm_anon *an = pg->pg_anon;
	int error;

	if (an != NULL) {
		uvm_lock(&an->an_lock);
		uvm_anon_ref(an);
		uvm_unlock(&an->an_lock);
		out->anon = an;
		return 0;
	}
	an = uvm_anon_alloc();
	if (an == NULL)
		return -ENOMEM;
	uvm_lock(&an->an_lock);
	uvm_lock(&uvm_queues_lock);
	error = count_page(pg);
	if (error == 0) {
		pg->pg_anon = an;
		an->an_page = pg;
	}
	uvm_unlock(&uvm_queues_lock);
	uvm_unlock(&an->an_lock);
	if (error != 0)
		uvm_anon_free_unused(an);
	else
		out->anon = an;
	return error;
}

/* => object locked, page resident and not busy */
static int lend_object_page(struct uvm_page *pg, enum uvm_loan_kind kind, union uvm_loaned *out)
{
	int error;

	if (kind == UVM_LOAN_TOANON)
		return lend_page_to_anon(pg, out);
	uvm_lock(&uvm_queues_lock);
	error = count_page(pg);
	uvm_unlock(&uvm_queues_lock);
	if (error == 0)
		out->page = pg;
	return error;
}

/* => looked up.  Lend a page of the entry's object, if it is there. */
static int lend_from_object(struct lending *ln, struct uvm_entry *e)
{
	struct uvm_object *uo = e->me_object;
	struct uvm_page *pg;
	int error;

	ln->ln_object = uo;
	ln->ln_offset = e->me_offset + (ln->ln_gfn - e->me_start);
	uvm_lock(&uo->uo_lock);
	if (uvm_object_get(uo, ln->ln_offset, 1, true, &pg) == -EBUSY)
		return WAIT_OBJECT;
	error = lend_object_page(pg, ln->ln_kind, ln->ln_out);
	uvm_unlock(&uo->uo_lock);
	return error;
}

static int lend_zero(struct lending *ln)
{
	struct uvm_page *pg = uvm_zero_page();
	struct uvm_object *uo = pg->pg_object;
	int error;

	uvm_lock(&uo->uo_lock);
	error = lend_object_page(pg, ln->ln_kind, ln->ln_out);
	uvm_unlock(&uo->uo_lock);
	return error;
}

/* => looked up.  The anon layer first, then the object, then zero-fill. */
static int lend_page(struct lending *ln, struct uvm_lookup *ul)
{
	struct uvm_entry *e = ul->ul_entry;
	uint64_t slot = ln->ln_gfn - e->me_start;
	struct uvm_anon *an;
	int error;

	/* What lies in an arena can be sealed, not lent; what is others' is theirs to lend. */
	if (e->me_kind == UVM_ENTRY_ARENA || e->me_kind == UVM_ENTRY_MAPIN)
		return -EINVAL;
	if (e->me_kind == UVM_ENTRY_WINDOW) {
		/* There is no anon that a copy could go to: the window's holder may only look. */
		if (ln->ln_kind == UVM_LOAN_TOANON)
			return -EINVAL;
		uvm_loan_again(&e->me_loans[slot], 1, UVM_LOAN_TOPAGE, ln->ln_out);
		return 0;
	}
	if (uvm_amap_busy(e->me_amap, slot))
		return WAIT_SLOT;
	an = uvm_amap_lookup(e->me_amap, slot);
	if (slot + PREFETCH < e->me_end - e->me_start)
		__builtin_prefetch(uvm_amap_lookup(e->me_amap, slot + PREFETCH), 1);
	if (an == NULL) {
		end_batch(ln);
		error = uvm_map_learn_page(ul, ln->ln_gfn, &ln->ln_residency, &an);
		if (error != 0)
			return error;
	}
	if (an != NULL)
		return ln->ln_kind == UVM_LOAN_TOANON ? lend_anon_to_anon(ln, ul, an)
						      : lend_anon_to_page(ln, ul, an);
	if (e->me_object != NULL)
		return lend_from_object(ln, e);
	return lend_zero(ln);
}

/* => looked up on entry; unlocked on return.  Do what lend_page said must be waited for. */
static int wait_for_page(struct lending *ln, struct uvm_lookup *ul, int what)
{
	struct uvm_amap *am = ul->ul_entry->me_amap;
	struct uvm_object *uo = ln->ln_object;
	struct uvm_page *pg;
	int error;

	uvm_unlock(&ul->ul_map->vm_lock);
	if (what == WAIT_SLOT) {
		uvm_amap_wait(am);
		return 0;
	}
	/* The entry may go while we wait, so the object needs a reference of ours. */
	uvm_object_ref(uo);
	uvm_unlock(&am->am_lock);
	error = uvm_object_get(uo, ln->ln_offset, ln->ln_end - ln->ln_gfn, false, &pg);
	KASSERT(error != 0);
	uvm_object_rele(uo);
	return error == -EAGAIN ? 0 : error;
}

/* Lend what lies in one entry, or as much as can be had without waiting. */
static int lend_entry(struct lending *ln)
{
	struct uvm_lookup ul;
	uint64_t end;
	int error, rv = 0;

	error = uvm_map_lookup(ln->ln_map, ln->ln_gfn, &ul);
	if (error != 0)
		return error;
	ln->ln_residency = (struct uvm_residency){0};
	end = ul.ul_entry->me_end < ln->ln_end ? ul.ul_entry->me_end : ln->ln_end;
	for (; rv == 0 && ln->ln_gfn < end; ln->ln_gfn++, ln->ln_out++) {
		rv = lend_page(ln, &ul);
		if (rv != 0)
			break;
	}
	end_batch(ln);
	/* What was counted must be protected before anybody else looks. */
	error = protect_run(ln, &ul);
	if (rv > 0 && error == 0)
		return wait_for_page(ln, &ul, rv);
	if (rv == WAIT_OBJECT)
		uvm_unlock(&ln->ln_object->uo_lock);
	uvm_map_unlock(&ul);
	return error != 0 ? error : rv;
}

static int loan(struct lending *ln)
{
	uint64_t gfn = ln->ln_gfn, n = ln->ln_end - gfn;
	union uvm_loaned *out = ln->ln_out;
	int error = 0;

	if (n == 0 || ln->ln_end < gfn)
		return -EINVAL;
	memset(out, 0, n * sizeof(*out));
	while (error == 0 && ln->ln_gfn < ln->ln_end)
		error = lend_entry(ln);
	if (error != 0) {
		/* The page that failed may have been counted before its protection failed. */
		uvm_unloan(out, n, ln->ln_kind);
		uvm_map_thaw(ln->ln_map, gfn, n);
	} else {
		ln->ln_map->vm_stats.ms_loans_made += n;
	}
	return error;
}

int uvm_loan(
    struct uvm_map *map, uint64_t gfn, uint64_t n, enum uvm_loan_kind kind, union uvm_loaned *out)
{
	struct lending ln = {
	    .ln_map = map, .ln_gfn = gfn, .ln_end = gfn + n, .ln_kind = kind, .ln_out = out};

	KASSERT(kind == UVM_LOAN_TOPAGE || kind == UVM_LOAN_TOANON);
	return loan(&ln);
}

int uvm_loan_picture(struct uvm_map *map, uint64_t gfn, uint64_t n, union uvm_loaned *out)
{
	struct lending ln = {.ln_map = map,
	    .ln_gfn = gfn,
	    .ln_end = gfn + n,
	    .ln_kind = UVM_LOAN_TOPAGE,
	    .ln_out = out,
	    .ln_copies = true};

	return loan(&ln);
}

int uvm_loan_object(
    struct uvm_object *uo, uint64_t off, uint64_t n, enum uvm_loan_kind kind, union uvm_loaned *out)
{
	struct uvm_page *pg;
	uint64_t i = 0;
	int error = 0;

	if (n == 0 || off > uo->uo_npages || n > uo->uo_npages - off)
		return -EINVAL;
	memset(out, 0, n * sizeof(*out));
	uvm_lock(&uo->uo_lock);
	while (i < n && error == 0) {
		error = uvm_object_get(uo, off + i, n - i, false, &pg);
		if (error != 0) {
			uvm_lock(&uo->uo_lock);
			if (error == -EAGAIN)
				error = 0;
			continue;
		}
		error = lend_object_page(pg, kind, &out[i]);
		i += error == 0;
	}
	uvm_unlock(&uo->uo_lock);
	if (error != 0)
		uvm_unloan(out, i, kind);
	return error;
}

void uvm_loan_again(
    const union uvm_loaned *from, uint64_t n, enum uvm_loan_kind kind, union uvm_loaned *out)
{
	struct uvm_lock *owner;

	memmove(out, from, n * sizeof(*out));
	for (uint64_t i = 0; i < n; i++) {
		if (kind == UVM_LOAN_TOANON) {
			uvm_lock(&out[i].anon->an_lock);
			uvm_anon_ref(out[i].anon);
			uvm_unlock(&out[i].anon->an_lock);
			continue;
		}
		if (i % BATCH == 0)
			uvm_lock(&uvm_queues_lock);
		owner = uvm_page_lock_owner(out[i].page);
		KASSERT(uvm_page_loans(out[i].page) > 0);
		uvm_page_loans_add(out[i].page, 1);
		if (owner != NULL)
			uvm_unlock(owner);
		if (i % BATCH == BATCH - 1 || i == n - 1)
			uvm_unlock(&uvm_queues_lock);
	}
}

/* => queues locked.  Drop one loan of a page. */
static void unloan_page(struct uvm_page *pg)
{
	struct uvm_lock *owner = uvm_page_lock_owner(pg);

	KASSERT(uvm_page_loans(pg) > 0);
	uvm_page_loans_add(pg, -1);
	uvm_anon_adopt(pg);
	uvm_page_maybe_free(pg);
	if (owner != NULL)
		uvm_unlock(owner);
}

static void unloan_pages(union uvm_loaned *loans, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (i % BATCH == 0)
			uvm_lock(&uvm_queues_lock);
		if (i + PREFETCH < n)
			__builtin_prefetch(loans[i + PREFETCH].page, 1);
		if (loans[i].page != NULL)
			unloan_page(loans[i].page);
		loans[i].page = NULL;
		if (i % BATCH == BATCH - 1 || i == n - 1)
			uvm_unlock(&uvm_queues_lock);
	}
	uvm_page_reap();
}

static void unloan_anons(union uvm_loaned *loans, uint64_t n)
{
	struct uvm_object *uo;

	for (uint64_t i = 0; i < n; i++) {
		if (loans[i].anon == NULL)
			continue;
		uo = uvm_anon_lock(loans[i].anon);
		(void)uvm_anon_rele(loans[i].anon, uo);
		loans[i].anon = NULL;
	}
	uvm_page_reap();
}

void uvm_unloan(union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind kind)
{
	if (kind == UVM_LOAN_TOANON)
		unloan_anons(loans, n);
	else
		unloan_pages(loans, n);
}

void uvm_loan_break_anon(struct uvm_anon *an, struct uvm_page *copy)
{
	struct uvm_page *old = an->an_page;

	KASSERT(uvm_lock_held(&an->an_lock));
	KASSERT(old->pg_object == NULL || uvm_lock_held(&old->pg_object->uo_lock));
	KASSERT(old->pg_anon == an);
	uvm_lock(&uvm_queues_lock);
	old->pg_anon = NULL;
	if (old->pg_object != NULL) {
		/* We were the receiver: that loan has ended. */
		uvm_page_loans_add(old, -1);
	} else {
		/* We were the lender: the page belongs to its borrowers alone now. */
		KASSERT(old->pg_anon_owns);
		old->pg_anon_owns = false;
		uvm_page_dequeue(old);
	}
	uvm_page_maybe_free(old);
	uvm_unlock(&uvm_queues_lock);
	an->an_page = NULL;
	uvm_anon_set_page(an, copy);
}

struct uvm_page *uvm_loan_break_object(struct uvm_page *pg)
{
	struct uvm_object *uo = pg->pg_object;
	struct uvm_page *copy;

	KASSERT(uo != NULL && uvm_lock_held(&uo->uo_lock));
	KASSERT((pg->pg_flags & UVM_PG_BUSY) == 0 && uvm_page_loans(pg) > 0);
	copy = uvm_page_alloc(uo->uo_store, pg->pg_offset, 0);
	if (copy == NULL)
		return NULL;
	uvm_page_copy(pg, copy);
	copy->pg_flags = pg->pg_flags & UVM_PG_DIRTY;
	uvm_lock(&uvm_queues_lock);
	(void)uvm_object_disown(pg);
	uvm_object_insert(uo, pg->pg_offset, copy);
	uvm_page_activate(copy);
	uvm_unlock(&uvm_queues_lock);
	return copy;
}

int uvm_object_write(struct uvm_object *uo, uint64_t off, size_t within, const void *buf,
    size_t len, uint64_t *nbroken)
{
	struct uvm_page *pg;
	int error;

	KASSERT(off < uo->uo_npages && within <= UVM_PAGE_SIZE && len <= UVM_PAGE_SIZE - within);
	do {
		uvm_lock(&uo->uo_lock);
		error = uvm_object_get(uo, off, 1, false, &pg);
	} while (error == -EAGAIN);
	if (error != 0)
		return error;
	if (uvm_page_loans(pg) > 0) {
		pg = uvm_loan_break_object(pg);
		*nbroken += pg != NULL;
		uvm_object_broken[UVM_BREAK_WRITE] += pg != NULL;
	}
	if (pg != NULL) {
		memcpy((char *)uvm_page_kva(pg) + within, buf, len);
		pg->pg_flags |= UVM_PG_DIRTY;
	}
	uvm_unlock(&uo->uo_lock);
	return pg != NULL ? 0 : -ENOMEM;
}

bool uvm_loan_pageout(struct uvm_object *uo, uint64_t off)
{
	struct uvm_page *pg;
	bool done = false;

	uvm_lock(&uo->uo_lock);
	pg = uvm_object_lookup(uo, off);
	if (pg != NULL && (pg->pg_flags & (UVM_PG_BUSY | UVM_PG_DIRTY | UVM_PG_KEEP)) == 0) {
		uvm_lock(&uvm_queues_lock);
		done = (pg->pg_pqflags & UVM_PQ_INACTIVE) && pg->pg_wired == 0 &&
		       pg->pg_anon != NULL && uvm_page_loans(pg) > 0;
		if (done)
			(void)uvm_object_disown(pg);
		uvm_object_broken[UVM_BREAK_PAGEOUT] += done;
		uvm_unlock(&uvm_queues_lock);
	}
	uvm_unlock(&uo->uo_lock);
	return done;
}
