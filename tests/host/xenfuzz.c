/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenfuzz: random hypercalls through libxencall, `lombard xen xenfuzz SEED SECONDS DOMID...`.
 *
 * Numbers, commands and versions are mostly those that exist; what structures hold is mostly
 * addresses of buffers, some of them just outside, domids, small numbers and extremes.  Meanwhile a
 * thread writes into the buffers and, now and then, takes their memory away.  No domain is made: nobody
 * would end it again.
 *
 * Prints how many calls were answered how.  Exit status: 0; 1 when a library failed.
 */
#include <xenctrl.h>
#include <xencall.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define NBUFFERS 4u
#define NWORDS 24u

static struct {
	uint64_t *words;
	size_t npages;
} buffers[NBUFFERS] = {{.npages = 1}, {.npages = 2}, {.npages = 16}, {.npages = 64}};

static uint32_t domids[16];
static unsigned ndomids;
static _Atomic bool over;

static uint32_t next(uint32_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 17;
	*rng ^= *rng << 5;
	return *rng;
}

/* Somewhere in a buffer, or a little behind it. */
static uint64_t address(uint32_t *rng)
{
	unsigned b = next(rng) % NBUFFERS;
	uint64_t at = next(rng) % (buffers[b].npages * PAGE + 64);

	return (uint64_t)(uintptr_t)buffers[b].words + (next(rng) % 4 != 0 ? at & ~7ull : at);
}

static uint64_t wild(uint32_t *rng)
{
	switch (next(rng) % 12) {
	case 0:
		return 0;
	case 1:
	case 2:
		return domids[next(rng) % ndomids];
	case 3:
		return next(rng) % 8;
	case 4:
		return next(rng) % 5000;
	case 5:
		return UINT64_MAX - next(rng) % 4096;
	case 6:
		return UINT32_MAX;
	case 7:
		return (uint64_t)next(rng) << 32 | next(rng);
	case 8:
		return UINT64_C(1) << next(rng) % 64;
	default:
		return address(rng);
	}
}

static uint64_t word(uint32_t *rng)
{
	return next(rng) % 3 != 0 ? wild(rng) : wild(rng) << 32 | (uint32_t)wild(rng);
}

/* => one of domctl's commands, but for createdomain */
static uint32_t domctl_cmd(uint32_t *rng)
{
	uint32_t cmd = next(rng) % 90;

	return cmd != XEN_DOMCTL_createdomain ? cmd : XEN_DOMCTL_getdomaininfo;
}

static void fill(uint64_t *at, uint32_t *rng)
{
	for (unsigned i = 0; i < NWORDS; i++)
		at[i] = word(rng);
}

static uint64_t version_of(uint32_t *rng, uint32_t right)
{
	return (uint64_t)(next(rng) % 50 != 0 ? right : next(rng)) << 32;
}

static int call(xencall_handle *xcall, uint32_t *rng)
{
	static const unsigned numbers[] = {__HYPERVISOR_memory_op, __HYPERVISOR_multicall,
	    __HYPERVISOR_xen_version, __HYPERVISOR_grant_table_op, __HYPERVISOR_sched_op,
	    __HYPERVISOR_event_channel_op, __HYPERVISOR_hvm_op, __HYPERVISOR_dm_op};
	uint64_t *at = buffers[0].words;

	fill(at, rng);
	switch (next(rng) % 4) {
	case 0:
		at[0] = version_of(rng, XEN_DOMCTL_INTERFACE_VERSION) | domctl_cmd(rng);
		if (next(rng) % 8 != 0)
			at[1] = domids[next(rng) % ndomids];
		return xencall1(xcall, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)at);
	case 1:
		at[0] = version_of(rng, XEN_SYSCTL_INTERFACE_VERSION) | next(rng) % 32;
		return xencall1(xcall, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)at);
	case 2:
		return xencall3(xcall, numbers[next(rng) % (sizeof(numbers) / sizeof(numbers[0]))],
		    next(rng) % 40, (uint64_t)(uintptr_t)at, next(rng) % 4);
	default:
		return xencall5(
		    xcall, next(rng) % 70, wild(rng), wild(rng), wild(rng), wild(rng), wild(rng));
	}
}

/* Other words, and pages that are gone and come back as zeroes. */
static void *scribble(void *arg)
{
	uint32_t rng = *(uint32_t *)arg ^ 0x5a5a5a5a;
	unsigned b;

	while (!over) {
		for (unsigned i = 0; i < 64; i++)
			buffers[0].words[next(&rng) % NWORDS] = word(&rng);
		b = next(&rng) % NBUFFERS;
		if (next(&rng) % 16 == 0)
			(void)madvise(buffers[b].words, buffers[b].npages * PAGE, MADV_REMOVE);
		usleep(50);
	}
	return NULL;
}

static int run(xencall_handle *xcall, uint32_t seed, time_t seconds)
{
	unsigned long done = 0, good = 0, errors[256] = {0};
	time_t end = time(NULL) + seconds;
	uint32_t rng = seed;
	pthread_t t;

	if (pthread_create(&t, NULL, scribble, &seed) != 0)
		return 1;
	for (; time(NULL) < end; done++) {
		if (call(xcall, &rng) >= 0)
			good++;
		else
			errors[(unsigned)errno % 256]++;
	}
	over = true;
	pthread_join(t, NULL);
	printf("calls=%lu good=%lu", done, good);
	for (unsigned i = 1; i < 256; i++)
		if (errors[i] != 0)
			printf(" %s=%lu", strerrorname_np((int)i), errors[i]);
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	xencall_handle *xcall = xencall_open(NULL, 0);

	if (argc < 4 || xcall == NULL) {
		fprintf(stderr, "usage: xenfuzz SEED SECONDS DOMID..., on a cell\n");
		return 1;
	}
	for (int i = 3; i < argc && ndomids < 16; i++)
		domids[ndomids++] = (uint32_t)strtoul(argv[i], NULL, 10);
	for (unsigned i = 0; i < NBUFFERS; i++) {
		buffers[i].words = xencall_alloc_buffer_pages(xcall, buffers[i].npages);
		if (buffers[i].words == NULL)
			return 1;
	}
	return run(
	    xcall, (uint32_t)strtoul(argv[1], NULL, 10) | 1, (time_t)strtol(argv[2], NULL, 10));
}
