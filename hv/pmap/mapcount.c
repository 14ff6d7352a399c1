/* SPDX-License-Identifier: BSD-2-Clause */
#include "pmap/mapcount.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/sys.h"

int mapcount_init(struct mapcount *mc, uint64_t npages)
{
	mc->class = NULL;
	mc->npages = npages;
	mc->lines = npages > 0;
	if (npages == 0)
		return 0;
	mc->class = SYS_ALLOC(calloc(npages, sizeof(*mc->class)));
	return mc->class ? 0 : -ENOMEM;
}

void mapcount_fini(struct mapcount *mc)
{
	free(mc->class);
	mc->class = NULL;
}

/* Places in first .. first + n, both included, where a page begins another mapping. */
static uint64_t boundaries(const struct mapcount *mc, uint64_t first, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = first; i <= first + n && i < mc->npages; i++)
		count += i > 0 && mc->class[i] != mc->class[i - 1];
	return count;
}

void mapcount_set(struct mapcount *mc, uint64_t first, uint64_t n, uint64_t class)
{
	mc->lines -= boundaries(mc, first, n);
	for (uint64_t i = first; i < first + n; i++)
		mc->class[i] = class;
	mc->lines += boundaries(mc, first, n);
}
