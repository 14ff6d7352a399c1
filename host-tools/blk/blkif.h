/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_BLKIF_H
#define LOMBARD_BLK_BLKIF_H
/*
 * Xen's block interface (Xen public/io/blkif.h), as a 64-bit frontend has it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>

#define BLK_PAGE 4096u
#define BLK_SECTOR 512u /* of all fields that count sectors, whatever the disk has */
#define BLK_PAGE_SECTORS (BLK_PAGE / BLK_SECTOR)

/* What is offered to frontends. */
#define BLK_MAX_SEGMENTS 256u /* of an indirect request */
#define BLK_MAX_RING_ORDER 2u
#define BLK_MAX_RING_PAGES (1u << BLK_MAX_RING_ORDER)
#define BLK_MAX_RING_ENTRIES 128u

/* One entry of the ring, as a request. */
union blk_entry {
	struct blkif_request rw;
	struct blkif_request_indirect indirect;
	struct blkif_request_discard discard;
};

_Static_assert(sizeof(union blk_entry) == 112 && sizeof(union blkif_sring_entry) == 112 &&
		   offsetof(struct blkif_sring, ring) == 64,
    "the layout of 64-bit frontends");
/* So the number of a request can be told before it is known to be sound. */
_Static_assert(offsetof(struct blkif_request, id) == 8 &&
		   offsetof(struct blkif_request_indirect, id) == 8 &&
		   offsetof(struct blkif_request_discard, id) == 8,
    "all have it at the same place");

#endif
