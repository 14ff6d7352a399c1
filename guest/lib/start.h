/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_GUEST_START_H
#define LOMBARD_GUEST_START_H
/* What boot.S and the library's C files share.  Not for guests. */

#define SEL_CODE0 0x08
#define SEL_DATA3 0x13
#define SEL_CODE3 0x1b
#define SEL_TSS 0x20
#define GDT_SIZE 0x30

#define HYPERCALL_PORT 0xe4 /* loan.h's, which the assembler can't read */
#define LOAN_OP 55	    /* likewise */

#define NR_VECTORS 32
#define VECTOR_STUB_SIZE 16
#define VECTORS_WITH_ERROR 0x60227d00

#define PAGE_2M 0x200000
#define BOOT_MAP_SIZE 0x1000000 /* mapped by boot.S */
#define STACK_GUARD 0x100000	/* the one page below guest.ld's stack */

/* Accessed and dirty are set from the start, so that the CPU never writes into the tables. */
#define PTE_PAGE 0x67  /* present, writable, user, accessed, dirty */
#define PTE_TABLE 0x67 /* the same */
#define PTE_LARGE 0xe7 /* and: a 2 MiB page */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>
#include <xen/arch-x86/hvm/start_info.h>

/* What an exception leaves on the exception stack. */
struct fault {
	uint64_t cr2;
	uint64_t rdi;
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t type;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t zero;
};

extern uint64_t lombard_pml4[512];
extern struct gate lombard_idt[NR_VECTORS];
extern const uint32_t lombard_timing[3];
extern char lombard_vectors[];
extern char lombard_image_end[];

void lombard_main(const struct hvm_start_info *info) __attribute__((noreturn));
void lombard_fault(const struct fault *fault) __attribute__((noreturn));

/* time_init: time_ns() counts from here. */
void time_init(void);

/* mem_init: map all RAM and hand what lies beyond the image to the page allocator. */
void mem_init(const struct hvm_start_info *info);

/* mem_map: identity-map [from, to), by 2 MiB pages where they fit.  0 or -XEN_ENOMEM. */
int mem_map(uint64_t from, uint64_t to);

/* args_split: cut line into words, in place; returns their number, at most max. */
int args_split(char *line, char **words, int max);

/*
 * A sorted list of runs [first, first + nr), neighbours merged: free pages, windows.
 *
 * run_put: add a run; it must not overlap one in the list.  -XEN_ENOMEM when no node is left.
 * run_take: take nr out of the first run that has as many; false if there is none.
 * run_find_take: take out the whole run that starts at first.  For lists put with run_put_alone,
 * which does not merge.
 */
struct run {
	struct run *next;
	uint64_t first;
	uint64_t nr;
};

struct run_list {
	struct run *head;
};

int run_put(struct run_list *list, uint64_t first, uint64_t nr);
int run_put_alone(struct run_list *list, uint64_t first, uint64_t nr);
bool run_take(struct run_list *list, uint64_t nr, uint64_t *first);
bool run_find_take(struct run_list *list, uint64_t first, uint64_t *nr);

/*
 * window_take: choose a free place of the window area, for `pages` pages from a multiple of `align`
 * pages on, and map it in the page tables.  -XEN_ENOSPC when there is none.
 * window_give: nothing is there any more.
 */
int window_take(uint32_t pages, uint32_t align, uint64_t *gfn);
int window_give(uint64_t gfn);

/* number_text: decimal digits and a NUL, at most 11 bytes; returns the number of digits. */
size_t number_text(char *s, uint32_t value);

/*
 * hvm_ring: a page that the hypervisor has for us, mapped, and its port, by the numbers of their
 * parameters (HVM_PARAM_*).  -XEN_ENOENT: there is none
 */
int hvm_ring(unsigned int pfn_index, unsigned int port_index, void **ring, uint32_t *ring_port);

/* event_init: see to it that pending events show.  What makes ports by itself needs no call. */
int event_init(void);
#endif

#endif
