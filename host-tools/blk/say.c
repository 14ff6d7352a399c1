/* SPDX-License-Identifier: BSD-2-Clause */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define A_FEW 10u

static char about[96];

void say_about(const char *guest, const char *disk)
{
	snprintf(about, sizeof(about), "%s, %s: ", guest, disk);
}

/* One write, so that lines of several processes in one file stay whole. */
static void vsay(const char *end, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void vsay(const char *end, const char *fmt, va_list ap)
{
	char text[768];
	int n = snprintf(text, sizeof(text), "lombard-blk: %s", about);
	size_t len = (size_t)n;

	len += (size_t)vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	if (len < sizeof(text))
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\n", end);
	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	text[len - 1] = '\n';
	(void)!write(STDERR_FILENO, text, len);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay("", fmt, ap);
	va_end(ap);
}

void say_a_few(unsigned *said, const char *fmt, ...)
{
	va_list ap;

	if (*said == A_FEW)
		return;
	va_start(ap, fmt);
	vsay(++*said == A_FEW ? "; no more of this is told" : "", fmt, ap);
	va_end(ap);
}
