/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_FILE_OBJECT_H
#define HV_CORE_FILE_OBJECT_H
/*
 * Host files as objects: one object for each file of the cell, however often it is lent, so each of
 * its pages is read once and lies in memory once.
 */
#include <stdbool.h>

#include "lib/failure.h"
#include "uvm/uvm_object.h"

/*
 * file_object_get: the object of an open regular file; a reference for the caller
 * (uvm_object_rele). A file that has changed since (size or time) gets a new object; who has the
 * old one keeps it.
 * => -EBADF: it was not opened to be read: who can't read a file gets nothing of it that others have read
 * => fd stays the caller's; *bytes: the file's length
 * => inside the world, no locks held; 0, or -errno with *f
 */
int file_object_get(int fd, struct uvm_object **uop, uint64_t *bytes, struct failure *f);

/* file_object_current: is the file what it was when its object was made (size and time)? */
bool file_object_current(struct uvm_object *uo);

/* file_object_each: visit all, with the list locked: must not take or drop references. */
struct file_object_info {
	const char *name;
	uint64_t pages, resident, reads, bytes_read;
};
void file_object_each(void (*visit)(void *arg, const struct file_object_info *info), void *arg);

#endif
