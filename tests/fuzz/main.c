/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NAME [-runs=N] [-seed=S] [FILE...]: a libFuzzer target without libFuzzer: N random inputs, or
 * those files.  Some of each input is repeated from the one before, so that states that take many
 * steps are reached now and then.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/model/rng.h"

#define MAX_INPUT 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bytes[1 << 20];

static int run_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	size_t size;

	if (f == NULL) {
		perror(name);
		return 1;
	}
	size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, size);
	return 0;
}

static void run_random(uint64_t seed, uint64_t i)
{
	struct rng rng = {.state = seed ^ i * UINT64_C(0x9e3779b97f4a7c15)};
	size_t size = rng_below(&rng, MAX_INPUT), from, len;

	for (size_t k = 0; k < size; k++)
		bytes[k] = (uint8_t)rng_next(&rng);
	for (unsigned n = (unsigned)rng_below(&rng, 8); n > 0 && size > 16; n--) {
		from = rng_below(&rng, size / 2);
		len = rng_below(&rng, size / 2);
		memmove(bytes + size / 2, bytes + from, len);
	}
	LLVMFuzzerTestOneInput(bytes, size);
}

int main(int argc, char **argv)
{
	uint64_t runs = 20000, seed = (uint64_t)time(NULL);
	int status = 0, files = 0;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0) {
			runs = strtoull(argv[i] + 6, NULL, 0);
		} else if (strncmp(argv[i], "-seed=", 6) == 0) {
			seed = strtoull(argv[i] + 6, NULL, 0);
		} else {
			status |= run_file(argv[i]);
			files++;
		}
	}
	if (files > 0)
		return status;
	printf("fuzz: seed %ju\n", (uintmax_t)seed);
	fflush(stdout);
	for (uint64_t i = 0; i < runs; i++)
		run_random(seed, i);
	printf("fuzz: %ju random inputs\n", (uintmax_t)runs);
	return 0;
}
