/* SPDX-License-Identifier: BSD-2-Clause */
/* The first and the last C code of a guest. */
#include "lombard-guest.h"
#include "start.h"

#define MAX_ARGS 128
#define MAX_LINE 4096
#define GATE_INTERRUPT 0x8e00U /* present, DPL 0, 64-bit interrupt gate */

static char name[] = "guest";
static char line[MAX_LINE];
static char *words[MAX_ARGS + 2];

static void idt_fill(void)
{
	for (unsigned int i = 0; i < NR_VECTORS; i++) {
		uint64_t stub = (uint64_t)lombard_vectors + i * VECTOR_STUB_SIZE;

		lombard_idt[i] = (struct gate){
		    .offset_low = (uint16_t)stub,
		    .selector = SEL_CODE0,
		    .type = GATE_INTERRUPT,
		    .offset_mid = (uint16_t)(stub >> 16),
		    .offset_high = (uint32_t)(stub >> 32),
		};
	}
}

/* Copies the command line, since the loader's copy lies in memory that is not ours to keep. */
static int args_init(const struct hvm_start_info *info)
{
	const char *src = (const char *)info->cmdline_paddr;
	size_t len = src == NULL ? 0 : strlen(src);

	if (len >= MAX_LINE)
		die("guest: the command line is longer than %d bytes", MAX_LINE - 1);
	memcpy(line, src, len);
	words[0] = name;
	return 1 + args_split(line, words + 1, MAX_ARGS);
}

void lombard_main(const struct hvm_start_info *info)
{
	int argc;

	time_init();
	idt_fill();
	mem_init(info);
	argc = args_init(info);
	exit(main(argc, words));
}

void shutdown(unsigned int reason)
{
	struct sched_shutdown arg = {.reason = reason};

	for (;;) {
		hypercall_sched_op(SCHEDOP_shutdown, &arg);
		arg.reason = SHUTDOWN_crash; /* the hypervisor knows no such reason */
	}
}

void exit(int status)
{
	console_flush();
	hypercall_guest_op(GUESTOP_exit_status, (uint8_t)status);
	shutdown(SHUTDOWN_poweroff);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static const char *vector_name(uint64_t vector)
{
	switch (vector) {
	case 0:
		return "divide error";
	case 3:
		return "breakpoint";
	case 6:
		return "invalid opcode";
	case 8:
		return "double fault";
	case 12:
		return "stack fault";
	case 13:
		return "general protection";
	case 14:
		return "page fault";
	default:
		return "exception";
	}
}

void lombard_fault(const struct fault *fault)
{
	static bool again;

	/* The second one is a fault in this function or in what it calls: say no more. */
	if (again)
		shutdown(SHUTDOWN_crash);
	again = true;
	printf("\nguest: %s: vector %llu rip 0x%llx cr2 0x%llx error 0x%llx rsp 0x%llx\n",
	    vector_name(fault->vector), (unsigned long long)fault->vector,
	    (unsigned long long)fault->rip, (unsigned long long)fault->cr2,
	    (unsigned long long)fault->error, (unsigned long long)fault->rsp);
	console_flush();
	shutdown(SHUTDOWN_crash);
}
