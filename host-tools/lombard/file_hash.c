/* SPDX-License-Identifier: BSD-2-Clause */
#include "file_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

#include "cli.h"

#define PIECE (1U << 20)

static int hash_pieces(
    int fd, void *piece, struct progress *progress, uint64_t *bytes, XXH64_state_t *state)
{
	*bytes = 0;
	for (;;) {
		ssize_t n = pread(fd, piece, PIECE, (off_t)*bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		XXH64_update(state, piece, (size_t)n);
		*bytes += (uint64_t)n;
		progress_show(progress, "comparing", *bytes);
	}
}

int file_hash(const char *path, int fd, struct progress *progress, uint64_t *bytes, uint64_t *hash)
{
	void *piece = malloc(PIECE);
	XXH64_state_t state;
	int err = -ENOMEM;

	XXH64_reset(&state, 0);
	if (piece)
		err = hash_pieces(fd, piece, progress, bytes, &state);
	free(piece);
	progress_end(progress);
	if (err)
		cli_error("cannot read %s: %s", path, strerror(-err));
	else
		*hash = XXH64_digest(&state);
	return err;
}
