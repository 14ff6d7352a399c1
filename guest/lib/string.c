/* SPDX-License-Identifier: BSD-2-Clause */
/* What <string.h> and <stdlib.h> would offer.  The string instructions are fast on big blocks. */
#include "lombard-guest.h"
#include "start.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = (char *)dst + n;
	const char *s = (const char *)src + n;

	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	while (n-- > 0)
		*--d = *--s;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

static uint64_t load64(const unsigned char *p)
{
	uint64_t word;

	__builtin_memcpy(&word, p, sizeof(word));
	return word;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	while (n >= 8 && load64(p) == load64(q)) {
		p += 8;
		q += 8;
		n -= 8;
	}
	for (; n > 0; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

bool mem_all(const void *p, unsigned char c, size_t n)
{
	const unsigned char *s = p;

	/* All are c if the first is, and each equals the one before it. */
	return n == 0 || (s[0] == c && memcmp(s, s + 1, n - 1) == 0);
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p != '\0')
		p++;
	return (size_t)(p - s);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b)
			return (unsigned char)*a - (unsigned char)*b;
		if (*a == '\0')
			break;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

/* The value of a digit in any base, or 36 if c is none. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned int)(c - 'A') + 10;
	return 36;
}

unsigned long long strtoull(const char *s, char **end, int base)
{
	const char *start = s;
	unsigned long long value = 0;
	unsigned int radix = (unsigned int)base;

	if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x' && digit(s[2]) < 16) {
		radix = 16;
		s += 2;
	} else if (base == 0) {
		radix = 10;
	}
	for (; digit(*s) < radix; s++) {
		if (__builtin_mul_overflow(value, radix, &value) ||
		    __builtin_add_overflow(value, digit(*s), &value)) {
			s = start; /* too big: no number at all, rather than another one */
			value = 0;
			break;
		}
	}
	if (end != NULL)
		*end = (char *)(uintptr_t)s;
	return value;
}

size_t number_text(char *s, uint32_t value)
{
	size_t n = 1;

	for (uint32_t v = value; v >= 10; v /= 10)
		n++;
	s[n] = '\0';
	for (size_t i = n; i > 0; value /= 10)
		s[--i] = (char)('0' + value % 10);
	return n;
}
