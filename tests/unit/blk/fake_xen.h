/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BLK_FAKE_XEN_H
#define TESTS_BLK_FAKE_XEN_H
/*
 * The Xen libraries as lombard-blk uses them, for one guest with a few pages: reference FAKE_REF + i is
 * its page i.
 */
#include <stdbool.h>
#include <stdint.h>

#define FAKE_REF 8u
#define FAKE_PAGES 64u
#define FAKE_RING_PAGES 4u /* the first ones */

struct fake {
	uint8_t *pages;		    /* the guest's view */
	bool read_only[FAKE_PAGES]; /* granted for reading */
	unsigned mapped;	    /* pages, by the backend */
	unsigned notified, unmasked;
	bool told; /* an event has come */
	bool bound;
	bool stale;		    /* the file has changed */
	bool fills;		    /* the cell has the disk's file */
	bool unwilling[FAKE_PAGES]; /* pages that can't be filled */
	unsigned filled;	    /* pages */
	unsigned busy;		    /* so often the port that is bound is found to be so */
};

extern struct fake fake;

/* fake_open: all pages are zero. */
void fake_open(void);

static inline void *fake_page(unsigned i)
{
	return fake.pages + i * 4096u;
}

#endif
