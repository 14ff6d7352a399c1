/* SPDX-License-Identifier: BSD-2-Clause */
#include "pmap/store_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys.h"

#define LOOK_AT_ONCE 512u /* pages */

struct memfd_store *memfd_store_of(struct uvm_store *st)
{
	return (struct memfd_store *)((char *)st - offsetof(struct memfd_store, ms_store));
}

static void *memfd_kva(struct uvm_store *st, uint64_t index)
{
	return memfd_store_of(st)->ms_base + index * uvm_store_frame_size(st);
}

/*
 * How many pages from index on, of n at most, the kernel has in memory.  0: it did not say, or the first one is
 * swapped out, or they are huge.
 */
static uint64_t in_memory(const struct memfd_store *ms, uint64_t index, uint64_t n)
{
	unsigned char there[LOOK_AT_ONCE];
	uint64_t i = 0;

	if (n > LOOK_AT_ONCE)
		n = LOOK_AT_ONCE;
	if (ms->ms_store.st_frame_pages > 1 ||
	    mincore(ms->ms_base + index * UVM_PAGE_SIZE, n * UVM_PAGE_SIZE, there) != 0)
		return 0;
	while (i < n && (there[i] & 1) != 0)
		i++;
	return i;
}

/*
 * Where data ends SEEK_HOLE finds by looking at each page up to there, which may be all of a guest's: who asks for
 * page after page must not pay for that each time.
 */
static int memfd_resident(
    struct uvm_store *st, uint64_t index, uint64_t n, uint64_t *first, uint64_t *len)
{
	int fd = memfd_store_of(st)->ms_fd;
	size_t size = uvm_store_frame_size(st);
	off_t end = (off_t)((index + n) * size), data, hole;

	*first = index;
	*len = 0;
	data = lseek(fd, (off_t)(index * size), SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? 0 : -errno;
	if (data >= end)
		return 0;
	*first = (uint64_t)data / size;
	*len = in_memory(memfd_store_of(st), *first, index + n - *first);
	if (*len > 0)
		return 0;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0)
		return -errno;
	if (hole > end)
		hole = end;
	*len = (uint64_t)hole / size - *first;
	return 0;
}

static int memfd_punch(struct uvm_store *st, uint64_t index, uint64_t n)
{
	size_t size = uvm_store_frame_size(st);

	if (fallocate(memfd_store_of(st)->ms_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)(index * size), (off_t)(n * size)) == 0)
		return 0;
	return -errno;
}

/* A huge page that the kernel cannot provide at its first touch would be a SIGBUS. */
static int memfd_back_huge(struct uvm_store *st, uint64_t index)
{
	size_t size = uvm_store_frame_size(st);
	int ret;

	do
		ret = SYS(
		    fallocate(memfd_store_of(st)->ms_fd, 0, (off_t)(index * size), (off_t)size));
	while (ret != 0 && errno == EINTR);
	return ret != 0 ? -errno : 0;
}

static uint64_t memfd_blocks(struct uvm_store *st)
{
	struct stat sb;

	/* fstat fails only on a descriptor that is not one. */
	if (fstat(memfd_store_of(st)->ms_fd, &sb) != 0)
		return 0;
	return (uint64_t)sb.st_blocks * 512 / uvm_store_frame_size(st);
}

static void memfd_free(struct memfd_store *ms)
{
	if (ms->ms_base != NULL)
		munmap(ms->ms_base, ms->ms_store.st_bank_pages * ms->ms_store.st_nbanks *
					uvm_store_frame_size(&ms->ms_store));
	if (ms->ms_ro_fd >= 0)
		close(ms->ms_ro_fd);
	if (ms->ms_fd >= 0)
		close(ms->ms_fd);
	free(ms);
}

static void memfd_destroy(struct uvm_store *st)
{
	memfd_free(memfd_store_of(st));
}

static const struct uvm_store_ops memfd_ops = {
    .so_kva = memfd_kva,
    .so_resident = memfd_resident,
    .so_punch = memfd_punch,
    .so_blocks = memfd_blocks,
    .so_destroy = memfd_destroy,
};

static const struct uvm_store_ops memfd_huge_ops = {
    .so_kva = memfd_kva,
    .so_resident = memfd_resident,
    .so_punch = memfd_punch,
    .so_back = memfd_back_huge,
    .so_blocks = memfd_blocks,
    .so_destroy = memfd_destroy,
};

static int open_fds(struct memfd_store *ms, const char *name, size_t size, unsigned flags)
{
	char path[32];

	ms->ms_fd = SYS(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
	if (ms->ms_fd < 0 || SYS(ftruncate(ms->ms_fd, (off_t)size)) != 0)
		return -errno;
	/* Who gets a read-only descriptor shall not open it again for writing (/proc/self/fd). */
	if (SYS(fchmod(ms->ms_fd, 0400)) != 0)
		return -errno;
	/* Nobody who has the descriptor can make the core's mapping fault. */
	if (SYS(fcntl(ms->ms_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) != 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ms->ms_fd);
	ms->ms_ro_fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
	return ms->ms_ro_fd < 0 ? -errno : 0;
}

static int create(const char *name, uint32_t frame_pages, uint64_t bank_pages, unsigned nbanks,
    uint32_t domid, struct memfd_store **msp, struct failure *f)
{
	bool huge = frame_pages > 1;
	size_t size = bank_pages * nbanks * frame_pages * UVM_PAGE_SIZE;
	struct memfd_store *ms = SYS_ALLOC(calloc(1, sizeof(*ms)));
	void *base;
	int error;

	if (ms == NULL)
		return failure_set(f, -ENOMEM, "out of memory");
	ms->ms_fd = ms->ms_ro_fd = -1;
	ms->ms_store.st_bank_pages = bank_pages;
	ms->ms_store.st_nbanks = nbanks;
	ms->ms_store.st_frame_pages = frame_pages;
	error = open_fds(ms, name, size, huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
	if (error != 0) {
		failure_sys(f, error, "can't make %zu MiB of memory for %s", size >> 20, name);
		goto out_free;
	}
	base = SYS_MMAP(mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | (huge ? MAP_NORESERVE : 0), ms->ms_fd, 0));
	if (base == MAP_FAILED) {
		error = failure_sys(
		    f, -errno, "can't map %zu MiB of memory for %s", size >> 20, name);
		goto out_free;
	}
	ms->ms_base = base;
	madvise(base, size, MADV_DONTDUMP);
	error = uvm_store_init(
	    &ms->ms_store, huge ? &memfd_huge_ops : &memfd_ops, bank_pages, nbanks, domid);
	if (error != 0) {
		failure_sys(f, error, "can't describe the memory of %s", name);
		goto out_free;
	}
	*msp = ms;
	return 0;

out_free:
	memfd_free(ms);
	return error;
}

int memfd_store_create(const char *name, uint64_t bank_pages, unsigned nbanks, uint32_t domid,
    struct memfd_store **msp, struct failure *f)
{
	return create(name, 1, bank_pages, nbanks, domid, msp, f);
}

int memfd_store_create_huge(const char *name, uint64_t bank_frames, unsigned nbanks, uint32_t domid,
    struct memfd_store **msp, struct failure *f)
{
	return create(name, UVM_HUGE_PAGES, bank_frames, nbanks, domid, msp, f);
}
