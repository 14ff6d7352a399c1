/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_SINK_H
#define LOMBARD_CLI_SINK_H
/* Where a dump goes: a file with holes for zeroes where it can have them, else a plain stream. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink {
	int fd;
	const char *name; /* for messages */
	bool sparse;
	bool opened; /* by us: to be closed */
};

/*
 * `path` is truncated, readable by its owner only when it is new; NULL or "-" is stdout, which must
 * not be a terminal.  Functions return 0 or -errno and tell the user about errors.
 */
int sink_open(struct sink *s, const char *path);
int sink_write(struct sink *s, const void *data, size_t len);
int sink_zeroes(struct sink *s, uint64_t len);

/* A file that ends in a hole gets its length here.  The sink is closed whatever is returned. */
int sink_close(struct sink *s);

#endif
