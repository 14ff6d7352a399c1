/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_SIGNALS_H
#define LOMBARD_CLI_SIGNALS_H
#include <signal.h>

/*
 * For commands that have guests to stop, or a terminal to give back, when SIGINT, SIGTERM or SIGHUP come.
 * From signals_catch on they are blocked, and counted while a ppoll() runs with the mask *unblocked: none
 * is lost between looking and sleeping.  A SIGHUP that was ignored stays so.
 */
void signals_catch(sigset_t *unblocked);

/* Back to what the signals did before; one that came meanwhile does it now. */
void signals_release(const sigset_t *unblocked);

unsigned signals_seen(void); /* how many were counted */
int signals_last(void);	     /* the last one; 0: none */

#endif
