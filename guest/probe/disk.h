/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_DISK_H
#define LOMBARD_PROBE_DISK_H
/* What the tests of disks share.  Failing checks of disk.c are those below 20, of diskbad.c from there, of
 * diskkeep.c from 60. */
#include "blkfront.h"

extern struct front front;
extern char *disk_image; /* what the disk holds, or should hold */

/* disk_begin: connect as the arguments say.  disk_random: below n.  disk_most_sectors: of one request. */
void disk_begin(int argc, char **argv);
uint64_t disk_random(uint64_t n);
unsigned int disk_most_sectors(void);

/* disk_write_all: new contents, flushed.  disk_sweep: write the image, or compare with it. */
void disk_write_all(void);
void disk_sweep(uint8_t operation);
void disk_tell_hash(void);

/* diskbench.c */
void disk_bench(int argc, char **argv);

/* diskbad.c */
void disk_bad(int argc, char **argv);
void disk_lies(int argc, char **argv);
void disk_wild(int argc, char **argv);

/* diskkeep.c */
void disk_keep(int argc, char **argv);

#endif
