/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (UVM_PAGE_SIZE / sizeof(uint64_t))
#define OBJECT_BANKS 12u

static _Atomic unsigned objects_alive;

int guest_create(struct guest *g, uint32_t domid, uint64_t ram, uint64_t window)
{
	const struct uvm_maprange ranges[2] = {
	    {.mr_gfn = 0, .mr_npages = ram, .mr_home = 0},
	    {.mr_gfn = ram, .mr_npages = window, .mr_home = ram},
	};

	g->ram = ram;
	g->window = window;
	g->map = NULL;
	g->store = soft_store_create(ram + window, GUEST_BANKS, domid);
	g->pmap = soft_pmap_create(ram + window);
	if (g->store == NULL || g->pmap == NULL)
		goto out_free;
	g->map = uvm_map_create(&g->pmap->sp_pmap, &g->store->ss_store, domid, ranges, 2);
	if (g->map == NULL)
		goto out_free;
	soft_pmap_map_ram(g->pmap, &g->store->ss_store, 0, 0, ram);
	if (uvm_map_enter_ram(g->map, 0, ram) == 0)
		return 0;
	uvm_map_destroy(g->map);
	g->map = NULL;

out_free:
	if (g->pmap != NULL)
		soft_pmap_destroy(g->pmap);
	if (g->store != NULL)
		uvm_store_rele(&g->store->ss_store);
	return -ENOMEM;
}

void guest_destroy(struct guest *g)
{
	uvm_ledger_guest_gone(g->map);
	soft_pmap_destroy(g->pmap);
	uvm_store_rele(&g->store->ss_store);
	*g = (struct guest){0};
}

struct soft_pmap *fixture_pmap_of(struct uvm_map *map)
{
	return (struct soft_pmap *)((char *)map->vm_pmap - offsetof(struct soft_pmap, sp_pmap));
}

static uint64_t word_of(uint64_t tag, size_t i)
{
	return tag == 0 ? 0 : tag * UINT64_C(0x9e3779b97f4a7c15) + i;
}

void page_fill(void *page, uint64_t tag)
{
	uint64_t *words = page;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = word_of(tag, i);
}

bool page_holds(const void *page, uint64_t tag)
{
	const uint64_t *words = page;

	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != word_of(tag, i))
			return false;
	return true;
}

int guest_fill(struct guest *g, uint64_t gfn, uint64_t tag)
{
	uint64_t page[WORDS];

	page_fill(page, tag);
	return soft_write(g->map, gfn, 0, page, sizeof(page));
}

bool guest_holds(struct guest *g, uint64_t gfn, uint64_t tag)
{
	uint64_t page[WORDS];

	return soft_read(g->map, gfn, 0, page, sizeof(page)) == 0 && page_holds(page, tag);
}

static struct test_object *test_object_of(struct uvm_object *uo)
{
	return (struct test_object *)((char *)uo - offsetof(struct test_object, to_object));
}

static int test_get(struct uvm_object *uo, uint64_t off, unsigned n, void *const *dst)
{
	struct test_object *to = test_object_of(uo);
	int error;

	to->to_gets++;
	error = to->to_on_get != NULL ? to->to_on_get(to, off, n) : 0;
	for (unsigned i = 0; error == 0 && i < n; i++)
		memcpy(dst[i], to->to_disk + (off + i) * UVM_PAGE_SIZE, UVM_PAGE_SIZE);
	return error;
}

static int test_put(struct uvm_object *uo, uint64_t off, const void *src)
{
	struct test_object *to = test_object_of(uo);
	int error;

	to->to_puts++;
	error = to->to_on_put != NULL ? to->to_on_put(to, off) : 0;
	if (error == 0)
		memcpy(to->to_disk + off * UVM_PAGE_SIZE, src, UVM_PAGE_SIZE);
	return error;
}

static void test_detach(struct uvm_object *uo)
{
	struct test_object *to = test_object_of(uo);

	if (to->to_gone != NULL)
		*to->to_gone = true;
	free(to->to_disk);
	free(to);
	atomic_fetch_sub(&objects_alive, 1);
}

static const struct uvm_pagerops test_pager = {
    .po_get = test_get, .po_put = test_put, .po_detach = test_detach};
static const struct uvm_pagerops no_pager = {.po_detach = test_detach};

static struct test_object *object_create(const struct uvm_pagerops *ops, uint64_t npages)
{
	struct test_object *to = calloc(1, sizeof(*to));

	if (to == NULL)
		return NULL;
	to->to_disk = calloc(npages, UVM_PAGE_SIZE);
	to->to_store = soft_store_create(npages, OBJECT_BANKS, UVM_DOMID_HOST);
	if (to->to_disk != NULL && to->to_store != NULL &&
	    uvm_object_init(&to->to_object, ops, &to->to_store->ss_store, npages) == 0) {
		atomic_fetch_add(&objects_alive, 1);
		return to;
	}
	if (to->to_store != NULL)
		uvm_store_rele(&to->to_store->ss_store);
	free(to->to_disk);
	free(to);
	return NULL;
}

struct test_object *test_object_create(uint64_t npages, uint64_t first_tag)
{
	struct test_object *to = object_create(&test_pager, npages);

	for (uint64_t i = 0; to != NULL && i < npages; i++)
		page_fill(to->to_disk + i * UVM_PAGE_SIZE, first_tag + i);
	return to;
}

struct test_object *anon_object_create(uint64_t npages)
{
	return object_create(&no_pager, npages);
}

static void check_guest(void *arg, struct uvm_map *map, const struct uvm_frames *fr)
{
	struct soft_pmap *sp = fixture_pmap_of(map);
	unsigned *complaints = arg;

	(void)fr;
	/* A guest's process maps what it was told outside the world. */
	pthread_mutex_lock(&sp->sp_mutex);
	*complaints += soft_pmap_check(sp, map);
	pthread_mutex_unlock(&sp->sp_mutex);
}

unsigned world_check(void)
{
	struct uvm_account ac;
	unsigned complaints = 0, shown = sizeof(ac.ac_findings) / sizeof(ac.ac_findings[0]);
	int error;

	uvm_world_leave();
	error = uvm_account(&ac, check_guest, &complaints);
	uvm_world_enter();
	if (error != 0) {
		fprintf(stderr, "uvm_account: error %d\n", error);
		return complaints + 1;
	}
	for (unsigned i = 0; i < ac.ac_nfindings && i < shown; i++)
		fprintf(stderr, "auditor: %s\n", ac.ac_findings[i]);
	if (!ac.ac_equal)
		fprintf(stderr, "auditor: %ju frames, but %ju pages of memory\n",
		    (uintmax_t)uvm_frames_total(&ac.ac_all), (uintmax_t)ac.ac_kernel_pages);
	return complaints + ac.ac_nfindings + !ac.ac_equal;
}

/* Lists are walked without locks: nobody else is left. */
unsigned world_leftovers(void)
{
	struct uvm_store *zero = uvm_zero_page()->pg_store, *st;
	struct uvm_map *map;
	unsigned n = 0;

	LIST_FOREACH (st, &uvm_stores, st_all) {
		if (st == zero && st->st_nframes == 1)
			continue;
		fprintf(stderr, "left: a store of domain %u with %ju frames\n", st->st_domid,
		    (uintmax_t)st->st_nframes);
		n++;
	}
	LIST_FOREACH (map, &uvm_maps, vm_all) {
		fprintf(stderr, "left: the map of domain %u\n", map->vm_domid);
		n++;
	}
	if (atomic_load(&objects_alive) != 0) {
		fprintf(stderr, "left: %u objects\n", atomic_load(&objects_alive));
		n++;
	}
	if (uvm_ledger_count() != 0) {
		fprintf(stderr, "left: %ju offers and windows\n", (uintmax_t)uvm_ledger_count());
		n++;
	}
	if (uvm_zero_loans() != 0) {
		fprintf(stderr, "left: %ju loans of the zero frame\n", (uintmax_t)uvm_zero_loans());
		n++;
	}
	return n;
}
