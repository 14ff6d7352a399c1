/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chanhost: the host program at one end of a channel: `chanhost ROLE [key=value ...]`, with the roles
 * and words of guest/probe/chanroles.h and chanraw.h, output and exit status as probe's; and
 * chan-threads: chan-self by several threads at once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lombard-chan.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PATIENCE 60000000000ULL

static const char *running = "?";

static void fail(int n, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

static void fail(int n, const char *fmt, ...)
{
	va_list ap;

	printf("probe: %s: check %d failed: ", running, n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(n);
}

static void expect(int n, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		fail(n, "%s: got %lld, want %lld", what, (long long)got, (long long)want);
}

static const char *arg_find(int argc, char **argv, const char *key)
{
	size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static uint64_t arg_u64(int argc, char **argv, const char *key, uint64_t fallback)
{
	const char *text = arg_find(argc, argv, key);
	char *end;
	uint64_t value;

	if (text == NULL)
		return fallback;
	value = strtoull(text, &end, 0);
	if (*text == '\0' || *end != '\0')
		fail(98, "%s is no number", key);
	return value;
}

static uint64_t time_after(uint64_t ns)
{
	return chan_after(ns);
}

static void time_sleep(uint64_t ns)
{
	struct timespec ts = {
	    .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		continue;
}

#include "../../guest/probe/chanroles.h"
#include "../../guest/probe/chanraw.h"

/* Several threads, each with both ends of a channel of its own: NAME-1, NAME-2, ... */
#define THREADS 4

struct thread_args {
	pthread_t thread;
	char name[64];
	char *argv[16];
	int argc;
};

static void *self_thread(void *arg)
{
	struct thread_args *t = arg;

	for (int round = 0; round < 5; round++)
		chan_self_test(t->argc, t->argv);
	return NULL;
}

static void chan_threads_test(int argc, char **argv)
{
	const char *name = name_of(argc, argv);
	static struct thread_args args[THREADS];

	for (int i = 0; i < THREADS; i++) {
		struct thread_args *t = &args[i];

		snprintf(t->name, sizeof(t->name), "name=%s-%d", name, i + 1);
		/* The first word of a key counts. */
		t->argv[0] = argv[0];
		t->argv[1] = t->name;
		for (t->argc = 2; t->argc <= argc && t->argc < 15; t->argc++)
			t->argv[t->argc] = argv[t->argc - 1];
		expect(70, "thread", pthread_create(&t->thread, NULL, self_thread, t), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(args[i].thread, NULL);
}

static const struct role {
	const char *name;
	void (*run)(int argc, char **argv);
} roles[] = {CHAN_ROLES CHAN_RAW{"chan-threads", chan_threads_test}};

int main(int argc, char **argv)
{
	/* Whoever waits for our lines reads them from a file. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(roles); i++) {
		if (strcmp(argv[1], roles[i].name) != 0)
			continue;
		running = roles[i].name;
		roles[i].run(argc, argv);
		printf("probe: %s: ok\n", running);
		return 0;
	}
	fprintf(stderr, "usage: chanhost ROLE [key=value ...]\n");
	return 98;
}
