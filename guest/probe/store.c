/* SPDX-License-Identifier: BSD-2-Clause */
/* Every kind of store into pages that are lent: the owner's write must have its plain effect. */
#include "probe.h"

#define PAGES 3
#define FILL 0x5a

/* Each stores into pages 0..2 and says whether it reads back what it stored. */

static bool store_byte(unsigned char *p)
{
	*(volatile unsigned char *)(p + 100) = 7;
	return p[100] == 7 && p[99] == FILL && p[101] == FILL;
}

static bool store_sse(unsigned char *p)
{
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovups %%xmm0, 33(%0)"
			 :
			 : "r"(p)
			 : "xmm0", "memory");
	return mem_all(p + 33, 0xff, 16) && p[32] == FILL && p[49] == FILL;
}

/* 16 bytes, 8 on each of two lent pages. */
static bool store_sse_across(unsigned char *p)
{
	return store_sse(p + PAGE_SIZE - 33 - 8) && p[PAGE_SIZE] == 0xff;
}

static bool store_across(unsigned char *p)
{
	uint64_t *at = (uint64_t *)(void *)(p + PAGE_SIZE - 3), back;

	__asm__ volatile("movq %1, (%2)\n\tmovq (%2), %0"
			 : "=&r"(back)
			 : "r"(0x0102030405060708UL), "r"(at)
			 : "memory");
	return back == 0x0102030405060708UL && p[PAGE_SIZE] == 5 && p[PAGE_SIZE + 5] == FILL;
}

static bool store_string(unsigned char *p)
{
	static unsigned char source[2 * PAGE_SIZE];

	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (unsigned char)(i * 7);
	memcpy(p + 100, source, sizeof(source)); /* rep movsb, over three pages */
	return memcmp(p + 100, source, sizeof(source)) == 0 && p[99] == FILL &&
	       p[100 + sizeof(source)] == FILL;
}

static bool store_xchg(unsigned char *p)
{
	uint64_t old = 11;

	__asm__ volatile("xchgq %0, (%1)" : "+r"(old) : "r"(p + 64) : "memory");
	return old == 0x5a5a5a5a5a5a5a5aUL && *(uint64_t *)(void *)(p + 64) == 11;
}

static bool store_lock_add(unsigned char *p)
{
	__asm__ volatile("lock addl $3, (%0)" : : "r"(p + 2048) : "memory", "cc");
	return *(uint32_t *)(void *)(p + 2048) == 0x5a5a5a5aU + 3;
}

static bool store_cmpxchg16b(unsigned char *p)
{
	uint64_t low = 0x5a5a5a5a5a5a5a5aUL, high = low;
	bool done;

	__asm__ volatile("lock cmpxchg16b (%3)"
			 : "=@ccz"(done), "+a"(low), "+d"(high)
			 : "r"(p + 512), "b"(1UL), "c"(2UL)
			 : "memory");
	return done && p[512] == 1 && p[520] == 2 && p[528] == FILL;
}

/* A stack on the lent page: push, call, ret, pop. */
static bool store_stack(unsigned char *p)
{
	uint64_t popped;

	__asm__ volatile("movq %%rsp, %%rbx\n\t"
			 "movq %1, %%rsp\n\t"
			 "pushq $0x77\n\t"
			 "call 1f\n\t"
			 "jmp 2f\n"
			 "1:\tret\n"
			 "2:\tpopq %0\n\t"
			 "movq %%rbx, %%rsp"
			 : "=&r"(popped)
			 : "r"(p + 2 * PAGE_SIZE)
			 : "rbx", "memory", "cc");
	return popped == 0x77 && p[2 * PAGE_SIZE - 8] == 0x77 && p[2 * PAGE_SIZE] == FILL;
}

/* The hypervisor's own store: a result copied into a lent page. */
static bool store_by_hypervisor(unsigned char *p)
{
	struct loan_info *info = (struct loan_info *)(void *)(p + PAGE_SIZE - 8);

	return hypercall_loan_op(LOANOP_info, info) == 0 &&
	       info->abi_version == LOMBARD_ABI_VERSION && info->ram_pages != 0 &&
	       p[PAGE_SIZE - 9] == FILL && p[PAGE_SIZE - 8 + sizeof(*info)] == FILL;
}

static const struct {
	const char *name;
	bool (*store)(unsigned char *p);
} stores[] = {
    {"byte", store_byte},
    {"16 bytes by SSE", store_sse},
    {"16 bytes by SSE across pages", store_sse_across},
    {"8 bytes across pages", store_across},
    {"rep movsb", store_string},
    {"xchg", store_xchg},
    {"lock add", store_lock_add},
    {"lock cmpxchg16b", store_cmpxchg16b},
    {"push and call", store_stack},
    {"a hypercall's result", store_by_hypervisor},
};

static void lend_store(int argc, char **argv)
{
	unsigned char *p = page_alloc(PAGES);

	(void)argc, (void)argv;
	for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
		uint64_t id;

		memset(p, FILL, PAGES * PAGE_SIZE);
		expect(50, "lend", loan_lend(p, PAGES, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, &id), 0);
		if (!stores[i].store(p))
			fail((int)i + 1, "%s", stores[i].name);
		expect(51, "recall", loan_recall(id, NULL), 0);
		printf("probe: %s: ok\n", stores[i].name);
	}
}

/* The same page lent several times with other bytes in between. */
static void lend_again(int argc, char **argv)
{
	unsigned char *p = page_alloc(1);
	uint64_t ids[8];

	(void)argc, (void)argv;
	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		memset(p, (int)i, PAGE_SIZE);
		expect(1, "lend", loan_lend(p, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, i, &ids[i]), 0);
		if (!mem_all(p, (unsigned char)i, PAGE_SIZE))
			fail(2, "lending changed the page");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
		expect(3, "recall", loan_recall(ids[i], NULL), 0);
	if (!mem_all(p, ARRAY_SIZE(ids) - 1, PAGE_SIZE))
		fail(4, "recalling changed the page");
}

const struct test tests_store[] = {
    {"lend-store", lend_store},
    {"lend-again", lend_again},
};
const size_t nr_tests_store = ARRAY_SIZE(tests_store);
