/* SPDX-License-Identifier: BSD-2-Clause */
/* The console and printf. */
#include "lombard-guest.h"

static char buffer[256];
static size_t buffered;

void console_flush(void)
{
	size_t n = buffered;

	buffered = 0;
	if (n != 0)
		hypercall_console_io(CONSOLEIO_write, n, buffer);
}

int putchar(int c)
{
	buffer[buffered++] = (char)c;
	if (c == '\n' || buffered == sizeof(buffer))
		console_flush();
	return (unsigned char)c;
}

int puts(const char *s)
{
	while (*s != '\0')
		putchar(*s++);
	putchar('\n');
	return 0;
}

/* One conversion of a format: %[-][0][width][.precision][length]conversion */
struct spec {
	bool left;
	bool zero;
	int width;
	int precision; /* -1: none */
	int length;    /* bytes of an integer argument */
	char conversion;
};

/* A number, or * for the next argument. */
static const char *spec_number(const char *fmt, va_list *ap, int *value)
{
	*value = 0;
	if (*fmt == '*') {
		*value = va_arg(*ap, int);
		return fmt + 1;
	}
	for (; *fmt >= '0' && *fmt <= '9'; fmt++)
		*value = *value * 10 + (*fmt - '0');
	return fmt;
}

static const char *spec_length(const char *fmt, int *length)
{
	*length = 4;
	for (; *fmt == 'h'; fmt++)
		*length /= 2;
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		*length = 8;
	return fmt;
}

static const char *spec_parse(const char *fmt, va_list *ap, struct spec *spec)
{
	*spec = (struct spec){.precision = -1};
	for (; *fmt == '-' || *fmt == '0'; fmt++) {
		spec->left |= *fmt == '-';
		spec->zero |= *fmt == '0';
	}
	fmt = spec_number(fmt, ap, &spec->width);
	if (*fmt == '.')
		fmt = spec_number(fmt + 1, ap, &spec->precision);
	fmt = spec_length(fmt, &spec->length);
	spec->conversion = *fmt;
	return *fmt == '\0' ? fmt : fmt + 1;
}

static int repeat(char c, int n)
{
	for (int i = 0; i < n; i++)
		putchar(c);
	return n > 0 ? n : 0;
}

/* Print text of len characters in the field; sign stands before padding zeroes. */
static int field(const struct spec *spec, const char *sign, const char *text, int len)
{
	int total = (int)strlen(sign) + len;
	int pad = spec->width > total ? spec->width - total : 0;

	if (!spec->left && !spec->zero)
		repeat(' ', pad);
	while (*sign != '\0')
		putchar(*sign++);
	if (!spec->left && spec->zero)
		repeat('0', pad);
	for (int i = 0; i < len; i++)
		putchar(text[i]);
	if (spec->left)
		repeat(' ', pad);
	return total + pad;
}

static int print_number(
    const struct spec *spec, const char *sign, uint64_t value, unsigned int base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[20]; /* 2^64 has 20 decimal digits */
	char *p = text + sizeof(text);

	do {
		*--p = digits[value % base];
		value /= base;
	} while (value != 0);
	return field(spec, sign, p, (int)(text + sizeof(text) - p));
}

static uint64_t arg_unsigned(const struct spec *spec, va_list *ap)
{
	uint64_t value = spec->length == 8 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned int);

	return spec->length == 8 ? value : value & ((1UL << (spec->length * 8)) - 1);
}

static int print_signed(const struct spec *spec, va_list *ap)
{
	unsigned int unused = 64 - (unsigned int)spec->length * 8;
	int64_t value = (int64_t)(arg_unsigned(spec, ap) << unused) >> unused;

	if (value < 0)
		return print_number(spec, "-", -(uint64_t)value, 10, false);
	return print_number(spec, "", (uint64_t)value, 10, false);
}

static int print_string(struct spec *spec, const char *s)
{
	int len = 0;

	if (s == NULL)
		s = "(null)";
	while (len != spec->precision && s[len] != '\0')
		len++;
	spec->zero = false;
	return field(spec, "", s, len);
}

static int print_one(struct spec *spec, va_list *ap)
{
	char c;

	switch (spec->conversion) {
	case 'd':
	case 'i':
		return print_signed(spec, ap);
	case 'u':
		return print_number(spec, "", arg_unsigned(spec, ap), 10, false);
	case 'x':
	case 'X':
		return print_number(spec, "", arg_unsigned(spec, ap), 16, spec->conversion == 'X');
	case 'p':
		return print_number(spec, "0x", (uint64_t)va_arg(*ap, void *), 16, false);
	case 's':
		return print_string(spec, va_arg(*ap, const char *));
	case 'c':
		c = (char)va_arg(*ap, int);
		return field(spec, "", &c, 1);
	default: /* %% and what is unknown print themselves */
		return field(spec, "", &spec->conversion, spec->conversion != '\0');
	}
}

int vprintf(const char *fmt, va_list ap)
{
	struct spec spec;
	va_list args;
	int n = 0;

	va_copy(args, ap);
	while (*fmt != '\0') {
		if (*fmt != '%') {
			putchar(*fmt++);
			n++;
			continue;
		}
		fmt = spec_parse(fmt + 1, &args, &spec);
		n += print_one(&spec, &args);
	}
	va_end(args);
	return n;
}

int printf(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vprintf(fmt, ap);
	va_end(ap);
	return n;
}
