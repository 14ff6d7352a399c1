/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_XENLIB_XENLIB_H
#define TESTS_UNIT_XENLIB_XENLIB_H
/*
 * The libraries' tests: XenTest(suite, subject_event_outcome) { ... } runs with a fake cell.  At its
 * end no descriptor may be left, nor memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKED() __lsan_do_recoverable_leak_check()
#else
#define LEAKED() 0
#endif

/* The number that the next descriptor would get: it grows when one leaks. */
static inline int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

#define XenTest(suite, name)                                                                       \
	static void suite##_##name##_body(void);                                                   \
	Test(suite, name)                                                                          \
	{                                                                                          \
		int before_ = next_fd();                                                           \
                                                                                                   \
		fake_start();                                                                      \
		suite##_##name##_body();                                                           \
		fake_stop();                                                                       \
		cr_assert_eq(next_fd(), before_);                                                  \
		cr_assert_eq(LEAKED(), 0);                                                         \
	}                                                                                          \
	static void suite##_##name##_body(void)

/* It fails with this errno: what it returns is -1, or NULL. */
#define FAILS(call, error)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		cr_assert_eq((long)(call), -1);                                                    \
		cr_assert_eq(errno, error, "errno %d", errno);                                     \
	} while (0)
#define NO(call, error)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		cr_assert_null(call);                                                              \
		cr_assert_eq(errno, error, "errno %d", errno);                                     \
	} while (0)

/* Runs fn in a child of this process: it returns 0, or the number of what was wrong. */
static inline void in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		_exit(fn());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "the child died of signal %d", WTERMSIG(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "the child's check %d failed", WEXITSTATUS(status));
}

/* No page is readable there. */
static inline bool unreadable_p(const void *at)
{
	int ends[2];
	bool failed;

	cr_assert_eq(pipe(ends), 0);
	failed = write(ends[1], at, 1) < 0 && errno == EFAULT;
	close(ends[0]);
	close(ends[1]);
	return failed;
}

#endif
