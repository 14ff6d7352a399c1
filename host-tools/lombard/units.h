/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_UNITS_H
#define LOMBARD_CLI_UNITS_H
/* Numbers and sizes as people write them.  Nothing here prints or allocates. */
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes from a decimal or 0x number and one of the suffixes K, M, G (powers of 1024, either case).
 * -EINVAL when the text is anything else, -ERANGE above INT64_MAX (JSON's integers here).
 */
int units_parse_size(const char *text, uint64_t *bytes);

/* A decimal or 0x number without a suffix; errors as above. */
int units_parse_number(const char *text, uint64_t *value);

#define UNITS_TEXT_LEN 32

/* Bytes for people: "512 B", "4.0 KiB", "95.4 MiB".  Returns buf. */
const char *units_format_size(char buf[UNITS_TEXT_LEN], uint64_t bytes);

/* Seconds for people: "7s", "3m07s", "2h05m", "4d03h".  Returns buf. */
const char *units_format_age(char buf[UNITS_TEXT_LEN], uint64_t seconds);

#endif
