/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_TERMINAL_H
#define LOMBARD_CLI_TERMINAL_H
#include <stdbool.h>

/*
 * The terminal on stdin, while it belongs to a guest.  Raw: every key is the guest's, Ctrl-C too, and
 * what it writes is left as it is.  Else lines are edited here, and Ctrl-C is for us; the key `escape`
 * (-1: none) ends a line at once, so that it is seen.
 *
 * terminal_take: it does so until terminal_release.  Does nothing when stdin is no terminal.
 * terminal_again: we were stopped, and a shell has had it meanwhile.
 */
void terminal_take(bool raw, int escape);
void terminal_again(void);
void terminal_release(void);

#endif
