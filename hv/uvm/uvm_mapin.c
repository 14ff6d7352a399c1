/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_mapin.h"

#include <errno.h>

int uvm_mapin(struct uvm_map *map, uint64_t gfn, struct uvm_page *pg, bool write)
{
	struct pmap_extent ext = {.gfn = gfn,
	    .npages = 1,
	    .kind = write ? PMAP_ARENA : PMAP_LENT,
	    .store = pg->pg_store,
	    .index = pg->pg_index};
	struct uvm_entry *e;
	int error;

	KASSERT(pg->pg_store->st_frame_pages == 1);
	error = uvm_map_enter_new(
	    map, gfn, 1, UVM_ENTRY_MAPIN, UVM_ENTRY_LIVE | (write ? 0 : UVM_ENTRY_READONLY), &e);
	if (error != 0)
		return error;
	error = uvm_map_show(map, &ext);
	if (error == 0)
		uvm_map_entry_ready(map, e);
	else if (error != -ENOTRECOVERABLE)
		uvm_map_remove(map, e);
	return error;
}

int uvm_mapout(struct uvm_map *map, uint64_t gfn)
{
	const struct pmap_extent ext = {.gfn = gfn, .npages = 1, .kind = PMAP_NONE};
	struct uvm_entry *e;
	int error = uvm_map_claim(map, gfn, UVM_ENTRY_LIVE, &e);

	if (error != 0)
		return error == -EINVAL ? -ENOENT : error;
	error = uvm_map_show(map, &ext);
	if (error != 0 && error != -ESRCH)
		return error;
	uvm_map_remove(map, e);
	return 0;
}
