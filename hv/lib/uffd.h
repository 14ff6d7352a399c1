/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_UFFD_H
#define LOMBARD_LIB_UFFD_H
/*
 * The few userfaultfd calls that Lombard makes.  All but uffd_open work on the address space of the
 * process that opened the descriptor, whoever calls them.  Addresses and lengths are in bytes, in
 * multiples of 4 KiB.  Errors: 0 or -errno.
 */
#include <stddef.h>
#include <stdint.h>
#include <linux/userfaultfd.h>

#include "lib/failure.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED /* Linux 6.4; older headers lack the name */
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

/*
 * uffd_open: a non-blocking, close-on-exec userfaultfd for faults of KVM and of the kernel too.
 * Write-protection of shmem and hugetlb is required, of unpopulated anonymous pages used when the
 * kernel has it: then *features (what the kernel has) shows UFFD_FEATURE_WP_UNPOPULATED.
 */
int uffd_open(int *fd, uint64_t *features, struct failure *f);

/* uffd_register: modes are UFFDIO_REGISTER_MODE_*.  The range must be one or several mappings. */
int uffd_register(int fd, void *addr, size_t len, uint64_t modes);

/* uffd_protect: every page of the range, mapped or not, faults at its next write. */
int uffd_protect(int fd, void *addr, size_t len);

/* uffd_unprotect: the range can be written again; whoever sleeps on a write in it goes on. */
int uffd_unprotect(int fd, void *addr, size_t len);

/* uffd_wake: whoever sleeps on a fault in the range tries its access again. */
int uffd_wake(int fd, void *addr, size_t len);

#endif
