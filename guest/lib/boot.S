/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the PVH entry (32-bit, paging off, start_info in ebx) to C at CPL 3, and from CPU
 * exceptions back to C at CPL 3.
 *
 * As little as possible happens at CPL 0: some hosts emulate it, at about a microsecond an
 * instruction, and run CPL 3 natively.  So the first page tables are assembled here as data, and C
 * code adds to them and fills the IDT; both are user-accessible memory like everything else.
 */
#include "longmode.inc"

#define RFLAGS_USER 0x202 /* IOPL 0; interrupts on: none comes, but some hosts' timers wait for it */
#define TSS_SIZE 104 /* without the bitmap */
#define CPUID_TIMING 0x40000010

	.section .note.Xen, "a", @note
	.balign 4
	.long 4 /* name */
	.long 8 /* desc */
	.long 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad lombard_start

	.text
	.code32
	.globl lombard_start
	.type lombard_start, @function
lombard_start:
	cld
	/* The assembler cannot scatter the TSS's address over its descriptor. */
	movl $tss, %eax
	movw %ax, gdt_tss + 2
	shrl $16, %eax
	movb %al, gdt_tss + 4
	movb %ah, gdt_tss + 7
	lgdt gdt_ptr
	lidt idt_ptr
	enter_long_mode 1f

	.code64
1:	movl $SEL_TSS, %eax
	ltr %ax
	movl %ebx, %ebp
	movl $CPUID_TIMING, %eax
	cpuid /* here, since at CPL 3 some hosts let the real CPU answer */
	movl %eax, lombard_timing
	movl %ecx, lombard_timing + 4
	movl %edx, lombard_timing + 8
	movl %ebp, %edi
	movl $SEL_DATA3, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl $exception_stack_top, %esp
	pushq $SEL_DATA3
	pushq $lombard_stack_top - 8 /* as if main's caller had been called */
	pushq $RFLAGS_USER
	pushq $SEL_CODE3
	pushq $lombard_main
	xorl %ebp, %ebp
	iretq
	.size lombard_start, . - lombard_start

/*
 * One stub per exception vector, VECTOR_STUB_SIZE bytes each, then the common part: at CPL 0 on
 * the exception stack it completes a struct fault (start.h) and lets lombard_fault(frame) run at
 * CPL 3 on a stack of its own.
 */
	.balign VECTOR_STUB_SIZE
	.globl lombard_vectors
lombard_vectors:
	.set vector, 0
	.rept NR_VECTORS
	.balign VECTOR_STUB_SIZE
	/* 8, 10..14, 17, 21, 29 and 30 push an error code */
	.if !((VECTORS_WITH_ERROR >> vector) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp exception
	.set vector, vector + 1
	.endr

exception:
	pushq %rdi
	movq %cr2, %rdi
	pushq %rdi
	movq %rsp, %rdi
	pushq $SEL_DATA3
	pushq $fault_stack_top - 8
	pushq $RFLAGS_USER
	pushq $SEL_CODE3
	pushq $lombard_fault
	iretq

	.section .lombard.stack, "aw", @nobits
	.balign 16
	.skip 4096
exception_stack_top:
	.skip 8192
fault_stack_top:

	.section .lombard.tables, "aw", @progbits
	.balign 4096
	.globl lombard_pml4
lombard_pml4:
	.quad pdpt + PTE_TABLE
	.fill 511, 8, 0
pdpt:
	.quad page_directory + PTE_TABLE
	.fill 511, 8, 0
page_directory:
	.quad low_pages + PTE_TABLE
	.set address, PAGE_2M
	.rept BOOT_MAP_SIZE / PAGE_2M - 1
	.quad address + PTE_LARGE
	.set address, address + PAGE_2M
	.endr
	.fill 512 - BOOT_MAP_SIZE / PAGE_2M, 8, 0
low_pages: /* the first 2 MiB, without page 0 and the stack's guard */
	.set address, 0
	.rept 512
	.if address == 0 || address == STACK_GUARD
	.quad 0
	.else
	.quad address + PTE_PAGE
	.endif
	.set address, address + 4096
	.endr

	.globl lombard_idt
lombard_idt: /* filled by lombard_main */
	.fill NR_VECTORS * 2, 8, 0
	.balign 8
tss:
	.long 0
	.quad exception_stack_top /* rsp0 */
	.fill 90, 1, 0
	.word TSS_SIZE /* I/O bitmap: CPL 3 may use the hypercall port and no other */
	.fill HYPERCALL_PORT / 8, 1, 0xff
	.byte 0xff & ~(0xf << (HYPERCALL_PORT % 8))
	.fill 3, 1, 0xff
tss_end:
	.balign 8
	.globl lombard_gdt
lombard_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SEL_CODE0: 64-bit, DPL 0 */
	.quad 0x00cff3000000ffff /* SEL_DATA3 */
	.quad 0x00affb000000ffff /* SEL_CODE3: 64-bit, DPL 3 */
gdt_tss: /* SEL_TSS: available 64-bit TSS; lombard_start writes its address here */
	.word tss_end - tss - 1, 0
	.byte 0, 0x89, 0, 0
	.quad 0
gdt_ptr:
	.word GDT_SIZE - 1
	.long lombard_gdt
	.balign 8
idt_ptr:
	.word NR_VECTORS * 16 - 1
	.long lombard_idt
	.balign 4
	.globl lombard_timing
lombard_timing: /* eax, ecx, edx of CPUID_TIMING */
	.long 0, 0, 0

	.section .note.GNU-stack, "", @progbits
