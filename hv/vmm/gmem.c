/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/gmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/sys.h"

#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

#define PAGE_SIZE UINT64_C(4096)
#define HUGE_SIZE (UINT64_C(2) << 20)
#define CR0_PG (UINT64_C(1) << 31)
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_LMA (UINT64_C(1) << 10)
#define PTE_PRESENT UINT64_C(1)
#define PTE_LARGE (UINT64_C(1) << 7)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

static void *area_ptr(const struct gmem_area *a, uint64_t gpa, uint64_t len)
{
	if (gpa < a->gpa || gpa - a->gpa > a->size || len > a->size - (gpa - a->gpa))
		return NULL;
	return a->hva + (gpa - a->gpa);
}

void *gmem_ptr(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
	void *p = area_ptr(&gm->ram, gpa, len);

	if (!p)
		p = area_ptr(&gm->high, gpa, len);
	if (!p)
		p = area_ptr(&gm->window, gpa, len);
	return p ? p : area_ptr(&gm->special, gpa, len);
}

int gmem_read(const struct gmem *gm, uint64_t gpa, void *buf, size_t len)
{
	const void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int gmem_write(const struct gmem *gm, uint64_t gpa, const void *buf, size_t len)
{
	void *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

int gmem_load(const struct gmem *gm, uint64_t gpa, int fd, uint64_t offset, uint64_t len)
{
	uint8_t *p = gmem_ptr(gm, gpa, len);

	if (!p)
		return -EFAULT;
	while (len > 0) {
		ssize_t n = SYS(pread(fd, p, len, (off_t)offset));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Each piece gets its first page, since the kernel makes no huge page of nothing. */
static void collapse(uint8_t *va, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += HUGE_SIZE)
		(void)*(volatile const uint8_t *)(va + at);
	(void)madvise(va, len, MADV_COLLAPSE);
}

/*
 * Huge pages for a range of whole ones.  They are made by a mapping for the purpose: the area's own is under
 * userfaultfd's protection, which lies in page tables, so the kernel keeps those that it has there, and
 * maps a huge page as one only where there is none yet.
 */
static void make_huge(const struct gmem *gm, const struct gmem_area *a, uint64_t gpa, uint64_t len)
{
	uint8_t *raw = SYS_MMAP(mmap(NULL, len + HUGE_SIZE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
		*va;

	if (raw == MAP_FAILED)
		return;
	va = (uint8_t *)(((uintptr_t)raw + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	if (SYS_MMAP(mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		gm->store, (off_t)(a->offset + (gpa - a->gpa)))) == va)
		collapse(va, len);
	munmap(raw, len + HUGE_SIZE);
}

/* As many whole huge pages around [gpa, end) as the area has. */
static void make_huge_around(const struct gmem *gm, uint64_t gpa, uint64_t end)
{
	const struct gmem_area *a = area_ptr(&gm->ram, gpa, end - gpa) ? &gm->ram : &gm->high;
	uint64_t last = (a->gpa + a->size) & ~(HUGE_SIZE - 1);

	gpa &= ~(HUGE_SIZE - 1);
	end = (end + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
	if (end > last)
		end = last;
	if (gm->store > 0 && gpa < end)
		make_huge(gm, a, gpa, end - gpa);
}

void gmem_populate(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
	uint64_t end = gpa + len;
	void *p;

	gpa &= ~(PAGE_SIZE - 1);
	p = gmem_ptr(gm, gpa, end - gpa);
	if (p)
		make_huge_around(gm, gpa, end);
	if (p)
		(void)madvise(p, end - gpa, MADV_POPULATE_WRITE);
}

/* One page-table entry; a single load, since another vCPU may change it. */
static int read_entry(const struct gmem *gm, uint64_t gpa, uint64_t *entry)
{
	const uint64_t *p = gmem_ptr(gm, gpa, sizeof(*p));

	if (!p)
		return -EFAULT;
	*entry = __atomic_load_n(p, __ATOMIC_RELAXED);
	return *entry & PTE_PRESENT ? 0 : -EFAULT;
}

static int walk(
    const struct gmem *gm, uint64_t cr3, int levels, uint64_t gva, uint64_t *gpa, uint64_t *left)
{
	uint64_t table = cr3 & PTE_ADDR;

	for (int level = levels - 1; level >= 0; level--) {
		unsigned shift = 12 + 9 * (unsigned)level;
		uint64_t mask = (UINT64_C(1) << shift) - 1;
		uint64_t entry;
		int ret = read_entry(gm, table + (gva >> shift & 511) * sizeof(entry), &entry);

		if (ret)
			return ret;
		if (level == 0 || (entry & PTE_LARGE)) {
			if (level >= 3) /* reserved there */
				return -EFAULT;
			*gpa = (entry & PTE_ADDR & ~mask) | (gva & mask);
			*left = mask + 1 - (gva & mask);
			return 0;
		}
		table = entry & PTE_ADDR;
	}
	return -EFAULT;
}

int gmem_translate(const struct gmem *gm, const struct gmem_paging *pg, uint64_t gva, uint64_t *gpa,
    uint64_t *left)
{
	int levels = pg->cr4 & CR4_LA57 ? 5 : 4;
	int unused = 64 - (12 + 9 * levels);

	if (!(pg->cr0 & CR0_PG)) {
		if (gva > UINT32_MAX)
			return -EFAULT;
		*gpa = gva;
		*left = PAGE_SIZE - gva % PAGE_SIZE;
		return 0;
	}
	if (!(pg->efer & EFER_LMA))
		return -EFAULT;
	if ((uint64_t)((int64_t)(gva << unused) >> unused) != gva) /* not canonical */
		return -EFAULT;
	return walk(gm, pg->cr3, levels, gva, gpa, left);
}

/* The piece of [gva, gva + len) that lies in gva's page. */
static int piece(const struct gmem *gm, const struct gmem_paging *pg, uint64_t gva, size_t len,
    uint64_t *gpa, size_t *n)
{
	uint64_t left;
	int ret = gmem_translate(gm, pg, gva, gpa, &left);

	if (ret)
		return ret;
	*n = len < left ? len : (size_t)left;
	return 0;
}

int gmem_copy_in(
    const struct gmem *gm, const struct gmem_paging *pg, void *buf, uint64_t gva, size_t len)
{
	uint8_t *to = buf;
	uint64_t gpa;
	size_t n;
	int ret;

	for (; len > 0; len -= n, gva += n, to += n) {
		ret = piece(gm, pg, gva, len, &gpa, &n);
		if (!ret)
			ret = gmem_read(gm, gpa, to, n);
		if (ret)
			return ret;
	}
	return 0;
}

int gmem_copy_out(
    const struct gmem *gm, const struct gmem_paging *pg, uint64_t gva, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	uint64_t gpa;
	size_t n;
	int ret;

	for (; len > 0; len -= n, gva += n, from += n) {
		ret = piece(gm, pg, gva, len, &gpa, &n);
		if (!ret)
			ret = gmem_write(gm, gpa, from, n);
		if (ret)
			return ret;
	}
	return 0;
}

#ifdef __SANITIZE_THREAD__
/* A guest writes to its memory when it likes, and may have it mapped anew while it is read here. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:gmem_read\nrace:gmem_write\n";
}
#endif
