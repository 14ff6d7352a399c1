/* SPDX-License-Identifier: BSD-2-Clause */
#include "pmap/pmap_soft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvm/uvm_loan.h"

static struct soft_store *soft_store_of(struct uvm_store *st)
{
	return (struct soft_store *)((char *)st - offsetof(struct soft_store, ss_store));
}

static void *soft_kva(struct uvm_store *st, uint64_t index)
{
	struct soft_store *ss = soft_store_of(st);

	atomic_store(&ss->ss_resident[index], 1);
	return ss->ss_memory + index * uvm_store_frame_size(st);
}

static int soft_resident(
    struct uvm_store *st, uint64_t index, uint64_t n, uint64_t *first, uint64_t *len)
{
	struct soft_store *ss = soft_store_of(st);
	uint64_t i = index;

	while (i < index + n && !atomic_load(&ss->ss_resident[i]))
		i++;
	*first = i;
	while (i < index + n && atomic_load(&ss->ss_resident[i]))
		i++;
	*len = i - *first;
	return 0;
}

static int soft_punch(struct uvm_store *st, uint64_t index, uint64_t n)
{
	struct soft_store *ss = soft_store_of(st);

	for (uint64_t i = index; i < index + n; i++) {
		memset(ss->ss_memory + i * uvm_store_frame_size(st), 0, uvm_store_frame_size(st));
		atomic_store(&ss->ss_resident[i], 0);
	}
	return 0;
}

static uint64_t soft_blocks(struct uvm_store *st)
{
	struct soft_store *ss = soft_store_of(st);
	uint64_t n = 0;

	for (uint64_t i = 0; i < st->st_bank_pages * st->st_nbanks; i++)
		n += atomic_load(&ss->ss_resident[i]);
	return n;
}

static void soft_destroy(struct uvm_store *st)
{
	struct soft_store *ss = soft_store_of(st);

	free(ss->ss_memory);
	free((void *)ss->ss_resident);
	free(ss);
}

static const struct uvm_store_ops soft_store_ops = {
    .so_kva = soft_kva,
    .so_resident = soft_resident,
    .so_punch = soft_punch,
    .so_blocks = soft_blocks,
    .so_destroy = soft_destroy,
};

struct soft_store *soft_store_create(uint64_t bank_pages, unsigned nbanks, uint32_t domid)
{
	return soft_store_create_frames(1, bank_pages, nbanks, domid);
}

struct soft_store *soft_store_create_frames(
    uint32_t frame_pages, uint64_t bank_pages, unsigned nbanks, uint32_t domid)
{
	uint64_t n = bank_pages * nbanks;
	struct soft_store *ss = calloc(1, sizeof(*ss));

	if (ss == NULL)
		return NULL;
	ss->ss_store.st_frame_pages = frame_pages;
	ss->ss_memory = calloc(n, uvm_store_frame_size(&ss->ss_store));
	ss->ss_resident = calloc(n, sizeof(*ss->ss_resident));
	if (ss->ss_memory == NULL || ss->ss_resident == NULL ||
	    uvm_store_init(&ss->ss_store, &soft_store_ops, bank_pages, nbanks, domid) != 0) {
		free(ss->ss_memory);
		free((void *)ss->ss_resident);
		free(ss);
		return NULL;
	}
	return ss;
}

static struct soft_pmap *soft_pmap_of(struct pmap *pm)
{
	return (struct soft_pmap *)((char *)pm - offsetof(struct soft_pmap, sp_pmap));
}

static int soft_enter(struct pmap *pm, const struct pmap_extent *ext, size_t n, size_t *done)
{
	struct soft_pmap *sp = soft_pmap_of(pm);
	int error = 0;

	pthread_mutex_lock(&sp->sp_mutex);
	sp->sp_enters++;
	for (*done = 0; *done < n && error == 0; ++*done) {
		const struct pmap_extent *e = &ext[*done];

		error = sp->sp_gone ? -ESRCH : sp->sp_fail != NULL ? sp->sp_fail() : 0;
		for (uint64_t i = 0; error == 0 && i < e->npages; i++)
			sp->sp_ptes[e->gfn + i] = (struct soft_pte){.kind = e->kind,
			    .writable = e->kind == PMAP_OWN || e->kind == PMAP_ARENA,
			    .store = e->store,
			    .index = e->index + i};
	}
	pthread_mutex_unlock(&sp->sp_mutex);
	return error;
}

static void set_writable(struct soft_pmap *sp, uint64_t gfn, uint64_t n, bool writable)
{
	for (uint64_t i = gfn; i < gfn + n; i++) {
		if (sp->sp_ptes[i].kind == PMAP_NONE || sp->sp_ptes[i].kind == 0)
			continue;
		KASSERT(sp->sp_ptes[i].kind == PMAP_OWN || sp->sp_ptes[i].kind == PMAP_ARENA);
		sp->sp_ptes[i].writable = writable;
	}
}

static int soft_protect(struct pmap *pm, uint64_t gfn, uint64_t n)
{
	struct soft_pmap *sp = soft_pmap_of(pm);
	int error;

	pthread_mutex_lock(&sp->sp_mutex);
	sp->sp_protects++;
	error = !sp->sp_gone && sp->sp_fail != NULL ? sp->sp_fail() : 0;
	/* A failure in the middle leaves some of them protected. */
	set_writable(sp, gfn, error == 0 ? n : n / 2, false);
	pthread_mutex_unlock(&sp->sp_mutex);
	return error;
}

static void soft_unprotect(struct pmap *pm, uint64_t gfn, uint64_t n)
{
	struct soft_pmap *sp = soft_pmap_of(pm);

	pthread_mutex_lock(&sp->sp_mutex);
	sp->sp_unprotects++;
	set_writable(sp, gfn, n, true);
	pthread_mutex_unlock(&sp->sp_mutex);
}

static void soft_wake(struct pmap *pm, uint64_t gfn)
{
	/* Nobody sleeps: soft_read and soft_write just try again. */
	(void)pm;
	(void)gfn;
}

static const struct pmap_ops soft_ops = {
    .pmo_enter = soft_enter,
    .pmo_protect = soft_protect,
    .pmo_unprotect = soft_unprotect,
    .pmo_wake = soft_wake,
};

struct soft_pmap *soft_pmap_create(uint64_t npages)
{
	struct soft_pmap *sp = calloc(1, sizeof(*sp));

	if (sp == NULL)
		return NULL;
	sp->sp_ptes = calloc(npages, sizeof(*sp->sp_ptes));
	if (sp->sp_ptes == NULL) {
		free(sp);
		return NULL;
	}
	sp->sp_pmap.pm_ops = &soft_ops;
	sp->sp_npages = npages;
	pthread_mutex_init(&sp->sp_mutex, NULL);
	return sp;
}

void soft_pmap_destroy(struct soft_pmap *sp)
{
	pthread_mutex_destroy(&sp->sp_mutex);
	free(sp->sp_ptes);
	free(sp);
}

void soft_pmap_map_ram(
    struct soft_pmap *sp, struct uvm_store *st, uint64_t gfn, uint64_t index, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		sp->sp_ptes[gfn + i] = (struct soft_pte){
		    .kind = PMAP_OWN, .writable = true, .store = st, .index = index + i};
}

/* => pmap locked.  The bytes behind a page of the guest that is mapped. */
static uint8_t *bytes_of(const struct soft_pte *pte)
{
	uint32_t pages = pte->store->st_frame_pages;
	uint8_t *frame = pte->store->st_ops->so_kva(pte->store, pte->index / pages);

	return frame + pte->index % pages * UVM_PAGE_SIZE;
}

/* One try.  Returns false when the translation forbids the access. */
static bool read_once(struct soft_pmap *sp, uint64_t gfn, size_t at, void *buf, size_t len)
{
	const struct soft_pte *pte = &sp->sp_ptes[gfn];
	bool ok;

	pthread_mutex_lock(&sp->sp_mutex);
	ok = pte->kind != PMAP_NONE && pte->kind != 0;
	if (ok && pte->kind == PMAP_ZERO)
		memset(buf, 0, len);
	else if (ok)
		memcpy(buf, bytes_of(pte) + at, len);
	pthread_mutex_unlock(&sp->sp_mutex);
	return ok;
}

static bool write_once(struct soft_pmap *sp, uint64_t gfn, size_t at, const void *buf, size_t len)
{
	const struct soft_pte *pte = &sp->sp_ptes[gfn];
	bool ok;

	pthread_mutex_lock(&sp->sp_mutex);
	ok = pte->writable;
	if (ok)
		memcpy(bytes_of(pte) + at, buf, len);
	pthread_mutex_unlock(&sp->sp_mutex);
	return ok;
}

int soft_read(struct uvm_map *map, uint64_t gfn, size_t at, void *buf, size_t len)
{
	int error = 0;

	while (error == 0 && !read_once(soft_pmap_of(map->vm_pmap), gfn, at, buf, len))
		error = uvm_fault(map, gfn, UVM_ACCESS_READ);
	return error;
}

int soft_write(struct uvm_map *map, uint64_t gfn, size_t at, const void *buf, size_t len)
{
	int error = 0;

	while (error == 0 && !write_once(soft_pmap_of(map->vm_pmap), gfn, at, buf, len))
		error = uvm_fault(map, gfn, UVM_ACCESS_WRITE);
	return error;
}

/* May nobody change the bytes of this frame? */
static bool keeps_bytes(struct uvm_page *pg)
{
	return uvm_page_loans(pg) > 0 || (pg->pg_anon != NULL && (uvm_anon_refs(pg->pg_anon) > 1 ||
								     pg->pg_anon->an_handle != 0));
}

unsigned soft_pmap_check(struct soft_pmap *sp, struct uvm_map *map)
{
	unsigned broken = 0;

	for (uint64_t gfn = 0; gfn < sp->sp_npages; gfn++) {
		struct soft_pte *pte = &sp->sp_ptes[gfn];
		struct uvm_page *pg;

		if (pte->kind != PMAP_OWN && pte->kind != PMAP_LENT && pte->kind != PMAP_ARENA)
			continue;
		pg = uvm_ptab_get(&pte->store->st_frames, pte->index / pte->store->st_frame_pages);
		if (pg == NULL && pte->kind == PMAP_OWN && pte->store == map->vm_store)
			continue; /* unlearned, or never touched */
		if (pg == NULL || (pte->writable && keeps_bytes(pg))) {
			fprintf(stderr, "domain %u gfn %#jx: %s\n", map->vm_domid, (uintmax_t)gfn,
			    pg == NULL ? "maps a frame that is gone" : "can write a page on loan");
			broken++;
		}
	}
	return broken;
}
