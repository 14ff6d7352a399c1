/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_CELL_H
#define HV_CORE_CELL_H
/*
 * The cell as a whole: its socket, its directory, its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/failure.h"

/*
 * cell_open: make the socket's directory, take the socket, listen.
 * => group: who may connect besides the owner: the group of all that is made for clients; a directory
 *    that is there already is left as it is
 * => -EADDRINUSE: another cell answers there; a socket nobody answers on is replaced
 * => 0 and the listening socket, or -errno with *f
 */
#define CELL_OWN_GROUP ((gid_t)-1) /* the group of our process */
int cell_open(const char *path, gid_t group, int *listener, struct failure *f);

/* cell_give: let the cell's group have a file, whose mode says what for.  0 or -errno */
int cell_give(const char *path);

/* cell_close: remove the socket and the console files. */
void cell_close(void);

const char *cell_socket(void);

/* cell_end: ask the main thread to end the cell.  From any thread. */
void cell_end(void);

/* Readable once cell_end was called. */
int cell_end_fd(void);

/*
 * cell_console: a new console file for a detached guest, beside the socket; removed at the end.
 * => 0 with a descriptor, and its path in path; or -errno with *f
 * cell_console_drop: remove it now: the guest did not come to life.
 */
#define CELL_CONSOLE_MAX (16u << 20) /* bytes; what is written beyond them is dropped */
int cell_console(const char *name, char *path, size_t len, int *fd, struct failure *f);
void cell_console_drop(const char *path);

#endif
