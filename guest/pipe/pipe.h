/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PIPE_PIPE_H
#define LOMBARD_PIPE_PIPE_H
/*
 * The two guests of `lombard pipe`, one image.  What the command is to know goes to the console,
 * one line `pipe: WORD NUMBER` each; any other line is for people.
 */
#include <lombard-guest.h>

#include <lombard-chan.h>

#define SECOND 1000000000ULL
#define PATIENCE (60 * SECOND) /* until the other guest has come up */

/* The roles: both end the guest with an exit status, or by die(). */
int source_main(int argc, char **argv);
int sink_main(int argc, char **argv);

/* Tell the command one number. */
void pipe_tell(const char *word, uint64_t number);

void pipe_check(int err, const char *what);

/* The text of an argument that must be there. */
const char *pipe_need(int argc, char **argv, const char *key);

#endif
