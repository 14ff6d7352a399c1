/* SPDX-License-Identifier: BSD-2-Clause */
#include "pmap/pmap_local.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/sys.h"
#include "lib/uffd.h"
#include "proto/wire.h"

#define PAGE_SHIFT 12
#define HUGE_SIZE (2UL << 20)
#define RW (PROT_READ | PROT_WRITE)
#define MAX_INDEX (UINT64_C(1) << (63 - PAGE_SHIFT)) /* keeps file offsets positive */

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif

/* What one wire_map needs while it is executed. */
struct list {
	const int *fds;
	unsigned nfds;
};

static uint64_t bytes(uint64_t npages)
{
	return npages << PAGE_SHIFT;
}

/* mmap at a fixed place; never a hint. */
static int map_at(void *va, uint64_t len, int prot, int flags, int fd, uint64_t index)
{
	void *got = SYS_MMAP(mmap(va, len, prot, flags | MAP_FIXED, fd, (off_t)bytes(index)));

	return got == MAP_FAILED ? -errno : 0;
}

/* Without a reservation, which for huge pages would count those that are there already again. */
static int map_own(const struct pmap_local *p, void *va, uint64_t len, int fd, uint64_t index)
{
	int ret = map_at(va, len, RW, MAP_SHARED | MAP_NORESERVE, fd, index);

	return ret ? ret : uffd_register(p->uffd, va, len, UFFDIO_REGISTER_MODE_WP);
}

/*
 * Read-only pages become writable for the kernel only after userfaultfd has protected them: a write
 * in between is refused, where a writable private mapping would silently copy the page.
 */
static int protect_then_open(const struct pmap_local *p, void *va, uint64_t len)
{
	int ret = uffd_protect(p->uffd, va, len);

	if (ret)
		return ret;
	return SYS(mprotect(va, len, RW)) ? -errno : 0;
}

/*
 * Private, since userfaultfd refuses shared mappings of read-only files.  The pages stay the
 * lender's: only a write would copy, and every write is an event first.
 */
static int map_lent(const struct pmap_local *p, void *va, uint64_t len, int fd, uint64_t index)
{
	int ret;

	if (p->program)
		return map_at(va, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, index);
	ret = map_at(va, len, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, index);

	if (ret)
		return ret;
	ret = uffd_register(p->uffd, va, len, UFFDIO_REGISTER_MODE_WP);
	return ret ? ret : protect_then_open(p, va, len);
}

static int map_zero(const struct pmap_local *p, void *va, uint64_t len)
{
	int ret = map_at(va, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ret)
		return ret;
	ret = uffd_register(p->uffd, va, len, UFFDIO_REGISTER_MODE_WP);
	if (ret)
		return ret;
	/* Before Linux 6.4 only pages that are there can be protected. */
	if (!(p->features & UFFD_FEATURE_WP_UNPOPULATED) &&
	    SYS(madvise(va, len, MADV_POPULATE_READ)))
		return -errno;
	return protect_then_open(p, va, len);
}

/*
 * Unreachable until it is registered: an access in between must not find a fresh page of zeroes
 * that no ledger knows.
 */
static int map_none(const struct pmap_local *p, void *va, uint64_t len)
{
	int ret = map_at(va, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ret || p->program)
		return ret;
	ret = uffd_register(
	    p->uffd, va, len, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	if (ret)
		return ret;
	return SYS(mprotect(va, len, RW)) ? -errno : 0;
}

/* The area that holds the whole extent, or NULL. */
static struct pmap_area *area_of(struct pmap_local *p, const struct wire_extent *e)
{
	for (unsigned i = 0; i < PMAP_AREAS; i++) {
		struct pmap_area *a = &p->area[i];

		if (e->gfn >= a->gfn && e->gfn - a->gfn < a->npages &&
		    e->npages <= a->npages - (e->gfn - a->gfn))
			return a;
	}
	return NULL;
}

static bool has_fd(const struct wire_extent *e)
{
	return e->kind == WIRE_LENT || e->kind == WIRE_ARENA;
}

static int check_extent(const struct wire_extent *e, const struct list *l)
{
	if (e->npages == 0 || e->index >= MAX_INDEX - e->npages)
		return -EINVAL;
	if (has_fd(e) && e->fd >= l->nfds)
		return -EBADF;
	return 0;
}

static int map_extent(
    const struct pmap_local *p, void *va, const struct wire_extent *e, const struct list *l)
{
	uint64_t len = bytes(e->npages);

	switch (e->kind) {
	case WIRE_OWN:
		return map_own(p, va, len, p->store, e->index);
	case WIRE_ARENA:
		return map_own(p, va, len, l->fds[e->fd], e->index);
	case WIRE_LENT:
		return map_lent(p, va, len, l->fds[e->fd], e->index);
	case WIRE_ZERO:
		return map_zero(p, va, len);
	case WIRE_NONE:
		return map_none(p, va, len);
	default:
		return -EINVAL;
	}
}

static bool own_p(const struct pmap_local *p, const struct pmap_area *a)
{
	return a != &p->area[PMAP_WINDOW];
}

/*
 * mapcount's class of the extent's pages: its kind, its file and the distance between position and
 * offset, chosen so that the pages of a fresh area are in class 0.  Two files could share a number
 * by chance, which the count, an estimate, can bear.
 */
static uint64_t class_of(const struct pmap_local *p, const struct pmap_area *a,
    const struct wire_extent *e, const struct list *l)
{
	uint64_t where = 0;
	uint16_t fresh = own_p(p, a) ? WIRE_OWN : WIRE_NONE;
	struct stat st;

	if (e->kind == WIRE_OWN || has_fd(e))
		where = e->index - e->gfn - (a->index - a->gfn);
	if (has_fd(e) && fstat(l->fds[e->fd], &st) == 0)
		where ^= st.st_ino * UINT64_C(0x9e3779b97f4a7c15);
	return where << 3 | (e->kind ^ fresh);
}

/* The vCPU is woken before anything is counted or answered: it is what somebody waits for. */
static int do_extent(struct pmap_local *p, const struct wire_extent *e, const struct list *l)
{
	struct pmap_area *a = area_of(p, e);
	uint8_t *va;
	int ret;

	if (!a)
		return -ERANGE;
	ret = check_extent(e, l);
	if (ret)
		return ret;
	va = a->hva + bytes(e->gfn - a->gfn);
	ret = map_extent(p, va, e, l);
	if (ret)
		return ret;
	ret = uffd_wake(p->uffd, va, bytes(e->npages));
	mapcount_set(&a->count, e->gfn - a->gfn, e->npages, class_of(p, a, e, l));
	return ret;
}

/* One message: all its extents, up to the first that fails. */
static int do_map(struct pmap_local *p, const struct wire_map *m, const struct list *l)
{
	int ret = 0;

	for (uint32_t i = 0; i < m->nextents && !ret; i++)
		ret = do_extent(p, &m->extents[i], l);
	return ret;
}

static int recv_map(int sock, struct wire_map *m, int *fds, unsigned *nfds)
{
	size_t head = offsetof(struct wire_map, extents);
	size_t len;
	int ret = sock_recv(sock, m, sizeof(*m), &len, fds, WIRE_MAX_FDS, nfds);

	if (ret)
		return ret;
	if (len >= head && m->hdr.type == WIRE_MAP && m->nextents <= WIRE_MAX_EXTENTS &&
	    len == head + m->nextents * sizeof(m->extents[0]))
		return 0;
	while (*nfds > 0)
		close(fds[--*nfds]);
	return -EPROTO;
}

static int answer(struct pmap_local *p, int sock, uint64_t seq, int status)
{
	struct wire_mapped done = {.hdr = {.type = WIRE_MAPPED, .status = status, .seq = seq}};

	for (unsigned i = 0; i < PMAP_AREAS; i++)
		done.mappings += p->area[i].count.lines;
	return sock_send(sock, &done, sizeof(done), NULL, 0);
}

int pmap_local_serve(struct pmap_local *p, int sock)
{
	int failed = 0; /* first failure of a list that came in several messages */
	struct wire_map m;
	int fds[WIRE_MAX_FDS];
	unsigned nfds;
	int ret;

	for (;;) {
		ret = recv_map(sock, &m, fds, &nfds);
		if (ret)
			return ret;
		if (!failed)
			failed = do_map(p, &m, &(struct list){.fds = fds, .nfds = nfds});
		while (nfds > 0)
			close(fds[--nfds]);
		if (!m.want_reply)
			continue;
		ret = answer(p, sock, m.hdr.seq, failed);
		if (ret)
			return ret;
		failed = 0;
	}
}

/* Address space for an area, aligned so that huge pages fit; nothing is mapped there yet. */
static int reserve(struct pmap_area *a, const char *what, struct failure *f)
{
	uint64_t len = bytes(a->npages);
	uint8_t *raw, *va;

	raw = SYS_MMAP(mmap(
	    NULL, len + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	if (raw == MAP_FAILED)
		return failure_sys(f, -errno, "no address space for %lu MiB of %s",
		    (unsigned long)(len >> 20), what);
	va = (uint8_t *)(((uintptr_t)raw + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	if (va > raw)
		munmap(raw, (size_t)(va - raw));
	munmap(va + len, (size_t)(raw + HUGE_SIZE - va));
	a->hva = va;
	return 0;
}

static int check_store(const struct pmap_local *p, const struct pmap_area *a, struct failure *f)
{
	struct stat st;

	if (SYS(fstat(p->store, &st)))
		return failure_sys(f, -errno, "the guest's memory can't be examined");
	if ((uint64_t)st.st_size < bytes(a->index + a->npages))
		return failure_set(f, -EINVAL, "the guest's memory file is too short for its RAM");
	return 0;
}

static int init_area(struct pmap_local *p, enum pmap_area_name name, struct failure *f)
{
	static const char *const names[PMAP_AREAS] = {[PMAP_RAM] = "RAM",
	    [PMAP_WINDOW] = "window area",
	    [PMAP_SPECIAL] = "special area",
	    [PMAP_HIGH] = "RAM from 4 GiB on"};
	struct pmap_area *a = &p->area[name];
	int ret = 0;

	if (a->npages == 0)
		return 0;
	if (own_p(p, a))
		ret = check_store(p, a, f);
	if (!ret)
		ret = reserve(a, names[name], f);
	if (ret)
		return ret;
	ret = own_p(p, a) ? map_own(p, a->hva, bytes(a->npages), p->store, a->index)
			  : map_none(p, a->hva, bytes(a->npages));
	if (ret)
		return failure_sys(f, ret, "the guest's %s can't be mapped", names[name]);
	if (mapcount_init(&a->count, a->npages))
		return failure_sys(f, -ENOMEM, "the map of the guest's %s", names[name]);
	return 0;
}

int pmap_local_init(struct pmap_local *p, struct failure *f)
{
	int ret = uffd_open(&p->uffd, &p->features, f);

	for (unsigned i = 0; i < PMAP_AREAS && !ret; i++)
		ret = init_area(p, (enum pmap_area_name)i, f);
	return ret;
}
