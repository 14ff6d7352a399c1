/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_LVTEST_H
#define TESTS_UNIT_LVTEST_H
/*
 * The one header of the Criterion tests of the core.
 *
 * LvTest(suite, subject_event_outcome) { ... } is a Test whose body starts inside the world with no
 * locks held and the zero frame made, and that ends, still in the body, with all checks: the
 * auditor, the translations, everything torn down, nothing left, nothing leaked.  In the body,
 * because Criterion 2.4 ignores assertions that fail in a .fini function and leaks found at exit.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "fixture.h"
#include "uvm/uvm_loan.h"

#define LvTest(suite, name)                                                                        \
	static void suite##_##name##_body(void);                                                   \
	Test(suite, name)                                                                          \
	{                                                                                          \
		lv_begin();                                                                        \
		suite##_##name##_body();                                                           \
		lv_end();                                                                          \
	}                                                                                          \
	static void suite##_##name##_body(void)

/* LvDeath: the body has to end in a KASSERT (or the check of lock order) whose text contains what.
 */
#define LvDeath(suite, name, what)                                                                 \
	static void suite##_##name##_body(void);                                                   \
	Test(suite, name)                                                                          \
	{                                                                                          \
		lv_begin();                                                                        \
		lv_expect_panic(suite##_##name##_body, what);                                      \
		lv_end();                                                                          \
	}                                                                                          \
	static void suite##_##name##_body(void)

#define LV_OK(call) cr_assert_eq((call), 0)
#define LV_FAILS(call, error) cr_assert_eq((call), -(error))

void lv_begin(void);
void lv_end(void);

/* What holds between operations, asserted now.  lv_end does it too. */
void lv_check(void);

/* lv_guest: a new guest with the next domid (1, 2, ...).  lv_kill: it is gone. */
struct guest *lv_guest(uint64_t ram, uint64_t window);
void lv_kill(struct guest *g);

/* lv_leaked: bytes that nothing points to exist: asks LeakSanitizer; false where there is none. */
bool lv_leaked(void);

/* Runs fn in a child, which has to die of SIGABRT with `what` in its last words. */
void lv_expect_panic(void (*fn)(void), const char *what);

/* The figures of one guest, from the auditor. */
struct uvm_frames lv_frames(struct guest *g);
void lv_account(struct uvm_account *ac);

/* Lend with one line: kind and borrower, no tag; asserts success. */
uint64_t lv_lend(
    struct guest *g, uint64_t gfn, uint64_t n, enum uvm_loan_kind kind, uint32_t borrower);
uint64_t lv_lend_object(struct test_object *to, uint64_t off, uint64_t n, enum uvm_loan_kind kind);

/* The anon in a slot of a guest, or NULL; and its page.  For looking at identity, not for keeping.
 */
struct uvm_anon *lv_anon(struct guest *g, uint64_t gfn);
struct uvm_page *lv_page(struct guest *g, uint64_t gfn);
struct uvm_page *lv_object_page(struct test_object *to, uint64_t off);

/* Put a page on the inactive queue, as the page daemon would. */
void lv_deactivate(struct uvm_page *pg);

#endif
