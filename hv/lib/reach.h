/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_REACH_H
#define LOMBARD_LIB_REACH_H
/*
 * For libraries that programs use: the way to the cell (docs/control-protocol.md).
 */
#include <stddef.h>

/* reach_path: where the cell is: $LOMBARD_SOCKET, or the usual place. */
const char *reach_path(void);

/* reach_cell: a connection to it.  => the descriptor, or -errno */
int reach_cell(void);

/* reach_judge: an answer of the cell.  => 0, or its errno (negative); -EPROTO: it is none */
int reach_judge(const char *text, size_t len);

#endif
