/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VICTIM_H
#define LOMBARD_VICTIM_H
/* What the files of the victim share: see victim.c. */
#include <lombard-guest.h>

#define SECOND 1000000000ULL
#define PATIENCE (60 * SECOND) /* for what an honest partner has to do */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* must: an honest call has to succeed. */
void must(int err, const char *what);

/* pair: with the guest `with`, as the first or the second of two, until then. */
void pair(uint16_t with, bool first, uint64_t until);

/* open: with whoever is there. */
void open(uint64_t until);

/*
 * chats_init: an endpoint that everybody may connect to.  chat: with that guest, over its channel and
 * over ours.  Had it one?
 */
void chats_init(void);
bool chat(uint16_t domid);

#endif
