/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/core/cell.c hv/lib/failure.c hv/lib/sys.c */
/* One cell for each socket: what others do between the steps of taking the lock. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/cell.h"

static char dir[] = "/tmp/lombard-cell.XXXXXX";
static char path[64], lock[80];
static void (*before_flock)(void); /* once */

/* In the place of libc's: the moment between opening the file and locking it. */
int flock(int fd, int operation)
{
	void (*call)(void) = before_flock;

	before_flock = NULL;
	if (call != NULL)
		call();
	return (int)syscall(SYS_flock, fd, operation);
}

static void begin(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/cell.sock", dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
}

static int new_lock(void)
{
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0);
	return fd;
}

static void one_ends(void)
{
	cr_assert_eq(unlink(lock), 0);
}

static void one_ends_and_another_comes(void)
{
	one_ends();
	cr_assert_eq((int)syscall(SYS_flock, new_lock(), LOCK_EX), 0);
}

/* Bug: a lock on a file that the cell before had removed was taken for one: two cells ran. */
Test(cell, lock_of_a_removed_file_does_not_count)
{
	struct failure f;
	int listener;

	begin();
	before_flock = one_ends_and_another_comes;
	cr_assert_eq(cell_open(path, CELL_OWN_GROUP, &listener, &f), -EADDRINUSE);
	cr_assert_neq(access(path, F_OK), 0, "the other's socket was replaced");
	unlink(lock);
	rmdir(dir);
}

Test(cell, lock_is_taken_again_when_its_file_was_removed)
{
	struct failure f;
	int listener;

	begin();
	before_flock = one_ends;
	cr_assert_eq(cell_open(path, CELL_OWN_GROUP, &listener, &f), 0);
	cr_assert(flock(new_lock(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK,
	    "others can have the lock");
	close(listener);
	cell_close();
	cr_assert_eq(rmdir(dir), 0, "something is left");
}
