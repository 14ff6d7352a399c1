/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code at CPL 0 for smp.c: how a processor is started, and what the started ones do.  They have no C
 * code: that may use the stack below its pointer, where an interrupt would write.
 */
#include "../lib/longmode.inc"

#define START_PAGE 0x8000 /* smp.c copies smp_start there */

#define MSR_APIC_BASE 0x1b
#define X2APIC 0xc00
#define X2APIC_ID 0x802
#define X2APIC_EOI 0x80b
#define X2APIC_SPURIOUS 0x80f
#define APIC_ON 0x1ff

	.text
	.code16
	.globl smp_start, smp_start_end
smp_start:
	cli
	xorl %eax, %eax
	movw %ax, %ds
	lgdtl START_PAGE + start_gdt - smp_start
	enter_long_mode started
	.balign 8
start_gdt:
	.word GDT_SIZE - 1
	.long lombard_gdt
smp_start_end:

	.code64
started:
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movq smp_stack, %rsp
	call smp_enable
	movl $1, %eax
	cpuid
	shrl $24, %ebx
	movl %ebx, smp_apic
	movl $0x40000004, %eax
	xorl %ecx, %ecx
	cpuid
	movl %ebx, smp_vcpu
	lock incl smp_running
1:	sti
	hlt
	movq smp_work, %rax
	testq %rax, %rax
	jz 1b
	call *%rax
	jmp 1b

/* The IDT, and this processor's x2APIC. */
	.globl smp_enable
smp_enable:
	lidt idt_ptr
	movl $MSR_APIC_BASE, %ecx
	rdmsr
	orl $X2APIC, %eax
	wrmsr
	movl $X2APIC_SPURIOUS, %ecx
	movl $APIC_ON, %eax
	xorl %edx, %edx
	wrmsr
	ret

/* Count, by the number of the APIC. */
	.globl smp_interrupt
smp_interrupt:
	pushq %rax
	pushq %rcx
	pushq %rdx
	movl $X2APIC_ID, %ecx
	rdmsr
	lock incq smp_interrupts(, %rax, 8)
	movl $X2APIC_EOI, %ecx
	xorl %eax, %eax
	xorl %edx, %edx
	wrmsr
	popq %rdx
	popq %rcx
	popq %rax
	iretq

/* int3 from CPL 3: call rdi(rsi) here, with interrupts off. */
	.globl smp_trap
smp_trap:
	movq %rdi, %rax
	movq %rsi, %rdi
	call *%rax
	iretq

/* Write rdi to the interrupt command register. */
	.globl smp_command
smp_command:
	movl $0x830, %ecx
	movl %edi, %eax
	movq %rdi, %rdx
	shrq $32, %rdx
	wrmsr
	ret

/* ---- what the others are told to do, each time that they are interrupted ---- */

/* Hypercalls to the core, which say who the guest is: count those that are answered wrongly. */
	.globl smp_call
smp_call:
	subq $64, %rsp
	movl $1000, %ebp
1:	movl $LOAN_OP, %eax
	xorl %edi, %edi
	movq %rsp, %rsi
	xorl %edx, %edx
	out %eax, $HYPERCALL_PORT
	testq %rax, %rax
	jnz 2f
	movzwl 4(%rsp), %eax /* domid */
	cmpl smp_domid, %eax
	je 3f
2:	lock incl smp_wrong
3:	decl %ebp
	jnz 1b
	addq $64, %rsp
	lock incl smp_done
	ret

	.globl smp_triple
smp_triple:
	lidt no_idt
	ud2

	.globl smp_poweroff
smp_poweroff:
	movw $0x600, %dx
	movb $0x34, %al
	outb %al, %dx
	ret

	.globl smp_spin
smp_spin:
	lock incl smp_done
1:	pause
	jmp 1b

	.globl smp_halt
smp_halt:
	cli
1:	hlt
	jmp 1b

	.balign 8
idt_ptr:
	.word 256 * 16 - 1
	.quad smp_idt
no_idt:
	.word 0
	.quad 0

	.section .note.GNU-stack, "", @progbits
