/* SPDX-License-Identifier: BSD-2-Clause */
#include "signals.h"

#include <stddef.h>

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t nr_signals;
static struct sigaction old_int, old_term;

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
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	sigdelset(unblocked, SIGINT);
	sigdelset(unblocked, SIGTERM);
	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
}

void signals_release(const sigset_t *unblocked)
{
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
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
