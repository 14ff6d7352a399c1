/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frames: which physical frames lie behind a guest's pages, asked of the kernel (needs root).
 *
 *   frames PID store NAME FIRST PAGES   a line "INDEX PFN" for each page that the process has in
 *                                       its page tables of pages FIRST.. of the memfd NAME
 *   frames PID zero                     "PAGES present ZERO": of all ranges that userfaultfd guards
 *                                       against writes alone and that no file backs, how many pages
 *                                       are there, in the page tables, and the kernel's zero page
 *
 * Exit status: 0; 77 when the kernel does not tell frame numbers; 1 on another error.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define PRESENT (UINT64_C(1) << 63)
#define PFN_MASK ((UINT64_C(1) << 55) - 1)

/* One range of /proc/PID/smaps. */
struct range {
	uint64_t start, end, offset;
	char path[256];
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "frames: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_proc(const char *pid, const char *file)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* The frame of a page: 0 when it is not in the page tables. */
static uint64_t pfn_of(int pagemap, uint64_t address)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry), (off_t)(address / PAGE * sizeof(entry))) !=
	    (ssize_t)sizeof(entry))
		die("pagemap");
	if (!(entry & PRESENT))
		return 0;
	if (!(entry & PFN_MASK)) {
		fprintf(stderr, "frames: the kernel hides frame numbers\n");
		exit(77);
	}
	return entry & PFN_MASK;
}

/* The zero page's frame is the one behind a page of our own that was only read. */
static uint64_t zero_pfn(void)
{
	volatile char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pagemap = open_proc("self", "pagemap");
	uint64_t pfn;

	if (page == MAP_FAILED)
		die("mmap");
	(void)*page;
	pfn = pfn_of(pagemap, (uintptr_t)page);
	close(pagemap);
	return pfn;
}

static void print_store(int pagemap, const struct range *r, const char *path, char **argv)
{
	uint64_t first = strtoull(argv[0], NULL, 10), end = first + strtoull(argv[1], NULL, 10);

	if (strcmp(r->path, path) != 0)
		return;
	for (uint64_t a = r->start; a < r->end; a += PAGE) {
		uint64_t index = (r->offset + a - r->start) / PAGE;
		uint64_t pfn = index >= first && index < end ? pfn_of(pagemap, a) : 0;

		if (pfn)
			printf("%" PRIu64 " %" PRIx64 "\n", index, pfn);
	}
}

struct zero_count {
	uint64_t zero, pages, present, zeroes;
};

static void count_zero(int pagemap, const struct range *r, struct zero_count *c)
{
	for (uint64_t a = r->start; a < r->end; a += PAGE) {
		uint64_t pfn = pfn_of(pagemap, a);

		c->pages++;
		c->present += pfn != 0;
		c->zeroes += pfn == c->zero;
	}
}

static bool parse_range(const char *line, struct range *r)
{
	struct range got = {0};

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %*s %*s %255[^\n]", &got.start,
		&got.end, &got.offset, got.path) < 3)
		return false;
	*r = got;
	return true;
}

/* "uw": guarded against writes; "um": against missing pages, as the window area at large is. */
static bool only_write_guarded(const char *flags)
{
	return strstr(flags, " uw") && !strstr(flags, " um");
}

int main(int argc, char **argv)
{
	bool store = argc == 6 && strcmp(argv[2], "store") == 0;
	struct zero_count count = {0};
	struct range r = {0};
	char line[512], path[128] = "";
	int pagemap;
	FILE *maps;

	if (!store && !(argc == 3 && strcmp(argv[2], "zero") == 0)) {
		fprintf(stderr, "usage: frames PID store NAME FIRST PAGES | frames PID zero\n");
		return 1;
	}
	if (store)
		snprintf(path, sizeof(path), "/memfd:%s (deleted)", argv[3]);
	else
		count.zero = zero_pfn();
	pagemap = open_proc(argv[1], "pagemap");
	maps = fdopen(open_proc(argv[1], "smaps"), "r");
	if (!maps)
		die("smaps");
	while (fgets(line, sizeof(line), maps)) {
		if (parse_range(line, &r) && store)
			print_store(pagemap, &r, path, argv + 4);
		else if (!store && strncmp(line, "VmFlags:", 8) == 0 && only_write_guarded(line) &&
			 r.path[0] == '\0')
			count_zero(pagemap, &r, &count);
	}
	if (!store)
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", count.pages, count.present,
		    count.zeroes);
	fclose(maps);
	close(pagemap);
	return 0;
}
