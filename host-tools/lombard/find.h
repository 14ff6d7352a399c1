/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_FIND_H
#define LOMBARD_CLI_FIND_H
/* Guests by name, which only the cell knows: libxenctrl wants domids. */
#include <stdbool.h>
#include <stdint.h>

#include "client.h"

struct found {
	json_t *answer; /* what the rest points into */
	uint32_t domid;
	const char *name;
	bool program;	 /* a host program, of which Xen does not know */
	bool ended;	 /* it is remembered only */
	unsigned pauses; /* how often it is paused */
	uint64_t memory; /* bytes of its RAM */
};

/*
 * find_guest: the guest that the user named, among the living first, then among those that have ended
 * lately.  Told to the user as client.h says it.  After an error there is nothing to drop.
 */
int find_guest(struct client *c, const char *what, const char *guest, struct found *f);
void find_drop(struct found *f);

#endif
