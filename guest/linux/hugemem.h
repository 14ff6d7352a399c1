/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LINUX_HUGEMEM_H
#define LOMBARD_LINUX_HUGEMEM_H
/*
 * Memory of the guest that stays where it is, in one piece: Linux' huge pages.
 */
#include <stddef.h>
#include <stdint.h>

#define HUGEMEM_PAGES 512u /* of 4 KiB, in a huge one */

/*
 * hugemem_map: so many huge pages that are neighbours, zeroes, mapped at an address, and the gfn of the
 * first.  munmap gives them back.
 * => 0, -ENOMEM, -EPERM (the program may not know gfns: it needs CAP_SYS_ADMIN), -errno
 */
int hugemem_map(size_t n, void **addr, uint64_t *gfn);

#endif
