/* SPDX-License-Identifier: BSD-2-Clause */
#include "uvm/uvm_amap.h"

#include "uvm/uvm_alloc.h"

struct uvm_amap *uvm_amap_alloc(uint64_t npages)
{
	struct uvm_amap *am = uvm_zalloc(sizeof(*am));

	if (am == NULL)
		return NULL;
	uvm_lock_init(&am->am_lock, UVM_RANK_AMAP);
	if (uvm_ptab_init(&am->am_slots, npages) != 0) {
		uvm_free(am);
		return NULL;
	}
	return am;
}

void uvm_amap_free(struct uvm_amap *am)
{
	uint64_t i = 0;

	KASSERT(am->am_nbusy == 0 && uvm_ptab_next(&am->am_slots, &i) == NULL);
	uvm_ptab_fini(&am->am_slots);
	uvm_free(am);
}

int uvm_amap_add(struct uvm_amap *am, uint64_t i, struct uvm_anon *an)
{
	int error = uvm_ptab_reserve(&am->am_slots, i);

	KASSERT(uvm_lock_held(&am->am_lock) && uvm_amap_lookup(am, i) == NULL);
	if (error == 0)
		uvm_amap_replace(am, i, an);
	return error;
}

void uvm_amap_replace(struct uvm_amap *am, uint64_t i, struct uvm_anon *an)
{
	uintptr_t busy = uvm_amap_busy(am, i) ? 1 : 0;

	KDASSERT(uvm_lock_held(&am->am_lock));
	uvm_ptab_set(&am->am_slots, i, (void *)((uintptr_t)an | busy));
}

int uvm_amap_set_busy(struct uvm_amap *am, uint64_t i)
{
	int error = uvm_ptab_reserve(&am->am_slots, i);

	KASSERT(uvm_lock_held(&am->am_lock) && !uvm_amap_busy(am, i));
	if (error == 0) {
		uvm_ptab_set(
		    &am->am_slots, i, (void *)((uintptr_t)uvm_amap_lookup(am, i) | (uintptr_t)1));
		am->am_nbusy++;
	}
	return error;
}

void uvm_amap_clear_busy(struct uvm_amap *am, uint64_t i)
{
	KASSERT(uvm_lock_held(&am->am_lock) && uvm_amap_busy(am, i));
	uvm_ptab_set(&am->am_slots, i, uvm_amap_lookup(am, i));
	am->am_nbusy--;
	if (am->am_wanted) {
		am->am_wanted = false;
		uvm_wakeup(am);
	}
}

void uvm_amap_wait(struct uvm_amap *am)
{
	am->am_wanted = true;
	uvm_sleep(am, &am->am_lock);
}
