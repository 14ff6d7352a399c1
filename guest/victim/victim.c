/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * victim: a guest that must not mind what guests beside it do (guest/fuzz).
 *
 *	victim pair with=DOMID first=0|1 ms=N
 *		Two of these grant, lend, send events and messages to each other, and everything has
 *		to be as it should, always.
 *	victim open ms=N
 *		Deals with whoever lends something: borrows, maps and copies what it is offered, binds
 *		ports, connects to channels, and offers the same.  All of that may be refused; but what
 *		was lent must not change, and what is our own stays as we have it.
 *
 * Every second it prints how far it is.  What is wrong is said, and the exit status is 1.
 */
#include "victim.h"

void must(int err, const char *what)
{
	if (err != 0)
		die("victim: can't %s: error %d", what, err);
}

int main(int argc, char **argv)
{
	uint64_t until = time_after(arg_need(argc, argv, "ms") * 1000000);

	if (argc > 1 && strcmp(argv[1], "pair") == 0)
		pair((uint16_t)arg_need(argc, argv, "with"), arg_need(argc, argv, "first") != 0,
		    until);
	else if (argc > 1 && strcmp(argv[1], "open") == 0)
		open(until);
	else
		die("usage: victim pair|open key=value ...");
	puts("victim: all was well");
	return 0;
}
