/* SPDX-License-Identifier: BSD-2-Clause */
#include "grants.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static uint16_t *bucket_of(struct grants *g, uint32_t ref)
{
	return &g->buckets[ref % GRANTS_BUCKETS];
}

static void *find(struct grants *g, uint32_t ref)
{
	for (uint16_t i = *bucket_of(g, ref); i != 0; i = g->kept[i - 1].next)
		if (g->kept[i - 1].ref == ref)
			return g->kept[i - 1].page;
	return NULL;
}

/* Always to be written: who keeps its grants uses the same ones for both. */
static int keep(struct grants *g, uint32_t ref, void **page)
{
	struct grant_kept *k = &g->kept[g->nkept];

	*page = xengnttab_map_grant_ref(g->handle, g->domid, ref, PROT_READ | PROT_WRITE);
	if (*page == NULL)
		return -errno;
	*k = (struct grant_kept){ref, *bucket_of(g, ref), *page};
	*bucket_of(g, ref) = (uint16_t)++g->nkept;
	return 0;
}

/* Those that have no place yet, in one map. */
static int map_rest(struct grants *g, const uint32_t *refs, unsigned n, bool write, void **pages,
    struct grant_use *use)
{
	uint32_t rest[BLK_MAX_SEGMENTS];
	unsigned at[BLK_MAX_SEGMENTS], nrest = 0;

	for (unsigned i = 0; i < n; i++)
		if (pages[i] == NULL) {
			at[nrest] = i;
			rest[nrest++] = refs[i];
		}
	if (nrest == 0)
		return 0;
	use->map = xengnttab_map_domain_grant_refs(
	    g->handle, nrest, g->domid, rest, PROT_READ | (write ? PROT_WRITE : 0));
	if (use->map == NULL)
		return -errno;
	use->pages = nrest;
	for (unsigned i = 0; i < nrest; i++)
		pages[at[i]] = (char *)use->map + i * (size_t)BLK_PAGE;
	return 0;
}

int grants_map(struct grants *g, const uint32_t *refs, unsigned n, bool write, void **pages,
    struct grant_use *use)
{
	int error = 0;

	*use = (struct grant_use){0};
	for (unsigned i = 0; i < n && error == 0; i++) {
		pages[i] = g->persistent ? find(g, refs[i]) : NULL;
		if (g->persistent && pages[i] == NULL && g->nkept < GRANTS_MAX_KEPT)
			error = keep(g, refs[i], &pages[i]);
	}
	return error != 0 ? error : map_rest(g, refs, n, write, pages, use);
}

void grants_release(struct grants *g, struct grant_use *use)
{
	if (use->pages > 0)
		(void)xengnttab_unmap(g->handle, use->map, use->pages);
	*use = (struct grant_use){0};
}

void grants_drop(struct grants *g)
{
	while (g->nkept > 0)
		(void)xengnttab_unmap(g->handle, g->kept[--g->nkept].page, 1);
	memset(g->buckets, 0, sizeof(g->buckets));
}
