/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LOAN_H
#define LOMBARD_LOAN_H
/*
 * Lending and borrowing for programs in a Linux guest: what small guests have in lombard-guest.h, with
 * the same names.  docs/linux-guests.md tells what the guest's kernel has to be told first, and what that
 * means; lombard/loan.h has the rules of loans and the structures.  Channels need none of this: they are
 * in lombard-chan.h.
 *
 * Units: counts are pages of 4 KiB; deadlines are nanoseconds of CLOCK_MONOTONIC.
 *
 * All functions may be called by any thread.  They return 0 or a negative number of <errno.h>; results
 * go to out-parameters, written on success only.  Everywhere, and not repeated below:
 *	-ENOSYS		this is no guest of Lombard
 *	-ENOENT		Linux has no /dev/xen/privcmd, or other device that is needed
 *	-EACCES, -EPERM	the program may not use it; or the kernel keeps privcmd to itself
 *	-ENOMEM		the guest or the host is short of memory
 *	-EINVAL		an argument is wrong
 *
 * When the program ends, however that happens, its offers are recalled and its windows returned.  A
 * child made by fork has neither the windows nor any use of these functions.
 */
#include <stdint.h>

#include <lombard/loan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No deadline. */
#define LOAN_FOREVER UINT64_MAX

/* loan_info: who the guest is. */
int loan_info(struct loan_info *info);

/*
 * loan_alloc: a run of pages that can be lent: neighbours in the guest's physical memory, where they
 * stay; zeroes.  They are taken from Linux' huge pages (vm.nr_hugepages), 512 at a time.
 * => -ENOMEM: it has not enough of them free, or none that are neighbours
 * loan_free: give it back, whole.  Recall loans of it first, or the next user of the memory pays for a
 *	copy of each page.
 */
int loan_alloc(uint32_t pages, void **start);
int loan_free(void *start);

/*
 * loan_lend: freeze and offer `pages` pages from start on to domid, or LOAN_DOMID_ANY; kind is
 * LOAN_TO_PAGE or LOAN_TO_ANON.  They lie in memory from loan_alloc, or in one window.  Go on using
 * the memory as you like: the borrowers keep what it holds now.
 * => -ESRCH: no such domain; -ENOSPC: the guest has too much on offer; others: LOANOP_lend
 * loan_recall: end an offer of ours; *windows (may be NULL) is how many are still borrowed.
 */
int loan_lend(
    const void *start, uint32_t pages, uint16_t domid, uint16_t kind, uint64_t tag, uint64_t *id);
int loan_recall(uint64_t id, unsigned *windows);

/*
 * loan_borrow: map `pages` pages of a loan, from its page `first` on.  What is lent to page can't be
 * written to: trying is a SIGSEGV.  System calls can read and write a window, but not in ways that pin
 * its pages (O_DIRECT, vmsplice, registered buffers).
 * => -ENOENT: no such offer; -EPERM: not for us; -ERANGE: beyond it; -ENOSPC: no room for windows
 * loan_return: give a whole window back; the pointer is what loan_borrow gave.
 */
int loan_borrow(uint64_t id, uint32_t first, uint32_t pages, void **window);
int loan_return(void *window);

/*
 * loan_discard: give the memory of `pages` pages from loan_alloc back to the host.  They stay ours,
 * and are zero when they are touched next; who borrowed them keeps what they held.
 */
int loan_discard(void *start, uint32_t pages);

/*
 * loan_query: one loan that the guest lent or may borrow.
 * loan_next: the first loan it may borrow with a number above `after`; -ENOENT if none.
 * loan_wait: wait for an offer with (tag & mask) == `tag` of the given kind (0: either).  -ETIME: the
 *	deadline came first.  One program of the guest is woken by an event; others look every 10 ms.
 */
int loan_query(uint64_t id, struct loan_query *loan);
int loan_next(uint64_t after, struct loan_query *loan);
int loan_wait(
    uint64_t tag, uint64_t mask, uint16_t kind, uint64_t deadline, struct loan_query *loan);

#ifdef __cplusplus
}
#endif

#endif
