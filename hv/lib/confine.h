/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_CONFINE_H
#define LOMBARD_LIB_CONFINE_H
/*
 * What a process gives up for good before it looks at what a guest has made: its user, and all system
 * calls but those that it makes anyway.  Errors: 0 or -errno with *f.
 */
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/failure.h"

/* The runtimes of sanitizers make system calls of their own: builds with them have no filter. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CONFINE_SANITIZED true
#endif
#endif
#ifndef CONFINE_SANITIZED
#define CONFINE_SANITIZED false
#endif

/* confine_user: user and group id and no others, if we are root.  Executing gives nothing new, root or not. */
int confine_user(uid_t id, struct failure *f);

/*
 * confine_calls: from now on, in all threads, other system calls than these end the process: the nallowed
 * ones with any arguments, mmap and mprotect of what is not executable, and what `more` adds (NULL: nothing).
 * => PR_SET_NO_NEW_PRIVS (confine_user), or root; more: 0 or libseccomp's -errno
 */
int confine_calls(
    const int *allowed, size_t nallowed, int (*more)(scmp_filter_ctx ctx), struct failure *f);

#endif
