/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_ABI_LOAN_H
#define LOMBARD_ABI_LOAN_H
/*
 * loan_op: how a guest lends, borrows and returns pages.  Shared by guests and hypervisor; needs
 * C99 and <stdint.h> only.  docs/abi.md is the specification, this header its machine-readable half.
 *
 * Trap.  A hypercall is one `out %eax, $LOMBARD_HYPERCALL_PORT` with Xen's x86-64 registers:
 * number in rax; arguments in rdi, rsi, rdx, r10, r8; the result comes back in rax.  Numbers,
 * structures and error codes that are not defined here are Xen's (public/xen.h, public/errno.h).
 *
 * loan_op(cmd, arg): rax = LOMBARD_HYPERCALL_loan_op, rdi = LOANOP_*, rsi = guest-virtual address
 * of the command's structure.  The structure is copied in once, checked, and copied back when the
 * call succeeds.  Result: 0 (or a count, where said), else a negative Xen error number.
 *
 * Units: gfns and counts are 4 KiB pages.  [in] is written by the guest, [out] by the hypervisor.
 * An [in] field named pad must be zero, else -EINVAL.  docs/abi.md lists the errors of each command.
 */
#include <stdint.h>

#define LOMBARD_ABI_VERSION 1 /* bumped when a structure or meaning changes incompatibly */

#define LOMBARD_HYPERCALL_PORT 0xe4

/* Xen reserves numbers 48..55 for the architecture (public/xen.h, __HYPERVISOR_arch_0..7). */
#define LOMBARD_HYPERCALL_loan_op 55  /* __HYPERVISOR_arch_7 */
#define LOMBARD_HYPERCALL_guest_op 54 /* __HYPERVISOR_arch_6 */

/* The event raised when an offer for this guest appears, or a loan of its own comes back:
 * bind it with EVTCHNOP_bind_virq.  Xen's VIRQ_ARCH_0. */
#define LOMBARD_VIRQ_LOAN 16

#define LOAN_DOMID_HOST 0	  /* lender of host files; borrower of dumps */
#define LOAN_DOMID_ANY 0x7ffeU	  /* as borrower: any guest of the cell may borrow */
#define LOAN_MAX_PAGES (1U << 20) /* most pages in one lend or borrow: 4 GiB */

/* What one guest may have on offer at a time; a recalled offer counts until its last window ends. */
#define LOAN_MAX_OFFERS 4096U
#define LOAN_MAX_OFFERED_PAGES (1U << 22) /* in all its offers: 16 GiB */

/* Kinds of loan: what the borrower may do with it. */
#define LOAN_TO_PAGE 1U /* read-only window; a write by the borrower stops the borrower */
#define LOAN_TO_ANON 2U /* copy-on-write: a write gives the borrower a private copy */

/*
 * As the place of a window: the hypervisor takes the highest one that is free and large enough, and
 * tells which.  For programs of a guest that know nothing of each other's windows.
 */
#define LOAN_ANYWHERE UINT64_MAX

/*
 * RAM of more than LOMBARD_LOW_PAGES pages is in two pieces: these from gfn 0 on, the rest from
 * LOMBARD_HIGH_GFN on.  The memory map of the start information says so, too.
 */
#define LOMBARD_LOW_PAGES 0xe0000U /* 3584 MiB */
#define LOMBARD_HIGH_GFN 0x100000U /* 4 GiB */

/* LOANOP_info: who am I and where may I borrow. */
#define LOANOP_info 0
struct loan_info {
	uint32_t abi_version;  /* [out] LOMBARD_ABI_VERSION */
	uint16_t domid;	       /* [out] the caller's */
	uint16_t pad;	       /* [out] 0 */
	uint64_t ram_pages;    /* [out] RAM is gfn 0 .. ram_pages - 1; but see LOMBARD_LOW_PAGES */
	uint64_t window_gfn;   /* [out] borrowed pages are mapped in window_gfn .. */
	uint64_t window_pages; /* [out] .. window_gfn + window_pages - 1 */
};

/*
 * LOANOP_lend: freeze a range of the caller's own memory and offer it to a borrower.
 * Every page keeps the bytes it has when the call returns, for as long as the loan or any window
 * on it lasts; the caller's first later write to a page gives the caller a copy.
 * Pages never touched lend the one zero frame.  A read-only window may be lent on, as LOAN_TO_PAGE
 * only; a copy-on-write window is the caller's own memory in every respect.
 */
#define LOANOP_lend 1
struct loan_lend {
	uint64_t gfn;	   /* [in] first page */
	uint32_t nr_pages; /* [in] 1 .. LOAN_MAX_PAGES */
	uint16_t domid; /* [in] borrower, or LOAN_DOMID_ANY; LOAN_DOMID_HOST for a host program */
	uint16_t kind;	/* [in] LOAN_TO_PAGE or LOAN_TO_ANON */
	uint64_t tag;	/* [in] shown to the borrower, never interpreted */
	uint64_t id;	/* [out] the loan's number: unique in the cell, never reused, not 0 */
};

/*
 * LOANOP_borrow: map pages of an offered loan at a free place of the caller's window area.
 * A loan may be borrowed any number of times, in parts, at several places.  Pages of a lent host
 * file are read when they are first borrowed.
 */
#define LOANOP_borrow 2
struct loan_borrow {
	uint64_t id;	   /* [in] */
	uint64_t gfn;	   /* [in] first page of the new window, inside the window area;
			      [in, out] if LOAN_ANYWHERE */
	uint32_t first;	   /* [in] first page within the loan */
	uint32_t nr_pages; /* [in] pages to map */
};

/*
 * LOANOP_return: give back one whole window.  Its pages disappear from the caller's address space,
 * private copies made in it included.
 */
#define LOANOP_return 3
struct loan_return {
	uint64_t gfn; /* [in] first page of the window */
};

/*
 * LOANOP_recall: the lender withdraws an offer.  Nobody can borrow it any more; windows that exist
 * keep their frozen bytes until they are returned.  Result: number of windows still out.
 */
#define LOANOP_recall 4
struct loan_recall {
	uint64_t id; /* [in] */
};

/*
 * LOANOP_query: one loan that the caller lent or may borrow.
 * LOANOP_next: the first loan with a number above `id` that the caller may borrow; -ENOENT if none.
 */
#define LOANOP_query 5
#define LOANOP_next 6
struct loan_query {
	uint64_t id;	   /* [in] (for next: search above this number) [out] the loan's number */
	uint64_t tag;	   /* [out] the lender's */
	uint64_t bytes;	   /* [out] nr_pages * 4096, or a lent file's length */
	uint32_t nr_pages; /* [out] */
	uint32_t windows;  /* [out] windows borrowed and not returned */
	uint16_t lender;   /* [out] domid */
	uint16_t borrower; /* [out] domid or LOAN_DOMID_ANY */
	uint16_t kind;	   /* [out] LOAN_TO_PAGE or LOAN_TO_ANON */
	uint16_t pad;	   /* [out] 0 */
};

/*
 * LOANOP_discard: give memory up.  Pages on loan live on for their borrowers; the next touch of a
 * discarded page finds zeroes.  -EBUSY when a page of the range is wired (the shared info page).
 */
#define LOANOP_discard 7
struct loan_discard {
	uint64_t gfn;	   /* [in] first page, of the caller's RAM */
	uint32_t nr_pages; /* [in] */
	uint32_t pad;	   /* [in] 0 */
};

/*
 * LOANOP_tie: when the caller's event channel `port` is closed, the offer is recalled, or the window
 * returned.  For programs of a guest that may be killed: their system closes their ports.
 */
#define LOANOP_tie 8
#define LOAN_TIE_OFFER 1U  /* what: the offer's number */
#define LOAN_TIE_WINDOW 2U /* what: the window's first gfn */
#define LOAN_MAX_TIES 65536U
struct loan_tie {
	uint64_t what; /* [in] */
	uint32_t port; /* [in] of the caller's, and nobody has bound to it */
	uint16_t kind; /* [in] LOAN_TIE_* */
	uint16_t pad;  /* [in] 0 */
};

/* guest_op(cmd, value): what Xen has no number for.  rdi = GUESTOP_*, rsi = the value itself. */
#define GUESTOP_exit_status                                                                        \
	0 /* the exit status `lombard run` reports at SHUTDOWN_poweroff, 0..255 */

#endif
