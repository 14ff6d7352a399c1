/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_SAY_H
#define LOMBARD_BLK_SAY_H
/*
 * Messages, on stderr: one line each, with whose disk it is about once that is known.
 */

void say_about(const char *guest, const char *disk);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* say_a_few: of what a guest can cause as often as it likes.  *said is 0 at first. */
void say_a_few(unsigned *said, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
