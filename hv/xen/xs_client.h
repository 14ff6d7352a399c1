/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_XS_CLIENT_H
#define HV_XEN_XS_CLIENT_H
/*
 * A client of xenstored over its socket (Xen public/io/xs_wire.h).  libxenstore would wait for an
 * answer for ever; here each has to come in time, since a xenstored that hangs must not make the
 * cell hang.
 *
 * Functions return 0, xenstored's own error, or what befell the connection: -EAGAIN: no answer in
 * time, -EPIPE, -EPROTO, ...  xs_lost tells them apart: after those it is of no use any more.
 */
#include <stdbool.h>
#include <stdint.h>

struct xs_client;

/* xs_open: => directory: xenstored's, with its socket.  0, -ENOENT, -ECONNREFUSED, -ENOMEM, ... */
int xs_open(const char *directory, struct xs_client **xsp);
void xs_close(struct xs_client *xs);
bool xs_lost(const struct xs_client *xs);

/* tx: 0, or a transaction's number.  xs_end: -EBUSY: others have changed what it saw */
int xs_begin(struct xs_client *xs, uint32_t *tx);
int xs_end(struct xs_client *xs, uint32_t tx, bool commit);
int xs_write(struct xs_client *xs, uint32_t tx, const char *path, const char *value);
int xs_rm(struct xs_client *xs, uint32_t tx, const char *path);

/* xs_set_perms: the owner, with nothing for others; and (owner != reader) one who may read */
int xs_set_perms(
    struct xs_client *xs, uint32_t tx, const char *path, uint32_t owner, uint32_t reader);

/* xs_introduce: let xenstored bind to a domain's page and port. */
int xs_introduce(struct xs_client *xs, uint32_t domid, uint64_t gfn, uint32_t port);

#endif
