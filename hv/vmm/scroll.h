/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_SCROLL_H
#define LOMBARD_VMM_SCROLL_H
/*
 * The last bytes that a guest has written to its console.  Places are counted from its first byte on,
 * so that readers who come late, or are slow, need no copy of their own.
 */
#include <stddef.h>
#include <stdint.h>

#define SCROLL_SIZE (128U << 10)

struct scroll {
	uint64_t end; /* the place behind the last byte */
	char buf[SCROLL_SIZE];
};

/* scroll_add: the oldest bytes make room. */
void scroll_add(struct scroll *s, const char *buf, size_t len);

/*
 * scroll_begin: where somebody who has seen nothing begins: with the first byte, or with a line if
 * that is gone.
 * scroll_lost: how many of the bytes from `at` on are gone.  => at <= end
 * scroll_run: as many bytes from `at` on as lie together, 0 at the end.  => scroll_lost is 0
 */
uint64_t scroll_begin(const struct scroll *s);
uint64_t scroll_lost(const struct scroll *s, uint64_t at);
size_t scroll_run(const struct scroll *s, uint64_t at, const char **run);

#endif
