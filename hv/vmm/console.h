/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_CONSOLE_H
#define LOMBARD_VMM_CONSOLE_H
/*
 * The guest's console: what it writes by hypercall or into its ring, and what it is told.
 *
 * Output goes to `out`, which is whoever launched the guest or a file, and waits for it; it is kept for
 * a while (scroll.h), and from there goes to the clients that have attached themselves, who are never
 * waited for.  Input comes from `in` and from all clients, one after the other as it comes; it goes
 * into the ring if the guest uses that, else where its console hypercall finds it.
 *
 * A log has all output, too, from the start to the guest's end, whatever becomes of `out`.
 *
 * The ring is served by the console thread, unless a program of the host has bound to its event
 * channel, which the core knows.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/failure.h"
#include "vmm/scroll.h"

#define CONSOLE_CLIENTS 16U
#define CONSOLE_INPUT 4096U /* bytes that wait for the guest */

struct console_client {
	int fd;	       /* a stream socket; -1: a free place */
	bool in_over;  /* it says nothing any more */
	bool out_over; /* it hears nothing any more */
	uint64_t at;   /* the place that it has got up to */
	uint64_t missed;
	char mark[64]; /* to be sent first: that it has missed so many bytes */
	size_t mark_at, mark_len;
};

struct console {
	int kick; /* eventfd: the console thread has something to do */
	bool in_socket, out_socket;
	_Atomic int in; /* -1: it has ended */

	pthread_mutex_t read_mutex; /* for who reads from `in` */
	pthread_mutex_t
	    write_mutex; /* for who writes to `out`, also while that waits; before `mutex` */
	_Atomic int out; /* -1: its reader is gone */
	_Atomic bool write_wanted; /* the console thread found somebody else writing */
	int log;		   /* write_mutex; -1: none, or it could not be written */
	const char *name;	   /* the guest's, for messages */

	_Atomic bool ring_used; /* the guest knows of its ring */
	_Atomic bool ring_told; /* ... and has sent an event, which nobody took */

	pthread_mutex_t mutex; /* all below; nothing is waited for while it is held */
	struct scroll scroll;
	char input[CONSOLE_INPUT];
	size_t ninput;
	struct console_client clients[CONSOLE_CLIENTS];
	unsigned nclients;
	pthread_cond_t changed; /* served */
	bool ending;		/* the guest has ended */
	bool served;		/* ... and all of its output has gone where it could go */
};

struct vmm;

/* console_init: in, out: the console's from now on.  => before there is a sandbox.  0, or -errno with *f */
int console_init(struct console *c, int in, int out, struct failure *f);

/* console_log_to: fd is the console's from now on, if it is not -1; name: the guest's, which stays.  => before anything is written */
void console_log_to(struct console *c, int fd, const char *name);

/* console_serve: the console thread.  Returns when the guest has ended. */
void console_serve(struct vmm *vm);

/*
 * console_attach: a client, whose socket is the console's from now on if that is 0.  history: it gets
 * what is left of earlier output, too.  => 0; -EUSERS: there are CONSOLE_CLIENTS already
 */
int console_attach(struct console *c, int fd, bool history);

/* console_ring_used, console_ring_told: see struct console.  By the vCPU that did it. */
void console_ring_used(struct console *c);
void console_ring_told(struct console *c);

/*
 * console_finish: the guest has ended: wait until its output is out; for clients only a moment.
 * => the console thread runs
 */
void console_finish(struct console *c);

/* ---- what the console's own files offer each other ---- */

void console_kick(struct console *c);

/*
 * console_write_now: write some of buf to `out` without waiting.  => write_mutex held
 * => how much; 0: it has to wait; -errno: nobody will ever read it
 * console_keep: remember output, and let clients and the log have it.  => write_mutex held, mutex not
 */
ssize_t console_write_now(struct console *c, const char *buf, size_t len);
void console_keep(struct console *c, const char *buf, size_t len);

/*
 * console_read_now: read from `in` without waiting.  => read_mutex held
 * => how much, 0: nothing.  Its end is noted.
 */
size_t console_read_now(struct console *c, char *buf, size_t room);

/*
 * console_client.c.  => mutex held
 *
 * client_events: what to poll for; -1: nothing, not even its end
 * client_serve: do what poll said.  A client that is gone is forgotten.  => is there new input?
 * client_behind: is there output that it has not got?
 */
int client_events(const struct console *c, const struct console_client *cl);
bool client_serve(struct console *c, struct console_client *cl, int revents);
bool client_behind(const struct console *c, const struct console_client *cl);

#endif
