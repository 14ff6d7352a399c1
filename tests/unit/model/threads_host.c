/* SPDX-License-Identifier: BSD-2-Clause */
/* The host beside the workers: it writes to objects, offers them, and borrows from guests. */
#include "threads.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "uvm/uvm_hostmap.h"

#define HOST_LOANS 4u

static struct {
	struct rng rng;
	struct uvm_hostloan *hl[HOST_LOANS];
	struct uvm_offer_info info[HOST_LOANS];
	uint64_t offer[NOBJECTS]; /* of all of object i, or 0 */
	struct uvm_hostmap *map[HOST_LOANS];
} host;

/* Objects: writes of whole pages, flushes, page-outs; and offers of all of an object. */
static void host_objects(void)
{
	unsigned which = (unsigned)rng_below(&host.rng, NOBJECTS);
	struct uvm_object *uo = &m.object[which].to->to_object;
	uint64_t off = rng_below(&host.rng, OBJECT_SIZE), nbroken = 0, page[UVM_PAGE_SIZE / 8];
	struct uvm_page *pg;

	for (unsigned i = 0; i < UVM_PAGE_SIZE / 8; i++)
		page[i] = rng_next(&host.rng);
	seal(page);
	if (uvm_object_write(uo, off, 0, page, sizeof(page), &nbroken) != 0)
		complain(0, "object write", off, 0);
	off = rng_below(&host.rng, OBJECT_SIZE);
	if (rng_once_in(&host.rng, 4))
		(void)uvm_object_flush(uo, off, OBJECT_SIZE - off,
		    UVM_FLUSH_CLEAN | (rng_once_in(&host.rng, 2) ? UVM_FLUSH_FREE : 0), &nbroken);
	uvm_lock(&uo->uo_lock);
	pg = uvm_object_lookup(uo, off);
	uvm_lock(&uvm_queues_lock);
	if (pg != NULL)
		uvm_page_deactivate(pg);
	uvm_unlock(&uvm_queues_lock);
	uvm_unlock(&uo->uo_lock);
	(void)uvm_loan_pageout(uo, off);
}

static void host_offers(void)
{
	unsigned which = (unsigned)rng_below(&host.rng, NOBJECTS);
	const struct uvm_offer_terms terms = {.ot_borrower = UVM_DOMID_ANY,
	    .ot_kind = rng_once_in(&host.rng, 2) ? UVM_LOAN_TOPAGE : UVM_LOAN_TOANON};
	uint64_t *id = &host.offer[which], windows;
	int error;

	if (*id != 0) {
		error = uvm_ledger_recall(UVM_DOMID_HOST, *id, &windows);
		*id = 0;
	} else {
		error = uvm_ledger_lend_object(&m.object[which].to->to_object, 0, OBJECT_SIZE,
		    OBJECT_SIZE * UVM_PAGE_SIZE, &terms, id);
	}
	if (error != 0)
		complain(0, "offer of an object", which, error);
}

static uint64_t hostloan_hash(unsigned i)
{
	static const uint8_t zeroes[UVM_PAGE_SIZE];
	struct pmap_extent ext[4];
	uint64_t page = 0, h = 0;
	unsigned n;

	while (page < host.info[i].oi_npages) {
		n = uvm_hostloan_extents(
		    host.hl[i], page, host.info[i].oi_npages - page, ext, 4, &page);
		for (unsigned e = 0; e < n; e++)
			for (uint64_t k = 0; k < ext[e].npages; k++)
				h = hash(ext[e].kind == PMAP_ZERO
					     ? zeroes
					     : ext[e].store->st_ops->so_kva(
						   ext[e].store, ext[e].index + k),
				    UVM_PAGE_SIZE, h);
	}
	return h;
}

static void host_loans(void)
{
	unsigned i = (unsigned)rng_below(&host.rng, HOST_LOANS);
	int error;

	if (host.hl[i] == NULL) {
		if (!pick_offer(&host.rng, UVM_DOMID_HOST, &host.info[i]) ||
		    host.info[i].oi_lender == UVM_DOMID_HOST)
			return;
		error = uvm_ledger_host_borrow(host.info[i].oi_id, &host.hl[i]);
		if (error != 0 && error != -ENOENT && error != -EPERM)
			complain(0, "host borrow", host.info[i].oi_id, error);
		if (error != 0)
			return;
	}
	if (hostloan_hash(i) != host.info[i].oi_tag)
		complain(0, "a host loan changed", host.info[i].oi_id, 0);
	if (rng_once_in(&host.rng, 3)) {
		uvm_hostloan_return(host.hl[i]);
		host.hl[i] = NULL;
	}
}

/* Map some pages of a guest, or unmap them; the guest may be gone by then. */
static void host_maps(void)
{
	unsigned i = (unsigned)rng_below(&host.rng, HOST_LOANS);
	unsigned which = (unsigned)rng_below(&host.rng, threads_count());
	bool write = rng_once_in(&host.rng, 2);
	struct uvm_page *pg;
	struct uvm_map *map;
	int error = 0;

	if (host.map[i] != NULL) {
		uvm_world_enter();
		uvm_hostmap_destroy(host.map[i]);
		host.map[i] = NULL;
		uvm_world_leave();
		return;
	}
	map = threads_hold(which);
	uvm_world_enter();
	host.map[i] = uvm_hostmap_create(map, 2);
	for (uint64_t k = 0; host.map[i] != NULL && error == 0 && k < 2; k++)
		error = uvm_hostmap_add(
		    host.map[i], k, rng_below(&host.rng, HOST_MAPS_BELOW), write, &pg);
	if (host.map[i] == NULL || error != 0)
		complain(map->vm_domid, "a map of the host", which, error);
	uvm_map_rele(map);
	uvm_world_leave();
	threads_let_go(which);
}

void *host_work(void *arg)
{
	const struct timespec nap = {.tv_nsec = 200000};

	(void)arg;
	while (!atomic_load(&threads_stop)) {
		uvm_world_enter();
		host_objects();
		host_loans();
		if (rng_once_in(&host.rng, 8))
			host_offers();
		uvm_world_leave();
		host_maps();
		nanosleep(&nap, NULL);
	}
	return NULL;
}

void host_setup(uint64_t seed)
{
	uint64_t page[UVM_PAGE_SIZE / 8] = {0};

	host.rng.state = seed ^ 1;
	for (unsigned i = 0; i < NOBJECTS; i++) {
		m.object[i].to = test_object_create(OBJECT_SIZE, 1);
		if (m.object[i].to == NULL)
			complain(0, "no object", i, 0);
		for (unsigned k = 0; k < OBJECT_SIZE; k++) {
			page[1] = k;
			seal(page);
			memcpy(m.object[i].to->to_disk + k * UVM_PAGE_SIZE, page, sizeof(page));
		}
	}
}

void host_end_loans(void)
{
	for (unsigned i = 0; i < HOST_LOANS; i++) {
		if (host.hl[i] != NULL)
			uvm_hostloan_return(host.hl[i]);
		if (host.map[i] != NULL)
			uvm_hostmap_destroy(host.map[i]);
	}
}

void host_end_objects(void)
{
	uint64_t windows;

	for (unsigned i = 0; i < NOBJECTS; i++) {
		if (host.offer[i] != 0)
			(void)uvm_ledger_recall(UVM_DOMID_HOST, host.offer[i], &windows);
		uvm_object_rele(&m.object[i].to->to_object);
	}
}
