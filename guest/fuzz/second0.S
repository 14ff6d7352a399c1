/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the second vCPU comes from where it is started (real mode, at SECOND_PAGE, where second.c copies
 * this) to C at CPL 3, with a task state of its own: an exception is told as one of the first vCPU's.
 */
#include "../lib/longmode.inc"

#define SECOND_PAGE 0x8000
#define RFLAGS_USER 0x202
#define TSS_SIZE 104 /* without the bitmap */
#define MSR_APIC_BASE 0x1b
#define X2APIC 0xc00
#define X2APIC_COMMAND 0x830

	.text
	.code16
	.globl second_start, second_start_end
second_start:
	cli
	xorl %eax, %eax
	movw %ax, %ds
	lgdtl SECOND_PAGE + start_gdt - second_start
	enter_long_mode started
	.balign 8
start_gdt:
	.word second_gdt_end - second_gdt - 1
	.long second_gdt
second_start_end:

	.code64
started:
	movl $SEL_DATA3, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	xorl %eax, %eax
	movl %eax, %ss
	movl $exception_stack_top, %esp
	lidt idt_ptr
	movl $SEL_TSS, %eax
	ltr %ax
	pushq $SEL_DATA3
	pushq $second_stack_top - 8
	pushq $RFLAGS_USER
	pushq $SEL_CODE3
	pushq $second_main
	xorl %ebp, %ebp
	iretq

/* int3 from CPL 3: rdi into the interrupt command register of this vCPU's x2APIC, which is switched on. */
	.globl second_command
second_command:
	movl $MSR_APIC_BASE, %ecx
	rdmsr
	orl $X2APIC, %eax
	wrmsr
	movl $X2APIC_COMMAND, %ecx
	movl %edi, %eax
	movq %rdi, %rdx
	shrq $32, %rdx
	wrmsr
	iretq

	.data
	.balign 8
second_tss:
	.long 0
	.quad exception_stack_top /* rsp0 */
	.fill 90, 1, 0
	.word TSS_SIZE /* CPL 3 may use the hypercall port */
	.fill HYPERCALL_PORT / 8, 1, 0xff
	.byte 0xff & ~(0xf << (HYPERCALL_PORT % 8))
	.fill 3, 1, 0xff
second_tss_end:
	.balign 8
second_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SEL_CODE0 */
	.quad 0x00cff3000000ffff /* SEL_DATA3 */
	.quad 0x00affb000000ffff /* SEL_CODE3 */
	.globl second_gdt_tss, second_tss
second_gdt_tss: /* SEL_TSS: second.c writes the address here */
	.word second_tss_end - second_tss - 1, 0
	.byte 0, 0x89, 0, 0
	.quad 0
second_gdt_end:
idt_ptr:
	.word NR_VECTORS * 16 - 1
	.quad lombard_idt

	.bss
	.balign 16
	.skip 4096
exception_stack_top:
	.skip 16384
second_stack_top:

	.section .note.GNU-stack, "", @progbits
