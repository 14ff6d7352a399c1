/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_CONRING_H
#define LOMBARD_VMM_CONRING_H
/*
 * The PV console's ring (Xen public/io/console.h), from the side that serves it.
 *
 * The ring is a page of the guest, which may write what it likes there at any time: each index is
 * read once, and checked.  One that lies makes the ring look empty, or full, until it is right again.
 * Every access may sleep in a fault of that page.
 */
#include <stddef.h>
#include <stdint.h>

struct xencons_interface;

#define CONRING_OUT 2048 /* bytes that a guest can have written and nobody taken */

/*
 * conring_peek: copy what the guest has written.  => room >= 1
 * => its length, 0: nothing; *at is where it begins, for conring_consume
 *
 * conring_consume: the bytes before `at` have been taken: the guest may write there again.
 */
size_t conring_peek(const struct xencons_interface *ring, char *buf, size_t room, uint32_t *at);
void conring_consume(struct xencons_interface *ring, uint32_t at);

/* conring_put: let the guest read buf.  => how much of it there was room for */
size_t conring_put(struct xencons_interface *ring, const char *buf, size_t len);

#endif
