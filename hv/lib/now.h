/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_NOW_H
#define LOMBARD_LIB_NOW_H
/*
 * CLOCK_MONOTONIC as a number, for deadlines.
 */
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline int64_t now_ms(void)
{
	return (int64_t)(now_ns() / 1000000);
}

#endif
