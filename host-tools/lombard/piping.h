/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_PIPING_H
#define LOMBARD_CLI_PIPING_H
/* Two guests, source and sink, and a file that goes from one to the other. */
#include <stdint.h>

#include "client.h"
#include "progress.h"

struct pipe_job {
	const char *file; /* for messages */
	int fd;		  /* of the file */
	uint64_t bytes;	  /* of the file; may be 0 */
	uint64_t message; /* bytes of each message but the last */
	bool shared;	  /* strength of the messages: shared or sealed */
	uint64_t memory;  /* bytes of each guest */
	const char *image;
	int image_fd;
};

/* What the guests say about it. */
struct pipe_result {
	uint64_t sent, lent, copied, shared; /* messages, by the source */
	uint64_t frame;			     /* bytes of a frame of the channel */
	uint64_t received, bytes;	     /* messages and bytes, by the sink */
	uint64_t hash;			     /* XXH64 of these bytes */
	uint64_t nanoseconds;		     /* from the connection to its end, by the sink */
};

/*
 * Run the guests in the cell that `control` is connected to, until both have ended.  SIGINT and
 * SIGTERM stop them; a second one leaves without waiting.
 * => 0: both ended well, *result is complete; -EINTR: after a signal (signals_last()); other errors
 *    were told to the user.  In any case both guests are gone or are being stopped, and the file is
 *    not lent any more.
 */
int piping_run(struct client *control, const struct pipe_job *job, struct progress *progress,
    struct pipe_result *result);

#endif
