/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_EXAMPLES_EXAMPLE_H
#define LOMBARD_EXAMPLES_EXAMPLE_H
/*
 * What the examples of channels, guest/tell and guest/hear, find in guests and in host programs
 * alike: C's own functions, and of the guest library arg_find, arg_u64, die and time_sleep as
 * lombard-guest.h describes them.  Nothing here has to do with channels.
 */
#if __STDC_HOSTED__

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static inline void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static inline const char *arg_find(int argc, char **argv, const char *key)
{
	size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static inline uint64_t arg_u64(int argc, char **argv, const char *key, uint64_t fallback)
{
	const char *text = arg_find(argc, argv, key);
	uint64_t value;
	char *end;

	if (text == NULL)
		return fallback;
	value = strtoull(text, &end, 0);
	if (end == text || *end != '\0')
		die("%s: %s=%s is not a number", argv[0], key, text);
	return value;
}

static inline void time_sleep(uint64_t ns)
{
	struct timespec left = {
	    .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
}

#else

#include <lombard-guest.h>

#endif

/* The library's header as a part of the program: guests have no shared libraries. */
#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

#endif
