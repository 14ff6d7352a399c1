/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_LIBCHAN_FAKE_CORE_H
#define TESTS_UNIT_LIBCHAN_FAKE_CORE_H
/*
 * The core as liblombard-chan sees it, played step by step by the test's own thread, while another
 * thread makes the program's calls, so that each can be stopped where something has to happen.
 *
 * All functions are for the test's thread, and assert.
 */
#include <stdbool.h>
#include <stdint.h>

#include <lombard/chan.h>

#define PAGE 4096U
#define ARENA_PAGES 4U

/* An endpoint's public area: its memory, and where the program sees it. */
struct area {
	uint64_t id, gfn;
	int fd;
	int event; /* the program's, if it is the endpoint's owner; else -1 */
	uint8_t *arena;
	struct chan_status *status;
	volatile uint8_t *arena_there;
	const volatile struct chan_status *status_there;
};

/* core_begin: skips the test where userfaultfd can't be had. */
void core_begin(void);

/*
 * core_listen: there is a cell at $LOMBARD_SOCKET.
 * core_join: a program asks it for a channel and gets it; then the socket is no more.
 */
void core_listen(void);
void core_join(void);

/* core_hang_up: the cell ends, or turns the program out: as hang_up in hv/core/guest.c. */
void core_hang_up(void);

/*
 * core_call: the program's next hypercall, which must be this one.  => its argument
 * core_answer: its result, with the argument to copy back, if not NULL, and fd, unless it is -1
 */
void core_call(uint32_t cmd, void *arg, uint32_t len);
void core_answer(int64_t ret, const void *arg, int fd);

/*
 * core_garble_answer, core_garble_map: send what is none.
 * core_expect_end: the program has ended the connection.
 */
void core_garble_answer(void);
void core_garble_map(void);
void core_expect_end(void);

/*
 * core_create_shown: CHANOP_create up to the answer; core_create: all of it
 * core_accept: CHANOP_query and CHANOP_accept of a peer of a's, number 0
 */
void core_create_shown(struct area *a, struct chan_create *op);
void core_create(struct area *a);
void core_accept(const struct area *a, struct area *peer);

/* core_hide: take an area away from the program. */
void core_hide(const struct area *a);

/* core_seal: protect the arena's first page.  core_fault: wait until somebody writes to it. */
void core_seal(const struct area *a);
void core_fault(const struct area *a);

/*
 * The program's thread.  program_run: it makes this call.  program_end: => what it returned
 * program_hold: it stops where it is, with what it has locked.  program_go: it goes on.
 */
void program_run(int (*call)(void));
int program_end(void);
void program_hold(void);
void program_go(void);

/* await_event: until it is raised. */
void await_event(int event);

#endif
