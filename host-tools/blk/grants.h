/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_GRANTS_H
#define LOMBARD_BLK_GRANTS_H
/*
 * Pages of the guest that are mapped here.  Those of a frontend that keeps its grants (persistent
 * grants) stay mapped, up to a number; others are mapped for one request.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xengnttab.h>

#include "request.h"

/* As many as four pages' ring of requests without indirect ones needs. */
#define GRANTS_MAX_KEPT 1408u
#define GRANTS_BUCKETS 1024u

struct grant_kept {
	uint32_t ref;
	uint16_t next; /* of the same bucket, or 0: its index and 1 */
	void *page;
};

struct grants {
	xengnttab_handle *handle;
	uint32_t domid;
	bool persistent;
	unsigned nkept;
	uint16_t buckets[GRANTS_BUCKETS];
	struct grant_kept kept[GRANTS_MAX_KEPT];
};

/* What was mapped for one request. */
struct grant_use {
	void *map;
	unsigned pages;
};

/*
 * grants_map: where the pages of n (at most BLK_MAX_SEGMENTS) references lie here; write: is anything
 * to be stored there?
 * => 0, and *use is for grants_release; or -errno: at least one can't be mapped like that, and *use is
 *    empty
 */
int grants_map(struct grants *g, const uint32_t *refs, unsigned n, bool write, void **pages,
    struct grant_use *use);
void grants_release(struct grants *g, struct grant_use *use);

/* grants_drop: what was kept; none is in use. */
void grants_drop(struct grants *g);

#endif
