/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_FAILURE_H
#define LOMBARD_LIB_FAILURE_H
/*
 * Why something failed, as a sentence for a person, next to the -errno that code looks at.
 * A function that takes a struct failure fills it exactly when it returns an error.
 */

#define FAILURE_TEXT_LEN 512

struct failure {
	char text[FAILURE_TEXT_LEN]; /* NUL-terminated, cut where it is too long */
};

/* failure_set: the sentence is fmt.  => returns err, which is -errno. */
int failure_set(struct failure *f, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* failure_sys: the sentence is fmt, a colon and what err means.  => returns err, which is -errno.
 */
int failure_sys(struct failure *f, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
