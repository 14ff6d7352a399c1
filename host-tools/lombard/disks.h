/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_DISKS_H
#define LOMBARD_CLI_DISKS_H
/*
 * Disks of a new guest: a lombard-blk for each, started before the guest's first instruction.
 */
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#define DISKS_MAX 16u /* xvda to xvdp */

struct disk_option {
	char *file;
	bool read_only, share;
	char name[8];
};

struct disks {
	unsigned n;
	struct disk_option all[DISKS_MAX];
};

/* disks_add: an option's text, FILE[,ro][,share][,name=xvdX].  Wrong usage ends the process. */
void disks_add(struct disks *d, const char *arg, const struct argp_state *state);

/*
 * disks_give: to a guest that is paused; when all of them are there it is unpaused, else stopped.
 * => socket: the cell's; detached: later messages go to the cell's log, not to our stderr
 * => 0 or -errno, told to the user
 */
int disks_give(const struct disks *d, const char *socket, json_int_t domid, bool detached);

void disks_drop(struct disks *d);

/* disks_describe: for people who asked for JSON.  New reference or NULL. */
json_t *disks_describe(const struct disks *d);

#endif
