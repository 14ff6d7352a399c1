/* SPDX-License-Identifier: BSD-2-Clause */
#include "view.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#define FLAGS_WHERE (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT)
#define FLAGS_HOW (MAP_LOCKED | MAP_POPULATE)

int view_reserve(void *address, int flags, size_t npages, void **atp)
{
	void *at;

	if (npages == 0 || npages > PTRDIFF_MAX / XENWIRE_PAGE)
		return -EINVAL;
	at = mmap(address, npages * XENWIRE_PAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (flags & FLAGS_WHERE), -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	*atp = at;
	return 0;
}

/* How many pages from the first one on can be one mapping. */
static uint32_t run_length(const struct xenwire_page *p, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && p[i].error == 0 && p[i].fd == p[0].fd &&
	       (p[0].fd == XENWIRE_ZERO || p[i].index == p[0].index + i))
		i++;
	return i;
}

static int place_run(void *at, uint32_t npages, int prot, int flags, const struct xenwire_page *p,
    const struct link_answer *a)
{
	void *got;

	if (p->fd == XENWIRE_ZERO)
		got = mmap(at, npages * (size_t)XENWIRE_PAGE, prot & PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else if (p->fd >= a->nfds)
		return -EPROTO;
	else
		got = mmap(at, npages * (size_t)XENWIRE_PAGE, prot,
		    MAP_SHARED | MAP_FIXED | (flags & FLAGS_HOW), a->fds[p->fd],
		    (off_t)(p->index * XENWIRE_PAGE));
	return got == MAP_FAILED ? -errno : 0;
}

int view_place(void *at, int prot, int flags, struct link_answer *a)
{
	const struct xenwire_page *p = a->u.pages;
	uint32_t run;
	int error = 0;

	for (uint32_t i = 0; i < a->head.n && error == 0; i += run) {
		run = 1;
		if (p[i].error != 0)
			continue;
		run = run_length(&p[i], a->head.n - i);
		error = place_run(
		    (char *)at + i * (size_t)XENWIRE_PAGE, run, prot, flags, &p[i], a);
	}
	link_drop_fds(a);
	return error;
}

void view_drop(void *at, size_t npages)
{
	int saved = errno;

	munmap(at, npages * XENWIRE_PAGE);
	errno = saved;
}

uint32_t view_prot(int prot)
{
	return (prot & PROT_READ ? XENWIRE_READ : 0) | (prot & PROT_WRITE ? XENWIRE_WRITE : 0);
}
