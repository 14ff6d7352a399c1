/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a Linux guest: whether two processes that take turns on one CPU keep their vector registers: of the
 * largest kind that processor and kernel have.  Says which; exit status 0: they do.
 */
#include <cpuid.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 2000
#define REGISTER 64 /* bytes of the largest */
#define NREGISTERS 32

#define LEAF1_OSXSAVE (1u << 27)
#define LEAF1_AVX (1u << 28)
#define LEAF7_AVX512F (1u << 16)
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u

#define FIRST_16 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define ALL_32 FIRST_16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

/* The registers are full while another process may run. */
#define YIELD_WITH(instruction, kind, which)                                                       \
	__asm__ volatile(                                                                          \
	    ".irp r," which "\n\t" instruction " \\r*64(%1), %%" kind "\\r\n\t.endr\n\t"           \
	    "syscall\n\t"                                                                          \
	    ".irp r," which "\n\t" instruction " %%" kind "\\r, \\r*64(%2)\n\t.endr"               \
	    : "+a"(ret)                                                                            \
	    : "r"(in), "r"(out)                                                                    \
	    : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",      \
	    "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

typedef void yield(const unsigned char *in, unsigned char *out);

static void yield_zmm(const unsigned char *in, unsigned char *out)
{
	long ret = SYS_sched_yield;

	YIELD_WITH("vmovdqu64", "zmm", ALL_32);
}

static void yield_ymm(const unsigned char *in, unsigned char *out)
{
	long ret = SYS_sched_yield;

	YIELD_WITH("vmovdqu", "ymm", FIRST_16);
}

static void yield_xmm(const unsigned char *in, unsigned char *out)
{
	long ret = SYS_sched_yield;

	YIELD_WITH("movdqu", "xmm", FIRST_16);
}

static const struct kind {
	const char *name;
	yield *yield;
	unsigned bytes, registers;
} xmm = {"xmm", yield_xmm, 16, 16}, ymm = {"ymm", yield_ymm, 32, 16},
  zmm = {"zmm", yield_zmm, 64, 32};

static uint32_t xcr0(void)
{
	uint32_t eax, edx;

	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static const struct kind *largest(void)
{
	unsigned eax, ebx = 0, ecx, edx, enabled;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & LEAF1_OSXSAVE) || !(ecx & LEAF1_AVX))
		return &xmm;
	enabled = xcr0();
	__cpuid_count(7, 0, eax, ebx, ecx, edx);
	if ((ebx & LEAF7_AVX512F) && (enabled & XCR0_AVX512) == XCR0_AVX512)
		return &zmm;
	return (enabled & XCR0_AVX) == XCR0_AVX ? &ymm : &xmm;
}

/* Whether what this process has in its registers is there again each time. */
static int kept(const struct kind *k)
{
	static unsigned char in[NREGISTERS * REGISTER], out[sizeof(in)];

	srandom((unsigned)getpid());
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (size_t n = 0; n < sizeof(in); n++)
			in[n] = (unsigned char)random();
		k->yield(in, out);
		for (unsigned r = 0; r < k->registers; r++)
			if (memcmp(in + r * REGISTER, out + r * REGISTER, k->bytes) != 0) {
				printf(
				    "linuxsimd: %s%u is another's after %u turns\n", k->name, r, i);
				return 1;
			}
	}
	return 0;
}

int main(void)
{
	const struct kind *k = largest();
	cpu_set_t one;
	int ours, theirs;
	pid_t pid;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0 || (pid = fork()) < 0) {
		perror("linuxsimd");
		return 1;
	}
	if (pid == 0)
		_exit(kept(k));
	ours = kept(k);
	if (waitpid(pid, &theirs, 0) != pid || theirs != 0 || ours != 0)
		return 1;
	printf("linuxsimd: %s registers are kept in %u turns\n", k->name, ROUNDS);
	return 0;
}
