/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_RNG_H
#define TESTS_UNIT_RNG_H
/* Random numbers that a seed replays: a counter through a mixing function. */
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t x = r->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* 0 .. n - 1 */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

/* True once in n times. */
static inline int rng_once_in(struct rng *r, uint64_t n)
{
	return rng_below(r, n) == 0;
}

#endif
