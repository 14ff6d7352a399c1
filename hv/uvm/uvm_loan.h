/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_LOAN_H
#define HV_UVM_LOAN_H
/*
 * Lending pages: the mechanism.  Who lent what to whom is the ledger's affair (uvm_ledger.h).
 *
 *	to page		the frame itself, read-only and immutable, to the host or into a guest's
 *			window (the seed's O->K and A->K).  Counted in pg_loans.
 *	to anon		copy-on-write, into another guest's amap (O->A and A->A).  Counted in
 *			an_refs; an O->A loan also counts once in pg_loans.
 *
 * Nothing that was lent changes: the lender's mapping is write-protected before the loan is
 * visible, and a write breaks the loan by giving the writer another frame (uvm_fault.h).
 *
 * To change pg_loans both the owner's lock and the queue lock are needed.  The lender comes from
 * the owner's side.  Who returns a loan comes from the page, knows the owner only while the queues
 * are locked, and must try-lock him: on failure everything is let go, so nobody sleeps with the
 * queue lock, and there are no two who wait for each other.
 *
 * All functions run inside the world with no locks held, unless said otherwise.
 */
#include "uvm/uvm_map.h"

enum uvm_loan_kind { UVM_LOAN_TOPAGE = 1, UVM_LOAN_TOANON = 2 };

/*
 * uvm_loan: lend pages [gfn, gfn + n) of a guest, whatever they are made of.
 * => out[n] is filled on success
 * => -EFAULT: a hole; -EBUSY: a wired page; -EINVAL: n is 0, a window asked to be lent to anons, or a view of an arena;
 *    -ENOMEM; or the pager's error.  After an error no loan of the call is left
 */
int uvm_loan(
    struct uvm_map *map, uint64_t gfn, uint64_t n, enum uvm_loan_kind kind, union uvm_loaned *out);

/*
 * uvm_loan_picture: lend to page, for somebody who only looks: of a wired page, which cannot be
 * frozen, an orphan with a copy of its bytes is lent.
 * => out and errors as uvm_loan, without EBUSY
 */
int uvm_loan_picture(struct uvm_map *map, uint64_t gfn, uint64_t n, union uvm_loaned *out);

/* uvm_loan_object: lend pages of an object by offset, to page or to anon.  Errors as above. */
int uvm_loan_object(struct uvm_object *uo, uint64_t off, uint64_t n, enum uvm_loan_kind kind,
    union uvm_loaned *out);

/* uvm_loan_again: one more loan of pages or anons that the caller already has on loan. */
void uvm_loan_again(
    const union uvm_loaned *from, uint64_t n, enum uvm_loan_kind kind, union uvm_loaned *out);

/*
 * uvm_unloan: return loans, in any order, whatever became of the owner.
 * => orphans are freed with their last loan, or adopted by the anon that has them
 * => NULL elements are skipped; the elements are set to NULL
 */
void uvm_unloan(union uvm_loaned *loans, uint64_t n, enum uvm_loan_kind kind);

/*
 * uvm_object_write: the host changes bytes of an object's page (within one page).
 * => loans of the page are broken first: borrowers keep the old bytes; *nbroken counts that
 * => returns 0, -ENOMEM, or the pager's error; no locks held but the world's
 */
int uvm_object_write(struct uvm_object *uo, uint64_t off, size_t within, const void *buf,
    size_t len, uint64_t *nbroken);

/*
 * uvm_loan_break_object: a page of an object is about to be written: give the object a new frame
 * with the same bytes, leave the old one to its borrowers.
 * => object locked all the time, page not busy and on loan
 * => returns the new page, or NULL when out of memory
 */
struct uvm_page *uvm_loan_break_object(struct uvm_page *pg);

/*
 * uvm_loan_break_anon: install a new page, already a copy, in an anon whose page is on loan, as its
 * lender (A->K) or receiver (O->A).
 * => anon locked, and the object that owns its page if one does; stays so
 */
void uvm_loan_break_anon(struct uvm_anon *an, struct uvm_page *copy);

/*
 * uvm_loan_pageout: page out a clean, inactive page that an object has lent: the object forgets
 * it, the borrower keeps it.  What the page daemon does with such pages.
 * => returns true when that was done; false when the page is busy, dirty, wired, active or not lent
 */
bool uvm_loan_pageout(struct uvm_object *uo, uint64_t off);

/* The one frame of zeroes: it exists always, is never freed, never paged out, never writable. */
struct uvm_page *uvm_zero_page(void);
static inline bool uvm_zero_page_p(const struct uvm_page *pg)
{
	return pg == uvm_zero_page();
}
uint64_t uvm_zero_loans(void);

/* uvm_loan_init: make the zero frame.  Once, before anything is lent.  0 or -ENOMEM. */
int uvm_loan_init(void);
void uvm_loan_fini(void);

#endif
