/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_LOG_H
#define LOMBARD_LIB_LOG_H
/*
 * What lombardd has to tell its administrator.  The last LOG_BYTES are kept in memory, and can be
 * read as Xen's console ring is (`xl dmesg`).  All may be called from any thread; lines stay whole.
 */
#include <stdbool.h>
#include <stdint.h>

#define LOG_BYTES 65536u /* a power of two */

/* log_warn: a line to standard error and to the ring.  log_note: to the ring only. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_notify_by: what is to be called after each line; set once, before there are threads. */
void log_notify_by(void (*notify)(void));

/*
 * log_read: up to `room` bytes of the ring, from its oldest that has not been cleared on.
 * => incremental: not what comes before *index, if the ring has that
 * => clear: what has been read is not given again to those who do not say where to begin
 * => how many bytes; *index: where the next begin
 */
uint32_t log_read(char *buf, uint32_t room, bool incremental, bool clear, uint32_t *index);

#endif
