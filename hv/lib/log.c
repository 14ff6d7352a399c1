/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_LINE 1024

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char ring[LOG_BYTES];
/* Bytes since the start: [cleared or wrapped over, end) are there.  Xen's indexes are 32 bits wide,
 * and so are these: they wrap. */
static uint32_t begin, end;

static void (*told)(void);

void log_notify_by(void (*notify)(void))
{
	told = notify;
}

static void put(const char *text, size_t len)
{
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < len; i++)
		ring[end++ % LOG_BYTES] = text[i];
	if (end - begin > LOG_BYTES)
		begin = end - LOG_BYTES;
	pthread_mutex_unlock(&mutex);
	if (told != NULL)
		told();
}

/* Names and messages are others' words: no control characters on somebody's terminal. */
static void tame(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* A date and the line, which may be cut, but ends in a newline. */
static void keep(const char *line)
{
	char text[MAX_LINE + 40];
	time_t now = time(NULL);
	struct tm tm;
	size_t n = 0;

	if (localtime_r(&now, &tm) != NULL)
		n = strftime(text, sizeof(text), "[%Y-%m-%d %H:%M:%S] ", &tm);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", line);
	tame(text);
	text[n] = '\n';
	put(text, n + 1);
}

void log_note(const char *fmt, ...)
{
	char line[MAX_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	keep(line);
}

void log_warn(const char *fmt, ...)
{
	char line[MAX_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "lombardd: %s\n", line);
	keep(line);
}

uint32_t log_read(char *buf, uint32_t room, bool incremental, bool clear, uint32_t *index)
{
	uint32_t at, n;

	pthread_mutex_lock(&mutex);
	at = begin;
	if (incremental && *index - begin <= end - begin)
		at = *index;
	n = end - at < room ? end - at : room;
	for (uint32_t i = 0; i < n; i++)
		buf[i] = ring[(at + i) % LOG_BYTES];
	at += n;
	if (clear)
		begin = at;
	pthread_mutex_unlock(&mutex);
	*index = at;
	return n;
}
