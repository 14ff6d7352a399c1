/* SPDX-License-Identifier: BSD-2-Clause */
/* links: host-tools/blk/ring.c */
/* The ring between a frontend, that is made up here, and backends that may die at any moment. */
#include "ring.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct blkif_sring *shared;
static struct ring r;

static void make_shared(unsigned pages)
{
	shared = mmap(
	    NULL, pages * BLK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(shared, MAP_FAILED);
	shared->req_event = shared->rsp_event = 1;
}

/* The array is longer than its type says. */
static union blkif_sring_entry *entry(uint32_t i)
{
	return shared->ring + i;
}

static void ask(uint32_t size, uint64_t id)
{
	shared->ring[shared->req_prod & (size - 1)].req = (struct blkif_request){
	    .operation = BLKIF_OP_READ, .id = id};
	__atomic_fetch_add(&shared->req_prod, 1, __ATOMIC_SEQ_CST);
}

static void expect_next(uint64_t id)
{
	union blk_entry e;
	uint32_t index;

	cr_assert_eq(ring_next(&r, &e, &index), RING_REQUEST);
	cr_assert_eq(e.rw.id, id);
}

static void expect_none(enum ring_next what)
{
	union blk_entry e;
	uint32_t index;

	cr_assert_eq(ring_next(&r, &e, &index), what);
}

Test(ring, sizes)
{
	const uint32_t sizes[] = {0, 32, 64, 64, 128};

	make_shared(4);
	for (unsigned pages = 1; pages <= 4; pages++) {
		cr_assert(ring_attach(&r, shared, pages));
		cr_assert_eq(r.size, sizes[pages]);
	}
	cr_assert_eq(r.size, BLK_MAX_RING_ENTRIES);
}

Test(ring, through)
{
	make_shared(1);
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 0; i < 1000; i++) {
		expect_none(RING_EMPTY);
		ask(r.size, i);
		expect_next(i);
		ring_answer(&r, i, BLKIF_OP_READ, BLKIF_RSP_OKAY);
		cr_assert_eq(shared->rsp_prod, i + 1);
		cr_assert_eq(shared->ring[i & (r.size - 1)].rsp.id, i);
	}
}

/* An event is due when the index that the frontend waits for is passed, and only then. */
Test(ring, events)
{
	make_shared(1);
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 0; i < 6; i++)
		ask(r.size, i);
	for (uint64_t i = 0; i < 6; i++)
		expect_next(i);
	cr_assert(!ring_more(&r));
	cr_assert_eq(shared->req_event, 7);
	shared->rsp_event = 3;
	ring_answer(&r, 0, 0, 0);
	ring_answer(&r, 1, 0, 0);
	cr_assert(!ring_push(&r));
	ring_answer(&r, 2, 0, 0);
	cr_assert(ring_push(&r));
	cr_assert(!ring_push(&r));
	shared->rsp_event = 5;
	ring_answer(&r, 3, 0, 0);
	ring_answer(&r, 4, 0, 0);
	ring_answer(&r, 5, 0, 0);
	cr_assert(ring_push(&r));
	ask(r.size, 6);
	cr_assert(ring_more(&r));
}

Test(ring, lies)
{
	make_shared(1);
	cr_assert(ring_attach(&r, shared, 1));
	for (unsigned i = 0; i < 5; i++)
		ask(r.size, i);
	expect_next(0);
	expect_next(1);
	shared->req_prod = r.size;
	expect_next(2);
	shared->req_prod = r.size + 1;
	expect_none(RING_LIES);
	shared->req_prod = 2;
	expect_none(RING_LIES);
	shared->req_prod = 0x80000000u;
	expect_none(RING_LIES);
	shared->req_prod = UINT32_MAX;
	expect_none(RING_LIES);
	/* More than there is room for responses. */
	shared->req_prod = r.size;
	ring_answer(&r, 0, 0, 0);
	shared->req_prod = r.size + 1;
	expect_next(3);
	shared->req_prod = r.size + 2;
	expect_none(RING_LIES);
}

Test(ring, attach_to_lies)
{
	make_shared(1);
	shared->req_prod = 33;
	cr_assert(!ring_attach(&r, shared, 1));
	shared->rsp_prod = 1;
	cr_assert(ring_attach(&r, shared, 1));
	shared->rsp_prod = 34;
	cr_assert(!ring_attach(&r, shared, 1));
}

/* Indices go round at 2^32. */
Test(ring, wraps)
{
	make_shared(1);
	shared->req_prod = shared->rsp_prod = UINT32_MAX - 2;
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 0; i < 8; i++)
		ask(r.size, i);
	for (uint64_t i = 0; i < 8; i++) {
		expect_next(i);
		ring_answer(&r, i, 0, 0);
	}
	expect_none(RING_EMPTY);
	cr_assert_eq(shared->rsp_prod, 5);
}

static struct ring_note *note(void)
{
	return (struct ring_note *)((char *)shared + RING_NOTE_AT);
}

/* What has no response is done again by who comes next. */
Test(ring, successor)
{
	make_shared(1);
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 0; i < 8; i++)
		ask(r.size, i);
	for (uint64_t i = 0; i < 8; i++)
		expect_next(i);
	for (uint64_t i = 0; i < 3; i++)
		ring_answer(&r, i, 0, 0);
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 3; i < 8; i++)
		expect_next(i);
	expect_none(RING_EMPTY);
}

/* The response was noted, and half of it written. */
Test(ring, noted)
{
	make_shared(1);
	cr_assert(ring_attach(&r, shared, 1));
	for (uint64_t i = 0; i < 3; i++)
		ask(r.size, i);
	ring_answer(&r, 0, 0, 0);
	cr_assert_eq(note()->magic, 0);
	*note() = (struct ring_note){RING_NOTE, 1, 99, 1, -1};
	entry(1)->rsp.id = 99;
	cr_assert(ring_attach(&r, shared, 1));
	cr_assert_eq(shared->rsp_prod, 2);
	cr_assert_eq(entry(1)->rsp.id, 99);
	cr_assert_eq(entry(1)->rsp.operation, 1);
	cr_assert_eq(entry(1)->rsp.status, -1);
	expect_next(2);
	/* A note of a response that is there, or for which there is no request, means nothing. */
	*note() = (struct ring_note){RING_NOTE, 1, 99, 1, -1};
	cr_assert(ring_attach(&r, shared, 1));
	cr_assert_eq(shared->rsp_prod, 2);
	*note() = (struct ring_note){RING_NOTE, 3, 99, 1, -1};
	shared->rsp_prod = 3;
	cr_assert(ring_attach(&r, shared, 1));
	cr_assert_eq(shared->rsp_prod, 3);
	cr_assert_eq(note()->magic, 0);
}

/* ---- backends that are killed for real ---- */

/* Until the alarm, which nobody catches. */
static void serve_until_killed(unsigned us)
{
	struct itimerval timer = {.it_value.tv_usec = us};
	union blk_entry e;
	uint32_t index;

	setitimer(ITIMER_REAL, &timer, NULL);
	if (!ring_attach(&r, shared, 1))
		_exit(3);
	for (;;) {
		while (ring_next(&r, &e, &index) == RING_REQUEST)
			continue;
		/* A few are taken before the first is answered, as by files that need time. */
		while (r.rsp_prod != r.req_cons) {
			memcpy(&e, &shared->ring[r.rsp_prod & (r.size - 1)], sizeof(e));
			ring_answer(&r, e.rw.id, e.rw.operation, (int16_t)(e.rw.id & 0xff));
		}
	}
}

/* Numbers that look like anything when they stand where a request's operation does. */
static uint64_t id_of(uint32_t index)
{
	return (uint64_t)index * 0x9e3779b97f4a7c15u;
}

static void take_responses(uint32_t *rsp_cons)
{
	while (__atomic_load_n(&shared->rsp_prod, __ATOMIC_ACQUIRE) != *rsp_cons) {
		const struct blkif_response *rsp = &shared->ring[*rsp_cons & 31].rsp;

		cr_assert_eq(rsp->id, id_of(*rsp_cons), "response %u", *rsp_cons);
		cr_assert_eq(rsp->status, (int16_t)(rsp->id & 0xff));
		++*rsp_cons;
	}
}

Test(ring, killed)
{
	uint32_t rsp_cons = 0, noted = 0;
	int status;
	pid_t pid;

	make_shared(1);
	/* Until it was at the most delicate moment a few times; that takes some hundred rounds. */
	for (unsigned i = 0; i < 2000 && noted < 3; i++) {
		pid = fork();
		cr_assert_geq(pid, 0);
		if (pid == 0)
			serve_until_killed(300 + i % 1000);
		do {
			while (shared->req_prod - rsp_cons < 32)
				ask(32, id_of(shared->req_prod));
			take_responses(&rsp_cons);
		} while (waitpid(pid, &status, WNOHANG) == 0);
		cr_assert(WIFSIGNALED(status));
		cr_assert_eq(WTERMSIG(status), SIGALRM);
		noted += note()->magic == RING_NOTE;
	}
	printf("answered %u, %u times killed in the middle of an answer\n", rsp_cons, noted);
	cr_assert_gt(rsp_cons, 1000);
}
