/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The huge pages that Linux gives need not be neighbours.  So pages are put into a file, one by one, until
 * there is a run of neighbours among them; those are mapped in order, and the others given back.
 */
#include "hugemem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "domain.h"

#define HUGE_BYTES (HUGEMEM_PAGES * (size_t)DOMAIN_PAGE)
#define SPARE 64u /* huge pages more than are wanted: so many are tried */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_PFN ((UINT64_C(1) << 55) - 1)

struct piece {
	uint64_t gfn;
	size_t index; /* in the file */
};

struct pieces {
	int fd, pagemap;
	size_t n;
	struct piece *p; /* by gfn */
};

static int gfn_of(const struct pieces *ps, const volatile void *addr, uint64_t *gfn)
{
	uint64_t entry;
	off_t at = (off_t)((uintptr_t)addr / DOMAIN_PAGE * sizeof(entry));

	if (pread(ps->pagemap, &entry, sizeof(entry), at) != (ssize_t)sizeof(entry))
		return -EIO;
	*gfn = entry & PAGEMAP_PFN;
	if ((entry & PAGEMAP_PRESENT) == 0)
		return -EIO;
	return *gfn != 0 ? 0 : -EPERM;
}

/* The file's page number `index`, which is made. */
static int look(const struct pieces *ps, size_t index, uint64_t *gfn)
{
	off_t at = (off_t)(index * HUGE_BYTES);
	volatile char *p;
	int error;

	if (fallocate(ps->fd, 0, at, (off_t)HUGE_BYTES) != 0)
		return errno == ENOSPC ? -ENOMEM : -errno;
	p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ps->fd, at);
	if (p == MAP_FAILED)
		return -errno;
	(void)*p;
	error = gfn_of(ps, p, gfn);
	munmap((void *)p, HUGE_BYTES);
	return error;
}

static int add(struct pieces *ps)
{
	uint64_t gfn = 0;
	size_t i = ps->n;
	int error = look(ps, ps->n, &gfn);

	if (error != 0)
		return error;
	for (; i > 0 && ps->p[i - 1].gfn > gfn; i--)
		ps->p[i] = ps->p[i - 1];
	ps->p[i] = (struct piece){.gfn = gfn, .index = ps->n++};
	return 0;
}

/* n neighbours: where they begin. */
static bool find_run(const struct pieces *ps, size_t n, size_t *first)
{
	size_t run = 0;

	for (size_t i = 0; i < ps->n; i++) {
		run = i > 0 && ps->p[i].gfn == ps->p[i - 1].gfn + HUGEMEM_PAGES ? run + 1 : 1;
		if (run == n) {
			*first = i + 1 - n;
			return true;
		}
	}
	return false;
}

static int map_run(const struct pieces *ps, size_t first, size_t n, void **addr)
{
	uint8_t *base;
	int error = domain_reserve(n * HUGE_BYTES, (void **)&base);

	for (size_t i = 0; i < n && error == 0; i++)
		if (mmap(base + i * HUGE_BYTES, HUGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, ps->fd,
			(off_t)(ps->p[first + i].index * HUGE_BYTES)) == MAP_FAILED) {
			error = -errno;
			domain_release(base, n * HUGE_BYTES);
		}
	if (error == 0)
		*addr = base;
	return error;
}

static void give_back(const struct pieces *ps, size_t first, size_t n)
{
	for (size_t i = 0; i < ps->n; i++)
		if (i < first || i >= first + n)
			(void)fallocate(ps->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)(ps->p[i].index * HUGE_BYTES), (off_t)HUGE_BYTES);
}

static int gather(struct pieces *ps, size_t n, void **addr, uint64_t *gfn)
{
	size_t first;
	int error = 0;

	while (!find_run(ps, n, &first)) {
		error = ps->n < n + SPARE ? add(ps) : -ENOMEM;
		if (error != 0)
			return error;
	}
	error = map_run(ps, first, n, addr);
	if (error == 0) {
		give_back(ps, first, n);
		*gfn = ps->p[first].gfn;
	}
	return error;
}

int hugemem_map(size_t n, void **addr, uint64_t *gfn)
{
	struct pieces ps = {.p = calloc(n + SPARE, sizeof(*ps.p))};
	int error = 0;

	if (ps.p == NULL)
		return -ENOMEM;
	ps.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (ps.pagemap < 0) {
		error = -errno;
		goto out_free;
	}
	ps.fd = memfd_create("lombard-loan", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	if (ps.fd < 0) {
		error = -errno;
		goto out_pagemap;
	}
	error = gather(&ps, n, addr, gfn);
	close(ps.fd);
out_pagemap:
	close(ps.pagemap);
out_free:
	free(ps.p);
	return error;
}
