/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wiring: a guest's page that others write to, or look at live, while they have it.
 */
#include <errno.h>

#include "uvm/uvm_fault.h"

/* => anon locked.  A nominated page is about to be shared: it is no more the guest's alone. */
static bool own_p(const struct uvm_lookup *ul, uint64_t gfn, struct uvm_anon *an)
{
	return uvm_anon_refs(an) == 1 && an->an_handle == 0 &&
	       uvm_page_own_p(an->an_page, ul->ul_map->vm_store, gfn);
}

/*
 * => looked up.  Wire the page if it is the guest's own, not on loan, and, for a writer, writable.
 * -EAGAIN: it is not, or nobody ever touched it
 */
static int wire_page(struct uvm_lookup *ul, uint64_t gfn, bool write, struct uvm_page **pgp)
{
	struct uvm_entry *e = ul->ul_entry;
	struct uvm_residency ur = {0};
	struct uvm_anon *an;
	int error;

	if (e->me_kind != UVM_ENTRY_MEMORY)
		return -EINVAL;
	if (uvm_amap_busy(e->me_amap, gfn - e->me_start))
		return -EAGAIN;
	error = uvm_map_learn_page(ul, gfn, &ur, &an);
	if (error != 0 || an == NULL)
		return error != 0 ? error : -EAGAIN;
	error = -EAGAIN;
	uvm_lock(&an->an_lock);
	if (own_p(ul, gfn, an) && !(write && an->an_page->pg_protected)) {
		uvm_lock(&uvm_queues_lock);
		/* pg_loans can only be read together with pg_object, which may own the page. */
		if (an->an_page->pg_object == NULL && uvm_page_loans(an->an_page) == 0) {
			an->an_page->pg_wired++;
			e->me_nwired++;
			*pgp = an->an_page;
			error = 0;
		}
		uvm_unlock(&uvm_queues_lock);
	}
	uvm_unlock(&an->an_lock);
	return error;
}

static int try_to_wire(struct uvm_map *map, uint64_t gfn, bool write, struct uvm_page **pgp)
{
	struct uvm_lookup ul;
	int error = uvm_map_lookup(map, gfn, &ul);

	if (error != 0)
		return error;
	error = wire_page(&ul, gfn, write, pgp);
	uvm_map_unlock(&ul);
	return error;
}

int uvm_map_wire(struct uvm_map *map, uint64_t gfn, struct uvm_page **pgp)
{
	int error;

	while ((error = try_to_wire(map, gfn, true, pgp)) == -EAGAIN) {
		error = uvm_fault(map, gfn, UVM_ACCESS_WRITE);
		if (error != 0)
			return error;
	}
	return error;
}

int uvm_map_wire_live(struct uvm_map *map, uint64_t gfn, struct uvm_page **pgp)
{
	return try_to_wire(map, gfn, false, pgp);
}

void uvm_map_unwire(struct uvm_map *map, struct uvm_page *pg)
{
	struct uvm_lock *owner;
	struct uvm_entry *e;

	uvm_lock(&map->vm_lock);
	/* A wired page stays where it is, in an entry that stays, until the guest is gone. */
	if (pg->pg_gfn != UVM_NOGFN) {
		e = uvm_map_entry_of(map, pg->pg_gfn);
		KASSERT(e != NULL && e->me_nwired > 0);
		e->me_nwired--;
	}
	uvm_lock(&uvm_queues_lock);
	owner = uvm_page_lock_owner(pg);
	KASSERT(pg->pg_wired > 0);
	pg->pg_wired--;
	uvm_page_maybe_free(pg);
	uvm_unlock(&uvm_queues_lock);
	if (owner != NULL)
		uvm_unlock(owner);
	uvm_unlock(&map->vm_lock);
	uvm_page_reap();
}
