/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_PROGRAM_H
#define LOMBARD_LIB_PROGRAM_H
/*
 * For libraries: what the channel transports of programs have in common, on the host and in Linux guests.  Rules as in
 * hv/chan/transport.h.
 */
#include <stddef.h>
#include <stdint.h>

/* program_wait: until the descriptor can be read.  0 (also early, for no reason), -ETIME, -errno */
int program_wait(int fd, uint64_t deadline);

uint64_t program_now_ns(void *ctx);
void *program_alloc(void *ctx, size_t bytes);
void program_free(void *ctx, void *memory, size_t bytes);

#endif
