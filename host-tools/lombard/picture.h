/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_PICTURE_H
#define LOMBARD_CLI_PICTURE_H
/* Reading the frozen pages of one loan through the descriptors that the cell hands out. */
#include <stddef.h>
#include <stdint.h>

#include "client.h"

struct picture {
	struct client *c;
	uint64_t id;
	uint64_t pages; /* of the loan, at most PICTURE_MAX_PAGES */
	uint64_t bytes; /* pages * 4096, or less: the last page of a file may be cut */
};

#define PICTURE_MAX_PAGES (1U << 20) /* LOAN_MAX_PAGES of the guest ABI */

/*
 * Called with successive runs of whole pages.  `data` is valid during the call; NULL stands for
 * zeroes that no frame holds.  An error ends the walk; the callee has told the user.
 */
typedef int (*picture_fn)(void *arg, uint64_t first, uint64_t pages, const void *data);

/* Pages and bytes of a loan as the cell described it, checked against each other. */
int picture_init(struct picture *p, struct client *c, int64_t id, int64_t pages, int64_t bytes);

/* Every page once, in order.  Errors are told to the user. */
int picture_walk(const struct picture *p, picture_fn fn, void *arg);

#endif
