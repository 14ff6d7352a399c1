/* SPDX-License-Identifier: BSD-2-Clause */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* strtoull alone takes signs, leading blanks and octal, none of which is meant here. */
static int parse_prefix(const char *text, uint64_t *value, const char **rest)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	char *end;

	if (!isxdigit((unsigned char)digits[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(digits, &end, base);
	if (end == digits)
		return -EINVAL;
	if (errno == ERANGE || *value > INT64_MAX)
		return -ERANGE;
	*rest = end;
	return 0;
}

int units_parse_number(const char *text, uint64_t *value)
{
	const char *rest;
	int err = parse_prefix(text, value, &rest);

	if (err)
		return err;
	return *rest ? -EINVAL : 0;
}

static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMG";
	const char *at;

	if (!suffix[0])
		return 0;
	at = strchr(letters, toupper((unsigned char)suffix[0]));
	if (!at || suffix[1])
		return -EINVAL;
	return 10 * (int)(at - letters + 1);
}

int units_parse_size(const char *text, uint64_t *bytes)
{
	const char *rest;
	uint64_t value;
	int shift, err;

	err = parse_prefix(text, &value, &rest);
	if (err)
		return err;
	shift = suffix_shift(rest);
	if (shift < 0)
		return shift;
	if (value > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*bytes = value << shift;
	return 0;
}

const char *units_format_size(char buf[UNITS_TEXT_LEN], uint64_t bytes)
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, UNITS_TEXT_LEN, "%" PRIu64 " B", bytes);
		return buf;
	}
	while (value >= 1024 && i + 1 < sizeof(names) / sizeof(names[0])) {
		value /= 1024;
		i++;
	}
	snprintf(buf, UNITS_TEXT_LEN, "%.1f %s", value, names[i]);
	return buf;
}

const char *units_format_age(char buf[UNITS_TEXT_LEN], uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days)
		snprintf(buf, UNITS_TEXT_LEN, "%" PRIu64 "d%02uh", days, (unsigned)(hours % 24));
	else if (hours)
		snprintf(buf, UNITS_TEXT_LEN, "%" PRIu64 "h%02um", hours, (unsigned)(minutes % 60));
	else if (minutes)
		snprintf(
		    buf, UNITS_TEXT_LEN, "%" PRIu64 "m%02us", minutes, (unsigned)(seconds % 60));
	else
		snprintf(buf, UNITS_TEXT_LEN, "%" PRIu64 "s", seconds);
	return buf;
}
