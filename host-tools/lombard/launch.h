/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_LAUNCH_H
#define LOMBARD_CLI_LAUNCH_H
#include <stdbool.h>

#include "client.h"

/*
 * Start a cell that listens at `path`, in the background, and wait until it answers.  What it has
 * to say goes to the file `path`.log.  With `until_idle` it ends by itself when its last guest is
 * gone.  lombardd is $LOMBARDD, or lies beside this program.
 *
 * On 0 the client is connected and *pid is the cell's.  When somebody else starts one at the same
 * time, the one that listens in the end is used.  Errors are told to the user, with lombardd's own
 * words.
 */
int launch_cell(struct client *c, const char *path, bool until_idle, long *pid);

/* Connect to the cell at `path`; when none runs there, start one that ends with its last guest. */
int launch_or_open(struct client *c, const char *path);

#endif
