/* SPDX-License-Identifier: BSD-2-Clause */
#include "signals.h"

#include <stddef.h>

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t nr_signals;

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct sigaction old[NR_SIGNALS];

static void on_signal(int signo)
{
	last_signal = signo;
	nr_signals++;
}

void signals_catch(sigset_t *unblocked)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (unsigned i = 0; i < NR_SIGNALS; i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	for (unsigned i = 0; i < NR_SIGNALS; i++) {
		sigdelset(unblocked, signals[i]);
		sigaction(signals[i], &action, &old[i]);
		/* As nohup(1) wants it. */
		if (signals[i] == SIGHUP && old[i].sa_handler == SIG_IGN)
			sigaction(SIGHUP, &old[i], NULL);
	}
}

void signals_release(const sigset_t *unblocked)
{
	for (unsigned i = 0; i < NR_SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	sigprocmask(SIG_SETMASK, unblocked, NULL);
}

unsigned signals_seen(void)
{
	return (unsigned)nr_signals;
}

int signals_last(void)
{
	return last_signal;
}
