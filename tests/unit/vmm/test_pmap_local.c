/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/pmap/pmap_local.c hv/pmap/mapcount.c hv/lib/failure.c hv/lib/sock.c hv/lib/sys.c hv/lib/uffd.c */
/* The executor against the real kernel: what is mapped, what faults, and the count of mappings. */
#include "pmap/pmap_local.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/uffd.h"
#include "proto/wire.h"

#define PAGE 4096U
#define RAM_PAGES 64U
#define WINDOW_GFN 0x100000U
#define WINDOW_PAGES 64U
#define RAM_INDEX 8U
#define SPECIAL_GFN 0xfc000U
#define SPECIAL_PAGES 16U
#define SPECIAL_INDEX 100U
#define STORE_PAGES 256U

static struct pmap_local p;
static uint8_t *store;
static int read_only, ends[2];

static void *executor(void *arg)
{
	(void)arg;
	pmap_local_serve(&p, ends[1]);
	return NULL;
}

/* => the test is skipped where userfaultfd can't be had */
static void setup(void)
{
	struct failure f;
	pthread_t t;
	char path[64];
	int ret;

	p.store = memfd_create("store", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(p.store, (off_t)STORE_PAGES * PAGE), 0);
	store = mmap(NULL, STORE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p.store, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.store);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < STORE_PAGES; i++)
		store[i * PAGE] = (uint8_t)i;
	p.area[PMAP_RAM] = (struct pmap_area){.npages = RAM_PAGES, .index = RAM_INDEX};
	p.area[PMAP_WINDOW] = (struct pmap_area){.gfn = WINDOW_GFN, .npages = WINDOW_PAGES};
	p.area[PMAP_SPECIAL] = (struct pmap_area){
	    .gfn = SPECIAL_GFN, .npages = SPECIAL_PAGES, .index = SPECIAL_INDEX};
	ret = pmap_local_init(&p, &f);
	if (ret == -EPERM || ret == -EACCES || ret == -ENOTSUP || ret == -ENOSYS)
		cr_skip_test("%s", f.text);
	cr_assert_eq(ret, 0, "%s", f.text);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_assert_eq(pthread_create(&t, NULL, executor, NULL), 0);
}

static void send_map(const struct wire_extent *e, uint32_t n, uint32_t want_reply)
{
	struct wire_map m = {
	    .hdr = {.type = WIRE_MAP, .seq = 7}, .nextents = n, .want_reply = want_reply};

	memcpy(m.extents, e, n * sizeof(*e));
	cr_assert_eq(sock_send(ends[0], &m, offsetof(struct wire_map, extents) + n * sizeof(*e),
			 &read_only, 1),
	    0);
}

static int get_reply(uint64_t *mappings)
{
	struct wire_mapped done;
	size_t len;

	cr_assert_eq(sock_recv(ends[0], &done, sizeof(done), &len, NULL, 0, NULL), 0);
	cr_assert_eq(done.hdr.seq, 7);
	*mappings = done.mappings;
	return done.hdr.status;
}

static int map(struct wire_extent e, uint64_t *mappings)
{
	send_map(&e, 1, 1);
	return get_reply(mappings);
}

/* Lines of the address map between two addresses. */
static uint64_t real_mappings(const struct pmap_area *a)
{
	uintptr_t from = (uintptr_t)a->hva, to = from + a->npages * PAGE;
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long lo, hi;
	uint64_t n = 0;
	char line[512];

	while (fgets(line, sizeof(line), maps)) {
		cr_assert_eq(sscanf(line, "%lx-%lx", &lo, &hi), 2);
		n += lo < to && hi > from;
	}
	fclose(maps);
	return n;
}

static void *toucher(void *arg)
{
	*(volatile uint8_t *)arg = 0xee;
	return NULL;
}

/* A write to va by another thread must become an event; it is left asleep. */
static void expect_write_event(uint8_t *va, uint64_t flag)
{
	struct pollfd pfd = {.fd = p.uffd, .events = POLLIN};
	struct uffd_msg msg;
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, toucher, va), 0);
	cr_assert_eq(poll(&pfd, 1, 5000), 1);
	cr_assert_eq(read(p.uffd, &msg, sizeof(msg)), (ssize_t)sizeof(msg));
	cr_assert_eq(msg.arg.pagefault.address, (uintptr_t)va);
	cr_assert_eq(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP, flag);
}

TestSuite(pmap_local, .init = setup, .timeout = 30);

Test(pmap_local, lent_pages_are_the_lenders_until_a_write)
{
	uint8_t *va = p.area[PMAP_WINDOW].hva + 4 * PAGE;
	uint64_t n;

	cr_assert_eq(map((struct wire_extent){WINDOW_GFN + 4, 200, 3, WIRE_LENT, 0}, &n), 0);
	cr_assert_eq(va[0], 200);
	store[200 * PAGE] = 77;
	cr_assert_eq(va[0], 77);
	expect_write_event(va + PAGE, UFFD_PAGEFAULT_FLAG_WP);
	cr_assert_eq(store[201 * PAGE], 201);
}

/* The break: the sleeping writer is woken by the new mapping and writes there. */
Test(pmap_local, own_extent_wakes_the_writer)
{
	uint8_t *va = p.area[PMAP_RAM].hva + 9 * PAGE;
	uint64_t n;

	cr_assert_eq(uffd_protect(p.uffd, va, PAGE), 0);
	expect_write_event(va, UFFD_PAGEFAULT_FLAG_WP);
	cr_assert_eq(map((struct wire_extent){9, 100, 1, WIRE_OWN, 0}, &n), 0);
	while (__atomic_load_n(&store[100 * PAGE], __ATOMIC_ACQUIRE) != 0xee)
		usleep(100);
	cr_assert_eq(store[(RAM_INDEX + 9) * PAGE], RAM_INDEX + 9);
}

Test(pmap_local, zero_and_none_fault_as_they_should)
{
	uint64_t n;

	cr_assert_eq(map((struct wire_extent){WINDOW_GFN, 0, 8, WIRE_ZERO, 0}, &n), 0);
	cr_assert_eq(p.area[PMAP_WINDOW].hva[3 * PAGE], 0);
	expect_write_event(p.area[PMAP_WINDOW].hva + 3 * PAGE, UFFD_PAGEFAULT_FLAG_WP);
	expect_write_event(p.area[PMAP_WINDOW].hva + 4 * PAGE, UFFD_PAGEFAULT_FLAG_WP);
	expect_write_event(p.area[PMAP_WINDOW].hva + 20 * PAGE, 0);
	cr_assert_eq(map((struct wire_extent){WINDOW_GFN, 0, 8, WIRE_NONE, 0}, &n), 0);
}

Test(pmap_local, protection_holds_without_wp_unpopulated)
{
	uint64_t n;

	p.features &= ~(uint64_t)UFFD_FEATURE_WP_UNPOPULATED;
	cr_assert_eq(map((struct wire_extent){WINDOW_GFN, 0, 8, WIRE_ZERO, 0}, &n), 0);
	expect_write_event(p.area[PMAP_WINDOW].hva + 4 * PAGE, UFFD_PAGEFAULT_FLAG_WP);
}

/* A random walk: after every step the count is what the kernel says. */
Test(pmap_local, mappings_are_counted_right)
{
	uint64_t n, real;

	srandom(1);
	for (unsigned i = 0; i < 500; i++) {
		bool ram = random() % 2;
		uint32_t npages = 1 + (uint32_t)random() % 5;
		uint64_t page = (uint64_t)random() % (RAM_PAGES - npages);
		struct wire_extent e = {
		    .gfn = page + (ram ? 0 : WINDOW_GFN),
		    .npages = npages,
		    .kind = ram ? WIRE_OWN : (uint16_t)(WIRE_LENT + random() % 3),
		};

		if (e.kind == WIRE_OWN || e.kind == WIRE_LENT)
			e.index = RAM_INDEX + page + (uint64_t)(random() % 3) * 70;
		cr_assert_eq(map(e, &n), 0);
		real = real_mappings(&p.area[PMAP_RAM]) + real_mappings(&p.area[PMAP_WINDOW]) +
		       real_mappings(&p.area[PMAP_SPECIAL]);
		cr_assert_eq(n, real, "step %u: counted %lu, are %lu", i, (unsigned long)n,
		    (unsigned long)real);
	}
}

Test(pmap_local, bad_extents_are_refused)
{
	uint64_t n;

	cr_assert_eq(map((struct wire_extent){RAM_PAGES, 0, 1, WIRE_OWN, 0}, &n), -ERANGE);
	cr_assert_eq(map((struct wire_extent){RAM_PAGES - 1, 0, 2, WIRE_OWN, 0}, &n), -ERANGE);
	cr_assert_eq(map((struct wire_extent){UINT64_MAX, 0, 2, WIRE_OWN, 0}, &n), -ERANGE);
	cr_assert_eq(map((struct wire_extent){0, 0, 0, WIRE_OWN, 0}, &n), -EINVAL);
	cr_assert_eq(map((struct wire_extent){0, UINT64_MAX, 1, WIRE_OWN, 0}, &n), -EINVAL);
	cr_assert_eq(map((struct wire_extent){0, 0, 1, 9, 0}, &n), -EINVAL);
	cr_assert_eq(map((struct wire_extent){WINDOW_GFN, 0, 1, WIRE_LENT, 1}, &n), -EBADF);
}

/* A list in three messages gets one answer: its first failure, and nothing after it is done. */
Test(pmap_local, one_answer_for_a_list)
{
	const struct wire_extent good = {WINDOW_GFN, 200, 1, WIRE_LENT, 0};
	const struct wire_extent bad = {WINDOW_GFN, 0, 1, 9, 0};
	uint64_t n;

	send_map(&good, 1, 0);
	send_map(&bad, 1, 0);
	send_map(&(struct wire_extent){WINDOW_GFN, 210, 1, WIRE_LENT, 0}, 1, 1);
	cr_assert_eq(get_reply(&n), -EINVAL);
	cr_assert_eq(p.area[PMAP_WINDOW].hva[0], 200);
	cr_assert_eq(map(good, &n), 0);
}
