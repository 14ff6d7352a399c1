/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_PROGRESS_H
#define LOMBARD_CLI_PROGRESS_H
/* How far a long job is: one line on a terminal, written over and over. */
#include <stdbool.h>
#include <stdint.h>

struct progress {
	uint64_t total;
	unsigned percent; /* shown */
	bool wanted;
	bool shown; /* the line has no end yet */
};

/* A job of `total` bytes.  Nothing is ever shown of a short one, nor where stderr is no terminal. */
void progress_start(struct progress *p, uint64_t total);

/* So many are done; `what` says of what. */
void progress_show(struct progress *p, const char *what, uint64_t done);

/* End the line, before anything else is said.  It begins again with the next word. */
void progress_end(struct progress *p);

#endif
