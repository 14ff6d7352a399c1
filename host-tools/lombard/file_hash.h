/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_FILE_HASH_H
#define LOMBARD_CLI_FILE_HASH_H
#include <stdint.h>

#include "progress.h"

/*
 * XXH64 (seed 0) of all bytes of an open file, from its beginning to its end, wherever it stands;
 * *bytes is how many there were.  0 or -errno, told to the user; `path` is for messages.
 */
int file_hash(const char *path, int fd, struct progress *progress, uint64_t *bytes, uint64_t *hash);

#endif
