/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast this processor's TSC counts, in kHz, which is also how fast it counts in QEMU's machines.  Their
 * kernels find out by timers, and are far off when the host had other things to do meanwhile.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define NS_PER_S UINT64_C(1000000000)
#define LENGTH_NS (NS_PER_S / 5)
#define TRIES 1000

struct sample {
	uint64_t ticks, ns;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Both clocks at the same moment: of many tries the one that was interrupted least. */
static struct sample take_sample(void)
{
	struct sample best = {0, 0};
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t begin = __rdtsc(), ns = now_ns(), length = __rdtsc() - begin;

		if (length < shortest) {
			shortest = length;
			best = (struct sample){begin + length / 2, ns};
		}
	}
	return best;
}

int main(void)
{
	struct timespec pause = {.tv_nsec = LENGTH_NS};
	struct sample a = take_sample(), b;

	nanosleep(&pause, NULL);
	b = take_sample();
	printf("%" PRIu64 "\n", (b.ticks - a.ticks) * (NS_PER_S / 1000) / (b.ns - a.ns));
	return 0;
}
