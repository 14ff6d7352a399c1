/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_COUNT_H
#define LOMBARD_LIB_COUNT_H
/*
 * Eventfds that wake somebody, where it does not matter how often they were counted up.  They do not
 * block; one that is full has been counted up.
 */
#include <stdint.h>
#include <unistd.h>

static inline void count_up(int fd)
{
	uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

static inline void count_off(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

#endif
