/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_CELL_H
#define LOMBARD_BLK_CELL_H
/*
 * The cell that the guest runs in, by its control protocol (docs/control-protocol.md).
 */
#include <stdint.h>

#include "lib/failure.h"

#define CELL_NAME 64
#define CELL_PATH 128

struct cell {
	int fd; /* readable when the guest or the cell has ended */
	uint32_t domid;
	char name[CELL_NAME];	   /* the guest's */
	char directory[CELL_PATH]; /* its xenstore's */
};

/*
 * cell_open: find the guest (a domid or a name) in the cell of $LOMBARD_SOCKET, and wait for its end.
 */
int cell_open(struct cell *c, const char *guest, struct failure *f);

#endif
