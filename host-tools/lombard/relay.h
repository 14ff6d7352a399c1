/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_RELAY_H
#define LOMBARD_CLI_RELAY_H
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define RELAY_ESCAPE 0x1d /* Ctrl-] */
#define RELAY_NPOLL 3

/*
 * Between stdin, stdout and a guest's console, which is a stream socket.  What waits on either side has
 * a bound.  At a terminal keys are read even when the guest takes none, so that `escape` is always
 * seen; those that do not fit are dropped, and the bell says so.
 */
struct relay {
	int stream; /* -1: none, or it has ended */
	int escape; /* -1: none */
	int log;    /* a file that gets the output, too; -1: none */
	bool terminal;
	bool in_over;
	bool out_over; /* nobody reads stdout any more */
	char in[4096], out[16384];
	size_t nin, out_at, nout;
};

enum relay_state {
	RELAY_ON,
	RELAY_DETACH, /* the user wants to go */
	RELAY_OVER,   /* the stream has ended, and all of it is out */
};

/* relay_open: => stream is the relay's from now on.  The terminal stays as it is. */
void relay_open(struct relay *r, int stream, int escape, int log);
void relay_close(struct relay *r);

/*
 * relay_watch: what to poll for.  relay_serve: do what poll said.
 * => unblocked: signals that may interrupt a write to stdout, as with ppoll
 */
void relay_watch(const struct relay *r, struct pollfd p[RELAY_NPOLL]);
enum relay_state relay_serve(
    struct relay *r, const struct pollfd p[RELAY_NPOLL], const sigset_t *unblocked);

/* relay_log: open the file for it, which is emptied.  Says what is wrong.  0 or -errno */
int relay_log(const char *path, int *fd);

/* relay_parse_escape: "^]", "none", or a character.  false: it is none of these */
bool relay_parse_escape(const char *text, int *escape);

#endif
