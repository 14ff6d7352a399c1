/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIBCHAN_DIALOGUE_H
#define LOMBARD_LIBCHAN_DIALOGUE_H
/*
 * How a program becomes known to the cell: the operation `channel` of docs/control-protocol.md,
 * then the start-up dialogue of proto/wire.h.  Errors: 0 or -errno.
 */
#include "pmap/pmap_local.h"
#include "proto/wire.h"

/* Our ends; -1: none. */
struct sockets {
	int request, pmap;
};

/* dialogue_open: ask the cell at $LOMBARD_SOCKET, else /run/lombard/cell.sock. */
int dialogue_open(struct sockets *s);

/* dialogue_hello: => what to build; window_gfn and window_pages are good */
int dialogue_hello(const struct sockets *s, struct wire_config *cfg);

/* dialogue_ready: it is built, and served.  The core has userfaultfd and knows the window then. */
int dialogue_ready(const struct sockets *s, const struct pmap_local *p);

void dialogue_close(struct sockets *s);

#endif
