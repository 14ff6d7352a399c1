/* SPDX-License-Identifier: BSD-2-Clause */
/* links: tests/unit/libchan/fake_core.c $(LIBCHAN_SRCS) */
/* pkgs: jansson */
/*
 * What is left to a host program when its cell ends, or turns it out, at this moment or that.
 *
 * The program has the endpoint a with a peer p, and behind both in the window area the endpoint z:
 * the library goes through them in that order, so that all is done when z's event is raised.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "chan/lombard-chan.h"
#include "libchan/fake_core.h"

TestSuite(cell, .init = core_begin, .timeout = 30);

static struct chan *ch, *other; /* of a and z */
static struct area a, p, z;
static uint8_t *buffer;

static int create(const char *name, struct chan **made)
{
	const struct chan_options opt = {.arena_bytes = ARENA_PAGES * PAGE,
	    .lend_from = CHAN_LEND_NEVER,
	    .copy_bytes = CHAN_COPY_LEAST,
	    .spin_ns = 1};

	return chan_create(name, &opt, made);
}

static int create_a(void)
{
	return create("a", &ch);
}

static int create_z(void)
{
	return create("z", &other);
}

static int accept_p(void)
{
	return chan_accept(ch, CHAN_NOW, NULL);
}

static int await_p(void)
{
	return chan_accept(ch, CHAN_FOREVER, NULL);
}

static int alloc_a(void)
{
	return chan_alloc(ch, 100, CHAN_NOW, (void **)&buffer);
}

static int write_a(void)
{
	buffer[0] = 7;
	return 0;
}

static int receive_a(void)
{
	struct chan_message msg;

	return chan_recv(ch, CHAN_FOREVER, &msg);
}

static int flush_a(void)
{
	return chan_flush(ch);
}

static int drop_p(void)
{
	return chan_drop(ch, 0);
}

static int close_a(void)
{
	chan_close(ch);
	return 0;
}

static int close_z(void)
{
	chan_close(other);
	return 0;
}

static int run(int (*call)(void))
{
	program_run(call);
	return program_end();
}

static void with_z(void)
{
	program_run(create_z);
	core_create(&z);
	cr_assert_eq(program_end(), 0);
}

static void with_a(void)
{
	core_listen();
	program_run(create_a);
	core_join();
	core_create(&a);
	cr_assert_eq(program_end(), 0);
}

static void with_a_p_z(void)
{
	with_a();
	program_run(accept_p);
	core_accept(&a, &p);
	cr_assert_eq(program_end(), 0);
	with_z();
	cr_assert(a.gfn < p.gfn && p.gfn < z.gfn);
}

/* The program's thread stays where it is until the library knows. */
static void lose_it(void)
{
	program_hold();
	core_hang_up();
	await_event(z.event);
	program_go();
}

static bool closed_p(const struct area *area)
{
	return area->status_there->state == CHAN_STATE_CLOSED && area->status_there->peers == 0;
}

/* After the last endpoint another cell can be joined. */
static void leave_and_join_again(void)
{
	cr_assert_eq(run(close_a), 0);
	cr_assert_eq(run(close_z), 0);
	with_a();
}

Test(cell, lost_while_connected)
{
	with_a_p_z();
	cr_assert_eq(run(alloc_a), 0);
	buffer[0] = 1;
	cr_assert_eq(a.arena[0], 1);
	program_run(receive_a);
	core_hang_up();
	cr_assert_eq(program_end(), -EPIPE);
	await_event(z.event);
	cr_assert(closed_p(&a) && closed_p(&p) && closed_p(&z));
	/* What the program writes goes nowhere, and never waits. */
	buffer[0] = 2;
	cr_assert_eq(buffer[0], 2);
	cr_assert_eq(a.arena[0], 1);
	cr_assert_eq(run(alloc_a), -EPIPE);
}

/* A peer that was found to be gone used to keep its place for ever, and the program the old cell. */
Test(cell, another_cell_after_a_loss)
{
	with_a_p_z();
	program_run(receive_a);
	core_hang_up();
	cr_assert_eq(program_end(), -EPIPE);
	leave_and_join_again();
}

Test(cell, lost_while_asleep)
{
	with_a_p_z();
	program_run(receive_a);
	lose_it();
	cr_assert_eq(program_end(), -EPIPE);
	await_event(a.event);
}

/* No peer will ever come: the library used to wait for one all the same. */
Test(cell, lost_while_accepting)
{
	struct chan_query op;

	with_a();
	program_run(await_p);
	core_call(CHANOP_query, &op, sizeof(op));
	core_answer(-EAGAIN, NULL, -1);
	core_hang_up();
	cr_assert_eq(program_end(), -EPIPE);
}

/* Nobody serves the fault any more: the writer gets other memory. */
Test(cell, lost_while_a_writer_waits)
{
	with_a_p_z();
	cr_assert_eq(run(alloc_a), 0);
	core_seal(&a);
	program_run(write_a);
	core_fault(&a);
	core_hang_up();
	cr_assert_eq(program_end(), 0);
	cr_assert_eq(buffer[0], 7);
	cr_assert_eq(a.arena[0], 0);
}

/*
 * The core has taken the areas away, and ends before it says so.  The library used to look for the
 * last state of them all, also of those it could not read any more.
 */
Test(cell, lost_while_closing)
{
	struct chan_id op;

	with_a_p_z();
	program_run(close_a);
	core_call(CHANOP_close, &op, sizeof(op));
	cr_assert_eq(op.id, a.id);
	core_hide(&a);
	core_hide(&p);
	lose_it();
	cr_assert_eq(program_end(), 0);
	cr_assert(closed_p(&z));
	cr_assert_eq(run(close_z), 0);
}

/* The same with a peer's area only. */
Test(cell, lost_while_dropping)
{
	struct chan_peers op;

	with_a_p_z();
	program_run(drop_p);
	core_call(CHANOP_drop, &op, sizeof(op));
	cr_assert_eq(op.id, a.id);
	core_hide(&p);
	lose_it();
	cr_assert_eq(program_end(), 0);
	cr_assert(closed_p(&a) && closed_p(&z));
	cr_assert_eq(run(receive_a), -EPIPE);
}

/* A peer that the core could not drop is there as before. */
Test(cell, lost_after_a_refused_drop)
{
	struct chan_peers op;

	with_a_p_z();
	program_run(drop_p);
	core_call(CHANOP_drop, &op, sizeof(op));
	core_answer(-ENOMEM, NULL, -1);
	cr_assert_eq(program_end(), 0);
	program_run(flush_a);
	core_call(CHANOP_drop, &op, sizeof(op));
	core_answer(-ENOMEM, NULL, -1);
	cr_assert_eq(program_end(), 0);
	cr_assert_eq(p.status_there->state, CHAN_STATE_OPEN);
	core_hang_up();
	await_event(z.event);
	cr_assert(closed_p(&p));
}

/* ... also if the library learns both at once. */
Test(cell, lost_while_a_drop_is_refused)
{
	struct chan_peers op;

	with_a_p_z();
	program_run(drop_p);
	core_call(CHANOP_drop, &op, sizeof(op));
	program_hold();
	core_answer(-ENOMEM, NULL, -1);
	core_hang_up();
	await_event(z.event);
	cr_assert_eq(p.status_there->state, CHAN_STATE_OPEN);
	program_go();
	cr_assert_eq(program_end(), 0);
	cr_assert(closed_p(&p));
}

/* A dropped peer's number is another's afterwards. */
Test(cell, lost_after_a_drop)
{
	struct chan_peers op;
	uint64_t gfn;

	with_a_p_z();
	gfn = p.gfn;
	program_run(drop_p);
	core_call(CHANOP_drop, &op, sizeof(op));
	core_hide(&p);
	a.status->peers = 0;
	core_answer(0, NULL, -1);
	cr_assert_eq(program_end(), 0);
	program_run(accept_p);
	core_accept(&a, &p);
	cr_assert_eq(program_end(), 0);
	cr_assert_eq(p.gfn, gfn);
	core_hang_up();
	await_event(z.event);
	cr_assert(closed_p(&a) && closed_p(&p));
}

/* An endpoint was made, and the connection is lost before the library has noted it. */
Test(cell, lost_while_creating)
{
	struct chan_create op;

	core_listen();
	program_run(create_z);
	core_join();
	core_create(&z);
	cr_assert_eq(program_end(), 0);
	program_run(create_a);
	core_create_shown(&a, &op);
	program_hold();
	core_answer(0, &op, a.event);
	core_hang_up();
	await_event(z.event);
	z.arena_there[0] = 5;
	cr_assert_eq(a.status_there->state, CHAN_STATE_OPEN);
	program_go();
	cr_assert_eq(program_end(), 0);
	cr_assert(closed_p(&a));
	await_event(a.event);
	cr_assert_eq(run(alloc_a), -EPIPE);
	/* Others have had theirs. */
	cr_assert_eq(z.arena_there[0], 5);
}

/* A call that nobody knows the outcome of ends the connection, as the caller is told. */
Test(cell, garbled_answer_ends_the_connection)
{
	struct chan_query op;

	with_a_p_z();
	program_run(accept_p);
	core_call(CHANOP_query, &op, sizeof(op));
	core_garble_answer();
	cr_assert_eq(program_end(), -EPIPE);
	core_expect_end();
	core_hang_up();
	await_event(z.event);
	cr_assert(closed_p(&a) && closed_p(&p) && closed_p(&z));
	leave_and_join_again();
}

/* A core that lives does not wait for the program to map something, which it does no more. */
Test(cell, garbled_map_ends_the_connection)
{
	with_a_p_z();
	core_garble_map();
	await_event(z.event);
	core_expect_end();
	cr_assert(closed_p(&a) && closed_p(&p) && closed_p(&z));
	leave_and_join_again();
}
