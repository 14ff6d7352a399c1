/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#include "lombard-guest.h"
#include "start.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

int args_split(char *line, char **words, int max)
{
	int n = 0;

	for (char *p = line;;) {
		while (blank(*p))
			*p++ = '\0';
		if (*p == '\0')
			return n;
		if (n == max)
			die("guest: more than %d arguments", max);
		words[n++] = p;
		while (*p != '\0' && !blank(*p))
			p++;
	}
}

const char *arg_find(int argc, char **argv, const char *key)
{
	size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static uint64_t number(const char *key, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (end == text || *end != '\0')
		die("guest: %s=%s is not a number", key, text);
	return value;
}

uint64_t arg_u64(int argc, char **argv, const char *key, uint64_t fallback)
{
	const char *text = arg_find(argc, argv, key);

	return text == NULL ? fallback : number(key, text);
}

uint64_t arg_need(int argc, char **argv, const char *key)
{
	const char *text = arg_find(argc, argv, key);

	if (text == NULL)
		die("guest: the argument %s=NUMBER is missing", key);
	return number(key, text);
}
