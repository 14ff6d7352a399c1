/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_LAUNCH_H
#define LOMBARD_CLI_LAUNCH_H
#include "client.h"

/* What the new cell is to do beside what every cell does. */
enum launch_flags { LAUNCH_PLAIN, LAUNCH_UNTIL_IDLE, LAUNCH_XENSTORE };

/*
 * Start a cell that listens at `path`, in the background, and wait until it answers.  What it has
 * to say goes to the file `path`.log.  UNTIL_IDLE: it ends by itself when its last guest is gone;
 * XENSTORE: it runs a xenstored.  group: whose members may use it; NULL: lombardd's own.  lombardd is $LOMBARDD, or lies beside this program.
 *
 * On 0 the client is connected and *pid is the cell's.  When somebody else starts one at the same
 * time, the one that listens in the end is used.  Errors are told to the user, with lombardd's own
 * words.
 */
int launch_cell(
    struct client *c, const char *path, enum launch_flags flags, const char *group, long *pid);

/*
 * Connect to the cell at `path`; when none runs there, start one.  One with a xenstore does not end with
 * its last guest, which is said.
 */
int launch_or_open(struct client *c, const char *path, enum launch_flags flags);

#endif
