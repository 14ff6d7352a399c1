/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_FLOOR_H
#define TESTS_BENCH_FLOOR_H
/*
 * bench_floor: the least that a loan can cost, in a program of its own: it answers packets on
 * descriptor 3 (Unix SEQPACKET).  The first byte of a request says what is wanted:
 *
 *	FLOOR_ECHO	an answer of a hypercall's size, for a request of a hypercall's size
 *	FLOOR_BREAK	struct floor_times: a guest writes to pages that are write-protected, and a
 *			handler thread of the same process gives it a copy of each
 *
 * At its start, when the VM is built, the program sends one byte.  It ends when the socket closes.
 */
#include <stdint.h>

#define FLOOR_FD 3
#define FLOOR_ECHO 'e'
#define FLOOR_BREAK 'b'
#define FLOOR_READY 'r'
#define FLOOR_PAGES 64u

struct floor_times {
	uint64_t ns[FLOOR_PAGES];
};

/* The VM of the breaks (floor_vm.c).  Both exit with a message when something fails. */
void floor_vm_build(void);
void floor_vm_breaks(struct floor_times *times);

#endif
