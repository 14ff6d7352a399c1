/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/conring.c hv/vmm/scroll.c */
/* The console's ring, with a guest that tells the truth and one that does not; what is kept of it. */
#include "vmm/conring.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/console.h>

#include "vmm/scroll.h"

/* On the heap, so that a byte beyond it is seen. */
static struct xencons_interface *ring;
static struct scroll *scroll;
static char buf[8192];
static uint32_t at;

static void setup(void)
{
	ring = calloc(1, sizeof(*ring));
	scroll = calloc(1, sizeof(*scroll));
}

static void teardown(void)
{
	free(ring);
	free(scroll);
}

TestSuite(conring, .init = setup, .fini = teardown);
TestSuite(scroll, .init = setup, .fini = teardown);

/* As a guest does. */
static void guest_writes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ring->out[MASK_XENCONS_IDX(ring->out_prod + i, ring->out)] = text[i];
	ring->out_prod += (uint32_t)len;
}

static size_t guest_reads(char *to)
{
	size_t n = 0;

	for (; ring->in_cons != ring->in_prod; ring->in_cons++)
		to[n++] = ring->in[MASK_XENCONS_IDX(ring->in_cons, ring->in)];
	return n;
}

Test(conring, empty)
{
	cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 0);
	cr_assert_eq(conring_put(ring, "", 0), 0);
	cr_assert_eq(ring->in_prod, 0);
}

Test(conring, what_is_not_consumed_comes_again)
{
	guest_writes("abcdef", 6);
	cr_assert_eq(conring_peek(ring, buf, 4, &at), 4);
	cr_assert(memcmp(buf, "abcd", 4) == 0);
	conring_consume(ring, at + 2);
	cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 4);
	cr_assert(memcmp(buf, "cdef", 4) == 0);
	conring_consume(ring, at + 4);
	cr_assert_eq(ring->out_cons, ring->out_prod);
	cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 0);
}

/* Every place where it can begin, and the indices' own overflow. */
Test(conring, wraps_around)
{
	char text[CONRING_OUT];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 + i / 256);
	for (uint32_t start = 0; start < 2 * CONRING_OUT; start += 3) {
		ring->out_cons = ring->out_prod = start - CONRING_OUT;
		guest_writes(text, sizeof(text));
		cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), sizeof(text));
		cr_assert(memcmp(buf, text, sizeof(text)) == 0, "from %u", start);
		conring_consume(ring, at + CONRING_OUT);
		cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 0);
	}
}

Test(conring, input_fills_and_wraps)
{
	char text[sizeof(ring->in) + 100], got[sizeof(ring->in)];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 5 + i / 256);
	for (uint32_t start = 0; start < 2 * sizeof(ring->in); start += 3) {
		ring->in_cons = ring->in_prod = start - (uint32_t)sizeof(ring->in);
		cr_assert_eq(conring_put(ring, text, 10), 10);
		cr_assert_eq(conring_put(ring, text + 10, sizeof(text) - 10), sizeof(got) - 10);
		cr_assert_eq(conring_put(ring, "x", 1), 0, "it is full");
		cr_assert_eq(guest_reads(got), sizeof(got));
		cr_assert(memcmp(got, text, sizeof(got)) == 0, "from %u", start);
	}
}

/* Indices that can't be: nothing is there, there is no room, and nothing outside is touched. */
Test(conring, indices_that_lie)
{
	static const uint32_t lies[] = {CONRING_OUT + 1, 4096, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		for (uint32_t base = 0; base < 5000; base += 1237) {
			ring->out_cons = ring->in_cons = base;
			ring->out_prod = ring->in_prod = base + lies[i];
			cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 0);
			cr_assert_eq(conring_put(ring, "hello", 5), 0);
			cr_assert_eq(ring->in_prod, base + lies[i], "it stays as it is");
		}
	ring->out_cons = 10;
	ring->out_prod = 15;
	cr_assert_eq(conring_peek(ring, buf, sizeof(buf), &at), 5, "right again");
}

Test(conring, any_indices_at_all)
{
	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		ring->out_cons = (uint32_t)rand() * 3;
		ring->out_prod = ring->out_cons + (uint32_t)(rand() % 4096);
		ring->in_prod = (uint32_t)rand() * 3;
		ring->in_cons = ring->in_prod - (uint32_t)(rand() % 2048);
		cr_assert_leq(conring_peek(ring, buf, sizeof(buf), &at), CONRING_OUT);
		cr_assert_leq(
		    conring_put(ring, buf, (size_t)rand() % sizeof(buf)), sizeof(ring->in));
	}
}

/* All from a place on. */
static size_t collect(uint64_t from, char *to)
{
	const char *run;
	size_t n = 0, len;

	while ((len = scroll_run(scroll, from + n, &run)) > 0) {
		memcpy(to + n, run, len);
		n += len;
	}
	return n;
}

static void add_lines(unsigned from, unsigned to)
{
	char line[32];

	for (; from < to; from++)
		scroll_add(scroll, line, (size_t)sprintf(line, "line %06u\n", from));
}

Test(scroll, keeps_all_that_fits)
{
	cr_assert_eq(scroll_begin(scroll), 0);
	cr_assert_eq(collect(0, buf), 0);
	add_lines(0, 100);
	cr_assert_eq(scroll->end, 1200);
	cr_assert_eq(scroll_begin(scroll), 0);
	cr_assert_eq(scroll_lost(scroll, 0), 0);
	cr_assert_eq(collect(12, buf), 1188);
	cr_assert(memcmp(buf, "line 000001\n", 12) == 0);
}

Test(scroll, forgets_the_oldest)
{
	char *all = malloc(SCROLL_SIZE);
	size_t n;

	add_lines(0, 30000);
	cr_assert_eq(scroll->end, 360000);
	cr_assert_eq(scroll_lost(scroll, 0), 360000 - SCROLL_SIZE);
	cr_assert_eq(scroll_lost(scroll, 360000 - SCROLL_SIZE), 0);
	cr_assert_eq(scroll_lost(scroll, 360000), 0);
	n = collect(scroll_begin(scroll), all);
	cr_assert_gt(n, SCROLL_SIZE - 12);
	cr_assert(memcmp(all, "line ", 5) == 0, "it begins with a line");
	cr_assert(memcmp(all + n - 12, "line 029999\n", 12) == 0);
	for (size_t i = 0; i < n; i += 12)
		cr_assert_eq(strtoul(all + i + 5, NULL, 10), 30000 - (n - i) / 12);
	free(all);
}

Test(scroll, takes_more_than_it_holds)
{
	char *text = malloc(3 * SCROLL_SIZE), *all = malloc(SCROLL_SIZE);

	for (size_t i = 0; i < 3 * SCROLL_SIZE; i++)
		text[i] = (char)(i * 31 + i / 1000);
	scroll_add(scroll, text, 777);
	scroll_add(scroll, text, 3 * SCROLL_SIZE);
	cr_assert_eq(collect(scroll->end - SCROLL_SIZE, all), SCROLL_SIZE);
	cr_assert(memcmp(all, text + 2 * SCROLL_SIZE, SCROLL_SIZE) == 0);
	free(text);
	free(all);
}

Test(scroll, without_lines_it_begins_anywhere)
{
	for (size_t i = 0; i < SCROLL_SIZE; i++)
		scroll_add(scroll, "xyz", 3);
	cr_assert_eq(scroll_begin(scroll), scroll->end - SCROLL_SIZE);
}
