/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock: the TSC, whose frequency the hypervisor tells, counted from the library's start.
 * Its value alone would not do: on hosts without VMX and SVM, RDTSC at CPL 3 reads the host's.
 * The hypervisor counts from the first instruction, some 0.3 ms earlier at most, so its time-outs
 * come that much early; event_wait looks at this clock and polls again.
 */
#include "lombard-guest.h"
#include "start.h"

#define KHZ_MIN 10000U /* an emulated processor may be slow */
#define KHZ_MAX 100000000U

static uint64_t first_tick;

void time_init(void)
{
	first_tick = __builtin_ia32_rdtsc();
}

/*
 * Nanoseconds per TSC tick, times 2^32.  The leaf is known by its two reserved zeroes and a
 * plausible frequency: without it some hosts answer with the values of another leaf.
 */
static uint64_t tick_scale(void)
{
	static uint64_t scale;
	uint32_t khz = lombard_timing[0];

	if (scale != 0)
		return scale;
	if (khz < KHZ_MIN || khz > KHZ_MAX || lombard_timing[1] != 0 || lombard_timing[2] != 0)
		die("guest: the hypervisor does not tell the TSC frequency");
	scale = (1000000UL << 32) / khz;
	return scale;
}

uint64_t time_ns(void)
{
	uint64_t ticks = __builtin_ia32_rdtsc() - first_tick;

	return (uint64_t)(((unsigned __int128)ticks * tick_scale()) >> 32);
}

uint64_t time_after(uint64_t ns)
{
	return time_ns() + ns;
}
