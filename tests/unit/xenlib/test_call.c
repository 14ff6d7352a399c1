/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(XENLIB_SRCS) tests/unit/xenlib/fake.c */
/* pkgs: jansson xentoollog xentoolcore */
#include <xencall.h>

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <xentoolcore.h>

#include "xenlib.h"

#define PAGE 4096u

static xencall_handle *h;

static void open_one(void)
{
	h = xencall_open(NULL, 0);
	cr_assert_not_null(h);
}

static uint64_t address(const void *p)
{
	return (uintptr_t)p;
}

static int buffers(void)
{
	return xencall0(h, FAKE_CALL_BUFFERS);
}

XenTest(call, arguments_and_values)
{
	open_one();
	cr_assert_eq(xencall0(h, FAKE_CALL_SUM), 0);
	cr_assert_eq(xencall1(h, FAKE_CALL_SUM, 1), 1);
	cr_assert_eq(xencall2(h, FAKE_CALL_SUM, 1, 20), 21);
	cr_assert_eq(xencall3(h, FAKE_CALL_SUM, 1, 20, 300), 321);
	cr_assert_eq(xencall4(h, FAKE_CALL_SUM, 1, 20, 300, 4000), 4321);
	cr_assert_eq(xencall5(h, FAKE_CALL_SUM, 1, 20, 300, 4000, 50000), 54321);
	cr_assert_eq(xencall2L(h, FAKE_CALL_LARGE, 0, 0), 1L << 40);
	FAILS(xencall1(h, FAKE_CALL_ERROR, ESRCH), ESRCH);
	FAILS(xencall2L(h, FAKE_CALL_ERROR, EACCES, 0), EACCES);
	FAILS(xencall0(h, 63), ENOSYS);
	cr_assert_eq(xencall_buffers_never_fault(h), 1);
	cr_assert_eq(xencall_close(h), 0);
	cr_assert_eq(xencall_close(NULL), 0);
}

/* All handles are one connection, and see each other's buffers. */
XenTest(call, handles_share_a_connection)
{
	xencall_handle *other;
	uint64_t *p;

	open_one();
	other = xencall_open(NULL, XENCALL_OPENFLAG_NON_REENTRANT);
	cr_assert_not_null(other);
	cr_assert_eq(fake_connections(), 1);
	cr_assert_eq(xencall_fd(h), xencall_fd(other));
	p = xencall_alloc_buffer(h, 100);
	cr_assert_eq(xencall2(other, FAKE_CALL_WRITE, address(p), 77), 0);
	cr_assert_eq(*p, 77);
	cr_assert_eq(xencall_close(h), 0);
	cr_assert_eq(xencall1(other, FAKE_CALL_READ, address(p)), 77);
	xencall_free_buffer(other, p);
	cr_assert_eq(xencall_close(other), 0);
	cr_assert(fake_has_connections(0));
}

XenTest(call, buffers_are_pages_of_zeroes)
{
	uint64_t *p, *q;

	open_one();
	p = xencall_alloc_buffer(h, 2 * PAGE + 1);
	cr_assert_eq(address(p) % PAGE, 0);
	for (size_t i = 0; i < 3 * PAGE / sizeof(*p); i++)
		cr_assert_eq(p[i], 0);
	memset(p, 0xff, 3 * PAGE);
	cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(p) + 3 * PAGE - 8, 5), 0);
	cr_assert_eq(p[3 * PAGE / sizeof(*p) - 1], 5);
	FAILS(xencall2(h, FAKE_CALL_WRITE, address(p) + 3 * PAGE, 5), EFAULT);
	errno = EBADMSG;
	xencall_free_buffer(h, p);
	cr_assert_eq(errno, EBADMSG);
	q = xencall_alloc_buffer_pages(h, 3);
	for (size_t i = 0; i < 3 * PAGE / sizeof(*q); i++)
		cr_assert_eq(q[i], 0);
	xencall_free_buffer_pages(h, q, 3);
	xencall_close(h);
}

/* What is freed may be kept, but not without bounds; large ones go at once. */
XenTest(call, cache_is_small)
{
	void *p[40], *large;

	open_one();
	for (unsigned i = 0; i < 40; i++)
		cr_assert_not_null(p[i] = xencall_alloc_buffer(h, 1));
	cr_assert_eq(buffers(), 40);
	for (unsigned i = 0; i < 40; i++)
		xencall_free_buffer(h, p[i]);
	cr_assert_leq(buffers(), 8);
	cr_assert_gt(buffers(), 0);
	large = xencall_alloc_buffer_pages(h, 1000);
	cr_assert_not_null(large);
	cr_assert_leq(buffers(), 9);
	xencall_free_buffer_pages(h, large, 1000);
	cr_assert_leq(buffers(), 8);
	cr_assert(unreadable_p(large));
	xencall_close(h);
}

XenTest(call, odd_buffers)
{
	char *p;

	open_one();
	NO(xencall_alloc_buffer(h, 0), EINVAL);
	NO(xencall_alloc_buffer_pages(h, SIZE_MAX / 2), EINVAL);
	xencall_free_buffer(h, NULL);
	p = xencall_alloc_buffer(h, 10);
	xencall_free_buffer(h, p + 1); /* not one of ours */
	cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(p), 1), 0);
	xencall_free_buffer(h, p);
	xencall_free_buffer(h, p); /* twice */
	fake_mood(FAKE_FAILS);
	NO(xencall_alloc_buffer(h, PAGE * 2), ENOSPC);
	fake_mood(FAKE_GOOD);
	p = xencall_alloc_buffer(h, PAGE * 2);
	cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(p), 1), 0);
	xencall_free_buffer(h, p);
	xencall_close(h);
}

/* A buffer that outlives its handle is memory until there is a connection again. */
XenTest(call, buffer_outlives_handles)
{
	uint64_t *p;

	open_one();
	p = xencall_alloc_buffer(h, 8);
	*p = 5;
	xencall_close(h);
	cr_assert_eq(*p, 5);
	open_one();
	cr_assert_eq(xencall1(h, FAKE_CALL_READ, address(p)), 5);
	cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(p), 6), 0);
	cr_assert_eq(*p, 6);
	xencall_free_buffer(h, p);
	xencall_close(h);
}

/* ---- forks ---- */

static uint64_t *shared;

static int child_uses_inherited(void)
{
	int fd = xencall_fd(h);
	uint64_t *mine;

	if (xencall1(h, FAKE_CALL_SUM, 5) != 5)
		return 1;
	if (xencall_fd(h) != fd)
		return 2;
	/* The parent's buffer, with what was in it; but now it is the child's. */
	if (xencall1(h, FAKE_CALL_READ, address(shared)) != 11)
		return 3;
	if (xencall2(h, FAKE_CALL_WRITE, address(shared), 12) != 0 || *shared != 12)
		return 4;
	mine = xencall_alloc_buffer(h, 8);
	if (mine == NULL || *mine != 0 || xencall2(h, FAKE_CALL_WRITE, address(mine), 13) != 0 ||
	    *mine != 13)
		return 5;
	xencall_free_buffer(h, mine);
	xencall_free_buffer(h, shared);
	return xencall_close(h) == 0 ? 0 : 6;
}

XenTest(call, child_gets_its_own)
{
	void *cached;

	open_one();
	shared = xencall_alloc_buffer(h, 8);
	*shared = 11;
	cached = xencall_alloc_buffer(h, 8);
	xencall_free_buffer(h, cached);
	in_child(child_uses_inherited);
	cr_assert_eq(*shared, 11);
	cr_assert_eq(xencall1(h, FAKE_CALL_READ, address(shared)), 11);
	cr_assert_eq(buffers(), 2);
	cr_assert_eq(fake_connections_ever(), 2);
	xencall_free_buffer(h, shared);
	xencall_close(h);
}

static int child_only_frees(void)
{
	xencall_free_buffer(h, shared);
	return xencall_close(h) == 0 ? 0 : 1;
}

XenTest(call, child_frees_nothing_of_the_parent)
{
	open_one();
	shared = xencall_alloc_buffer(h, 8);
	in_child(child_only_frees);
	cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(shared), 3), 0);
	cr_assert_eq(*shared, 3);
	xencall_free_buffer(h, shared);
	xencall_close(h);
}

static int child_without_cell(void)
{
	if (xencall0(h, FAKE_CALL_SUM) != -1 || errno != EACCES)
		return 1;
	if (xencall_alloc_buffer(h, 1) != NULL || errno != EACCES)
		return 2;
	xencall_free_buffer(h, shared);
	xencall_close(h);
	return 0;
}

XenTest(call, child_that_gets_no_connection)
{
	open_one();
	shared = xencall_alloc_buffer(h, 8);
	fake_mood(FAKE_REFUSES);
	in_child(child_without_cell);
	cr_assert_eq(xencall1(h, FAKE_CALL_SUM, 4), 4);
	xencall_free_buffer(h, shared);
	xencall_close(h);
}

static void *call_for_long(void *arg)
{
	(void)arg;
	cr_assert_eq(xencall0(h, FAKE_CALL_WAIT), 0);
	return NULL;
}

static void *let_go(void *arg)
{
	(void)arg;
	usleep(100000);
	fake_go_on();
	return NULL;
}

static int child_after_long_call(void)
{
	return xencall1(h, FAKE_CALL_SUM, 5) == 5 ? 0 : 1;
}

/* The child of a fork in the middle of another thread's hypercall finds the lock free. */
XenTest(call, fork_waits_for_a_call)
{
	pthread_t caller, other;

	open_one();
	cr_assert_eq(pthread_create(&caller, NULL, call_for_long, NULL), 0);
	while (fake_waiting() == 0)
		usleep(1000);
	cr_assert_eq(pthread_create(&other, NULL, let_go, NULL), 0);
	in_child(child_after_long_call);
	pthread_join(caller, NULL);
	pthread_join(other, NULL);
	xencall_close(h);
}

/* ---- threads ---- */

static void *work(void *arg)
{
	uint64_t base = *(uint64_t *)arg, *p;

	for (uint64_t i = 0; i < 300; i++) {
		p = xencall_alloc_buffer(h, 1 + base % 3 * PAGE);
		cr_assert_not_null(p);
		cr_assert_eq(xencall2(h, FAKE_CALL_WRITE, address(p), base + i), 0);
		cr_assert_eq(*p, base + i);
		cr_assert_eq(xencall2(h, FAKE_CALL_SUM, base, i), (int)(base + i));
		xencall_free_buffer(h, p);
	}
	return NULL;
}

XenTest(call, threads)
{
	uint64_t bases[4] = {1000, 2001, 3002, 4003};
	pthread_t t[4];

	open_one();
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, work, &bases[i]), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	xencall_close(h);
}

XenTest(call, many_handles)
{
	xencall_handle *all[500];

	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 500; i++)
			cr_assert_not_null(all[i] = xencall_open(NULL, 0));
		cr_assert_eq(fake_connections(), 1);
		for (unsigned i = 0; i < 500; i++)
			xencall_close(all[i]);
		cr_assert(fake_has_connections(0));
	}
}

/* A process that restricts itself must learn that it can not. */
XenTest(call, restricting_fails)
{
	cr_assert_eq(xentoolcore_restrict_all(1), 0);
	open_one();
	FAILS(xentoolcore_restrict_all(1), EOPNOTSUPP);
	xencall_close(h);
	cr_assert_eq(xentoolcore_restrict_all(1), 0);
}

/* ---- failures ---- */

static void all_fail(int error)
{
	FAILS(xencall0(h, FAKE_CALL_SUM), error);
	FAILS(xencall1(h, FAKE_CALL_SUM, 1), error);
	FAILS(xencall2L(h, FAKE_CALL_SUM, 1, 1), error);
	FAILS(xencall5(h, FAKE_CALL_SUM, 1, 2, 3, 4, 5), error);
	NO(xencall_alloc_buffer(h, 100 * PAGE), error);
}

XenTest(call, lost_connection)
{
	void *p, *q;

	open_one();
	p = xencall_alloc_buffer(h, 8);
	q = xencall_alloc_buffer(h, 100 * PAGE);
	fake_hang_up();
	all_fail(EPIPE);
	memset(p, 1, PAGE);
	xencall_free_buffer(h, p);
	xencall_free_buffer(h, q);
	cr_assert_geq(xencall_fd(h), 0);
	xencall_close(h);
	open_one();
	cr_assert_eq(xencall1(h, FAKE_CALL_SUM, 4), 4);
	xencall_close(h);
}

/* After half an answer nothing that comes can be trusted. */
XenTest(call, broken_answer)
{
	open_one();
	fake_mood(FAKE_SHORT);
	FAILS(xencall0(h, FAKE_CALL_SUM), EPROTO);
	fake_mood(FAKE_GOOD);
	all_fail(EPIPE);
	xencall_close(h);
	open_one();
	fake_mood(FAKE_SILENT);
	FAILS(xencall0(h, FAKE_CALL_SUM), EPIPE);
	xencall_close(h);
}

XenTest(call, cell_that_does_not_open)
{
	fake_mood(FAKE_REFUSES);
	NO(xencall_open(NULL, 0), EACCES);
	fake_mood(FAKE_BABBLES);
	NO(xencall_open(NULL, 0), EPROTO);
	fake_mood(FAKE_GOOD);
	open_one();
	xencall_close(h);
}

Test(call, no_cell)
{
	char path[200];

	setenv("LOMBARD_SOCKET", "/nonexistent/cell.sock", 1);
	NO(xencall_open(NULL, 0), ENOENT);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	setenv("LOMBARD_SOCKET", path, 1);
	NO(xencall_open(NULL, 0), ENAMETOOLONG);
	cr_assert_eq(LEAKED(), 0);
}
