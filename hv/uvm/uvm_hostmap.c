/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_hostmap.h"

#include <errno.h>

#include "uvm/uvm_alloc.h"
#include "uvm/uvm_ledger_private.h"

struct hostpage {
	uint64_t hp_gfn;
	struct uvm_page *hp_wired; /* or NULL: it has a loan, or nothing */
};

struct uvm_hostmap {
	LIST_ENTRY(uvm_hostmap) hm_all; /* ledger */
	struct uvm_map *hm_map;		/* s: reference */
	uint64_t hm_n;			/* s */
	/* The owner's, and the auditor's with the world stopped. */
	struct hostpage *hm_pages;
	union uvm_loaned *hm_loans; /* to page */
};

static LIST_HEAD(, uvm_hostmap) hostmaps = LIST_HEAD_INITIALIZER(hostmaps); /* ledger */

struct uvm_hostmap *uvm_hostmap_create(struct uvm_map *map, uint64_t n)
{
	struct uvm_hostmap *hm = uvm_zalloc(sizeof(*hm));

	if (hm == NULL)
		return NULL;
	hm->hm_pages = uvm_zalloc(n * sizeof(*hm->hm_pages));
	hm->hm_loans = uvm_zalloc(n * sizeof(*hm->hm_loans));
	if (hm->hm_pages == NULL || hm->hm_loans == NULL) {
		uvm_free(hm->hm_pages);
		uvm_free(hm->hm_loans);
		uvm_free(hm);
		return NULL;
	}
	uvm_map_ref(map);
	hm->hm_map = map;
	hm->hm_n = n;
	uvm_lock(&uvm_ledger_lock);
	LIST_INSERT_HEAD(&hostmaps, hm, hm_all);
	uvm_unlock(&uvm_ledger_lock);
	return hm;
}

/* What is on loan may have come back before we ask for a loan of it, and been wired: ask again. */
static int look(struct uvm_hostmap *hm, uint64_t i, struct uvm_page **pgp)
{
	struct hostpage *hp = &hm->hm_pages[i];
	int error;

	do {
		error = uvm_map_wire_live(hm->hm_map, hp->hp_gfn, &hp->hp_wired);
		*pgp = hp->hp_wired;
		if (error != -EAGAIN && error != -EINVAL)
			return error;
		/* Windows are not memory of the guest's, but it has them on loan. */
		error = uvm_loan(hm->hm_map, hp->hp_gfn, 1, UVM_LOAN_TOPAGE, &hm->hm_loans[i]);
		*pgp = hm->hm_loans[i].page;
	} while (error == -EBUSY);
	return error;
}

int uvm_hostmap_add(
    struct uvm_hostmap *hm, uint64_t i, uint64_t gfn, bool write, struct uvm_page **pgp)
{
	struct hostpage *hp = &hm->hm_pages[i];
	int error;

	KASSERT(i < hm->hm_n && hp->hp_wired == NULL && hm->hm_loans[i].page == NULL);
	hp->hp_gfn = gfn;
	if (!write)
		return look(hm, i, pgp);
	error = uvm_map_wire(hm->hm_map, gfn, pgp);
	if (error == 0)
		hp->hp_wired = *pgp;
	return error;
}

void uvm_hostmap_destroy(struct uvm_hostmap *hm)
{
	for (uint64_t i = 0; i < hm->hm_n; i++) {
		if (hm->hm_pages[i].hp_wired != NULL)
			uvm_map_unwire(hm->hm_map, hm->hm_pages[i].hp_wired);
		if (hm->hm_loans[i].page == NULL)
			continue;
		uvm_unloan(&hm->hm_loans[i], 1, UVM_LOAN_TOPAGE);
		hm->hm_map->vm_stats.ms_loans_returned++;
		uvm_map_thaw(hm->hm_map, hm->hm_pages[i].hp_gfn, 1);
	}
	uvm_lock(&uvm_ledger_lock);
	LIST_REMOVE(hm, hm_all);
	uvm_unlock(&uvm_ledger_lock);
	uvm_map_rele(hm->hm_map);
	uvm_free(hm->hm_pages);
	uvm_free(hm->hm_loans);
	uvm_free(hm);
}

void uvm_hostmap_visit(void (*visit)(const union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind))
{
	struct uvm_hostmap *hm;

	LIST_FOREACH (hm, &hostmaps, hm_all)
		visit(hm->hm_loans, hm->hm_n, UVM_LOAN_TOPAGE);
}
