/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/scroll.h"

#include <string.h>

#define NEWLINE_WITHIN 4096 /* where a line's end is looked for */

_Static_assert((SCROLL_SIZE & (SCROLL_SIZE - 1)) == 0, "places become offsets by masking");

static size_t offset_of(uint64_t at)
{
	return at & (SCROLL_SIZE - 1);
}

static uint64_t oldest(const struct scroll *s)
{
	return s->end > SCROLL_SIZE ? s->end - SCROLL_SIZE : 0;
}

void scroll_add(struct scroll *s, const char *buf, size_t len)
{
	while (len > 0) {
		size_t to = offset_of(s->end), n = SCROLL_SIZE - to;

		if (n > len)
			n = len;
		memcpy(s->buf + to, buf, n);
		s->end += n;
		buf += n;
		len -= n;
	}
}

uint64_t scroll_begin(const struct scroll *s)
{
	uint64_t from = oldest(s);

	for (uint64_t at = from; from > 0 && at < from + NEWLINE_WITHIN; at++)
		if (s->buf[offset_of(at)] == '\n')
			return at + 1;
	return from;
}

uint64_t scroll_lost(const struct scroll *s, uint64_t at)
{
	uint64_t from = oldest(s);

	return at < from ? from - at : 0;
}

size_t scroll_run(const struct scroll *s, uint64_t at, const char **run)
{
	size_t from = offset_of(at), n = SCROLL_SIZE - from;

	*run = s->buf + from;
	return s->end - at < n ? (size_t)(s->end - at) : n;
}
